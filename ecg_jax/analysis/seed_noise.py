"""The variance between the training seeds of each scale, and of a contrast of scales. NumPy only.

Scales differ in their noise: a narrow network may vary ten times as much as a wide one. So each scale has a variance of
its own (Welch 1947), whose degrees of freedom are combined for a contrast (Satterthwaite 1946, with the unbiased fourth
moment). Trainings that share a seed may also go wrong together; the variance over seeds of the contrast, taken within
each seed, sees that, and a contrast has never less. Of a few scales with less than three seeds, the variances are those
of a hierarchy over all scales.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ecg_jax.analysis.hierarchy import as_estimate, draw_variances
from ecg_jax.analysis.influence import MetricEstimate
from ecg_jax.analysis.predictions import StudyPredictions

ENOUGH_DOF = 2  # of the variance of a scale, to stand alone
ENOUGH_SCALES = 5  # whose variances together say enough with one degree of freedom each
TINY = 1e-300


@dataclass(frozen=True)
class SeedNoise:
    """The noise of the seeds of a study in one metric.

    Attributes:
        scale_of: [R], the scale of each trial.
        seed_of: [R], the seed of each trial as a number from 0 up.
        dof: [scales], degrees of freedom of the variance between the seeds of each scale, its seeds less one.
        between: [scales], variance of one trial between seeds, around its scale; 0 where `dof` is.
        shared: [scales], the part of it that comes from the records.
        residual: [R], distance of each trial from its scale, as large as without the estimation of the mean.
        one_seed: every scale has a single seed, so that a residual of the axes replaces the variance between seeds.
        residual_dof: degrees of freedom of that residual, which is pooled; 0 if there is none.
        place: [scales, columns], where each scale lies on the axes, each column from -1/2 to 1/2.
        key: of the draws.
    """

    scale_of: np.ndarray
    seed_of: np.ndarray
    dof: np.ndarray
    between: np.ndarray
    shared: np.ndarray
    residual: np.ndarray
    place: np.ndarray
    key: int
    one_seed: bool = False
    residual_dof: int = 0

    @cached_property
    def draws(self) -> np.ndarray:
        """Draws [DRAWS, scales] of what the variances of all scales may be, each scale learning from the others."""
        return draw_variances(self.between, self.dof, self.place, seed=self.key)

    @cached_property
    def likely(self) -> np.ndarray:
        """[scales], the variance of one trial between seeds; of scales with few seeds as the others suggest."""
        few = not self.one_seed and self.dof.min() < ENOUGH_DOF
        return np.exp(np.log(np.maximum(self.draws, TINY)).mean(axis=0)) if few else self.between

    def by_scale(self, squares: np.ndarray) -> np.ndarray:
        """Sums [P, scales] of squared weights [P, R]."""
        return squares @ np.equal.outer(self.scale_of, np.arange(len(self.dof)))

    def of_contrasts(self, weights: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Variances [Q] of means of contrasts, and their degrees of freedom [Q]; 0 where the variance is not known.

        Args:
            weights: [P, R] of the contrasts.
            share: [Q, P]; a result is the mean of the variances of the contrasts, weighted by its row.
        """
        size = share @ self.by_scale(weights**2)  # [Q, scales]
        if self.one_seed:
            return size @ self.between, np.full(len(size), float(self.residual_dof))
        own, dof = size @ self.between, self._welch_dof(size)
        fewest = np.where(size > 0, self.dof, self.dof.max()).min(axis=1)
        alike = _ratio(size.sum(axis=1) ** 2, (size**2).sum(axis=1))  # the number of scales, if all count alike
        few = (fewest < ENOUGH_DOF) & ((fewest < 1) | (alike < ENOUGH_SCALES)) & (alike > 0)
        if few.any():
            own[few], dof[few] = as_estimate(self.draws @ size[few].T)
        return self._with_common(weights, share, own, dof, single=few & (np.count_nonzero(size, axis=1) < 3))

    def _welch_dof(self, size: np.ndarray) -> np.ndarray:
        """Degrees of freedom [Q] of sums of variances with the weights `size` [Q, scales]."""
        own, loss = size @ self.between, size**2 @ (self.between**2 / (self.dof + 2))
        of_all = np.where(size > 0, self.dof, 0).sum(axis=1)
        return np.maximum(np.where(loss > 0, _ratio(own**2, loss) - 2, of_all), 1.0)

    def _with_common(
        self, weights: np.ndarray, share: np.ndarray, own: np.ndarray, dof: np.ndarray, *, single: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Variances and degrees of freedom [Q] with what the trials of a seed have in common, except for `single`."""
        of_seed = (weights * self.residual) @ np.equal.outer(self.seed_of, np.arange(self.seed_of.max() + 1))  # [P, S]
        seeds = np.where(share > 0, np.count_nonzero(of_seed, axis=1), 0).max(axis=1)
        common = np.where(single, 0.0, np.maximum(share @ (of_seed**2).sum(axis=1) - own, 0.0))
        loss = own**2 / dof + common**2 / np.maximum(seeds - 1, 1)
        return own + common, np.where(loss > 0, _ratio((own + common) ** 2, loss), dof)


def seed_noise(predictions: StudyPredictions, estimate: MetricEstimate, *, key: int) -> SeedNoise:
    """The noise of the seeds in this metric; `key` is that of the draws where scales have few seeds."""
    scale_of, n_scales = predictions.scale_of, len(predictions.scales)
    seeds = np.bincount(scale_of)
    seed_of = np.unique([int(trial["seed"]) for trial in predictions.trials], return_inverse=True)[1].reshape(-1)
    place = _place(predictions)
    if seeds.max() == 1:
        between, shared, residual, dof = _of_residual(predictions, estimate)
        none = np.zeros(n_scales, int)
        return SeedNoise(scale_of, seed_of, none, between, shared, residual, place, key, True, dof)
    weights = predictions.mean_weights()
    residual = estimate.value - (weights @ estimate.value)[scale_of]
    influence = estimate.influence - (weights @ estimate.influence)[scale_of]
    dof = seeds - 1
    per_dof = 1 / np.maximum(dof, 1)
    between = np.bincount(scale_of, residual**2, n_scales) * per_dof
    shared = np.bincount(scale_of, (influence**2).sum(axis=1), n_scales) * per_dof
    larger = np.sqrt(seeds / np.maximum(dof, 1))[scale_of]
    shared = np.where(dof > 0, shared, shared @ dof / dof.sum())
    return SeedNoise(scale_of, seed_of, dof, between, shared, residual * larger, place, key)


def _of_residual(
    predictions: StudyPredictions, estimate: MetricEstimate
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Variance [scales], its part of the records, residuals [R] and their degrees of freedom, from one seed."""
    basis, singular, _ = np.linalg.svd(_main_effects_and_pairs(predictions), full_matrices=False)
    basis = basis[:, singular > 1e-9 * singular[0]]
    dof = predictions.n_trials - basis.shape[1]
    residual = estimate.value - basis @ (basis.T @ estimate.value)
    influence = estimate.influence - basis @ (basis.T @ estimate.influence)
    scales = np.ones(len(predictions.scales))
    between, shared = (((x**2).sum() / dof if dof else 0.0) * scales for x in (residual, influence))
    return between, shared, residual, dof


def _main_effects_and_pairs(predictions: StudyPredictions) -> np.ndarray:
    """One column for each level of each axis and of each pair of axes: [R, columns]."""
    levels = [[trial[axis.name] for trial in predictions.trials] for axis in predictions.axes]
    pairs = [list(zip(a, b, strict=True)) for a, b in itertools.combinations(levels, 2)]
    columns = [[x == level for x in factor] for factor in (*levels, *pairs) for level in dict.fromkeys(factor)]
    return np.array(columns, float).T


def _place(predictions: StudyPredictions) -> np.ndarray:
    """Where each scale lies on the axes [scales, columns], from -1/2 to 1/2.

    Each category but the first has a column, so that two categories have the same as two numbers.
    """
    columns: list[np.ndarray] = []
    for axis in predictions.axes:
        levels = [scale[axis.name] for scale in predictions.scales]
        if axis.kind == "categorical":
            columns += [np.array([level == one for level in levels]) - 0.5 for one in axis.levels[1:]]
        else:
            x = np.asarray(axis.coordinates(levels), float)
            columns.append((x - x.min()) / max(float(np.ptp(x)), TINY) - 0.5)
    return np.array(columns).T


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
