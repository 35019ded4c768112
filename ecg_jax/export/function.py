"""A trained network as one function of a window in millivolts, with its contract: what every format writes.

May import jax, `config` and our networks; nothing that reads files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ecg_jax.config import RunConfig, with_fields
from ecg_jax.dataset.batch import InputContract, normalised
from ecg_jax.models.resnet import build_network

INPUT, OUTPUT = "signal_mv", "probability"
Precision = Literal["float32", "float16", "int8"]
"""Of the numbers in a file: `float16` stores the kernels in 16 bits, `int8` also computes in 8 bits."""


@dataclass(frozen=True)
class WindowFunction:
    """Windows in mV [B, T, L] float32 -> probabilities [B, K] float32.

    A value that was not recorded is NaN: of a lead that is absent, of a gap, and after the end of a record that is
    shorter than the window. The probabilities are those of `predict`, for which such values have no influence either.
    """

    apply: Callable[[Any, Any], Array]
    """From the variables and the windows to the probabilities."""
    variables: Any
    samples: int
    leads: int
    contract: Mapping[str, Any]
    """What a program must know to use the function, as JSON values; see `contract_of`."""

    def __call__(self, signal_mv: Any) -> Array:
        """The probabilities of windows."""
        return self.apply(self.variables, signal_mv)


def window_function(
    config: RunConfig, contract: InputContract, variables: Any, facts: Mapping[str, Any]
) -> WindowFunction:
    """The function of a trained network, computed in float32, whatever the precision of the run was.

    Args:
        config: of the run.
        contract: of its input.
        variables: of the network.
        facts: `contract_of` the run.

    Raises:
        RunError: the user's own network cannot be imported.
    """
    target, normalisation = contract.target, contract.normalisation
    network = build_network(with_fields(config, {"model.precision": "float32"}), len(target.names))
    activation = jax.nn.softmax if target.activation == "softmax" else jax.nn.sigmoid

    def apply(variables: Any, signal_mv: Array) -> Array:
        measured = ~jnp.isnan(signal_mv)
        signal = normalised(jnp.where(measured, signal_mv, 0.0), measured, normalisation)
        logits = network.apply(variables, signal, measured.any(axis=-1), train=False)
        return activation(jnp.asarray(logits, jnp.float32))

    return WindowFunction(apply, variables, contract.window_samples, len(contract.leads), facts)


def contract_of(
    config: RunConfig,
    contract: InputContract,
    thresholds: np.ndarray | None,
    *,
    fingerprint: str,
    calibration: Any = None,
) -> dict[str, Any]:
    """The contract of a run as JSON values.

    `thresholds` [K] are None where labels exclude each other; `calibration` is a scaling (`evaluation.calibration`) for
    whoever wants probabilities that are calibrated, None if the run has none. The function does not apply it.
    """
    target, n_leads = contract.target, len(contract.leads)
    return {
        "input": {"name": INPUT, "shape": ["batch", contract.window_samples, n_leads], "type": "float32", "unit": "mV"},
        "missing": "NaN",
        "rate_hz": contract.rate_hz,
        "leads": list(contract.leads),
        "window_seconds": contract.window_samples / contract.rate_hz,
        "windows": {"overlap": config.evaluate.overlap, "pool": config.evaluate.pool},
        "output": {"name": OUTPUT, "shape": ["batch", len(target.names)], "type": "float32"},
        "labels": list(target.names),
        "kind": target.kind,
        "thresholds": None if thresholds is None else dict(zip(target.names, thresholds.tolist(), strict=True)),
        "calibration": calibration,
        "training_set": fingerprint,
    }
