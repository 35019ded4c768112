"""Dropout whose random draws depend on the row in the global batch, not on the device. May import jax and flax only."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax


class RowDropout(nn.Module):
    """Sets a fraction of the activations to zero and scales up the others: [B, ...] -> [B, ...].

    Row r of the global batch uses the key `fold_in(key, r)`, so the same activations are dropped on any device and for
    any number of devices. The key comes from the random stream "dropout", which is the same on all devices.
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
        keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - self.rate, x.shape[1:]))(keys)
        return jnp.where(keep, x / (1 - self.rate), 0).astype(x.dtype)
