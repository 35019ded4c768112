"""The training state: everything that a step changes, as one value."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from jax import Array

Variables = Mapping[str, Any]


@struct.dataclass
class TrainState:
    """Parameters, running statistics, optimiser state and averaged variables; `key` is constant during a run."""

    step: Array  # [] int32
    key: Array  # raw random key
    params: Any
    batch_stats: Any
    opt_state: Any
    averaged: Any  # {"params", "batch_stats"}, averaged over steps; empty without EMA

    @property
    def variables(self) -> Variables:
        """The variables that are evaluated: the averaged ones, or the last ones without EMA."""
        return self.averaged or {"params": self.params, "batch_stats": self.batch_stats}


def init_state(
    network: nn.Module, optimizer: optax.GradientTransformation, example: Array, *, seed: int, ema: float
) -> TrainState:
    """The state before the first step; only the shape of `example` [B, T, L] is used."""
    key = jax.random.key(seed)
    variables = jax.jit(lambda k: network.init(k, jnp.zeros_like(example), train=False))(key)
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    averaged = {"params": params, "batch_stats": batch_stats} if ema else {}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=jax.random.key_data(key),
        params=params,
        batch_stats=batch_stats,
        opt_state=optimizer.init(params),
        averaged=jax.tree.map(jnp.copy, averaged),
    )
