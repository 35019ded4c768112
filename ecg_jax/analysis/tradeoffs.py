"""Quality against cost: which scales nothing cheaper beats, and whether the error falls as a power of the cost."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from ecg_jax.analysis.influence import Measure
from ecg_jax.analysis.predictions import COSTS, StudyPredictions
from ecg_jax.analysis.selection import mean_weights, named
from ecg_jax.analysis.variance import LEVEL, VarianceModel

FEWEST = 4  # scales with different costs that a power law needs
LEAST_EXPLAINED = 0.5  # share of the variance of the log error below which a power law is said not to fit


def costs(outcomes: StudyPredictions, scale: int) -> dict[str, dict[str, float] | None]:
    """Each cost of a scale, `value` the mean over its trials, `low` and `high` the extremes; None where not known."""
    found: dict[str, dict[str, float] | None] = {}
    for name in COSTS:
        known = [float(x) for t in outcomes.trials_of(scale) if (x := outcomes.trials[t].get(name)) is not None]
        known = [x for x in known if math.isfinite(x)]
        found[name] = {"value": sum(known) / len(known), "low": min(known), "high": max(known)} if known else None
    return found


def pareto(outcomes: StudyPredictions, measure: Measure) -> dict[str, list[dict[str, Any]] | None]:
    """For each cost the scales that no cheaper or equally dear one beats, from cheap to dear; None: cost not known."""
    return _by_cost(outcomes, lambda cost, known: _front(outcomes, measure, cost, known))


def power_laws(outcomes: StudyPredictions, measure: Measure) -> dict[str, dict[str, Any] | None]:
    """For each cost the fit 1 - macro AUROC = factor x cost^exponent over all scales; None: cost not known.

    The interval of the exponent is the wider of two: of seeds and records (delta method), and of the scales' scatter
    about the line. `fits`: it lies off 0 and the line explains half of the variance; `why` says what is wanting.
    """
    return _by_cost(outcomes, lambda cost, known: _power_law(outcomes, measure, cost, known))


def _by_cost(outcomes: StudyPredictions, made: Callable[[np.ndarray, np.ndarray], Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    table = [costs(outcomes, c) for c in range(len(outcomes.scales))]
    for name in COSTS:
        cost = np.array([math.nan if (entry := row[name]) is None else entry["value"] for row in table])
        known = np.flatnonzero(cost > 0)
        found[name] = made(cost, known) if len(known) else None
    return found


def _front(outcomes: StudyPredictions, measure: Measure, cost: np.ndarray, known: np.ndarray) -> list[dict[str, Any]]:
    means = mean_weights(outcomes) @ measure.value
    front, reached = [], -math.inf
    for c in sorted(known, key=lambda c: (cost[c], -means[c])):
        if means[c] > reached:
            reached = means[c]
            front.append({**named(outcomes, c), "cost": float(cost[c]), "mean": float(means[c])})
    return front


def _power_law(outcomes: StudyPredictions, measure: Measure, cost: np.ndarray, known: np.ndarray) -> dict[str, Any]:
    answer: dict[str, Any] = dict.fromkeys(("exponent", "low", "high", "factor", "r_squared")) | {"fits": False}
    weights = mean_weights(outcomes)[known]  # [C, T]
    error = 1 - weights @ measure.value
    if len(np.unique(cost[known])) < FEWEST:
        return {**answer, "why": f"fewer than {FEWEST} different costs"}
    if error.min() <= 0:
        return {**answer, "why": "a scale without error has no logarithm"}
    x, y = np.log(cost[known]), np.log(error)
    spread = x - x.mean()
    slope = spread / (spread @ spread)
    exponent = float(slope @ y)
    residual = y - y.mean() - exponent * spread
    scatter = float(residual @ residual)
    explained = 1 - scatter / max(float(((y - y.mean()) ** 2).sum()), 1e-300)
    by_chance = VarianceModel(outcomes, measure).spread((slope / -error) @ weights).half_width()
    dof = len(known) - 2
    by_scatter = float(special.stdtrit(dof, (1 + LEVEL) / 2)) * math.sqrt(scatter / dof / (spread @ spread))
    answer |= {"exponent": exponent, "r_squared": explained}
    answer["factor"] = math.exp(float(y.mean()) - exponent * float(x.mean()))
    if by_chance is None:
        return {**answer, "why": "the noise of seeds is not known"}
    half = max(by_chance, by_scatter)
    answer |= {"low": exponent - half, "high": exponent + half}
    if abs(exponent) <= half:
        return {**answer, "why": "the interval of the exponent holds 0"}
    if explained < LEAST_EXPLAINED:
        return {**answer, "why": f"the cost explains {explained:.0%} of the variance of the log error"}
    return {**answer, "fits": True, "why": None}
