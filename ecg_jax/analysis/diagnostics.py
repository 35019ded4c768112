"""What the predictions of a study tell about its own noise: stalled trainings, unequal and common noise. NumPy only."""

from dataclasses import dataclass

import numpy as np

from ecg_jax.analysis.axes import SHORT_NAMES, Axis, Scale, numeric_axes
from ecg_jax.analysis.effects import rows_by_level
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.variance import VarianceModel

DRAWS = 4999  # of a Monte-Carlo test; the smallest p-value is 1 / (DRAWS + 1)
STALLED = 0.02  # AUROC below the median of the scale
LEAST = 1e-4  # of the mean variance: equal values of two seeds are an accident, not a proof of no noise
ROUNDING = 1e-20  # a variance below it is that of rounding
STALLED_DEVIATIONS = 5  # median absolute deviations below it


@dataclass(frozen=True)
class CommonNoise:
    """The trials of a seed that differ most in common from those of the other seeds."""

    p: float
    """Of no common noise anywhere: permutation of the seeds within each scale."""
    where: str
    """The level of an axis whose scales vary together, such as `channels 8`; "" for all scales."""


def stalled(model: VarianceModel) -> list[int]:
    """The trials whose metric is far below the median of their scale: by .02 and five median absolute deviations."""
    found = []
    for c in range(len(model.predictions.scales)):
        trials = model.predictions.trials_of(c)
        away = model.estimate.value[trials] - np.median(model.estimate.value[trials])
        limit = max(STALLED, STALLED_DEVIATIONS * float(np.median(np.abs(away))))
        found += [int(r) for r in trials[away < -limit]]
    return sorted(found)


def p_of_equal_noise(model: VarianceModel, *, seed: int) -> float | None:
    """P-value of equal seed variances of all scales (Bartlett 1937, by simulation); None without two seeds of two."""
    dof = np.bincount(model.predictions.scale_of) - 1
    known = dof > 0
    if known.sum() < 2:
        return None
    dof = dof[known]

    def statistic(variance: np.ndarray) -> np.ndarray:
        pooled = variance @ dof / dof.sum()
        relative = variance / np.maximum(pooled[..., None], ROUNDING)
        return -np.log(np.maximum(relative, LEAST)) @ dof

    if model.noise.between[known].max() < ROUNDING:
        return 1.0
    drawn = np.random.default_rng([seed, 4]).chisquare(dof, (DRAWS, len(dof))) / dof
    return float((1 + (statistic(drawn) >= statistic(model.noise.between[known])).sum()) / (DRAWS + 1))


def common_noise(model: VarianceModel, *, seed: int) -> CommonNoise | None:
    """Whether trials of one seed vary together, over all scales or at one level of an axis; None without two seeds.

    Scales that lack a seed are left out. The statistic is the variance over the seeds of the mean over the scales.
    """
    predictions = model.predictions
    seeds = sorted({trial["seed"] for trial in predictions.trials})
    table = np.full((len(predictions.scales), len(seeds)), np.nan)
    for r, trial in enumerate(predictions.trials):
        table[predictions.scale_of[r], seeds.index(trial["seed"])] = model.estimate.value[r]
    whole: np.ndarray = ~np.any(np.isnan(table), axis=1)
    if len(seeds) < 2 or whole.sum() < 2:
        return None
    groups = {"": whole}
    for axis in predictions.axes:
        for level, rows in rows_by_level(predictions, axis):
            member = whole & np.isin(np.arange(len(table)), predictions.scale_of[rows])
            if 2 <= member.sum() < whole.sum():
                groups[f"{axis.name} {level}"] = member
    residual = np.where(whole[:, None], table - table.mean(axis=1, keepdims=True), 0.0)
    rng = np.random.default_rng([seed, 5])
    permuted = rng.permuted(np.broadcast_to(residual, (DRAWS, *residual.shape)), axis=2)
    every = np.concatenate([residual[None], permuted])  # the study itself comes first: [1 + DRAWS, scales, seeds]
    member = np.array(list(groups.values()), float)
    means = np.einsum("gc,dcs->gds", member / member.sum(axis=1, keepdims=True), every)
    variance = (means**2).sum(axis=2)
    relative = variance / np.maximum(variance.mean(axis=1, keepdims=True), 1e-300)
    largest = relative.max(axis=0)
    p = (largest >= largest[0] * (1 - 1e-9)).mean()
    names, own = list(groups), variance[:, 0]
    return CommonNoise(float(p), "" if own[0] > own.max() / 2 else names[int(own.argmax())])


def at_edges(best: Scale, axes: tuple[Axis, ...]) -> list[str]:
    """The numeric axes at an end of which the best scale lies, where a level beyond that end is possible."""
    found = []
    for axis in numeric_axes(axes):
        level = best[axis.name]
        lowest_possible = axis.name in SHORT_NAMES.values() and level == 1
        if len(axis.levels) > 1 and (level == axis.levels[-1] or (level == axis.levels[0] and not lowest_possible)):
            found.append(axis.name)
    return found


def rare_labels(predictions: StudyPredictions) -> dict[str, int]:
    """The labels that do not count in some folds, for want of records of a class, with the number of those folds."""
    missing = (~predictions.defined).sum(axis=1)
    return {name: int(n) for name, n in zip(predictions.label_names, missing, strict=True) if n}


def names_patients(predictions: StudyPredictions) -> bool:
    """Whether any record has the name of its patient."""
    patients = [] if predictions.patients is None else np.asarray(predictions.patients).tolist()
    return any(str(patient) for patient in patients if patient is not None and patient == patient)
