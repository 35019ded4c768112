"""Does the instrument measure? Its intervals and verdicts on simulated studies whose truth is known.

The functions judged are those that every study goes through: `claims`, and what `analyse` says of the best scale.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ecg_jax.analysis.effects import CLAIMED, claims, slope
from ecg_jax.analysis.influence import aurocs, mean_of
from ecg_jax.analysis.predictions import AXES
from ecg_jax.analysis.selection import SplitSelection, best
from ecg_jax.analysis.simulation import Setting, simulate

SEEDS = (2, 3, 5)
RATIOS = (1 / 3, 1.0, 3.0)
EFFECT = 0.004  # on the claim's side for each doubling; in every study one axis in turn has none
UNEVENNESS = 0.002


@dataclass(frozen=True)
class Counts:
    """What came out of some studies of one kind."""

    studies: int = 0
    intervals: int = 0
    """Three in a study, one an axis."""
    covered: int = 0
    """Intervals that hold the true effect."""
    without_effect: int = 0
    false_holds: int = 0
    """Claims said to hold where there is no effect."""
    bests: int = 0
    """Studies of which the best scale was asked."""
    value_covered: int = 0
    """The interval of `best` holds the true AUROC, meaned over the scales chosen."""
    scale_covered: int = 0
    """It holds the true AUROC of `scale`."""
    contained: int = 0
    """`indistinguishable` contains the truly best scale."""
    indistinguishable: int = 0
    """Scales in it, summed over studies."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{name: count + getattr(other, name) for name, count in asdict(self).items()})


def judge(seeds: int, ratio: float, studies: range, *, seed: int, with_best: bool = False) -> Counts:
    """Simulates the studies with these numbers and counts how often the instrument was right."""
    total = Counts()
    for study in studies:
        without = AXES[study % len(AXES)]
        effects = tuple(0.0 if axis == without else EFFECT * CLAIMED[axis] for axis in AXES)
        setting = Setting(seeds=seeds, ratio=ratio, effects=effects, unevenness=UNEVENNESS)
        total += _judge_one(setting, without, [seed, seeds, round(1000 * ratio), study], with_best=with_best)
    return total


def _judge_one(setting: Setting, without: str, key: list[int], *, with_best: bool) -> Counts:
    outcomes = simulate(setting, seed=key)
    truth = setting.truth.mean(axis=1)  # [C]
    found = claims(outcomes)
    covered = 0
    for axis in AXES:
        weights = slope(outcomes, axis)
        assert weights is not None  # the grid has several levels
        covered += _holds(found[axis], weights @ truth[outcomes.scale_of])
    counts = Counts(1, len(AXES), covered, 1, int(found[without]["verdict"] == "holds"))
    if not with_best:
        return counts
    measure = mean_of(aurocs(outcomes))
    assert measure is not None
    answer = best(outcomes, measure, SplitSelection(outcomes, seed=key[-1]), seed=key[-1])
    share = np.array([entry["share"] for entry in answer["chosen"]])
    top = outcomes.scales.index(tuple(answer["scale"].values()))
    truly = dict(zip(AXES, outcomes.scales[truth.argmax()], strict=True))
    return replace(
        counts,
        bests=1,
        value_covered=_holds(answer, share @ truth),
        scale_covered=_holds(answer, truth[top]),
        contained=int(truly in answer["indistinguishable"]),
        indistinguishable=len(answer["indistinguishable"]),
    )


def _holds(interval: dict[str, Any], truth: float) -> int:
    return int(interval["low"] <= truth <= interval["high"])
