"""Heads: from the last stage to logits. May import jax, flax and this room.

Every head takes `x` [B, T, C] >= 0, which is 0 where `valid` [B, T, 1] is 0, and returns [B, K] float32. A row without
a valid sample is pooled to zeros and has no influence on any statistic.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from ecg_jax.config import ModelConfig
from ecg_jax.models.dropout import RowDropout
from ecg_jax.models.norm import MaskedBatchNorm


class Head(nn.Module):
    """`gap`: mean over time; `concat`: maximum and mean, then a hidden layer; `attention`; `flatten`: all samples.

    `concat` is the head of the PTB-XL benchmark (Strodthoff et al. 2021, arXiv 2004.13701). `flatten` has a weight for
    every sample, so the number of its parameters depends on T.
    """

    config: ModelConfig
    n_classes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, valid: Array | None, *, train: bool) -> Array:
        """[B, T, C] -> [B, K]."""
        x, kind = x.astype(jnp.float32), self.config.head
        if kind == "flatten":
            y = x.reshape(x.shape[0], -1)  # [B, T * C]
        elif kind == "attention":
            score = nn.Dense(1, name="score")(x)  # [B, T, 1]
            if valid is not None:
                score = jnp.where(valid > 0, score, jnp.finfo(score.dtype).min)
            y = jnp.sum(nn.softmax(score, axis=1) * x, axis=1)  # [B, C]
        else:
            y = jnp.sum(x, axis=1) / _samples(x, valid)  # [B, C]
        if kind == "concat":
            y = self._hidden(jnp.concatenate([jnp.max(x, axis=1), y], axis=-1), valid, train=train)
        self.sow("intermediates", "features", y)  # kept where it is asked for (`ecg_jax.features`)
        y = RowDropout(self.config.head_dropout, train, self.axis_name)(y)
        return nn.Dense(self.n_classes, kernel_init=self._last_init(), name="logits")(y)

    def _last_init(self) -> nn.initializers.Initializer:
        """Variance 1 / fan-in; with `base_channels` it falls with the square of the fan-in (muP)."""
        config = self.config
        grows = config.base_channels > 0 and config.head != "concat"  # whose hidden layer has a width of its own
        share = config.base_channels / config.channels if grows else 1.0
        return nn.initializers.variance_scaling(share, "fan_in", "truncated_normal")

    def _hidden(self, y: Array, valid: Array | None, *, train: bool) -> Array:
        """Normalisation, dropout, Dense, ReLU, normalisation: [B, 2 C] -> [B, hidden]."""
        present = None if valid is None else jnp.max(valid, axis=1).astype(jnp.float32)  # [B, 1]
        y = MaskedBatchNorm(train, self.axis_name)(y, present)
        y = RowDropout(self.config.head_dropout / 2, train, self.axis_name)(y)
        y = nn.relu(nn.Dense(self.config.head_hidden, kernel_init=nn.initializers.he_normal(), name="hidden")(y))
        return MaskedBatchNorm(train, self.axis_name)(y, present)


def _samples(x: Array, valid: Array | None) -> Array | int:
    """Number of valid samples of each row, at least 1: [B, 1]."""
    return x.shape[1] if valid is None else jnp.maximum(jnp.sum(valid, axis=1, dtype=jnp.float32), 1)
