"""The segments of heart beats, and what a recording would be without waves. May import numpy, scipy and NeuroKit2."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.signal import resample_poly

from ecg_jax.errors import ConfigError
from ecg_jax.records.resample import bridge

SEGMENTS = ("PQ", "QRS", "ST-T", "TP")
"""P wave and PQ interval up to the QRS complex; QRS complex; ST segment and T wave; the rest, up to the next P wave."""
PQ, QRS, ST_T, TP = range(4)
METHOD = "prominence"  # Emrich et al. 2024 (EUSIPCO, 1402-1406)
FINE_HZ = 500.0
PREFERRED = ("I", "II", "V2", "V5")
PEAK = 4  # column of the peak of the QRS complex, after the four boundaries
FLAT_MV = 0.01
SAME_BEAT_SECONDS = 0.12  # between the peaks of one QRS complex in different leads
LONGEST_PR_SECONDS, LONGEST_QRS_SECONDS, LONGEST_RT_SECONDS = 0.45, 0.2, 0.7
HALF_QRS_SECONDS = 0.05  # usual, on both sides of the peak
QT_SECONDS = 0.36  # usual, from the peak to the end of the T wave at an RR interval of 1 s (Bazett 1920)
LEVEL_SECONDS = 0.04  # before a QRS complex, where the level of the line without waves is measured


@dataclass(frozen=True)
class Beats:
    """The samples at which waves of each of N beats begin and end, as floats [N]; NaN where a wave was not found."""

    p_onset: np.ndarray
    qrs_onset: np.ndarray
    qrs_offset: np.ndarray
    t_offset: np.ndarray

    def segments(self, samples: int) -> np.ndarray:
        """The segment of each sample, an index of `SEGMENTS`: [T] int8.

        Where two beats overlap, the QRS complex counts first, then the PQ interval.
        """
        segment = np.full(samples, TP, np.int8)
        spans = (ST_T, self.qrs_offset, self.t_offset), (PQ, self.p_onset, self.qrs_onset)
        for kind, begins, ends in (*spans, (QRS, self.qrs_onset, self.qrs_offset)):
            for begin, end in zip(begins, ends, strict=True):
                if begin < end:  # both are known
                    segment[max(round(begin), 0) : max(round(end), 0)] = kind
        return segment


def level_line(window: np.ndarray, measured: np.ndarray, qrs_onset: np.ndarray, rate_hz: float) -> np.ndarray:
    """A window [T, L] without its waves: the line through the levels of each lead before its QRS complexes.

    Args:
        window: [T, L].
        measured: [T, L] bool; the line is 0 where it is False.
        qrs_onset: [N], samples of the window, of which those outside do not count. Without any, the line of a lead is
            its median.
        rate_hz: sampling rate.
    """
    before = max(1, round(LEVEL_SECONDS * rate_hz))
    onsets = np.unique(np.round(qrs_onset[(qrs_onset >= before) & (qrs_onset < len(window))]).astype(int))
    line = np.zeros_like(window)
    for lead in range(window.shape[1]):
        known = measured[:, lead]
        levels = {at: window[at - before : at + 1, lead][known[at - before : at + 1]] for at in onsets}
        places = [at for at, values in levels.items() if len(values)]
        if places:
            line[:, lead] = np.interp(np.arange(len(window)), places, [np.median(levels[at]) for at in places])
        elif known.any():
            line[:, lead] = np.median(window[known, lead])
    return np.where(measured, line, 0)


def find_beats(signal_mv: np.ndarray, rate_hz: float, leads: Sequence[str], *, method: str = METHOD) -> Beats:
    """Finds the beats of a recording [T, L] in mV, NaN where it is missing, by NeuroKit2.

    Each of up to four leads is delineated by itself, at about 500 Hz; a boundary is the median over the leads that have
    the beat, and is not found if it was found in less than half of them. A QRS complex or T wave that was not found is
    put at the distance from the peak that it has in other beats or, if it was found in none, usually has; a P wave may
    be absent. No beat is found where no lead can be delineated.

    Args:
        signal_mv: the recording.
        rate_hz: sampling rate.
        leads: names of the leads; I, II, V2 and V5 are preferred.
        method: of `neurokit2.ecg_delineate`; the default was right most often (`tools/delineation.py`).

    Raises:
        ConfigError: the extra [explain] is not installed.
    """
    usable = [lead for lead in range(len(leads)) if _is_usable(signal_mv[:, lead])]
    preferred = sorted(usable, key=lambda lead: leads[lead].upper() not in PREFERRED)[: len(PREFERRED)]
    up = max(1, round(FINE_HZ / rate_hz))
    of_leads = [_delineated(_finer(signal_mv[:, lead], up), up * rate_hz, method) / up for lead in preferred]
    found = [beats for beats in of_leads if len(beats)]
    if not found:
        return Beats(*np.empty((4, 0)))
    of_median = sorted(found, key=len)[len(found) // 2]  # the lead with the median number of beats
    rows = np.stack([_joined(beat[PEAK], found, rate_hz) for beat in of_median])  # [N, 5]
    peaks = rows[:, PEAK]
    rr_seconds = np.median(np.diff(peaks)) / rate_hz if len(peaks) > 1 else 1.0
    for boundary, usual in ((1, -HALF_QRS_SECONDS), (2, HALF_QRS_SECONDS), (3, QT_SECONDS * np.sqrt(rr_seconds))):
        away = rows[:, boundary] - peaks
        own = np.nanmedian(away) if np.isfinite(away).any() else usual * rate_hz
        rows[:, boundary] = np.where(np.isnan(away), peaks + own, rows[:, boundary])
    rows[:-1, 3] = np.minimum(rows[:-1, 3], rows[1:, 1])  # no T wave reaches into the next QRS complex
    return Beats(*rows[:, :PEAK].T)


def _is_usable(lead_mv: np.ndarray) -> bool:
    known = lead_mv[~np.isnan(lead_mv)]
    return 2 * len(known) > len(lead_mv) and np.ptp(known) > FLAT_MV


def _finer(lead_mv: np.ndarray, up: int) -> np.ndarray:
    """A lead [T] at `up` times its rate, without gaps: [up * T]."""
    missing = np.isnan(lead_mv)[:, None]
    filled = bridge(np.nan_to_num(lead_mv)[:, None], missing)[:, 0]
    return resample_poly(filled - filled.mean(), up, 1)


def _delineated(lead_mv: np.ndarray, rate_hz: float, method: str) -> np.ndarray:
    """Onset of P, onset and offset of QRS, offset of T, and the peak of QRS of each beat of one lead: [N, 5]."""
    try:
        import neurokit2
    except ImportError as error:
        raise ConfigError("explanations need the extra: pip install 'ecg-jax[explain]'") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        how: dict[str, Any] = {"sampling_rate": rate_hz}
        try:
            clean = neurokit2.ecg_clean(lead_mv, **how)
            peaks = neurokit2.ecg_peaks(clean, **how)[1]["ECG_R_Peaks"]
            waves = neurokit2.ecg_delineate(clean, peaks, method=method, **how)[1]
        except (ValueError, IndexError, KeyError, TypeError, ZeroDivisionError):  # as in a lead that is noise
            return np.empty((0, 5))
    peaks = np.asarray(peaks, float)
    p_onset, qrs_onset, qrs_offset, t_offset = (
        np.array([place for place in waves.get(f"ECG_{name}", ()) if not np.isnan(place)], float)
        for name in ("P_Onsets", "R_Onsets", "R_Offsets", "T_Offsets")
    )
    before, after = np.r_[-np.inf, peaks][:-1], np.r_[peaks, np.inf][1:]
    rows = []
    for peak, previous, following in zip(peaks, before, after, strict=True):
        p_begin = _last(p_onset, max(previous, peak - LONGEST_PR_SECONDS * rate_hz), peak)
        begin = _last(qrs_onset, peak - LONGEST_QRS_SECONDS * rate_hz, peak)
        end = -_last(-qrs_offset, -(peak + LONGEST_QRS_SECONDS * rate_hz), -peak)
        t_end = -_last(-t_offset, -min(following, peak + LONGEST_RT_SECONDS * rate_hz), -peak)
        rows.append((p_begin, begin, end, t_end, peak))
    return np.array(rows).reshape(-1, 5)


def _last(places: np.ndarray, low: float, high: float) -> float:
    """The last place between two limits; NaN if there is none."""
    return float(max(places[(places > low) & (places < high)], default=np.nan))


def _joined(peak: float, of_leads: Sequence[np.ndarray], rate_hz: float) -> np.ndarray:
    """The beat [5] with its peak near a place, as the median over the leads that have it."""
    nearest = np.stack([beats[np.abs(beats[:, PEAK] - peak).argmin()] for beats in of_leads])
    near = nearest[np.abs(nearest[:, PEAK] - peak) < SAME_BEAT_SECONDS * rate_hz]
    known = np.isfinite(near)
    enough = 2 * known.sum(axis=0) >= len(near)
    return np.array([np.median(near[known[:, n], n]) if enough[n] else np.nan for n in range(near.shape[1])])
