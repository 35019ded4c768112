"""Coverage of the intervals and correctness of the verdicts, on simulated studies with known true effects.

The functions tested are those that every study uses: `claims` and `analyse`. Nothing else of the analysis is used, so
that another version of the package can be tested on the same studies.
"""

import inspect
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ecg_jax.analysis import StudyPredictions, analyse, claims
from ecg_jax.analysis.axes import READY_MADE
from ecg_jax.analysis.effects import slope
from ecg_jax.analysis.simulation import SeedNoise, Setting, simulate

EFFECT = 0.004  # on the side of the claim, for each doubling
UNEVENNESS = 0.002


@dataclass(frozen=True)
class Row:
    """Simulated studies of one kind.

    Attributes:
        setting: what they are drawn from.
        one_without: in each study one axis, in turn, has no effect and the others have one; else no axis has any.
        best: the best scale is analysed, too.
        looks: the study is analysed after each seed from the second one on, and all its verdicts count.
    """

    setting: Setting
    one_without: bool = False
    best: bool = False
    looks: bool = False


def _rows() -> dict[str, Row]:
    equal = {
        f"equal noise, {seeds} seeds, seed : record {ratio:.2f}": Row(
            Setting(seeds=seeds, ratio=ratio, unevenness=UNEVENNESS), one_without=True, best=ratio == 1
        )
        for seeds in (2, 3, 5)
        for ratio in (1 / 3, 1.0, 3.0)
    }
    grid = Setting(levels=((1, 2, 4), (8, 16), (3, 15)))
    deep, narrow, corner = (("depth", 4),), (("channels", 8),), (("depth", 4), ("channels", 8))
    quiet = SeedNoise(0.002)
    patients = replace(grid, records=600, records_of_a_patient=10)
    stalls = replace(quiet, noisy=narrow, stall=0.08, chance=0.3)
    noises = {
        "depth 4 noisy (.03, else .002), 2 seeds": Row(
            replace(grid, seeds=2, noise=replace(quiet, noisy_sd=0.03, noisy=deep))
        ),
        "depth 4 noisy (.03, else .002)": Row(replace(grid, noise=replace(quiet, noisy_sd=0.03, noisy=deep))),
        "8 channels noisy (.03, else .002)": Row(
            replace(grid, noise=replace(quiet, noisy_sd=0.03, noisy=narrow)), best=True
        ),
        "depth 4 with 8 channels noisy (.05)": Row(replace(grid, noise=replace(quiet, noisy_sd=0.05, noisy=corner))),
        "8 channels stall alone (.08, 30 %)": Row(replace(grid, noise=stalls)),
        "a seed stalls all 8 channels (30 %)": Row(replace(grid, noise=replace(stalls, together=True))),
        "a seed stalls all 8 channels, 5 seeds": Row(replace(grid, seeds=5, noise=replace(stalls, together=True))),
        "heavy tails (t, 2.5 degrees of freedom)": Row(replace(grid, noise=SeedNoise(0.003, tail_dof=2.5))),
        "one label of three with 3 positives": Row(
            replace(grid, positives=(100, 100, 3), scale_part=0.3, noise=quiet), best=True
        ),
        "one label of three with 6 positives": Row(
            replace(grid, positives=(100, 100, 6), scale_part=0.3, noise=quiet), best=True
        ),
        "10 records a patient": Row(replace(patients, noise=quiet)),
        "10 records a patient, patients not told": Row(replace(patients, noise=quiet, patients_are_told=False)),
        "optimum of .008 in the middle of kernel": Row(
            replace(grid, levels=((1, 2, 4), (8, 16), (3, 7, 15)), noise=quiet, hump=0.008, records=1500)
        ),
        "a look after each seed from 2 to 8": Row(replace(grid, seeds=8, noise=SeedNoise(0.006)), looks=True),
    }
    return {**equal, **noises}


ROWS = _rows()
"""Name -> row; noises are standard deviations of the AUROC of a training, and there are three seeds unless said."""


