"""The input of a step, and how its int16 samples become the input of the network.

Arrays and pure functions only, no files. May import jax and flax.
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


@dataclass(frozen=True)
class InputContract:
    """The input that a trained network expects, and the labels that it predicts."""

    rate_hz: float
    leads: tuple[str, ...]
    target: Target
    window_samples: int
    mean_mv: tuple[float, ...]
    std_mv: tuple[float, ...]

    @property
    def normalisation(self) -> Normalisation:
        """Mean and standard deviation as arrays, for a step."""
        return Normalisation(np.array(self.mean_mv, np.float32), np.array(self.std_mv, np.float32))

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
    measured = batch.signal != MISSING
    signal_mv = batch.signal.astype(jnp.float32) * batch.scale_mv[:, None, :]
    return jnp.where(measured, (signal_mv - normalisation.mean_mv) / normalisation.std_mv, 0.0), measured
