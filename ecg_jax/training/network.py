"""The network of a run, ours or the user's own, and what it costs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from ecg_jax.config import ModelConfig, RunConfig
from ecg_jax.dataset.batch import InputContract
from ecg_jax.import_path import function_at
from ecg_jax.models import ResNet1D, cost

Network = Callable[..., nn.Module]
"""`network(config, n_classes, axis_name) -> nn.Module`, which is called as `ResNet1D` is."""


def build_network(config: RunConfig, n_classes: int, *, axis_name: str | None = None) -> nn.Module:
    """`ResNet1D`, or what the user's own function makes of the model's config."""
    name = config.functions.network
    make: Callable[[ModelConfig, int, str | None], nn.Module] = function_at(name, "network") if name else ResNet1D
    return make(config.model, n_classes, axis_name)


COST = ("parameters", "macs", "receptive_field_samples", "receptive_field_ms")


def cost_of(config: RunConfig, contract: InputContract) -> dict[str, float | int | None]:
    """Parameters, multiply-accumulates of a window and receptive field; of a user's own network the first alone."""
    leads, labels, window = len(contract.leads), len(contract.target.names), contract.window_samples
    if not config.functions.network:
        known = cost(config.model, leads=leads, labels=labels, window_samples=window, rate_hz=contract.rate_hz)
        return {name: getattr(known, name) for name in COST}
    network, example = build_network(config, labels), jnp.zeros((1, window, leads))
    variables = jax.eval_shape(lambda: network.init(jax.random.key(0), example, train=False))
    return dict.fromkeys(COST) | {"parameters": sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))}
