"""A recording in memory, and its quantised form on disk. May import numpy alone."""

from dataclasses import dataclass

import numpy as np

from ecg_jax.errors import Rejected

__all__ = ["MISSING", "Quantised", "Record", "Rejected", "quantise"]

MISSING = -32768  # int16 value of a sample that was not recorded
BLOCK_ROWS = 2**16  # that are quantised at a time, so that a long record needs no copies of its length


@dataclass(frozen=True)
class Record:
    """One recording in mV."""

    record_id: str
    signal_mv: np.ndarray  # [T, L] float32; 0 where it is missing
    missing: np.ndarray  # [T, L] bool
    rate_hz: float
    leads: tuple[str, ...]
    warnings: tuple[str, ...] = ()  # harmless irregularities, each "kind" or "kind: detail"
    unused_leads: tuple[str, ...] = ()  # in its files, but neither asked for nor needed to derive a lead
    person: tuple[str, str] = ("", "")  # age and sex as its file writes them

    @property
    def recorded(self) -> np.ndarray:
        """How many samples of each lead were recorded [L]."""
        if not self.missing.any():  # most records, in a fifth of the time
            return np.full(self.missing.shape[1], len(self.missing))
        return np.count_nonzero(~self.missing, axis=0)


@dataclass(frozen=True)
class Quantised:
    """A recording as it is stored: mV = signal * scale_mv; `signal` int16 [T, L], `scale_mv` float32 [L]."""

    signal: np.ndarray
    scale_mv: np.ndarray
    warnings: tuple[str, ...]
    unused_leads: tuple[str, ...] = ()
    person: tuple[str, str] = ("", "")


def quantise(record: Record) -> Quantised:
    """Rounds each lead to 16 bits of its own range, so that the error is at most 1/65534 of its largest amplitude.

    Missing samples become `MISSING`. A lead without a measurable amplitude (below 1 nV) gets scale 0.001 and zeros,
    because division by a scale of 0 is undefined and a tiny scale would amplify rounding noise.
    """
    highest_mv, lowest_mv = record.signal_mv.max(axis=0, initial=0.0), record.signal_mv.min(axis=0, initial=0.0)
    peak_mv = np.maximum(highest_mv, -lowest_mv)  # [L]
    scale_mv = np.where(peak_mv < 1e-6, 1e-3, peak_mv / 32767).astype(np.float32)
    signal = np.empty(record.signal_mv.shape, np.int16)
    for rows in (slice(at, at + BLOCK_ROWS) for at in range(0, len(signal), BLOCK_ROWS)):
        steps = record.signal_mv[rows] / scale_mv  # at most 32767, up to rounding
        signal[rows] = np.rint(steps, out=steps)
    if record.missing.any():
        signal[record.missing] = MISSING
    return Quantised(signal, scale_mv, record.warnings, record.unused_leads, record.person)
