"""Variance of a linear contrast of trials with two random factors, training seed and test record. NumPy and SciPy.

With S seeds and N records, the variance of a metric has a part of the seeds (1/S), a part of the records (1/N) and a
part of both (1/SN). The variance between the seeds of a scale holds the first and the third part; the variance over
records of the contrast itself holds the second and the third. The third is estimated from the records' influences on
single seeds, relative to the mean of their scale.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from ecg_jax.analysis.influence import MetricEstimate, macro_auroc
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.seed_noise import seed_noise

LEVEL = 0.95
NORMAL_DOF = 1e8  # degrees of freedom from which t is normal
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
    dof_per_seed: float
    """Degrees of freedom gained by one more seed: the number of scales, if all count alike in the contrast."""
    seeds: int
    records: int
    training: float = 0.0
    """Part of the training records; 0 if they are taken as given."""
    training_dof: float = 0.0

    @property
    def variance(self) -> float:
        """The sum of the parts."""
        return self.seed + self.record + self.both + self.training

    @property
    def dof(self) -> float:
        """Degrees of freedom of the sum (Satterthwaite 1946); `both` counts in both estimates."""
        between, over_records = self.seed + self.both, self.record + self.both
        loss = _ratio(between**2, self.seed_dof) + _ratio(over_records**2, self.record_dof)
        loss += _ratio(self.training**2, self.training_dof)
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

    def found_effect(self, power: float, level: float) -> float | None:
        """The smallest effect whose two-sided p-value is below `level` with this power, by the noncentral t.

        None if the variance between seeds is not known.
        """
        if self.seed_dof <= 0:
            return None
        if self.variance == 0:
            return 0.0
        dof = min(self.dof, NORMAL_DOF)
        quantile = float(special.stdtrit(dof, 1 - level / 2))
        return float(special.nctdtrinc(dof, 1 - power, quantile)) * math.sqrt(self.variance)

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


@dataclass(frozen=True)
class Contrasts:
    """Several contrasts of trials at once, each with a variance and degrees of freedom of its own."""

    value: np.ndarray
    """[P]."""
    variance: np.ndarray
    """[P], over seeds and records."""
    dof: np.ndarray
    """[P]; 0 where the variance between seeds is not known, infinite where the variance is 0."""
    correlation: np.ndarray
    """[P, P], of the noise of the contrasts; 0 beside a contrast without noise."""


class VarianceModel:
    """The variance of any contrast of trials in one metric.

    Attributes:
        predictions: of the study.
        estimate: the metric of all trials.
        noise: of the seeds.
        one_seed: every scale has a single seed, so that a residual of the axes replaces the variance between seeds.
    """

    def __init__(self, predictions: StudyPredictions, estimate: MetricEstimate, *, seed: int = 0):
        """Estimates the variance between the seeds of each scale; `seed` is that of draws (see `hierarchy`)."""
        self.predictions, self.estimate = predictions, estimate
        self.noise = seed_noise(predictions, estimate, key=seed)
        self.one_seed = self.noise.one_seed

    def value(self, weights: np.ndarray) -> float:
        """The contrast with these weights [R]."""
        return float(weights @ self.estimate.value)

    def contrasts(self, weights: np.ndarray) -> Contrasts:
        """The contrasts with these weights [P, R]: values, variances, degrees of freedom and correlation."""
        components = self._components(weights, np.eye(len(weights)))
        influence = weights @ self.estimate.influence
        per_trial = np.maximum(self.noise.likely - self.noise.shared, 0.0)[self.noise.scale_of]
        covariance = influence @ influence.T + (weights * per_trial) @ weights.T
        sd = np.sqrt(np.diag(covariance))
        product = np.outer(sd, sd)
        # 0 for equal predictions whose seeds vary less than their records: these contrasts are taken as independent
        correlation = np.divide(covariance, product, out=np.eye(len(product)), where=product > 0)
        variance = np.array([part.variance for part in components])
        dof = np.array([0.0 if part.seed_dof <= 0 else part.dof or np.inf for part in components])
        return Contrasts(weights @ self.estimate.value, variance, dof, correlation)

    def components(self, weights: np.ndarray, share: np.ndarray | None = None) -> VarianceComponents:
        """The variance of the contrast with these weights [R]; a part that is estimated below 0 counts as 0.

        Of several contrasts [P, R] the mean of their variances, weighted by `share` [P].
        """
        return self._components(np.atleast_2d(weights), np.ones((1, 1)) if share is None else share[None])[0]

    def _components(self, weights: np.ndarray, share: np.ndarray) -> list[VarianceComponents]:
        """The mean variances of contrasts [P, R], one for each row of `share` [Q, P]."""
        squares = (weights @ self.estimate.influence) ** 2  # [P, U]
        over_records = squares.sum(axis=1)
        fourth = (squares**2).sum(axis=1) - over_records**2 / squares.shape[1]
        of_each = np.array([_ratio(2 * v**2, excess) for v, excess in zip(over_records, fourth, strict=True)])
        between, seed_dof = self.noise.of_contrasts(weights, share)
        both = share @ self.noise.by_scale(weights**2) @ self.noise.shared
        records, seeds = share @ over_records, self.predictions.n_seeds
        found = []
        for q, part in enumerate(share):
            known = of_each[(part > 0) & (of_each > 0)]
            scales = len(self.predictions.scales)
            found.append(
                VarianceComponents(
                    seed=max(float(between[q] - both[q]), 0.0),
                    record=max(float(records[q] - both[q]), 0.0),
                    both=float(both[q]),
                    seed_dof=float(seed_dof[q]),
                    record_dof=max(float(known.min(initial=np.inf)) if len(known) else 1.0, 1.0),
                    dof_per_seed=scales if self.one_seed else float(seed_dof[q]) / (seeds - 1),
                    seeds=seeds,
                    records=self.predictions.n_records,
                )
            )
        return found

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


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.inf if part > 0 else 0.0
