"""Stem and residual blocks, which `resnet.py` stacks into stages.

Shapes and parameters only. May import jax, flax, `config` and this room; nothing that reads files or trains.
"""

from functools import partial

import flax.linen as nn
from jax import Array

from ecg_jax.config import ModelConfig
from ecg_jax.models.conv import Conv1D, Formulation, average_pool, coarser, max_pool, relu
from ecg_jax.models.dropout import RowDropout
from ecg_jax.models.layout import Block, stem_channels
from ecg_jax.models.norm import MaskedBatchNorm


class Stem(nn.Module):
    """Convolutions, the first one strided, and maximum pooling: [B, T, L] -> [B, T', C]."""

    config: ModelConfig
    axis_name: str | None = None
    formulation: Formulation = "direct"

    @nn.compact
    def __call__(self, x: Array, valid: Array | None, *, train: bool) -> tuple[Array, Array | None]:
        """`x` is 0 where `valid` [B, T, 1] is 0. Returns the output and its mask, with the same property."""
        config, stride = self.config, self.config.stem_stride
        kept = coarser(valid, stride)
        for i, channels in enumerate(stem_channels(config)):
            x = Conv1D(channels, config.stem_kernel, stride if i == 0 else 1, formulation=self.formulation)(x)
            x = MaskedBatchNorm(train, self.axis_name)(x, kept)
            x = relu(x, kept)
        if config.stem_pool:
            x, kept = max_pool(x, kept), coarser(kept, 2)
        return x, kept


class ResidualBlock(nn.Module):
    """Convolutions with a shortcut in parallel: [B, T, C_in] -> [B, ceil(T / stride), widths[-1]] of the block.

    The scale parameters of all normalisations are initialised to one. Initialising the last one to zero (Goyal et al.
    2017, section 5.1) helps deep networks, but slows the learning of shallow ones, which matter most here.
    """

    config: ModelConfig
    block: Block
    axis_name: str | None = None
    formulation: Formulation = "direct"

    @nn.compact
    def __call__(self, x: Array, valid: Array | None, *, train: bool) -> tuple[Array, Array | None]:
        """`x` is 0 where `valid` [B, T, 1] is 0. Returns the output and its mask, with the same property."""
        config, block = self.config, self.block
        norm = partial(MaskedBatchNorm, train, self.axis_name)
        conv = partial(Conv1D, formulation=self.formulation)
        kept = coarser(valid, block.stride)  # [B, T', 1]
        y = x
        for i, (width, kernel) in enumerate(zip(block.widths, block.kernels, strict=True)):
            mask = kept if i >= block.strided else valid
            y = conv(width, kernel, block.stride if i == block.strided else 1, config.dilation)(y)
            y = norm()(y, mask)
            if i < len(block.widths) - 1:
                y = relu(y, mask)
                y = RowDropout(config.dropout, train, self.axis_name)(y)

        projected = x.shape[-1] != block.widths[-1]  # not decided by T: the parameters must not depend on it
        stride = block.stride
        if config.shortcut == "pool" and stride > 1:
            x, stride = average_pool(x, valid, stride), 1
        if projected or stride > 1:
            x = conv(block.widths[-1], 1, stride, name="shortcut_conv")(x)
            x = norm(name="shortcut_norm")(x, kept)
        return relu(x + y, kept), kept
