"""Does a search in a narrowed space do better for less? Random search replayed from finished trials. Pure; NumPy.

A replay draws trials without return, pays for each, and holds the one that is best on validation. The mean over the
replays of what it holds, read on test, is a weighted mean of trials: so its interval comes from seeds and records, as
that of every other figure of a study, and not from the spread of the replays, which more replays would shrink.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecg_jax.analysis.effects import MARGIN
from ecg_jax.analysis.influence import aurocs, mean_of
from ecg_jax.analysis.predictions import AXES, StudyPredictions
from ecg_jax.analysis.variance import VarianceModel
from ecg_jax.errors import ConfigError

REPLAYS = 1000
POINTS = 25  # budgets of a curve
Levels = dict[str, list[int]]


@dataclass(frozen=True)
class Replay:
    """What replaying came to.

    Attributes:
        kept: the levels of each axis in the narrowed space.
        dropped: those left out; empty where the other study showed no effect.
        curves: by `budget` (training MACs): `whole`, `narrowed` (mean test macro AUROC of what the replays hold),
            `difference`, `low`, `high`.
        average: the same over all budgets of the curves, which are spaced evenly by their logarithm.
        verdict: on the average, of "the narrowed space does better".
    """

    kept: Levels
    dropped: Levels
    curves: list[dict[str, float | None]]
    average: dict[str, float | None]
    verdict: str


def narrowed(outcomes: StudyPredictions, claims: Mapping[str, Mapping[str, Any]]) -> tuple[Levels, Levels]:
    """Levels of each axis kept and dropped: where the effect's interval is off 0, the worse half, rounded down."""
    kept, dropped = {}, {}
    for axis in AXES:
        levels = sorted({int(trial[axis]) for trial in outcomes.trials})
        low, high = claims[axis]["low"], claims[axis]["high"]
        sure = low is not None and (low > 0 or high < 0)
        half = len(levels) // 2 if sure else 0
        better_first = levels if sure and high < 0 else levels[::-1]
        kept[axis] = sorted(better_first[: len(levels) - half])
        dropped[axis] = sorted(better_first[len(levels) - half :])
    return kept, dropped


def replay(
    outcomes: StudyPredictions,
    claims: Mapping[str, Mapping[str, Any]],
    *,
    macs: np.ndarray,
    rate_macs: np.ndarray,
    margin: float = MARGIN,
    replays: int = REPLAYS,
    seed: int = 0,
) -> Replay:
    """Random search over the whole space and over the space that another study's claims narrow, at equal budgets.

    Args:
        outcomes: of the study that is replayed, its trials with `validation_macro_auroc`.
        claims: of another study.
        macs: [T], training MACs of each trial.
        rate_macs: [T], those of the other learning rates that were tried for its scale, paid with its first trial.
        margin: a gain surely smaller than this does not hold.
        replays: how many.
        seed: of the draws.

    Raises:
        ConfigError: validation figures are missing, no AUROC is defined, or no trial lies in the narrowed space.
    """
    measure = mean_of(aurocs(outcomes))
    validation = np.array([np.nan if (v := t.get("validation_macro_auroc")) is None else v for t in outcomes.trials])
    if measure is None or np.isnan(validation).any():
        raise ConfigError("a replay needs macro AUROC of every trial, on validation and on test")
    kept, dropped = narrowed(outcomes, claims)
    inside = np.array([all(trial[axis] in kept[axis] for axis in AXES) for trial in outcomes.trials])
    if not inside.any():
        space = ", ".join(f"{axis} {' '.join(map(str, levels))}" for axis, levels in kept.items())
        raise ConfigError(f"the study has no trial in the narrowed space ({space}); replay one that has")
    spaces = {"whole": np.arange(outcomes.n_trials), "narrowed": np.flatnonzero(inside)}
    first = float((macs + rate_macs).max())  # so that every replay holds a trial, whichever it draws first
    last = max(_price(outcomes, spaces["narrowed"], macs, rate_macs), 2 * first)  # then the narrowed space is used up
    budgets = np.geomspace(first, last, POINTS)
    weights = {
        name: held(outcomes, trials, validation, macs, rate_macs, budgets, replays=replays, seed=seed)
        for name, trials in spaces.items()
    }
    chance = VarianceModel(outcomes, measure)

    def point(whole: np.ndarray, narrow: np.ndarray) -> dict[str, float | None]:
        low, high = chance.interval(narrow - whole)
        values = {"whole": chance.value(whole), "narrowed": chance.value(narrow)}
        return {**values, "difference": chance.value(narrow - whole), "low": low, "high": high}

    pairs = zip(budgets, weights["whole"], weights["narrowed"], strict=True)
    curves = [{"budget": float(budget), **point(whole, narrow)} for budget, whole, narrow in pairs]
    average = point(weights["whole"].mean(axis=0), weights["narrowed"].mean(axis=0))
    return Replay(kept, dropped, curves, average, _verdict(average, any(dropped.values()), margin))


def held(
    outcomes: StudyPredictions,
    trials: Sequence[int] | np.ndarray,
    validation: np.ndarray,
    macs: np.ndarray,
    rate_macs: np.ndarray,
    budgets: np.ndarray,
    *,
    replays: int,
    seed: int,
) -> np.ndarray:
    """The share of replays [budgets, T] that hold each trial at each budget; all rows sum to 1 from `first` up."""
    trials = np.asarray(trials)
    share = np.zeros((len(budgets), outcomes.n_trials))
    for number in range(replays):
        order = np.random.default_rng([seed, number]).permutation(trials)
        scale = outcomes.scale_of[order]
        new = np.zeros(len(order), bool)
        new[np.unique(scale, return_index=True)[1]] = True
        spent = np.cumsum(macs[order] + np.where(new, rate_macs[order], 0.0))
        best = np.maximum.accumulate(validation[order])
        leads = np.maximum.accumulate(np.where(validation[order] == best, np.arange(len(order)), 0))
        drawn = np.searchsorted(spent, budgets * (1 + 1e-12), side="right") - 1
        share[np.flatnonzero(drawn >= 0), order[leads[drawn[drawn >= 0]]]] += 1
    return share / replays


def _price(outcomes: StudyPredictions, trials: np.ndarray, macs: np.ndarray, rate_macs: np.ndarray) -> float:
    """Training MACs of a whole space."""
    first = np.unique(outcomes.scale_of[trials], return_index=True)[1]
    return float(macs[trials].sum() + rate_macs[trials[first]].sum())


def _verdict(found: Mapping[str, float | None], narrower: bool, margin: float) -> str:
    low, high = found["low"], found["high"]
    if not narrower or low is None or high is None:
        return "not decided"
    if high < margin:
        return "does not hold"
    return "holds" if low > 0 else "not decided"
