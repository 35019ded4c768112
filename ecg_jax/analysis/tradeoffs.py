"""Quality against cost: Pareto fronts, and power laws of the error in the cost. NumPy and SciPy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from ecg_jax.analysis.findings import CostRange, ParetoPoint, PowerLaw
from ecg_jax.analysis.predictions import COSTS, StudyPredictions
from ecg_jax.analysis.variance import LEVEL, VarianceModel

FEWEST = 4  # scales with different costs that a power law needs
LEAST_EXPLAINED = 0.5  # fraction of the variance of the log error that a power law must explain


def costs_of(predictions: StudyPredictions, scale: int) -> dict[str, CostRange | None]:
    """Each cost of the scale with this place; None if no trial has it."""
    costs: dict[str, CostRange | None] = {}
    for name in COSTS:
        trials = [predictions.trials[r] for r in predictions.trials_of(scale)]
        known = [float(x) for trial in trials if (x := trial.get(name)) is not None and math.isfinite(x)]
        costs[name] = CostRange(sum(known) / len(known), min(known), max(known)) if known else None
    return costs


def pareto(model: VarianceModel) -> dict[str, tuple[ParetoPoint, ...] | None]:
    """For each cost the scales that no scale of at most their cost beats, from cheap to expensive."""
    return _by_cost(model.predictions, lambda cost, known: _front(model, cost, known))


def power_laws(model: VarianceModel) -> dict[str, PowerLaw | None]:
    """For each cost the fit 1 - macro AUROC = factor x cost^exponent over all scales; None if the cost is not known.

    The interval of the exponent is the wider of two: that over seeds and records (delta method), and that of the
    scatter of the scales around the line.
    """
    return _by_cost(model.predictions, lambda cost, known: _power_law(model, cost, known))


def _by_cost(predictions: StudyPredictions, make: Callable[[np.ndarray, np.ndarray], Any]) -> dict[str, Any]:
    """`make(cost, known)` for each cost: [scales], NaN if not known, and the places where it is known and above 0."""
    table = [costs_of(predictions, c) for c in range(len(predictions.scales))]
    results = {}
    for name in COSTS:
        cost = np.array([math.nan if (entry := row[name]) is None else entry.value for row in table])
        known = np.flatnonzero(cost > 0)
        results[name] = make(cost, known) if len(known) else None
    return results


def _front(model: VarianceModel, cost: np.ndarray, known: np.ndarray) -> tuple[ParetoPoint, ...]:
    means = model.predictions.mean_weights() @ model.estimate.value
    front, reached = [], -math.inf
    for c in sorted(known, key=lambda c: (cost[c], -means[c])):
        if means[c] > reached:
            reached = means[c]
            front.append(ParetoPoint(model.predictions.scales[c], float(cost[c]), float(means[c])))
    return tuple(front)


def _power_law(model: VarianceModel, cost: np.ndarray, known: np.ndarray) -> PowerLaw:
    weights = model.predictions.mean_weights()[known]  # [scales, R]
    error = 1 - weights @ model.estimate.value
    if len(np.unique(cost[known])) < FEWEST:
        return _no_power_law(f"fewer than {FEWEST} different costs")
    if error.min() <= 0:
        return _no_power_law("the error of a scale is 0, which has no logarithm")
    x, y = np.log(cost[known]), np.log(error)
    centred = x - x.mean()
    slope = centred / (centred @ centred)
    exponent = float(slope @ y)
    residual = y - y.mean() - exponent * centred
    scatter = float(residual @ residual)
    explained = 1 - scatter / max(float(((y - y.mean()) ** 2).sum()), 1e-300)
    factor = math.exp(float(y.mean()) - exponent * float(x.mean()))
    of_noise = model.components((slope / -error) @ weights).half_width()
    if of_noise is None:
        return PowerLaw(exponent, None, None, factor, explained, False, "the noise of the seeds is not known")
    dof = len(known) - 2
    of_scatter = float(special.stdtrit(dof, (1 + LEVEL) / 2)) * math.sqrt(scatter / dof / (centred @ centred))
    half = max(of_noise, of_scatter)
    why = None
    if abs(exponent) <= half:
        why = "the interval of the exponent contains 0"
    elif explained < LEAST_EXPLAINED:
        why = f"the cost explains {explained:.0%} of the variance of the log error"
    return PowerLaw(exponent, exponent - half, exponent + half, factor, explained, why is None, why)


def _no_power_law(why: str) -> PowerLaw:
    return PowerLaw(None, None, None, None, None, fits=False, why=why)
