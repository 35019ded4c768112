"""Made-up studies whose truth is known: does the instrument measure? NumPy and SciPy.

The score of a label in a record is binormal: d at records that have it, 0 at the others, and noise of variance 1 in
four parts, drawn anew for all trials together, for each scale, and for each trial (a patient's records share half). A
trained network is better or worse than its scale for all records alike: d moves by a seed's shift of variance tau^2.
Then the AUROC of a scale, over seeds and records, is Phi(d / sqrt(2 + tau^2)).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr, ndtri

from ecg_jax.analysis.predictions import AXES, StudyPredictions

BASE = (0.78, 0.84, 0.90)
"""AUROC of the labels at the middle of the grid."""
SCALE_PART, TRIAL_PART = 0.06, 0.06
"""Of the records' variance of 1: what differs between scales but repeats with every seed, and what no seed repeats."""


@dataclass(frozen=True)
class Setting:
    """What a simulated study is drawn from."""

    seeds: int = 3
    ratio: float = 1.0
    """Noise of seeds to noise of records, as standard deviations of one trial's macro AUROC about what all share."""
    effects: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Change of every label's AUROC for each doubling of depth, channels and kernel."""
    unevenness: float = 0.0
    """Standard deviation of the scales' true AUROC about those effects: interactions of all orders, always the same."""
    levels: tuple[tuple[int, ...], ...] = ((1, 2, 4), (16, 32), (3, 7, 15))
    records: int = 400
    records_of_a_patient: int = 1
    folds: int = 1
    prevalence: float = 0.25
    base: tuple[float, ...] = BASE

    @cached_property
    def scales(self) -> list[tuple[int, ...]]:
        """All scales [C] of the grid, sorted."""
        return list(itertools.product(*self.levels))

    @cached_property
    def truth(self) -> np.ndarray:
        """The true AUROC of each scale and label [C, K], over all seeds and records."""
        doublings = np.log2(np.array(self.scales, float))
        change = (doublings - doublings.mean(axis=0)) @ np.array(self.effects)
        uneven = np.random.default_rng(0).normal(size=len(self.scales))
        design = np.column_stack([np.ones(len(uneven)), doublings])
        uneven -= design @ np.linalg.lstsq(design, uneven, rcond=None)[0]  # so that the effects stay what they are
        return np.array(self.base) + (change + self.unevenness * uneven)[:, None]

    @property
    def shift(self) -> float:
        """tau, the standard deviation of d over seeds."""
        positives = self.prevalence * self.records
        of_records = (SCALE_PART + TRIAL_PART) * (1 / positives + 1 / (self.records - positives))  # variance of d
        return self.ratio * float(np.sqrt(of_records))


def simulate(setting: Setting, *, seed: int | Sequence[int]) -> StudyPredictions:
    """One study: its trials in any order, labels, and scores through the normal distribution as probabilities."""
    rng = np.random.default_rng(seed)
    n, k, c, s = setting.records, len(setting.base), len(setting.scales), setting.seeds
    patient = np.arange(n) // setting.records_of_a_patient
    labels = (rng.random((patient[-1] + 1, k)) < setting.prevalence)[patient]

    def noise(*drawn: int) -> np.ndarray:  # [*drawn, N, K] of variance 1, half of it a patient's
        own = rng.normal(size=(*drawn, n, k))
        if setting.records_of_a_patient == 1:
            return own
        return (own + rng.normal(size=(*drawn, patient[-1] + 1, k))[..., patient, :]) / np.sqrt(2)

    tau = setting.shift
    distance = np.sqrt(2 + tau**2) * ndtri(setting.truth)  # [C, K]
    moved = distance[:, None] + tau * rng.normal(size=(c, s, k))  # [C, S, K]
    shared = np.sqrt(1 - SCALE_PART - TRIAL_PART) * noise() + np.sqrt(SCALE_PART) * noise(c)  # [C, N, K]
    score = moved[:, :, None] * labels + shared[:, None] + np.sqrt(TRIAL_PART) * noise(c, s)  # [C, S, N, K]
    order = rng.permutation(c * s)
    trials = [
        {**dict(zip(AXES, scale, strict=True)), "seed": number} for scale in setting.scales for number in range(s)
    ]
    return StudyPredictions(
        [trials[t] for t in order],
        labels,
        ndtr(score.reshape(-1, n, k)[order] - 1),
        folds=patient % setting.folds,
        patients=patient,
    )
