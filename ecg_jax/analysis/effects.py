"""The three published claims, tested: what does doubling one axis do, all else equal? NumPy and SciPy."""

import itertools
import math
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from ecg_jax.analysis.influence import Measure, aurocs, mean_of
from ecg_jax.analysis.predictions import AXES, StudyPredictions
from ecg_jax.analysis.variance import ONE_SEED, Spread, VarianceModel

CLAIMED = {"depth": -1, "channels": 1, "kernel": -1}
"""The side on which the publication sees the effect: shallower, wider, smaller kernels."""
MOST = 10**9  # seeds or records; what needs more is as good as never decided
MARGIN = 0.002


def claims(outcomes: StudyPredictions, *, margin: float = MARGIN) -> dict[str, dict[str, Any]]:
    """The claims of depth, channels and kernel on macro AUROC, each with verdict, effect, interval and needed numbers.

    Args:
        outcomes: test predictions of all trials.
        margin: an effect that is surely smaller than this, for each doubling, does not hold.
    """
    return claims_of(outcomes, mean_of(aurocs(outcomes)), margin=margin)


def claims_of(outcomes: StudyPredictions, measure: Measure | None, *, margin: float) -> dict[str, dict[str, Any]]:
    """The three claims on any measure; None is one that is not defined."""
    chance = None if measure is None else VarianceModel(outcomes, measure)
    return {axis: _claim(chance, slope(outcomes, axis), side, margin) for axis, side in CLAIMED.items()}


def slope(outcomes: StudyPredictions, axis: str, *, where: np.ndarray | None = None) -> np.ndarray | None:
    """Weights of the trials [T] whose sum is the effect of doubling an axis; None where nothing shows one.

    Least squares on log2 of the axis, with an intercept for every combination of the other axes and seed; over the
    trials `where` [T] says. Deviations from the mean of such a group, over their sum of squares, are the weights.
    """
    rest = [name for name in (*AXES, "variant", "seed") if name != axis]
    return _within(_log2(outcomes, axis), [_key(outcomes, *rest)], where)


def interaction(outcomes: StudyPredictions, one: str, other: str) -> np.ndarray | None:
    """Weights [T] of how much the effect of doubling one axis grows with each doubling of the other; or None.

    Least squares on the product of the logarithms, with intercepts that take all that either axis does without it.
    """
    (third,) = (axis for axis in AXES if axis not in (one, other))
    product = _log2(outcomes, one) * _log2(outcomes, other)
    return _within(product, [_key(outcomes, axis, third, "variant", "seed") for axis in (one, other)], None)


def interactions(outcomes: StudyPredictions, measure: Measure | None) -> dict[str, dict[str, Any]]:
    """For each pair of axes the interaction, and each axis's effect at each level of the other, all with intervals."""
    chance = None if measure is None else VarianceModel(outcomes, measure)
    found = {}
    for one, other in itertools.combinations(AXES, 2):
        slopes = [
            {"axis": axis, "at": at, "level": level, **estimate(chance, slope(outcomes, axis, where=there))}
            for axis, at in ((one, other), (other, one))
            for level, there in _levels(outcomes, at)
        ]
        found[f"{one}:{other}"] = {**estimate(chance, interaction(outcomes, one, other)), "slopes": slopes}
    return found


def estimate(chance: VarianceModel | None, weights: np.ndarray | None) -> dict[str, float | None]:
    """`effect`, `low` and `high` of a combination; None where there is nothing to tell."""
    if chance is None or weights is None:
        return {"effect": None, "low": None, "high": None}
    low, high = chance.interval(weights)
    return {"effect": chance.value(weights), "low": low, "high": high}


def _claim(chance: VarianceModel | None, weights: np.ndarray | None, side: int, margin: float) -> dict[str, Any]:
    found = estimate(chance, weights)
    answer = {"verdict": "not decided", **found, "seeds_needed": None, "records_needed": None}
    if chance is None or weights is None or found["effect"] is None:
        return answer
    spread = chance.spread(weights)
    answer["verdict"] = _verdict(side * found["effect"], spread.half_width(), margin)
    answer["seeds_needed"], answer["records_needed"] = _needed(spread, side * found["effect"], margin)
    return {**answer, "note": ONE_SEED} if chance.one_seed else answer


def _verdict(effect: float, half: float | None, margin: float) -> str:
    """The first that is true, of an effect counted positive on the claim's side."""
    if half is None:
        return "not decided"
    if effect + half < margin:
        return "does not hold"
    return "holds" if effect - half > 0 else "not decided"


def _needed(spread: Spread, effect: float, margin: float) -> tuple[int | None, int | None]:
    """How many seeds, and how many records, decide the claim if the effect is what it seems."""

    def decided(spread: Spread) -> bool:
        return _verdict(effect, spread.half_width(), margin) != "not decided"

    if spread.seed_dof <= 0:
        return None, None
    if decided(spread):
        return spread.seeds, spread.records
    return (
        _smallest(lambda seeds: decided(spread.at(seeds=seeds)), spread.seeds + 1),
        _smallest(lambda records: decided(spread.at(records=records)), spread.records + 1),
    )


def _smallest(enough: Callable[[int], bool], start: int) -> int | None:
    """The smallest number from `start` up that is enough, found by doubling and halving; None where none is.

    More may be worse: few seeds leave t few degrees of freedom once the records' noise, which has many, is gone.
    """
    low, high = start - 1, start
    while not enough(high):
        if high >= MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _log2(outcomes: StudyPredictions, axis: str) -> np.ndarray:
    return np.array([math.log2(trial[axis]) for trial in outcomes.trials])


def _key(outcomes: StudyPredictions, *names: str) -> list[Hashable]:
    return [tuple(trial.get(name) for name in names) for trial in outcomes.trials]


def _levels(outcomes: StudyPredictions, axis: str) -> list[tuple[int, np.ndarray]]:
    of_trial = np.array([trial[axis] for trial in outcomes.trials], int)
    return [(int(level), of_trial == level) for level in np.unique(of_trial)]


def _within(x: np.ndarray, groupings: list[list[Hashable]], where: np.ndarray | None) -> np.ndarray | None:
    """Weights [T] of the least-squares slope on x [T] with an intercept for every group of each grouping."""
    there = np.ones(len(x), bool) if where is None else where
    columns = [[key == group for key in keys] for keys in groupings for group in dict.fromkeys(keys)]
    dummies = np.array(columns, float).T[there]
    inside = x[there] - dummies @ np.linalg.lstsq(dummies, x[there], rcond=None)[0]
    size = float(inside @ inside)
    if size < 1e-9:
        return None
    weights = np.zeros(len(x))
    weights[there] = inside / size
    return weights
