"""A heart as a moving dipole: waves are Gaussian lobes of a vector in mV, leads are its projections.

Axes as in Frank's leads: x to the patient's left, y to the feet, z to the back. May import numpy and the labels.

Sources: Gaussian lobes, McSharry et al. 2003 (doi 10.1109/TBME.2003.808805), in three dimensions
Sameni et al. 2007 (doi 10.1155/2007/43407); vectors of the leads, Dower et al. 1980 (doi 10.1002/clc.4960030202);
shapes and limits of the diagnoses, AHA/ACCF/HRS 2009 (doi 10.1161/CIRCULATIONAHA.108.191095).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LIMB_VECTORS = np.array([[0.632, -0.235, 0.059], [0.235, 1.066, -0.132]])  # I, II
CHEST_VECTORS = np.array(  # V1-V6
    [
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
CHEST_GAINS = np.array([0.78, 1.2, 1.15, 1.2, 1.1, 1.0])  # to the heights of R and S in normal recordings
TERRITORIES = {  # direction of the injury current (mV at full size), and the initial force that the infarct removes
    "STE_ANT": ((0.07, -0.10, -0.22), (0.00, 0.05, 0.45)),
    "STE_INF": ((-0.08, 0.24, 0.03), (0.05, -0.40, 0.00)),
    "STE_LAT": ((0.24, -0.12, 0.10), (-0.40, 0.05, 0.05)),
}


def _lobe(centre: float, before: float, after: float, vector: Sequence[float] | np.ndarray) -> np.ndarray:
    """One wave: [6] = time of its peak, standard deviations before and after the peak (all in s), vector in mV."""
    return np.array([centre, before, after, *vector])


def _rotation(degrees: np.ndarray) -> np.ndarray:
    """Rotation matrix [3, 3] about x, then y, then z, by angles in degrees."""
    (a, b, c), (i, j, k) = np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))
    about_x = np.array([[1, 0, 0], [0, i, -a], [0, a, i]])
    about_y = np.array([[j, 0, b], [0, 1, 0], [-b, 0, j]])
    about_z = np.array([[k, -c, 0], [c, k, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


@dataclass(frozen=True)
class Patient:
    """The properties that are the same for all beats. Lobes are [M, 6]; times are after the onset of P or QRS."""

    labels: frozenset[str]
    lead_vectors: np.ndarray  # [8, 3]: I, II, V1-V6
    p_wave: np.ndarray
    qrs: np.ndarray
    repolarisation: np.ndarray  # at an RR interval of 1 s
    ectopic: np.ndarray
    pr_seconds: float
    qrs_seconds: float
    rr_seconds: float


@dataclass(frozen=True)
class Beat:
    """One contraction: onset of its QRS complex, length of the cycle before it, and onset of its P wave, if any."""

    onset_seconds: float
    rr_seconds: float
    ectopic: bool = False
    p_onset_seconds: float | None = None


def _qrs(rng: np.random.Generator, labels: frozenset[str]) -> tuple[np.ndarray, float]:
    """Lobes of the QRS complex [M, 6] before the rotation of the patient's heart, and its duration in s."""
    if "CLBBB" in labels:  # no septal force from the left; slow, notched spread to the left and the back
        d = rng.uniform(0.124, 0.165)
        shape = [
            (0.14, 0.07, (0.05, 0.08, -0.12 * rng.uniform(0, 2))),
            (0.32, 0.10, (0.72, 0.35, 0.70)),
            (0.55, 0.11, (0.42, 0.15, 1.25)),
            (0.76, 0.09, (0.62, -0.05, 0.65)),
        ]
        return np.array([_lobe(c * d, w * d, w * d, v) for c, w, v in shape]), d
    d = np.clip(rng.normal(0.092, 0.008), 0.074, 0.116)
    left = rng.uniform(1.4, 2.0) if "LVH" in labels else 1.0
    back = left * (0.65 if "CRBBB" in labels else 1.0) * rng.lognormal(0, 0.2)
    shape = [
        (0.17, 0.085, np.array((-0.13, 0.02, -0.30)) * rng.lognormal(0, 0.35)),  # septum
        (0.42, 0.12, np.array((1.00, 0.72, 0.22)) * left),  # free wall
        (0.59, 0.11, np.array((0.25, 0.12, 0.75)) * back),  # back of the left ventricle
        (0.82, 0.08, np.array((-0.18, -0.10, 0.22)) * rng.lognormal(0, 0.4)),  # base
    ]
    lobes = [_lobe(c * d, w * d, w * d, v) for c, w, v in shape]
    lobes += [_lobe(rng.uniform(0.2, 0.9) * d, 0.05 * d, 0.05 * d, rng.normal(0, 0.06, 3)) for _ in range(3)]
    for name in sorted(labels & TERRITORIES.keys()):
        if rng.random() < 0.5:
            lobes.append(_lobe(0.24 * d, 0.11 * d, 0.11 * d, np.array(TERRITORIES[name][1]) * rng.uniform(0.6, 1.3)))
    incomplete = rng.random() < 0.06
    if "CRBBB" in labels or incomplete:  # the right ventricle is late: a slow end to the right and the front
        late = max(0.03, rng.uniform(0.122, 0.158) - d) if "CRBBB" in labels else rng.uniform(0.008, 0.014)
        size = rng.uniform(0.8, 1.6) if "CRBBB" in labels else rng.uniform(0.3, 0.5)
        centre, width = d * 0.80 + late / 2, 0.010 + late / 4
        lobes.append(_lobe(centre, width * 0.8, width, np.array((-0.38, 0.02, -0.60)) * size))
        d += late
    return np.array(lobes), d


