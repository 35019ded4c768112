"""Stem and residual blocks, which `resnet.py` stacks into stages.

Shapes and parameters only. May import jax, flax, `config` and this room; nothing that reads files or trains.
"""

from functools import partial

import flax.linen as nn
from jax import Array

from ecg_jax.models.conv import Conv1D, average_pool, coarser, max_pool, relu
from ecg_jax.models.dropout import RowDropout
from ecg_jax.models.norm import MaskedBatchNorm


class Stem(nn.Module):
    """Convolutions, the first one strided, and maximum pooling: [B, T, L] -> [B, T', C]."""

    channels: tuple[int, ...]
    kernel: int
    stride: int
    pool: bool
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, valid: Array | None, *, train: bool) -> tuple[Array, Array | None]:
        """`x` is 0 where `valid` [B, T, 1] is 0. Returns the output and its mask, with the same property."""
        kept = coarser(valid, self.stride)
        for i, channels in enumerate(self.channels):
            x = Conv1D(channels, self.kernel, self.stride if i == 0 else 1)(x)
            x = MaskedBatchNorm(train, self.axis_name)(x, kept)
            x = relu(x, kept)
        if self.pool:
            x, kept = max_pool(x, kept), coarser(kept, 2)
        return x, kept


class ResidualBlock(nn.Module):
    """Convolutions with a shortcut in parallel: [B, T, C_in] -> [B, ceil(T / stride), widths[-1]].

    The scale parameters of all normalisations are initialised to one. Initialising the last one to zero (Goyal et al.
    2017, section 5.1) helps deep networks, but slows the learning of shallow ones, which matter most here.
    """

    widths: tuple[int, ...]  # channels after each convolution
    kernels: tuple[int, ...]
    stride: int = 1
    strided: int = 0  # index of the convolution that has the stride
    dilation: int = 1
    shortcut: str = "conv"
    dropout: float = 0.0
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, valid: Array | None, *, train: bool) -> tuple[Array, Array | None]:
        """`x` is 0 where `valid` [B, T, 1] is 0. Returns the output and its mask, with the same property."""
        norm = partial(MaskedBatchNorm, train, self.axis_name)
        kept = coarser(valid, self.stride)  # [B, T', 1]
        last = len(self.widths) - 1
        y, mask = x, valid
        for i, (width, kernel) in enumerate(zip(self.widths, self.kernels, strict=True)):
            stride = self.stride if i == self.strided else 1
            mask = kept if i >= self.strided else valid
            y = Conv1D(width, kernel, stride, self.dilation)(y)
            y = norm()(y, mask)
            if i < last:
                y = relu(y, mask)
                y = RowDropout(self.dropout, train, self.axis_name)(y)

        projected = x.shape[-1] != self.widths[-1]  # not decided by T: the parameters must not depend on it
        stride = self.stride
        if self.shortcut == "pool" and stride > 1:
            x, stride = average_pool(x, valid, stride), 1
        if projected or stride > 1:
            x = Conv1D(self.widths[-1], 1, stride, name="shortcut_conv")(x)
            x = norm(name="shortcut_norm")(x, kept)
        return relu(x + y, kept), kept
