"""Resampling, missing samples included. May import numpy and scipy."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from ecg_jax.records.record import Record


def ratio(rate_hz: float, to_hz: float) -> Fraction:
    """`to_hz / rate_hz` as a fraction of small whole numbers."""
    exact = Fraction(to_hz).limit_denominator(1000) / Fraction(rate_hz).limit_denominator(1000)
    return exact.limit_denominator(10_000)


def resample(record: Record, to_hz: float) -> Record:
    """The record at `to_hz`: anti-aliased polyphase filtering; T' = ceil(T * to_hz / rate_hz).

    Missing samples are interpolated linearly before the filter. An output sample is missing if any input sample within
    half an output period of it is missing (within one input period, if the rate increases).
    """
    change = ratio(record.rate_hz, to_hz)
    if change == 1:
        return replace(record, rate_hz=to_hz)
    from scipy.signal import resample_poly  # takes half a second to import

    bridged = bridge(record.signal_mv.astype(np.float64), record.missing)
    filtered = resample_poly(bridged, change.numerator, change.denominator, axis=0, padtype="line")
    missing = _carry(record.missing, change, len(filtered))
    signal_mv = np.where(missing, 0, filtered).astype(np.float32)
    return replace(record, signal_mv=signal_mv, missing=missing, rate_hz=to_hz)


def bridge(signal: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Interpolates missing samples [T, L] linearly; before the first and after the last known sample, holds its value.

    A lead without a known sample becomes 0.
    """
    bridged = np.where(missing, 0.0, signal)
    for lead in np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0)):
        known = np.flatnonzero(~missing[:, lead])
        bridged[:, lead] = np.interp(np.arange(len(signal)), known, signal[known, lead])
    return bridged


def _carry(missing: np.ndarray, change: Fraction, length: int) -> np.ndarray:
    """Which output samples are missing: [T, L] -> [T', L]."""
    if not missing.any():
        return np.zeros((length, missing.shape[1]), bool)
    up, down = change.numerator, change.denominator
    reach = max(down, 2 * up)  # on both sides of each output sample, in units of 1 / (2 * up) input samples
    centre = 2 * down * np.arange(length)
    first = np.clip((centre - reach) // (2 * up) + 1, 0, len(missing) - 1)
    last = np.clip(-((-centre - reach) // (2 * up)) - 1, first, len(missing) - 1)
    count = np.concatenate([np.zeros((1, missing.shape[1]), int), missing.cumsum(axis=0)])
    return count[last + 1] > count[first]
