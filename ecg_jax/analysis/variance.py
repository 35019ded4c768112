"""How sure is a linear combination of trials? Seeds and test records both chance; one interval over both.

With S seeds and N records a figure varies by the seed alone (1/S), by the records alone (1/N) and by both (1/SN). The
seeds' variance within a scale holds the first and the third, the records' variance of the combination itself the second
and the third; the third is what the records make of the single seeds about their scale's mean. NumPy and SciPy.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from ecg_jax.analysis.influence import Measure
from ecg_jax.analysis.predictions import AXES, StudyPredictions

LEVEL = 0.95
ONE_SEED = "one seed: the residual of main effects and two-way interactions of the axes stands for seed noise"


@dataclass(frozen=True)
class Spread:
    """The variance of one combination of trials, in three parts, with degrees of freedom of what they come from."""

    seed: float
    """Of the seeds alone."""
    record: float
    """Of the records alone."""
    both: float
    seed_dof: float
    """Of `seed + both`, the variance between seeds; 0 where it is not known."""
    record_dof: float
    """Of `record + both`, the variance of the records."""
    dof_of_a_seed: int
    """That each further seed adds to `seed_dof`: the number of scales."""
    seeds: int
    records: int

    @property
    def variance(self) -> float:
        """The sum of the parts."""
        return self.seed + self.record + self.both

    @property
    def dof(self) -> float:
        """Satterthwaite's degrees of freedom (1946); the variance of `both` alone counts little."""
        between, of_records = self.seed + self.both, self.record + self.both
        loss = _over(between**2, self.seed_dof) + _over(of_records**2, self.record_dof)
        return _over(self.variance**2, loss)

    def half_width(self, quantile: float = (1 + LEVEL) / 2) -> float | None:
        """Half the length of the interval; None where the noise of seeds is not known."""
        if self.seed_dof <= 0:
            return None
        return 0.0 if self.variance == 0 else float(special.stdtrit(self.dof, quantile)) * math.sqrt(self.variance)

    def p_value(self, effect: float) -> float | None:
        """Two-sided, of no effect."""
        if self.seed_dof <= 0:
            return None
        if self.variance == 0:
            return float(effect == 0)
        return 2 * float(special.stdtr(self.dof, -abs(effect) / math.sqrt(self.variance)))

    def at(self, *, seeds: int | None = None, records: int | None = None) -> "Spread":
        """The same combination with other numbers of seeds or records."""
        s, n = self.seeds / (seeds or self.seeds), self.records / (records or self.records)
        more_dof = self.dof_of_a_seed * (seeds - 1) if seeds and seeds != self.seeds else self.seed_dof
        parts = (self.seed * s, self.record * n, self.both * s * n)
        return Spread(
            *parts, more_dof, self.record_dof / n, self.dof_of_a_seed, seeds or self.seeds, records or self.records
        )


class VarianceModel:
    """Both sources of chance in one measure of all trials."""

    def __init__(self, outcomes: StudyPredictions, measure: Measure):
        """Pools the variance between seeds over the scales."""
        self.measure, self._outcomes = measure, outcomes
        self.dof = outcomes.n_trials - len(outcomes.scales)
        self.one_seed = self.dof == 0
        if self.one_seed:
            design = _factors(outcomes)
            basis, singular, _ = np.linalg.svd(design, full_matrices=False)
            basis = basis[:, singular > 1e-9 * singular[0]]
            self.dof = outcomes.n_trials - basis.shape[1]
        else:
            basis = np.equal.outer(outcomes.scale_of, np.arange(len(outcomes.scales))).astype(float)
            basis /= np.linalg.norm(basis, axis=0)
        noise = measure.value - basis @ (basis.T @ measure.value)
        noise_of_records = measure.influence - basis @ (basis.T @ measure.influence)
        self.between = float((noise**2).sum() / self.dof) if self.dof else 0.0  # of one trial, about its scale
        self.shared = float((noise_of_records**2).sum() / self.dof) if self.dof else 0.0  # the records' part of that

    def value(self, weights: np.ndarray) -> float:
        """The combination itself."""
        return float(weights @ self.measure.value)

    def spread(self, weights: np.ndarray, share: np.ndarray | None = None) -> Spread:
        """The variance of the combination with these weights [T]; a part that is estimated below 0 counts as 0.

        Of several combinations [P, T] the mean of their variances, weighted by `share` [P].
        """
        several, share = np.atleast_2d(weights), np.ones(1) if share is None else share
        squares = (several @ self.measure.influence) ** 2  # [P, U]
        of_records = squares.sum(axis=1)
        fourth = (squares**2).sum(axis=1) - of_records**2 / squares.shape[1]
        dof = [_over(2 * variance**2, excess) for variance, excess in zip(of_records, fourth, strict=True)]
        size, records = float(share @ (several**2).sum(axis=1)), float(share @ of_records)
        between, both = size * self.between, size * self.shared
        return Spread(
            seed=max(between - both, 0.0),
            record=max(records - both, 0.0),
            both=both,
            seed_dof=self.dof,
            record_dof=max(min([d for d in dof if d > 0], default=1.0), 1.0),  # few positives, few degrees
            dof_of_a_seed=len(self._outcomes.scales),
            seeds=self._outcomes.n_seeds,
            records=self._outcomes.n_records,
        )

    def interval(self, weights: np.ndarray, centre: float | None = None) -> tuple[float | None, float | None]:
        """The 95 % interval of the combination, about itself or another centre."""
        half = self.spread(weights).half_width()
        if half is None:
            return None, None
        middle = self.value(weights) if centre is None else centre
        return middle - half, middle + half


def _factors(outcomes: StudyPredictions) -> np.ndarray:
    """One column a level of each axis (and the variant) and of each pair of them: [T, columns]."""
    levels = [[trial.get(axis) for trial in outcomes.trials] for axis in (*AXES, "variant")]
    pairs = [list(zip(a, b, strict=True)) for a, b in itertools.combinations(levels, 2)]
    columns = [[x == level for x in factor] for factor in (*levels, *pairs) for level in dict.fromkeys(factor)]
    return np.array(columns, float).T


def _over(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.inf if part > 0 else 0.0