def _repolarisation(rng: np.random.Generator, labels: frozenset[str], qrs: np.ndarray, d: float) -> np.ndarray:
    """Lobes of ST segment and T wave, [M, 6], in s after the onset of QRS at an RR interval of 1 s."""
    qt = rng.normal(0.395, 0.015) + 0.7 * (d - 0.09)
    before, after = rng.uniform(0.052, 0.066), rng.uniform(0.032, 0.042)
    peak = qt - 2.1 * after
    t_vector = np.array((0.25, 0.17, -0.17)) * rng.lognormal(0, 0.3)
    st_vector = np.array((0.015, 0.01, -0.035)) * rng.lognormal(0, 0.6)  # the usual slight rise in V2 and V3
    net = (qrs[:, 3:] * qrs[:, 1:3].sum(1, keepdims=True)).sum(0) / 0.02  # mean force of the QRS, mV
    if "CLBBB" in labels:  # repolarisation turns against a slow QRS
        t_vector = -0.125 * net * rng.uniform(0.7, 1.3) + np.array((0.0, 0.05, 0.0))
        st_vector = -0.045 * net * rng.uniform(0.6, 1.3)
    if "CRBBB" in labels:
        t_vector = t_vector + np.array((0.06, 0.03, 0.24)) * rng.uniform(0.7, 1.2)
    if "LVH" in labels:  # strain, between none and full
        strain = max(0.0, rng.uniform(-0.4, 1.0))
        t_vector = (1 - strain) * t_vector - 0.13 * strain * net
        st_vector = st_vector - 0.05 * strain * net
    lobes = []
    for name in sorted(labels & TERRITORIES.keys()):
        injury = np.array(TERRITORIES[name][0]) * rng.uniform(0.45, 1.5)
        st_vector = st_vector + injury
        t_vector = 0.4 * t_vector + injury * rng.choice([1.3, 0.6, -1.0], p=[0.6, 0.2, 0.2])
    lobes.append(_lobe(d + 0.025, 0.014, 0.12, st_vector))
    lobes.append(_lobe(peak, before, after, t_vector))
    lobes.append(_lobe(peak + 0.17, 0.03, 0.03, 0.08 * t_vector * rng.uniform(0, 1)))  # U
    return np.array(lobes)


