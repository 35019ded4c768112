"""Variance of a linear contrast of trials with two random factors, training seed and test record. NumPy and SciPy.

With S seeds and N records, the variance of a metric has a part of the seeds (1/S), a part of the records (1/N) and a
part of both (1/SN). The variance between the seeds of a scale holds the first and the third part; the variance over
records of the contrast itself holds the second and the third. The third is estimated from the records' influences on
single seeds, relative to the mean of their scale.
"""

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from ecg_jax.analysis.influence import MetricEstimate, macro_auroc
from ecg_jax.analysis.predictions import StudyPredictions

LEVEL = 0.95
ONE_SEED = "one seed: the residual of main effects and two-way interactions of the axes stands for seed noise"


@dataclass(frozen=True)
class VarianceComponents:
    """The variance of one contrast in three parts, with the degrees of freedom of their estimates."""

    seed: float
    """Part of the training seeds."""
    record: float
    """Part of the test records."""
    both: float
    """Part of seed and record together."""
    seed_dof: float
    """Degrees of freedom of `seed + both`, the variance between seeds; 0 if it is not known."""
    record_dof: float
    """Degrees of freedom of `record + both`, the variance over records."""
    dof_per_seed: int
    """Degrees of freedom gained by one more seed: the number of scales."""
    seeds: int
    records: int

    @property
    def variance(self) -> float:
        """The sum of the parts."""
        return self.seed + self.record + self.both

    @property
    def dof(self) -> float:
        """Degrees of freedom of the sum (Satterthwaite 1946); `both` counts in both estimates."""
        between, over_records = self.seed + self.both, self.record + self.both
        loss = _ratio(between**2, self.seed_dof) + _ratio(over_records**2, self.record_dof)
        return _ratio(self.variance**2, loss)

    def half_width(self, quantile: float = (1 + LEVEL) / 2) -> float | None:
        """Half the length of the interval; None if the variance between seeds is not known."""
        if self.seed_dof <= 0:
            return None
        return 0.0 if self.variance == 0 else float(special.stdtrit(self.dof, quantile)) * math.sqrt(self.variance)

    def p_value(self, effect: float) -> float | None:
        """Two-sided p-value of no effect; None if the variance between seeds is not known."""
        if self.seed_dof <= 0:
            return None
        if self.variance == 0:
            return float(effect == 0)
        return 2 * float(special.stdtr(self.dof, -abs(effect) / math.sqrt(self.variance)))

    def with_sizes(self, *, seeds: int | None = None, records: int | None = None) -> "VarianceComponents":
        """The components of the same contrast with another number of seeds or records."""
        new_seeds, new_records = seeds or self.seeds, records or self.records
        per_seed, per_record = self.seeds / new_seeds, self.records / new_records
        return replace(
            self,
            seed=self.seed * per_seed,
            record=self.record * per_record,
            both=self.both * per_seed * per_record,
            seed_dof=self.seed_dof if new_seeds == self.seeds else self.dof_per_seed * (new_seeds - 1),
            record_dof=self.record_dof / per_record,
            seeds=new_seeds,
            records=new_records,
        )


class VarianceModel:
    """The variance of any contrast of trials in one metric.

    Attributes:
        predictions: of the study.
        estimate: the metric of all trials.
        dof: degrees of freedom of the pooled variance between seeds; 0 if it is not known.
        one_seed: every scale has a single seed, so that a residual of the axes replaces the variance between seeds.
        between: variance of one trial between seeds, around its scale.
        shared: the part of `between` that comes from the records.
    """

    def __init__(self, predictions: StudyPredictions, estimate: MetricEstimate):
        """Pools the variance between seeds over the scales."""
        self.predictions, self.estimate = predictions, estimate
        self.dof = predictions.n_trials - len(predictions.scales)
        self.one_seed = self.dof == 0
        if self.one_seed:
            basis, singular, _ = np.linalg.svd(_main_effects_and_pairs(predictions), full_matrices=False)
            basis = basis[:, singular > 1e-9 * singular[0]]
            self.dof = predictions.n_trials - basis.shape[1]
        else:
            basis = np.equal.outer(predictions.scale_of, np.arange(len(predictions.scales))).astype(float)
            basis /= np.linalg.norm(basis, axis=0)
        residual = estimate.value - basis @ (basis.T @ estimate.value)
        residual_influence = estimate.influence - basis @ (basis.T @ estimate.influence)
        self.between = float((residual**2).sum() / self.dof) if self.dof else 0.0
        self.shared = float((residual_influence**2).sum() / self.dof) if self.dof else 0.0

    def value(self, weights: np.ndarray) -> float:
        """The contrast with these weights [R]."""
        return float(weights @ self.estimate.value)

    def components(self, weights: np.ndarray, share: np.ndarray | None = None) -> VarianceComponents:
        """The variance of the contrast with these weights [R]; a part that is estimated below 0 counts as 0.

        Of several contrasts [P, R] the mean of their variances, weighted by `share` [P].
        """
        several, share = np.atleast_2d(weights), np.ones(1) if share is None else share
        squares = (several @ self.estimate.influence) ** 2  # [P, U]
        over_records = squares.sum(axis=1)
        fourth = (squares**2).sum(axis=1) - over_records**2 / squares.shape[1]
        dof = [_ratio(2 * variance**2, excess) for variance, excess in zip(over_records, fourth, strict=True)]
        size, records = float(share @ (several**2).sum(axis=1)), float(share @ over_records)
        between, both = size * self.between, size * self.shared
        return VarianceComponents(
            seed=max(between - both, 0.0),
            record=max(records - both, 0.0),
            both=both,
            seed_dof=self.dof,
            record_dof=max(min([d for d in dof if d > 0], default=1.0), 1.0),  # few positives, few degrees of freedom
            dof_per_seed=len(self.predictions.scales),
            seeds=self.predictions.n_seeds,
            records=self.predictions.n_records,
        )

    def interval(self, weights: np.ndarray) -> tuple[float | None, float | None]:
        """The 95 % interval of the contrast with these weights [R]; None if its noise is not known."""
        return around(self.value(weights), self.components(weights).half_width())


def macro_model(predictions: StudyPredictions) -> VarianceModel | None:
    """The model of macro AUROC; None if it is not defined."""
    estimate = macro_auroc(predictions)
    return None if estimate is None else VarianceModel(predictions, estimate)


def around(value: float | None, half_width: float | None) -> tuple[float | None, float | None]:
    """Both ends of an interval around a value; None if one of the two is not known."""
    if value is None or half_width is None:
        return None, None
    return value - half_width, value + half_width


def _main_effects_and_pairs(predictions: StudyPredictions) -> np.ndarray:
    """One column for each level of each axis and of each pair of axes: [R, columns]."""
    levels = [[trial[axis.name] for trial in predictions.trials] for axis in predictions.axes]
    pairs = [list(zip(a, b, strict=True)) for a, b in itertools.combinations(levels, 2)]
    columns = [[x == level for x in factor] for factor in (*levels, *pairs) for level in dict.fromkeys(factor)]
    return np.array(columns, float).T


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.inf if part > 0 else 0.0
