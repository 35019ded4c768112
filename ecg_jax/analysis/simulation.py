"""Simulated studies with known true effects, to test the analysis. NumPy and SciPy.

The score of a label in a record is binormal: d at records that have it, 0 at the others, and noise of variance 1. The
noise has a part that all trials share, one for each scale, and one for each trial; records of a patient share half of
it. A trained network is better or worse than its scale, by the same amount on all records: each seed shifts d with
variance tau^2. Then the AUROC of a scale, over seeds and records, is Phi(d / sqrt(2 + tau^2)). Instead, the AUROC of a
trial itself may be that of its scale plus noise of any kind (`SeedNoise`).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr, ndtri

from ecg_jax.analysis.axes import READY_MADE, Axis, Level, Scale
from ecg_jax.analysis.predictions import StudyPredictions

BASE = (0.78, 0.84, 0.90)
"""AUROC of the labels at the middle of the grid."""
SCALE_PART, TRIAL_PART = 0.06, 0.06
"""Parts of the noise of variance 1: that of each scale, the same for all its seeds, and that of each trial."""


@dataclass(frozen=True)
class SeedNoise:
    """Noise of the AUROC of the trials, the same for all labels.

    Attributes:
        sd: standard deviation, or a typical one, of all scales.
        noisy_sd: the same of the scales that have all levels of `noisy`.
        noisy: axis -> level.
        tail_dof: degrees of freedom of a t distribution; None for a normal one.
        stall, chance: what a stalled training loses, and how often that happens, at the scales of `noisy`.
        together: a seed stalls all these scales at once.
    """

    sd: float
    noisy_sd: float | None = None
    noisy: tuple[tuple[str, Level], ...] = ()
    tail_dof: float | None = None
    stall: float = 0.0
    chance: float = 0.0
    together: bool = False

    def is_noisy(self, scales: Sequence[Scale]) -> np.ndarray:
        """Whether each scale [scales] has the levels of `noisy`."""
        return np.array([all(scale[axis] == level for axis, level in self.noisy) for scale in scales])

    def draw(self, scales: Sequence[Scale], seeds: int, rng: np.random.Generator) -> np.ndarray:
        """Noise [scales, S] of mean 0."""
        noisy = self.is_noisy(scales)[:, None]
        sd = np.where(noisy, self.sd if self.noisy_sd is None else self.noisy_sd, self.sd)
        size = (len(scales), seeds)
        noise = rng.normal(size=size) if self.tail_dof is None else rng.standard_t(self.tail_dof, size)
        stalls = rng.random((1, seeds) if self.together else size) < self.chance
        return sd * noise - self.stall * noisy * (stalls - self.chance)


@dataclass(frozen=True)
class Setting:
    """What a simulated study is drawn from."""

    seeds: int = 3
    ratio: float = 1.0
    """Standard deviation of one trial's macro AUROC over seeds, divided by that over records (without the shared
    part)."""
    effects: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Change of the AUROC of every label for each axis: for each doubling, over the whole range of a linear axis, or
    from level to level of a categorical one."""
    unevenness: float = 0.0
    """Standard deviation of the true AUROC of the scales around those effects: interactions of all orders."""
    levels: tuple[tuple[Level, ...], ...] = ((1, 2, 4), (16, 32), (3, 7, 15))
    records: int = 400
    records_of_a_patient: int = 1
    patients_are_told: bool = True
    folds: int = 1
    prevalence: float = 0.25
    positives: tuple[int, ...] | None = None
    """Exact number of records with each label, instead of `prevalence`."""
    scale_part: float = SCALE_PART
    noise: SeedNoise | None = None
    """Of the seeds, instead of `ratio`."""
    hump: float = 0.0
    """By how much the middle level of the last axis is better, without an effect of the axis."""
    base: tuple[float, ...] = BASE
    axes: tuple[Axis, ...] = READY_MADE

    @cached_property
    def scales(self) -> list[Scale]:
        """All scales of the grid, sorted."""
        names = tuple(axis.name for axis in self.axes)
        return [Scale(names, levels) for levels in itertools.product(*self.levels)]

    @cached_property
    def truth(self) -> np.ndarray:
        """The true AUROC of each scale and label [scales, K], over all seeds and records."""
        place = np.array(list(itertools.product(*map(_coordinates, self.axes, self.levels))))  # [scales, axes]
        change = (place - place.mean(axis=0)) @ np.array(self.effects)
        design = np.column_stack([np.ones(len(place)), place])

        def without_effects(values: np.ndarray) -> np.ndarray:  # so that the effects stay as they are set
            return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]

        change += self.unevenness * without_effects(np.random.default_rng(0).normal(size=len(place)))
        if self.hump:
            bent = without_effects(-((place[:, -1] - place[:, -1].mean()) ** 2))
            change += self.hump * bent / np.ptp(bent)
        return np.array(self.base) + change[:, None]

    @property
    def shift(self) -> float:
        """tau, the standard deviation of d over seeds."""
        positives = self.prevalence * self.records
        per_record = 1 / positives + 1 / (self.records - positives)
        over_records = (self.scale_part + TRIAL_PART) * per_record  # variance of d
        return self.ratio * float(np.sqrt(over_records))


def _coordinates(axis: Axis, levels: tuple[Level, ...]) -> np.ndarray:
    return np.arange(len(levels), dtype=float) if axis.kind == "categorical" else axis.coordinates(levels)


def simulate(setting: Setting, *, seed: int | Sequence[int]) -> StudyPredictions:
    """One study: its trials in random order, labels, and normal scores mapped to probabilities."""
    rng = np.random.default_rng(seed)
    n, k, c, s = setting.records, len(setting.base), len(setting.scales), setting.seeds
    patient = np.arange(n) // setting.records_of_a_patient
    if setting.positives is None:
        labels = (rng.random((patient[-1] + 1, k)) < setting.prevalence)[patient]
    else:
        labels = rng.permuted(np.arange(n)[:, None] < np.array(setting.positives), axis=0)

    def noise(*size: int) -> np.ndarray:  # [*size, N, K] of variance 1, half of it shared by the records of a patient
        own = rng.normal(size=(*size, n, k))
        if setting.records_of_a_patient == 1:
            return own
        return (own + rng.normal(size=(*size, patient[-1] + 1, k))[..., patient, :]) / np.sqrt(2)

    if setting.noise is None:
        tau = setting.shift
        distance = np.sqrt(2 + tau**2) * ndtri(setting.truth)  # [scales, K]
        shifted = distance[:, None] + tau * rng.normal(size=(c, s, k))  # [scales, S, K]
    else:
        of_trial = setting.truth[:, None] + setting.noise.draw(setting.scales, s, rng)[:, :, None]  # [scales, S, K]
        shifted = np.sqrt(2) * ndtri(np.clip(of_trial, 0.01, 0.99))
    scale_part = setting.scale_part
    shared = np.sqrt(1 - scale_part - TRIAL_PART) * noise() + np.sqrt(scale_part) * noise(c)  # [scales, N, K]
    score = shifted[:, :, None] * labels + shared[:, None] + np.sqrt(TRIAL_PART) * noise(c, s)  # [scales, S, N, K]
    order = rng.permutation(c * s)
    trials = [{**scale.to_dict(), "seed": number} for scale in setting.scales for number in range(s)]
    return StudyPredictions(
        [trials[r] for r in order],
        labels,
        ndtr(score.reshape(-1, n, k)[order] - 1),
        folds=patient % setting.folds,
        patients=patient if setting.patients_are_told else None,
        axes=tuple(axis.with_levels(levels) for axis, levels in zip(setting.axes, setting.levels, strict=True)),
    )
