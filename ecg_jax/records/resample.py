"""Resampling, missing samples included. May import numpy and scipy."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import Any, cast

import numpy as np

from ecg_jax.errors import Unusable
from ecg_jax.records.record import Record

BLOCK_SAMPLES = 2**20
"""Samples that are resampled at a time: 8 MB in 64 bits."""


@lru_cache
def ratio(rate_hz: float, to_hz: float) -> Fraction:
    """`to_hz / rate_hz` as a fraction of small whole numbers."""
    exact = Fraction(to_hz).limit_denominator(1000) / Fraction(rate_hz).limit_denominator(1000)
    return exact.limit_denominator(10_000)


def resample(record: Record, to_hz: float) -> Record:
    """The record at `to_hz`: anti-aliased polyphase filtering; T' = ceil(T * to_hz / rate_hz).

    Missing samples are interpolated linearly before the filter. An output sample is missing if any input sample within
    half an output period of it is missing (within one input period, if the rate increases).

    Raises:
        Unusable: the new rate is ten thousand times smaller.
    """
    change = ratio(record.rate_hz, to_hz)
    if change == 1:
        return replace(record, rate_hz=to_hz)
    if not change:
        reason = f"rate unusable: {record.rate_hz:g} Hz cannot be resampled to {to_hz:g} Hz"
        raise Unusable(reason, "choose a larger rate (--rate-hz), or leave the record out")
    samples, leads = record.signal_mv.shape
    new_samples = -(-samples * change.numerator // change.denominator)
    gaps = bool(record.missing.any())
    signal_mv, missing = np.zeros((new_samples, leads), np.float32), np.full((new_samples, leads), gaps)
    recorded = np.flatnonzero(~record.missing.all(axis=0)) if gaps else np.arange(leads)
    step = max(BLOCK_SAMPLES // max(samples, new_samples, 1), 1)  # leads at a time, as the filter takes 64 bits
    for at in range(0, len(recorded), step):
        block = recorded[at : at + step] if len(recorded) < leads else slice(at, at + step)
        known = record.signal_mv[:, block].astype(np.float64)
        if gaps:
            missing[:, block] = _carry(record.missing[:, block], change, new_samples)
            known = bridge(known, record.missing[:, block])
        signal_mv[:, block] = _filter(known, change)
    if gaps:
        signal_mv[missing] = 0
    return replace(record, signal_mv=signal_mv, missing=missing, rate_hz=to_hz)


def join_leads(signals_mv: Sequence[np.ndarray], rates_hz: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Leads [T_n] of their own rates, NaN where missing -> signal [T, L] at the highest rate, and what is missing."""
    if len(set(rates_hz)) == 1:
        signal_mv = np.stack(signals_mv, axis=1)
        missing = np.isnan(signal_mv)
        if missing.any():
            signal_mv[missing] = 0
        return signal_mv, missing
    columns = []
    for lead_mv, rate_hz in zip(signals_mv, rates_hz, strict=True):
        column_mv, missing = join_leads([lead_mv], [rate_hz])
        columns.append(resample(Record("", column_mv, missing, rate_hz, ("",)), max(rates_hz)))
    return (
        np.concatenate([column.signal_mv for column in columns], axis=1),
        np.concatenate([column.missing for column in columns], axis=1),
    )


def _filter(signal: np.ndarray, change: Fraction) -> np.ndarray:
    if len(signal) == 1:  # there is no line through one sample to continue it at its ends
        return np.repeat(signal, -(-change.numerator // change.denominator), axis=0)
    from scipy.signal import upfirdn  # takes half a second to import

    up, down = change.numerator, change.denominator
    low_pass, delay = _low_pass(up, down)
    filtered = upfirdn(low_pass, signal, up, down, axis=0, mode="line")
    return filtered[delay : delay - (-len(signal) * up // down)]


@lru_cache
def _low_pass(up: int, down: int) -> tuple[np.ndarray, int]:
    """The filter that `scipy.signal.resample_poly` computes again for each signal, and its delay in output samples."""
    from scipy.signal import firwin

    half, window = 10 * max(up, down), ("kaiser", 5.0)
    taps = up * np.asarray(firwin(2 * half + 1, 1 / max(up, down), window=cast(Any, window)))
    before = down - half % down  # zeros, so that the delay is a whole number of output samples
    return np.concatenate([np.zeros(before), taps]), (half + before) // down


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
    if not missing.any():  # in these leads
        return np.zeros((length, missing.shape[1]), bool)
    up, down = change.numerator, change.denominator
    reach = max(down, 2 * up)  # on both sides of each output sample, in units of 1 / (2 * up) input samples
    centre = 2 * down * np.arange(length)
    first = np.clip((centre - reach) // (2 * up) + 1, 0, len(missing) - 1)
    last = np.clip(-((-centre - reach) // (2 * up)) - 1, first, len(missing) - 1)
    count = np.concatenate([np.zeros((1, missing.shape[1]), int), missing.cumsum(axis=0)])
    return count[last + 1] > count[first]
