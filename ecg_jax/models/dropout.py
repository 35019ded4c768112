"""Dropout whose random draws depend on the row in the global batch, not on the device. May import jax and flax only."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.extend.random import threefry_2x32


class RowDropout(nn.Module):
    """Sets a fraction of the activations to zero and scales up the others: [B, ...] -> [B, ...].

    Row r of the global batch uses the key `fold_in(key, r)`, so the same activations are dropped on any device and for
    any number of devices. The key comes from the random stream "dropout", which is the same on all devices. The rate is
    rounded to a multiple of 2^-16.
    """

    rate: float
    train: bool
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns `x` itself outside training, and if the rate is 0."""
        if not self.train or self.rate == 0:
            return x
        rows = jnp.arange(x.shape[0])
        if self.axis_name is not None and not self.is_initializing():
            rows = rows + lax.axis_index(self.axis_name) * x.shape[0]
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(self.make_rng("dropout"), rows)
        kept = min(round((1 - self.rate) * 2**16), 2**16 - 1)
        keep = jax.vmap(lambda key: _sixteen_bits(key, x.shape[1:]))(keys) < jnp.uint16(kept)
        return jnp.where(keep, x / (1 - self.rate), 0).astype(x.dtype)


def _sixteen_bits(key: Array, shape: tuple[int, ...]) -> Array:
    """Random uint16: all four halves of the two words that a call of Threefry gives.

    `jax.random.bits` uses a quarter of them, and Threefry is most of the cost of dropout on CPU.
    """
    numbers = math.prod(shape)
    words = threefry_2x32(jax.random.bits(key, (2,), jnp.uint32), jnp.arange(-(-numbers // 2), dtype=jnp.uint32))
    return lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:numbers].reshape(shape)
