"""One-dimensional convolution and pooling along time, in the fastest formulation known for them.

Every output has T' = ceil(T / stride) samples, and output i is centred on input i * stride for any T: the padding is
symmetric (an even kernel has its extra sample on the right), unlike "SAME", whose padding depends on the input length.
Therefore a shorter window and the same window padded with invalid samples give the same numbers.

The mask is `valid` [B, T, 1] in the number format of the activations: 1 for signal, 0 for no signal. None means that
all samples are signal; no mask is computed then. May import jax and flax only.
"""

from functools import reduce

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax


class Conv1D(nn.Module):
    """Convolution without bias: [B, T, C_in] -> [B, ceil(T / stride), channels].

    Kernels are drawn from a normal distribution with variance 2 / fan-in (He et al. 2015, arXiv 1502.01852, eq. 10).
    """

    channels: int
    kernel: int
    stride: int = 1
    dilation: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """The result has the number format of `x`; the parameters are float32."""
        shape = (self.kernel, x.shape[-1], self.channels)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape, jnp.float32)
        reach = (self.kernel - 1) * self.dilation
        return lax.conv_general_dilated(
            x,
            kernel.astype(x.dtype),
            window_strides=(self.stride,),
            padding=[(reach // 2, reach - reach // 2)],
            rhs_dilation=(self.dilation,),
            dimension_numbers=("NWC", "WIO", "NWC"),
        )


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
