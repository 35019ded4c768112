"""The variance between the training seeds of each scale, and of a contrast of scales. NumPy only.

Scales differ in their noise: a narrow network may vary ten times as much as a wide one. So each scale has a variance of
its own (Welch 1947), whose degrees of freedom are combined for a contrast (Satterthwaite 1946, with the unbiased fourth
moment). Trainings that share a seed may also go wrong together; the variance over seeds of the contrast, taken within
each seed, sees that, and a contrast has never less.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from ecg_jax.analysis.influence import MetricEstimate
from ecg_jax.analysis.predictions import StudyPredictions


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
    """

    scale_of: np.ndarray
    seed_of: np.ndarray
    dof: np.ndarray
    between: np.ndarray
    shared: np.ndarray
    residual: np.ndarray
    one_seed: bool
    residual_dof: int = 0

    @property
    def known(self) -> bool:
        """Whether anything is known of it."""
        return bool(self.residual_dof if self.one_seed else self.dof.any())

    def by_scale(self, squares: np.ndarray) -> np.ndarray:
        """Sums [P, scales] of squared weights [P, R]."""
        member = np.equal.outer(self.scale_of, np.arange(len(self.dof))).astype(float)
        return squares @ member

    def of_contrasts(self, weights: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Variances [Q] of means of contrasts, and their degrees of freedom [Q]; 0 where the variance is not known.

        Args:
            weights: [P, R] of the contrasts.
            share: [Q, P]; a result is the mean of the variances of the contrasts, weighted by its row.
        """
        size = share @ self.by_scale(weights**2)  # [Q, scales]
        if self.one_seed:
            return size @ self.between, np.full(len(size), float(self.residual_dof))
        own = size @ self.between
        loss = size**2 @ (self.between**2 / (self.dof + 2))
        dof = np.divide(own**2, loss, out=np.full(len(size), self.dof.sum() + 2.0), where=loss > 0) - 2
        within_seed = (weights * self.residual) @ np.equal.outer(self.seed_of, np.arange(self.seed_of.max() + 1))
        seeds = np.count_nonzero(within_seed, axis=1) - 1  # [P], degrees of freedom of the variance over the seeds
        common = share @ (within_seed**2).sum(axis=1) - own
        common_dof = np.maximum(np.where(share > 0, seeds, 0).max(axis=1), 1)
        more = common > 0
        total = own + np.where(more, common, 0)
        lost = own**2 / np.maximum(dof, 1) + np.where(more, common, 0) ** 2 / common_dof
        dof = np.where(more, np.divide(total**2, lost, out=np.ones(len(size)), where=lost > 0), np.maximum(dof, 1))
        return total, np.where((size > 0) @ (self.dof == 0), 0.0, dof)


def seed_noise(predictions: StudyPredictions, estimate: MetricEstimate) -> SeedNoise:
    """The noise of the seeds in this metric."""
    scale_of, n_scales = predictions.scale_of, len(predictions.scales)
    seeds = np.bincount(scale_of)
    seed_of = np.unique([int(trial["seed"]) for trial in predictions.trials], return_inverse=True)[1].reshape(-1)
    if seeds.max() == 1:
        return _of_residual(predictions, estimate, seed_of)
    weights = predictions.mean_weights()
    residual = estimate.value - (weights @ estimate.value)[scale_of]
    influence = estimate.influence - (weights @ estimate.influence)[scale_of]
    dof = seeds - 1
    per_dof = 1 / np.maximum(dof, 1)
    between = np.bincount(scale_of, residual**2, n_scales) * per_dof
    shared = np.bincount(scale_of, (influence**2).sum(axis=1), n_scales) * per_dof
    larger = np.sqrt(seeds / np.maximum(dof, 1))[scale_of]
    return SeedNoise(scale_of, seed_of, dof, between, shared, residual * larger, one_seed=False)


def _of_residual(predictions: StudyPredictions, estimate: MetricEstimate, seed_of: np.ndarray) -> SeedNoise:
    basis, singular, _ = np.linalg.svd(_main_effects_and_pairs(predictions), full_matrices=False)
    basis = basis[:, singular > 1e-9 * singular[0]]
    dof = predictions.n_trials - basis.shape[1]
    residual = estimate.value - basis @ (basis.T @ estimate.value)
    influence = estimate.influence - basis @ (basis.T @ estimate.influence)
    scales = np.ones(len(predictions.scales))
    between, shared = (((x**2).sum() / dof if dof else 0.0) * scales for x in (residual, influence))
    return SeedNoise(predictions.scale_of, seed_of, np.zeros(len(scales), int), between, shared, residual, True, dof)


def _main_effects_and_pairs(predictions: StudyPredictions) -> np.ndarray:
    """One column for each level of each axis and of each pair of axes: [R, columns]."""
    levels = [[trial[axis.name] for trial in predictions.trials] for axis in predictions.axes]
    pairs = [list(zip(a, b, strict=True)) for a, b in itertools.combinations(levels, 2)]
    columns = [[x == level for x in factor] for factor in (*levels, *pairs) for level in dict.fromkeys(factor)]
    return np.array(columns, float).T