@dataclass(frozen=True)
class Counts:
    """Results of simulated studies of one kind."""

    studies: int = 0
    depth_covered: int = 0
    """Intervals of the effect of depth that contain the true one."""
    channels_covered: int = 0
    kernel_covered: int = 0
    falsely_holding: int = 0
    """Studies with the verdict *holds* on an axis without effect."""
    overlooking: int = 0
    """Studies in which *does not hold* is said of an axis with an optimum in the middle, and nothing of the optimum."""
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
    means: int = 0
    means_covered: int = 0
    """Intervals of the means of single scales that contain the true AUROC."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{name: count + getattr(other, name) for name, count in asdict(self).items()})


def count_coverage(name: str, studies: range, *, seed: int, best_studies: int = 0) -> Counts:
    """Simulates studies of a row, and counts how often intervals and verdicts are right.

    Args:
        name: of the row.
        studies: their numbers.
        seed: of the simulation.
        best_studies: of the studies below this number the best scale is analysed, if the row has that.
    """
    row, place = ROWS[name], list(ROWS).index(name)
    total = Counts()
    for study in studies:
        without = READY_MADE[study % len(READY_MADE)] if row.one_without else None
        effects = [EFFECT * axis.claim if without and axis is not without else 0.0 for axis in READY_MADE]
        setting = replace(row.setting, effects=tuple(effects))
        predictions = simulate(setting, seed=[seed, place, study])
        total += _verdicts(predictions, setting, looks=row.looks)
        if row.best and study < best_studies:
            total += _best(predictions, setting, seed=study)
    return total


def _verdicts(predictions: StudyPredictions, setting: Setting, *, looks: bool) -> Counts:
    truth = setting.truth.mean(axis=1)  # [scales]; of every subset of labels alike, but for a constant
    seed_of = np.array([trial["seed"] for trial in predictions.trials])
    covered, falsely, overlooked = {}, False, False
    for look, seeds in enumerate(range(2, setting.seeds + 1) if looks else [setting.seeds], start=1):
        seen = predictions.of_trials(np.flatnonzero(seed_of < seeds))
        for axis, claim in _claims(seen, look).items():
            weights = slope(seen, axis)
            assert weights is not None  # the grid has several levels of each axis
            effect = float(weights @ truth[seen.scale_of])
            covered[f"{axis}_covered"] = _contains(claim.low, claim.high, effect)  # of the last look
            falsely |= claim.verdict == "holds" and abs(effect) < 1e-9
            bent = setting.hump > 0 and axis == setting.axes[-1].name
            overlooked |= bent and claim.verdict == "does not hold" and not getattr(claim, "depends_on", ())
    return Counts(studies=1, falsely_holding=falsely, overlooking=overlooked, **covered)


def _claims(predictions: StudyPredictions, look: int) -> dict[str, Any]:
    counts_looks = "look" in inspect.signature(claims).parameters  # versions before do not
    return claims(predictions, look=look) if counts_looks else claims(predictions)


def _best(predictions: StudyPredictions, setting: Setting, *, seed: int) -> Counts:
    analysis = analyse(predictions, seed=seed)
    best, scales = analysis.best, predictions.scales
    truth = setting.truth[:, predictions.defined.any(axis=1)].mean(axis=1)  # of the labels that count
    assert best is not None  # some label has enough records of both classes
    share = np.array([selected.share for selected in best.chosen])
    return Counts(
        bests=1,
        value_covered=_contains(best.low, best.high, float(share @ truth)),
        scale_covered=_contains(best.low, best.high, truth[scales.index(best.scale)]),
        contained=int(any(scales[c] in best.indistinguishable for c in np.flatnonzero(truth > truth.max() - 1e-9))),
        indistinguishable=len(best.indistinguishable),
        means=len(scales),
        means_covered=sum(_contains(s.mean_low, s.mean_high, truth[scales.index(s.scale)]) for s in analysis.scales),
    )


def _contains(low: float | None, high: float | None, truth: float) -> int:
    return int(low is not None and high is not None and low <= truth <= high)
