"""Intervals that hold for several contrasts at once, and p-values corrected for their number. NumPy and SciPy."""

from collections.abc import Sequence

import numpy as np
from scipy import special

from ecg_jax.analysis.variance import LEVEL, VarianceModel

SIGNIFICANCE = 1 - LEVEL
DRAWS = 20_000  # of the largest |z|
CHI_POINTS = 400  # of the distribution of the estimated standard deviation
MOST_DOF = 1e6
HALVINGS = 24


def simultaneous(model: VarianceModel, contrasts: np.ndarray, *, seed: int) -> list[float | None]:
    """Half widths of 95 % intervals for all contrasts [P, R] at once, by the quantile of the largest |t| (Hsu 1996).

    Where scales differ in their noise, each contrast has degrees of freedom of its own: its quantile is that of a
    multivariate t with these (Hasler and Hothorn 2008). None if the noise of the seeds is not known.
    """
    found = model.contrasts(contrasts)
    sd, known = np.sqrt(found.variance), found.dof > 0
    varies = known & (sd > 0)
    half = np.zeros(len(sd))
    if varies.any():
        normal = _correlated(found.correlation[np.ix_(varies, varies)], seed=seed)
        half[varies] = _quantiles(np.sort(np.abs(normal).max(axis=1)), found.dof[varies]) * sd[varies]
    return [
        0.0 if not weights.any() else float(width) if is_known else None
        for weights, width, is_known in zip(contrasts, half, known, strict=True)
    ]


def may_lose(model: VarianceModel, *, seed: int) -> list[float | None]:
    """The most that each scale may lose against the best one: upper 95 % bounds [scales] for all scales at once.

    One-sided multiple comparisons with the best (Hsu 1981; 1996). For each scale j in turn, the excess of all others is
    bounded with the quantile of the largest t. The bounds of the scale that is truly the best are among these, so the
    largest bound covers what is lost against it, whichever it is. None if the noise of the seeds is not known.
    """
    weights = model.predictions.mean_weights()
    bound = np.zeros(len(weights))
    for j, own in enumerate(weights if len(weights) > 1 else ()):
        others = np.arange(len(weights)) != j
        found = model.contrasts(own - weights[others])  # what the others lose against scale j
        sd = np.sqrt(found.variance)
        if not (found.dof > 0).all():
            return [None] * len(weights)
        largest = np.sort(_correlated(found.correlation, seed=seed).max(axis=1, initial=-np.inf))
        bound[others] = np.maximum(bound[others], found.value + _quantiles(largest, found.dof) * sd)
    return [float(most) for most in bound]


def _correlated(correlation: np.ndarray, *, seed: int) -> np.ndarray:
    """Normal numbers [DRAWS, P] of variance 1 with this correlation [P, P]."""
    size, axes = np.linalg.eigh(correlation)
    rng = np.random.default_rng([seed, 1])
    return rng.normal(size=(DRAWS, len(size))) @ (axes * np.sqrt(np.maximum(size, 0))).T


def _quantiles(largest: np.ndarray, dof: np.ndarray) -> np.ndarray:
    """The 95 % quantiles [P] of a positive number over an independent chi variable with `dof` [P].

    Args:
        largest: [DRAWS], sorted draws of the number.
        dof: of chi^2 / dof, the square of the divisor.
    """
    middle = (np.arange(CHI_POINTS) + 0.5) / CHI_POINTS
    dof = np.minimum(dof, MOST_DOF)[:, None]
    chi = np.sqrt(special.chdtri(dof, 1 - middle) / dof)  # [P, CHI_POINTS]
    low, high = np.full(len(dof), largest[0]), largest[-1] / chi[:, 0]
    for _ in range(HALVINGS):
        quantile = (low + high) / 2
        below = np.searchsorted(largest, quantile[:, None] * chi).mean(axis=1) / len(largest)
        low, high = np.where(below < LEVEL, quantile, low), np.where(below < LEVEL, high, quantile)
    return high


def significant(p: float | None) -> bool:
    """Whether a p-value is known and below .05."""
    return p is not None and p < SIGNIFICANCE


def corrected(p_values: Sequence[float | None], *, look: int) -> list[float | None]:
    """The p-values of a family, corrected for their number (Holm 1979) and for the number of this look (`verdicts`)."""
    return [None if p is None else min(1.0, p * 2 ** (look - 1)) for p in holm(p_values)]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The p-values corrected for the number of those that are known (Holm 1979); None stays None."""
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for place, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - place)))
        corrected[i] = largest
    return corrected
