"""One-dimensional convolution and pooling along time, in the fastest formulation known for them.

Every output has T' = ceil(T / stride) samples, and output i is centred on input i * stride for any T: the padding is
symmetric (an even kernel has its extra sample on the right), unlike "SAME", whose padding depends on the input length.
Therefore a shorter window and the same window padded with invalid samples give the same numbers.

The mask is `valid` [B, T, 1] in the number format of the activations: 1 for signal, 0 for no signal. None means that
all samples are signal; no mask is computed then. May import jax and flax only.
"""

from functools import reduce
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

Formulation = Literal["direct", "matmul"]
"""How a convolution is computed: by XLA's convolution, or as one matrix product.

The results are equal up to rounding. A convolution whose kernels differ along a mapped axis (`jax.vmap` over several
networks) is a grouped convolution for XLA, which is slow on GPU; a matrix product with another leading axis is not.
"""

GROUP_COLUMNS = 1024  # largest number of columns of a matrix product, where group * channels may choose it


class Conv1D(nn.Module):
    """Convolution without bias: [B, T, C_in] -> [B, ceil(T / stride), channels].

    Kernels are drawn from a normal distribution with variance 2 / fan-in (He et al. 2015, arXiv 1502.01852, eq. 10).
    """

    channels: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    formulation: Formulation = "direct"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """The result has the number format of `x`; the parameters are float32."""
        shape = (self.kernel, x.shape[-1], self.channels)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape, jnp.float32).astype(x.dtype)
        if self.formulation == "matmul":
            return _matmul(x, kernel, stride=self.stride, dilation=self.dilation)
        reach = (self.kernel - 1) * self.dilation
        return lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(self.stride,),
            padding=[(reach // 2, reach - reach // 2)],
            rhs_dilation=(self.dilation,),
            dimension_numbers=("NWC", "WIO", "NWC"),
        )


def _matmul(x: Array, kernel: Array, *, stride: int, dilation: int) -> Array:
    """The convolution of [B, T, C] with [K, C, D] as one matrix product: [B, ceil(T / stride), D].

    Each row of the product computes `group` neighbouring outputs from the samples that any of them needs. So the
    samples are copied about twice, not K times; in exchange, about half of the products are with zeros of the matrix.
    """
    reach = (len(kernel) - 1) * dilation
    length, width = -(-x.shape[1] // stride), kernel.shape[-1]
    group = 1 if reach == 0 else max(1, min(-(-(reach + 1) // stride), GROUP_COLUMNS // width))
    rows, hop = -(-length // group), group * stride
    needed = hop - stride + reach + 1  # samples for one row
    parts = -(-needed // hop)
    last = (rows + parts - 1) * hop - reach // 2 - x.shape[1]
    blocks = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (reach // 2, last, 0), (0, 0, 0)))
    blocks = blocks.reshape(len(x), rows + parts - 1, hop, x.shape[-1])
    samples = jnp.concatenate([blocks[:, part : part + rows] for part in range(parts)], axis=2)[:, :, :needed]
    taps = lax.pad(kernel, jnp.zeros((), x.dtype), ((0, 0, dilation - 1), (0, 0, 0), (0, 0, 0)))
    shifted = [jnp.pad(taps, ((place, hop - stride - place), (0, 0), (0, 0))) for place in range(0, hop, stride)]
    outputs = jnp.einsum("brtc,tcgd->brgd", samples, jnp.stack(shifted, axis=2))  # [B, rows, group, D]
    return outputs.reshape(len(x), rows * group, width)[:, :length]


def relu(x: Array, valid: Array | None) -> Array:
    """ReLU, and zero where there is no signal, in one selection: [B, T, C] -> [B, T, C]. NaN stays NaN.

    A maximum in place of the selection makes a whole training step on CPU a fifth slower (depth 4, 16 channels).
    """
    return jnp.where(x <= 0 if valid is None else (x <= 0) | (valid == 0), 0, x)


def _strided(x: Array, stride: int, pad: tuple[int, int], window: int) -> list[Array]:
    """For each position in a window, its samples: `window` arrays [B, ceil(T / stride), C], zeros beyond the ends."""
    length = -(-x.shape[1] // stride)
    padded = jnp.pad(x, ((0, 0), pad, (0, 0)))
    last = (length - 1) * stride + 1
    return [lax.slice_in_dim(padded, place, place + last, stride, axis=1) for place in range(window)]


def coarser(valid: Array | None, stride: int) -> Array | None:
    """The mask after a stride, [B, T, 1] -> [B, T', 1]: a sample is valid if any of its `stride` input samples is.

    Thus n valid samples become ceil(n / stride), as in a window without padding, and a row with any valid sample keeps
    at least one.
    """
    if valid is None or stride == 1:
        return valid
    return reduce(jnp.maximum, _strided(valid, stride, (0, -valid.shape[1] % stride), stride))


def max_pool(x: Array, valid: Array | None) -> Array:
    """Maximum over 3 samples, stride 2: [B, T, C] -> [B, ceil(T / 2), C]; `x` is >= 0, and 0 where invalid.

    Computed as the maximum of three strided slices: the gradient of XLA's window reduction is many times slower on CPU.
    """
    pooled = reduce(jnp.maximum, _strided(x, 2, (1, x.shape[1] % 2), 3))
    kept = coarser(valid, 2)
    return pooled if kept is None else pooled * kept


def average_pool(x: Array, valid: Array | None, window: int) -> Array:
    """Mean over the valid samples of each window, stride `window`: [B, T, C] -> [B, ceil(T / window), C].

    The last window may be shorter (PyTorch's ceil mode). `x` is 0 where invalid.
    """
    pad = (0, -x.shape[1] % window)
    present = jnp.ones((1, x.shape[1], 1), x.dtype) if valid is None else valid
    total = sum(_strided(x, window, pad, window), start=jnp.zeros((), x.dtype))
    count = sum(_strided(present, window, pad, window), start=jnp.zeros((), x.dtype))
    return total / jnp.maximum(count, 1)