def _ectopic(rng: np.random.Generator) -> np.ndarray:
    """Lobes of a beat with its origin in the ventricles, [M, 6]: slow and large, with an opposite T wave."""
    d = rng.uniform(0.135, 0.185)
    way = np.array([rng.choice([-1, 1]), rng.choice([-1, 1]), 1.0]) * rng.uniform(0.5, 1.0, 3)
    way[2] *= np.sign(way[0])  # from the right ventricle to the left and the back, or the other way round
    way *= rng.uniform(1.1, 1.7) / np.linalg.norm(way)
    lobes = [_lobe(0.24 * d, 0.10 * d, 0.10 * d, 0.35 * rng.normal(0, 0.5, 3))]
    for centre, size in ((0.42, 0.85), (rng.uniform(0.60, 0.72), 0.65)):
        lobes.append(_lobe(centre * d, 0.13 * d, 0.13 * d, size * (way + rng.normal(0, 0.14, 3))))
    lobes += [_lobe(d + 0.03, 0.02, 0.12, -0.08 * way), _lobe(0.36, 0.065, 0.045, -0.38 * way)]
    return np.array(lobes)


def draw_patient(rng: np.random.Generator, labels: frozenset[str]) -> Patient:
    """A patient with exactly these labels; axis, voltage, intervals and electrode positions are random."""
    turn = rng.normal(0, (10, 12, 22)) * (0.6 if "CLBBB" in labels else 1.0)
    voltage = np.clip(rng.lognormal(0, 0.24), 0.85 if "LVH" in labels else 0.6, 1.5)
    qrs, d = _qrs(rng, labels)
    late = _repolarisation(rng, labels, qrs, d)
    qrs[:, 3:] = voltage * qrs[:, 3:] @ _rotation(turn).T
    late[:, 3:] = voltage**0.6 * late[:, 3:] @ _rotation(0.5 * turn + rng.normal(0, 8, 3)).T
    size = rng.lognormal(0, 0.3)
    gap = rng.uniform(0.028, 0.042)  # from the right atrium to the left one
    p_wave = np.array(
        [
            _lobe(0.040, 0.016, 0.018, np.array((0.030, 0.080, -0.060)) * size),
            _lobe(0.040 + gap, 0.018, 0.018, np.array((0.060, 0.060, 0.045)) * size * rng.lognormal(0, 0.3)),
        ]
    )
    p_wave[:, 3:] = p_wave[:, 3:] @ _rotation(rng.normal(0, 10, 3)).T

    if "AFIB" in labels:
        rate = np.clip(rng.normal(88, 18), 55, 130)
    elif "STACH" in labels:
        rate = rng.uniform(102, 145)
    elif "SBRAD" in labels:
        rate = rng.uniform(42, 58)
    else:
        rate = np.clip(rng.normal(75, 10), 62, 98)
    pr = rng.uniform(0.203, 0.31) if "1AVB" in labels else np.clip(rng.normal(0.158, 0.02), 0.115, 0.196)
    if "STACH" in labels:
        pr = max(0.11, pr - 0.02)

    shift = rng.normal(0, 0.2) + rng.normal(0, 0.12, 6)  # electrode displacement, in electrode distances
    places = np.clip(np.arange(6) + shift, 0, 5)
    chest = np.stack([np.interp(places, np.arange(6), column) for column in CHEST_VECTORS.T], axis=-1)
    chest *= CHEST_GAINS[:, None] * rng.lognormal(0, 0.1, (6, 1))
    vectors = np.concatenate([LIMB_VECTORS, chest])
    return Patient(labels, vectors, p_wave, qrs, late, _ectopic(rng), float(pr), float(d), 60 / rate)


