"""Replays random search from finished trials: does a narrowed space give better scales at equal cost? NumPy.

A replay draws trials without replacement, pays for each, and keeps the one that is best on validation. The mean over
the replays of the test metric of the trial kept is a weighted mean of trials. Its interval therefore comes from seeds
and records, like every interval of a study, and not from the scatter of the replays, which depends on their number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ecg_jax.analysis.axes import Level
from ecg_jax.analysis.findings import Claim, Verdict
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.variance import macro_model
from ecg_jax.analysis.verdicts import MARGIN, p_of_effect, verdict
from ecg_jax.errors import ConfigError

REPLAYS = 1000
POINTS = 25  # budgets of a curve
Levels = dict[str, list[Level]]


@dataclass(frozen=True)
class SearchDifference:
    """Mean test macro AUROC of the trials that the replays keep in both spaces, and its difference."""

    whole: float
    narrowed: float
    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class CurvePoint(SearchDifference):
    """The same for one budget, in training MACs."""

    budget: float


@dataclass(frozen=True)
class Replay:
    """The result of the replays.

    Attributes:
        kept: the levels of each axis in the narrowed space.
        dropped: the other levels; none of an axis on which the other study showed no effect.
        curves: one point for each budget, evenly spaced on a logarithmic scale.
        average: over all budgets of the curves.
        verdict: on the average, of the claim that the narrowed space is better.
    """

    kept: Levels
    dropped: Levels
    curves: tuple[CurvePoint, ...]
    average: SearchDifference
    verdict: Verdict


def narrowed(predictions: StudyPredictions, claims: Mapping[str, Claim]) -> tuple[Levels, Levels]:
    """The levels of each axis kept and dropped: if the interval of the effect excludes 0, the worse half is dropped.

    The half is rounded down. All levels of an axis without a claim, as of every categorical axis, are kept.
    """
    kept, dropped = {}, {}
    for axis in predictions.axes:
        levels, claim = list(axis.levels), claims.get(axis.name)
        low, high = (None, None) if claim is None else (claim.low, claim.high)
        significant = low is not None and high is not None and (low > 0 or high < 0)
        n_dropped = len(levels) // 2 if significant else 0
        falls = high is not None and high < 0
        best_first = levels if falls else levels[::-1]
        n_kept = len(levels) - n_dropped
        kept[axis.name] = [level for level in levels if level in best_first[:n_kept]]
        dropped[axis.name] = [level for level in levels if level in best_first[n_kept:]]
    return kept, dropped


def replay(
    predictions: StudyPredictions,
    claims: Mapping[str, Claim],
    *,
    macs: np.ndarray,
    rate_macs: np.ndarray,
    margin: float = MARGIN,
    replays: int = REPLAYS,
    seed: int = 0,
) -> Replay:
    """Random search over the whole space and over the space that another study's claims narrow, at equal budgets.

    Args:
        predictions: of the study that is replayed; its trials have `validation_macro_auroc`.
        claims: of the other study.
        macs: [R], training MACs of each trial.
        rate_macs: [R], those of the other learning rates that were tried for its scale, paid with its first trial.
        margin: the smallest gain that matters.
        replays: number of replays.
        seed: of the draws.

    Raises:
        ConfigError: validation metrics are missing, no AUROC is defined, or no trial is in the narrowed space.
    """
    model = macro_model(predictions)
    validation = np.array([trial.get("validation_macro_auroc") for trial in predictions.trials], float)  # None: NaN
    if model is None or np.isnan(validation).any():
        raise ConfigError("a replay needs macro AUROC of every trial, on validation and on test")
    kept, dropped = narrowed(predictions, claims)
    inside = np.array([all(trial[axis] in levels for axis, levels in kept.items()) for trial in predictions.trials])
    if not inside.any():
        space = ", ".join(f"{axis} {' '.join(map(str, levels))}" for axis, levels in kept.items())
        raise ConfigError(f"the study has no trial in the narrowed space ({space}); replay one that has")
    spaces = {"whole": np.arange(predictions.n_trials), "narrowed": np.flatnonzero(inside)}
    first = float((macs + rate_macs).max())  # so that every replay keeps a trial, whatever it draws first
    last = max(_price(predictions, spaces["narrowed"], macs, rate_macs), 2 * first)  # all of the narrowed space
    budgets = np.geomspace(first, last, POINTS)
    weights = {
        name: kept_trials(predictions, trials, validation, macs, rate_macs, budgets, replays=replays, seed=seed)
        for name, trials in spaces.items()
    }

    def difference(whole: np.ndarray, narrow: np.ndarray) -> SearchDifference:
        away = narrow - whole
        return SearchDifference(model.value(whole), model.value(narrow), model.value(away), *model.interval(away))

    points = zip(budgets, weights["whole"], weights["narrowed"], strict=True)
    curves = tuple(CurvePoint(**vars(difference(w, n)), budget=float(budget)) for budget, w, n in points)
    mean_weights = [weights[name].mean(axis=0) for name in ("whole", "narrowed")]
    average = difference(*mean_weights)
    p_values = (None, None)
    if any(dropped.values()):
        components = model.components(mean_weights[1] - mean_weights[0])
        p_values = p_of_effect(1, average.difference, components, margin=margin)
    return Replay(kept, dropped, curves, average, verdict(1, average.difference, *p_values))


def kept_trials(
    predictions: StudyPredictions,
    trials: Sequence[int] | np.ndarray,
    validation: np.ndarray,
    macs: np.ndarray,
    rate_macs: np.ndarray,
    budgets: np.ndarray,
    *,
    replays: int,
    seed: int,
) -> np.ndarray:
    """The fraction of replays [budgets, R] that keep each trial at each budget; rows sum to 1 once all have one."""
    trials = np.asarray(trials)
    share = np.zeros((len(budgets), predictions.n_trials))
    for number in range(replays):
        order = np.random.default_rng([seed, number]).permutation(trials)
        scale = predictions.scale_of[order]
        first_of_scale = np.zeros(len(order), bool)
        first_of_scale[np.unique(scale, return_index=True)[1]] = True
        spent = np.cumsum(macs[order] + np.where(first_of_scale, rate_macs[order], 0.0))
        best = np.maximum.accumulate(validation[order])
        best_place = np.maximum.accumulate(np.where(validation[order] == best, np.arange(len(order)), 0))
        drawn = np.searchsorted(spent, budgets * (1 + 1e-12), side="right") - 1
        share[np.flatnonzero(drawn >= 0), order[best_place[drawn[drawn >= 0]]]] += 1
    return share / replays


def _price(predictions: StudyPredictions, trials: np.ndarray, macs: np.ndarray, rate_macs: np.ndarray) -> float:
    """Training MACs of a whole space."""
    first = np.unique(predictions.scale_of[trials], return_index=True)[1]
    return float(macs[trials].sum() + rate_macs[trials[first]].sum())
