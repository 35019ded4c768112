"""Intervals that hold for several contrasts at once, and p-values corrected for their number. NumPy and SciPy."""

from collections.abc import Sequence

import numpy as np

from ecg_jax.analysis.variance import LEVEL, VarianceModel

SIGNIFICANCE = 1 - LEVEL
DRAWS = 20_000  # of the largest |t|


def simultaneous(model: VarianceModel, contrasts: np.ndarray, *, seed: int) -> list[float | None]:
    """Half widths of 95 % intervals for all contrasts [P, R] at once, by the quantile of the largest |t| (Hsu 1996).

    The joint distribution of the contrasts is a multivariate t with the smallest of their degrees of freedom. None if
    the noise of the seeds is not known.
    """
    components = [model.components(weights) for weights in contrasts]
    if model.dof == 0:
        return [0.0 if not weights.any() else None for weights in contrasts]
    sd = np.sqrt([part.variance for part in components])
    varies = sd > 0
    if not varies.any():
        return [0.0] * len(sd)
    some = contrasts[varies]
    influence = some @ model.estimate.influence
    covariance = influence @ influence.T + max(model.between - model.shared, 0.0) * some @ some.T
    product = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    # 0 for equal predictions whose seeds vary less than their records: these contrasts are taken as independent
    correlation = np.divide(covariance, product, out=np.eye(len(product)), where=product > 0)
    size, axes = np.linalg.eigh(correlation)
    rng = np.random.default_rng([seed, 1])
    normal = rng.normal(size=(DRAWS, len(size))) @ (axes * np.sqrt(np.maximum(size, 0))).T
    dof = min(min(part.dof for part, kept in zip(components, varies, strict=True) if kept), 1e6)
    largest = np.abs(normal).max(axis=1) / np.sqrt(rng.chisquare(dof, DRAWS) / dof)
    return [float(half) for half in np.quantile(largest, LEVEL) * sd]


def significant(p: float | None) -> bool:
    """Whether a p-value is known and below .05."""
    return p is not None and p < SIGNIFICANCE


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The p-values corrected for the number of those that are known (Holm 1979); None stays None."""
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for place, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - place)))
        corrected[i] = largest
    return corrected
