"""The arrays of a network by name, such as params/stem/Conv1D_0/kernel."""

from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from ecg_jax.config import RunConfig
from ecg_jax.dataset.batch import InputContract
from ecg_jax.models.resnet import build_network


def by_name(variables: Any) -> dict[str, Any]:
    """Name -> array, of nested dictionaries of them."""
    flat: Any = flatten_dict(variables, sep="/")
    return flat


def abstract_variables(config: RunConfig, contract: InputContract, *, more_leads: int = 0, more_labels: int = 0) -> Any:
    """The variables of a run's network as `jax.ShapeDtypeStruct`s, if it had more leads or labels."""
    network = build_network(config, len(contract.target.names) + more_labels)
    example = jax.ShapeDtypeStruct((1, contract.window_samples, len(contract.leads) + more_leads), jnp.float32)
    return jax.eval_shape(lambda x: network.init(jax.random.key(0), x, train=False), example)


def shapes_by_name(
    config: RunConfig, contract: InputContract, *, more_leads: int = 0, more_labels: int = 0
) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the arrays of `abstract_variables`."""
    variables = abstract_variables(config, contract, more_leads=more_leads, more_labels=more_labels)
    return {name: array.shape for name, array in by_name(variables).items()}