def draw_beats(rng: np.random.Generator, patient: Patient, seconds: float) -> list[Beat]:
    """The beats of one recording, some of them before its start and after its end.

    In sinus rhythm the RR intervals follow respiration and a slow drift, with a range of 0.12 s or more in SARRH and
    less otherwise. In AFIB the intervals are independent. An ectopic beat is early and replaces a sinus beat, so that
    the pause after it is compensatory.
    """
    labels, mean = patient.labels, patient.rr_seconds
    n = int(np.ceil((seconds + 2) / mean / 0.8)) + 5
    if "AFIB" in labels:
        rr = np.maximum(mean * rng.gamma(1 / 0.23**2, 0.23**2, n), 0.34)
    else:
        time = np.arange(n) * mean
        breath = np.sin(2 * np.pi * (rng.uniform(0.16, 0.32) * time + rng.random()))
        drift = np.sin(2 * np.pi * (rng.uniform(0.05, 0.1) * time + rng.random()))
        wave = breath + 0.25 * drift + rng.normal(0, 0.12, n)
        spread = rng.uniform(0.16, 0.34) if "SARRH" in labels else min(rng.lognormal(np.log(0.04), 0.5), 0.105)
        rr = mean + spread * (wave - wave.mean()) / np.ptp(wave)
    onsets = np.cumsum(rr) - rr[:3].sum() - rng.random() * mean  # without ectopic beats; rr[k] precedes onsets[k]
    early = np.zeros(n)  # s
    if "PVC" in labels:
        inside = (onsets > 1.0) & (onsets < seconds - 0.8)
        places = np.flatnonzero(inside & (rr >= min(0.4, rr[inside].max())))
        rate_matters = bool(labels & {"SBRAD", "STACH"})  # then two successive sinus beats are needed somewhere
        if rng.random() < 0.15 and not rate_matters:  # every second beat
            places = places[rng.integers(2) :: 2]
        else:
            places = places[:: 3 if rate_matters else rng.integers(2, 4)]
            places = rng.choice(places, size=min(rng.integers(1, 4), len(places)), replace=False)
        early[places] = np.minimum((1 - rng.uniform(0.55, 0.72, len(places))) * rr[places], rr[places] - 0.33)
    happened = onsets - early
    p_onsets = [None if "AFIB" in labels else float(onset - patient.pr_seconds) for onset in onsets]
    return [Beat(happened[k], happened[k] - happened[k - 1], bool(early[k]), p_onsets[k]) for k in range(1, n)]


def heart_vector(rng: np.random.Generator, patient: Patient, beats: Sequence[Beat], time: np.ndarray) -> np.ndarray:
    """The dipole at the times `time` [T] in s: [T, 3] in mV."""
    vector = np.zeros((len(time), 3))

    def add(lobes: np.ndarray, onset: float, size: float) -> None:
        for centre, before, after, *direction in lobes:
            first, last = np.searchsorted(time, [onset + centre - 4.5 * before, onset + centre + 4.5 * after])
            away = time[first:last] - onset - centre
            width = np.where(away < 0, before, after)
            vector[first:last] += size * np.exp(-0.5 * (away / width) ** 2)[:, None] * direction

    breath = rng.uniform(0.2, 0.3), rng.random(), rng.uniform(0.01, 0.05)
    for beat in beats:
        size = 1 + breath[2] * np.sin(2 * np.pi * (breath[0] * beat.onset_seconds + breath[1])) + rng.normal(0, 0.01)
        if beat.p_onset_seconds is not None:
            add(patient.p_wave, beat.p_onset_seconds, size)
        if beat.ectopic:
            add(patient.ectopic, beat.onset_seconds, size)
            continue
        add(patient.qrs, beat.onset_seconds, size)
        late = patient.repolarisation.copy()
        pace = (0.6 * beat.rr_seconds + 0.4 * patient.rr_seconds) ** (1 / 3)  # Fridericia 1920
        late[1:, :3] *= pace
        late[0, 2] *= pace
        add(late, beat.onset_seconds, size)
    if "AFIB" in patient.labels:
        vector += _fibrillation(rng, time)
    return vector


def _fibrillation(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """Fibrillatory waves of 4-8 Hz, largest in V1 and II, coarse to almost invisible: [T, 3] in mV."""
    size = np.clip(rng.lognormal(np.log(0.05), 0.5), 0.015, 0.13)
    step = time[1] - time[0]
    total = np.zeros((len(time), 3))
    for direction in ((-0.2, 0.2, -0.9), (0.3, 0.7, -0.1)):
        knots = np.arange(time[0] - 1, time[-1] + 2, 0.7)
        rate_hz = np.interp(time, knots, rng.uniform(4.8, 7.5) + rng.normal(0, 0.7, len(knots)))
        swell = np.interp(time, knots, rng.uniform(0.5, 1.3, len(knots)))
        phase = 2 * np.pi * (np.cumsum(rate_hz) * step + rng.random())
        total += (size * swell * (np.sin(phase) + 0.35 * np.sin(2 * phase + 1.0)))[:, None] * direction
    return total
