"""What a step is given, and how int16 samples become the network's input.

Arrays and pure functions only; knows no file. May import jax and flax.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array

from ecg_jax.config import from_dict
from ecg_jax.records.record import MISSING
from ecg_jax.target import Target

AnyArray = Any  # of NumPy or JAX: the same value is read on the host and traced in a step


@struct.dataclass
class Batch:
    """Windows of records, as stored; a padding row has weight 0 and no valid sample."""

    signal: AnyArray  # [B, T, L] int16
    scale_mv: AnyArray  # [B, L] float32: mV a unit
    valid: AnyArray  # [B, T] bool: at least one lead was measured
    label: AnyArray  # [B, K] float32
    weight: AnyArray  # [B] float32


@struct.dataclass
class Rows:
    """Which window each row of a batch is: position of the record in its split, first sample, weight."""

    record: AnyArray  # [B] int32
    offset: AnyArray  # [B] int32
    weight: AnyArray  # [B] float32


@dataclass(frozen=True)
class InputContract:
    """What a trained network expects of its input, and what its outputs are called."""

    rate_hz: float
    leads: tuple[str, ...]
    target: Target
    window_samples: int
    mean_mv: tuple[float, ...]
    std_mv: tuple[float, ...]

    @property
    def normalisation(self) -> "Normalisation":
        """Mean and deviation as arrays, for a step."""
        return Normalisation(np.array(self.mean_mv, np.float32), np.array(self.std_mv, np.float32))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "InputContract":
        """Reads a contract, also one written before there was `Target`, which has `labels` and `exclusive` instead."""
        if "target" not in values:
            values = dict(values)
            kind = "exclusive" if values.pop("exclusive") else "multilabel"
            values["target"] = {"kind": kind, "names": values.pop("labels")}
        return from_dict(cls, values)


@struct.dataclass
class Normalisation:
    """What a step subtracts and divides by: inputs, not literals, so that runs of one scale share a compiled step."""

    mean_mv: AnyArray  # [L] float32
    std_mv: AnyArray  # [L] float32


def to_input(batch: Batch, normalisation: Normalisation) -> tuple[Array, Array]:
    """The normalised signal [B, T, L] float32 and which of its values were measured [B, T, L]; the others are 0."""
    measured = batch.signal != MISSING
    signal_mv = batch.signal.astype(jnp.float32) * batch.scale_mv[:, None, :]
    mean, std = jnp.asarray(normalisation.mean_mv), jnp.asarray(normalisation.std_mv)
    return jnp.where(measured, (signal_mv - mean[None, None]) / std[None, None], 0.0), measured
