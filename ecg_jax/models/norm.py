"""Batch normalisation over the valid samples of all devices. May import jax and flax only."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

MOMENTUM = 0.9  # of the running statistics: new = 0.9 * old + 0.1 * batch
EPSILON = 1e-5


class MaskedBatchNorm(nn.Module):
    """Normalises each channel over the valid samples of the whole batch: [..., C] -> [..., C].

    Sums, sums of squares and counts are added over the axis `axis_name` before the division. So several devices give
    the result of one device, even if their numbers of valid samples differ; an average of their means would not. Both
    sums are computed in one pass, in float32, and the normalisation is one multiplication and one addition. A batch
    without a valid sample does not change the running statistics. The running variance is that of the batch, without
    Bessel's correction. Source: Ioffe & Szegedy 2015, arXiv 1502.03167.
    """

    train: bool
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, valid: Array | None = None) -> Array:
        """`valid` [..., 1] is 0 or 1; None: all samples are valid. The outputs at invalid samples are undefined."""
        shape = (x.shape[-1],)
        mean_of = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        var_of = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        scale = self.param("scale", nn.initializers.ones, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        mean, var = mean_of.value, var_of.value
        if self.train:
            mean, var, count = self._moments(x, valid)
            if not self.is_initializing():
                share = jnp.where(count > 0, 1 - MOMENTUM, 0.0)
                mean_of.value += share * (lax.stop_gradient(mean) - mean_of.value)
                var_of.value += share * (lax.stop_gradient(var) - var_of.value)
        factor = scale * lax.rsqrt(var + EPSILON)
        offset = bias - mean * factor
        return (x * _over(x, factor) + _over(x, offset)).astype(x.dtype)

    def _moments(self, x: Array, valid: Array | None) -> tuple[Array, Array, Array]:
        """Mean [C], variance [C] and number of valid samples, over all devices."""
        axes = tuple(range(x.ndim - 1))
        counted = x if valid is None else x * valid
        total = jnp.sum(counted, axes, dtype=jnp.float32)
        square = jnp.sum(jnp.square(counted.astype(jnp.float32)), axes)
        count = jnp.float32(x.size // x.shape[-1]) if valid is None else jnp.sum(valid, dtype=jnp.float32)
        if self.axis_name is not None and not self.is_initializing():
            total, square, count = lax.psum((total, square, count), self.axis_name)
        divisor = jnp.maximum(count, 1)
        mean = total / divisor
        return mean, jnp.maximum(square / divisor - jnp.square(mean), 0), count


def _over(x: Array, per_channel: Array) -> Array:
    return per_channel.reshape((1,) * (x.ndim - 1) + per_channel.shape)
