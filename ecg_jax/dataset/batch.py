"""The input of a step, and how its int16 samples become the input of the network.

Arrays and pure functions only, no files. May import jax and flax.
"""

from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array

from ecg_jax.config import from_dict
from ecg_jax.records.record import MISSING
from ecg_jax.target import Target

FLAT_MV = 1e-3  # a window that deviates less from its mean is flat: it is divided by this instead

AnyArray = Any  # of NumPy on the host, of JAX where it is traced


@struct.dataclass
class Batch:
    """Windows of records, as stored; a padding row has weight 0 and no valid sample."""

    signal: AnyArray  # [B, T, L] int16
    scale_mv: AnyArray  # [B, L] float32: mV per unit
    valid: AnyArray  # [B, T] bool: at least one lead was measured
    label: AnyArray  # [B, K] float32
    weight: AnyArray  # [B] float32


@struct.dataclass
class Normalisation:
    """Mean and standard deviation of each lead, as arguments of a step: runs of one scale share its compilation."""

    mean_mv: AnyArray  # [L] float32
    std_mv: AnyArray  # [L] float32
    by: Literal["set", "record"] = struct.field(pytree_node=False, default="set")


@dataclass(frozen=True)
class InputContract:
    """The input that a trained network expects, and the labels that it predicts."""

    rate_hz: float
    leads: tuple[str, ...]
    target: Target
    window_samples: int
    mean_mv: tuple[float, ...]
    std_mv: tuple[float, ...]
    normalise: Literal["set", "record"] = "set"
    """Whether mean and standard deviation are the above, or those of each window, whatever the above are."""

    @property
    def normalisation(self) -> Normalisation:
        """Mean and standard deviation as arrays, for a step."""
        return Normalisation(np.array(self.mean_mv, np.float32), np.array(self.std_mv, np.float32), self.normalise)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "InputContract":
        """Reads a contract from JSON; older ones have `labels` and `exclusive` in place of `target`."""
        if "target" not in values:
            values = dict(values)
            kind = "exclusive" if values.pop("exclusive") else "multilabel"
            values["target"] = {"kind": kind, "names": values.pop("labels")}
        return from_dict(cls, values)


def to_input(batch: Batch, normalisation: Normalisation) -> tuple[Array, Array]:
    """The normalised signal [B, T, L] float32, 0 where it was not measured, and which values were [B, T, L] bool."""
    signal_mv, measured = to_mv(batch)
    return normalised(signal_mv, measured, normalisation), measured


def to_mv(batch: Batch) -> tuple[Array, Array]:
    """The signal in mV [B, T, L] float32, without meaning where it was not measured, and which values were."""
    return batch.signal.astype(jnp.float32) * batch.scale_mv[:, None, :], batch.signal != MISSING


def normalised(signal_mv: Array, measured: Array, normalisation: Normalisation) -> Array:
    """The signal [B, T, L] in standard deviations from the mean, 0 where it was not measured."""
    if normalisation.by == "set":
        return jnp.where(measured, (signal_mv - normalisation.mean_mv) / normalisation.std_mv, 0.0)

    def mean(values: Array) -> Array:
        return jnp.where(measured, values, 0.0).sum(axis=1, keepdims=True) / count

    count = jnp.maximum(measured.sum(axis=1, keepdims=True), 1)
    centred = signal_mv - mean(signal_mv)
    std_mv = jnp.sqrt(mean(centred**2))
    return jnp.where(measured, centred / jnp.maximum(std_mv, FLAT_MV), 0.0)
