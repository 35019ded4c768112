"""Coverage of the intervals and correctness of the verdicts, on simulated studies with known true effects.

The functions tested are those that every study uses: `claims`, and the parts of `analyse` on the best scale.
"""

from dataclasses import asdict, dataclass, replace

import numpy as np

from ecg_jax.analysis.axes import READY_MADE
from ecg_jax.analysis.effects import slope
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.analysis.summary import analyse
from ecg_jax.analysis.verdicts import claims

SEEDS = (2, 3, 5)
RATIOS = (1 / 3, 1.0, 3.0)
EFFECT = 0.004  # on the side of the claim, for each doubling; in each study one axis, in turn, has no effect
UNEVENNESS = 0.002


@dataclass(frozen=True)
class Counts:
    """Results of simulated studies of one kind."""

    studies: int = 0
    intervals: int = 0
    """Three in each study, one for each axis."""
    covered: int = 0
    """Intervals that contain the true effect."""
    without_effect: int = 0
    false_holds: int = 0
    """Claims with the verdict *holds* on an axis without effect."""
    bests: int = 0
    """Studies of which the best scale was analysed."""
    value_covered: int = 0
    """The interval of the best scale's value contains the true AUROC, averaged over the selected scales."""
    scale_covered: int = 0
    """The same interval contains the true AUROC of the best scale."""
    contained: int = 0
    """The truly best scale is among the indistinguishable ones."""
    indistinguishable: int = 0
    """Number of indistinguishable scales, summed over the studies."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{name: count + getattr(other, name) for name, count in asdict(self).items()})


def count_coverage(seeds: int, ratio: float, studies: range, *, seed: int, with_best: bool = False) -> Counts:
    """Simulates studies with these numbers, and counts how often intervals and verdicts are right."""
    total = Counts()
    for study in studies:
        without = READY_MADE[study % len(READY_MADE)]
        effects = tuple(0.0 if axis is without else EFFECT * axis.claim for axis in READY_MADE)
        setting = Setting(seeds=seeds, ratio=ratio, effects=effects, unevenness=UNEVENNESS)
        total += _count_one(setting, without.name, [seed, seeds, round(1000 * ratio), study], with_best=with_best)
    return total


def _count_one(setting: Setting, without: str, key: list[int], *, with_best: bool) -> Counts:
    predictions = simulate(setting, seed=key)
    truth = setting.truth.mean(axis=1)  # [scales]
    covered = 0
    verdicts = claims(predictions)
    for axis, claim in verdicts.items():
        weights = slope(predictions, axis)
        assert weights is not None  # the grid has several levels of each axis
        covered += _contains(claim.low, claim.high, float(weights @ truth[predictions.scale_of]))
    counts = Counts(1, len(verdicts), covered, 1, int(verdicts[without].verdict == "holds"))
    if not with_best:
        return counts
    best = analyse(predictions, seed=key[-1]).best
    assert best is not None  # every label has records of both classes
    share = np.array([selected.share for selected in best.chosen])
    return replace(
        counts,
        bests=1,
        value_covered=_contains(best.low, best.high, float(share @ truth)),
        scale_covered=_contains(best.low, best.high, truth[predictions.scales.index(best.scale)]),
        contained=int(predictions.scales[truth.argmax()] in best.indistinguishable),
        indistinguishable=len(best.indistinguishable),
    )


def _contains(low: float | None, high: float | None, truth: float) -> int:
    return int(low is not None and high is not None and low <= truth <= high)
