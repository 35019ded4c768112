"""What a reader must know about a study before its verdicts: twelve warnings, each from the study's own files. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecg_jax.analysis.axes import Axis, Level, Scale
from ecg_jax.analysis.diagnostics import (
    CommonNoise,
    at_edges,
    common_noise,
    names_patients,
    p_of_equal_noise,
    rare_labels,
    stalled,
)
from ecg_jax.analysis.findings import Analysis, Effect
from ecg_jax.analysis.multiple_comparisons import SIGNIFICANCE
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.variance import VarianceModel
from ecg_jax.formatting import level_text, plural, scale_text, signed
from ecg_jax.report.sentences import p_text

Row = Mapping[str, Any]
LATE = 0.9  # of the epochs: a best epoch after it may not be the last improvement
MANY = 0.25  # share of scales or of trials that changes how a verdict is read
UNEQUAL_SHARES = 0.5  # between the levels of an axis: so its effect is partly that of the other property
MOST_TEST_RECORDS = 2  # for each training record
TRAINING_PART = 0.25  # variance by the training records, for as many test records, relative to that by the test records


@dataclass(frozen=True)
class StudyWarning:
    """A warning about a study.

    Attributes:
        name: as in `analysis.json`.
        text: one short sentence.
        detail: where it is so, and what it means; among the limits of the study.
        in_head: it changes how a verdict is read, so its sentence stands before the answer.
    """

    name: str
    text: str
    detail: str
    in_head: bool


@dataclass(frozen=True)
class Course:
    """Facts beside the predictions.

    Attributes:
        rows: of the chosen trials, as in `trials.csv`.
        window_ms: None if the study varies it.
        train_records: in one training, on average over the folds; None if it is not known.
        for_other_records: the effects with their intervals for other training records, where they were measured.
        looks: the numbers of seeds, trials and epochs at each look so far, this one included.
        rate_hz: of the signal.
    """

    rows: Sequence[Row]
    window_ms: float | None
    train_records: float | None
    for_other_records: Mapping[str, Effect]
    looks: Sequence[Mapping[str, int]]
    rate_hz: float


def study_warnings(analysis: Analysis, model: VarianceModel, course: Course, *, seed: int = 0) -> list[StudyWarning]:
    """All warnings that apply, those of the head first.

    Args:
        analysis: of the study.
        model: of macro AUROC.
        course: the other facts.
        seed: of the Monte-Carlo tests.
    """
    predictions = model.predictions
    found = [
        _rates(analysis.axes, course),
        _not_converged(analysis.axes, course, analysis.margin),
        _stalled(model, course.rate_hz),
        _common(common_noise(model, seed=seed)),
        _at_edge(analysis, course.rate_hz),
        _rare(predictions),
        _patients(predictions),
        _training_records(predictions, analysis, course),
        _receptive_field(analysis, course),
        _looks(course),
        _depends(analysis),
        _unequal(model, seed),
    ]
    return sorted((warning for warning in found if warning is not None), key=lambda warning: not warning.in_head)


def _rates(axes: Sequence[Axis], course: Course) -> StudyWarning | None:
    known = {Scale.of(row, axes): row["rate_edge"] for row in course.rows if "rate_edge" in row}
    at_edge = {scale: bool(edge) for scale, edge in known.items()}
    if not any(at_edge.values()):
        return None
    ends = Counter(edge for edge in known.values() if edge)
    text = f"The learning rate of {_share(at_edge)} scales is at an edge of the rates tried."
    by_level = _by_level(at_edge, axes, course.rate_hz)
    detail = (
        f"{ends['high']} are at the highest rate, {ends['low']} at the lowest{by_level}: "
        "a rate beyond it may be better, and the rates that were tried may suit some scales better than others."
    )
    return StudyWarning("rate_at_edge", text, detail, in_head=_often(at_edge))


def _not_converged(axes: Sequence[Axis], course: Course, margin: float) -> StudyWarning | None:
    rows = [row for row in course.rows if row.get("epochs") and row.get("best_epoch") is not None]
    late: dict[Scale, bool] = {}
    for row in rows:
        scale = Scale.of(row, axes)
        late[scale] = late.get(scale, False) or row["best_epoch"] > LATE * row["epochs"]
    gains = [row["last_quarter_gain"] for row in rows if row.get("last_quarter_gain") is not None]
    gain = float(np.mean(gains)) if gains else 0.0
    growing = gain > margin / 2
    if not (any(late.values()) or growing):
        return None
    found = [f"by {signed(gain)} in macro AUROC over the last quarter, on average on validation"] if growing else []
    if any(late.values()):
        found.append(
            f"{_share(late)} scales have a training that was best in the last tenth of its epochs"
            f"{_by_level(late, axes, course.rate_hz)}"
        )
    detail = (
        f"{'; '.join(found)}. The study compares how far scales come in these epochs, not where they end: "
        "--extend-epochs lets it go on; --budget both compares equal epochs with equal computing, where effects can "
        "have another sign."
    )
    text = "Trainings still improved at their end."
    return StudyWarning("still_improving", text, detail[0].upper() + detail[1:], in_head=growing or _often(late))


def _stalled(model: VarianceModel, rate_hz: float) -> StudyWarning | None:
    trials = [model.predictions.trials[r] for r in stalled(model)]
    if not trials:
        return None
    named = "; ".join(
        f"{scale_text(Scale.of(trial, model.predictions.axes).to_dict(), rate_hz)}, seed {trial['seed']}"
        for trial in trials
    )
    text = f"{len(trials)} of {plural(model.predictions.n_trials, 'trial')} stalled, far below others of their scale."
    detail = (
        f"These are {named}. Effects of the axes in which these scales differ may be those of a failed training, and "
        "other seeds may fail elsewhere."
    )
    return StudyWarning("stalled_trials", text, detail, in_head=True)


def _common(noise: CommonNoise | None) -> StudyWarning | None:
    if noise is None or noise.p >= SIGNIFICANCE:
        return None
    where = f"the scales with {noise.where}" if noise.where else "all scales"
    text = f"Trainings of one seed go well or badly together, most in {where}."
    detail = (
        f"Permutation of the seeds: p {p_text(noise.p)}. The seeds of these scales are few independent repetitions, "
        "and intervals may still be too narrow."
    )
    return StudyWarning("common_seeds", text, detail, in_head=True)


def _at_edge(analysis: Analysis, rate_hz: float) -> StudyWarning | None:
    best = analysis.best
    edges = [] if best is None else at_edges(best.scale, analysis.axes)
    if best is None or not edges:
        return None
    levels = ", ".join(f"{name} {level_text(name, best.scale[name], rate_hz)}" for name in edges)
    text = f"The best scale is at an edge of the grid ({levels})."
    return StudyWarning("best_at_edge", text, "A scale beyond it may be better.", in_head=True)


def _rare(predictions: StudyPredictions) -> StudyWarning | None:
    rare = rare_labels(predictions)
    if not rare:
        return None
    n_folds = predictions.n_folds
    named = ", ".join(name if n_folds == 1 else f"{name} in {n} of {n_folds} folds" for name, n in rare.items())
    text = f"{plural(len(rare), 'label')} {'has' if len(rare) == 1 else 'have'} too few records of a class to count."
    detail = f"These are {named}; macro AUROC is the mean over the others there."
    return StudyWarning("rare_labels", text, detail, in_head=True)


def _patients(predictions: StudyPredictions) -> StudyWarning | None:
    if names_patients(predictions):
        return None
    text = "The data set names no patients, so each record counts as one."
    detail = (
        "If patients have many records, intervals are too narrow: in simulated studies with ten records a patient they "
        "cover 79 % instead of 95 %."
    )
    return StudyWarning("no_patients", text, detail, in_head=True)


def _training_records(predictions: StudyPredictions, analysis: Analysis, course: Course) -> StudyWarning | None:
    widths = [(_width(found), _width(analysis.claims[axis])) for axis, found in course.for_other_records.items()]
    measured = [wider / own for wider, own in widths if wider and own]
    left_out = "The intervals leave out the uncertainty by the training records"
    if measured:
        times = max(measured)
        text = f"For other training records the intervals are up to {times:.1f} times as wide."
        detail = f"{left_out}, which was judged from random halves of the training patients."
    elif course.train_records:
        times = np.sqrt(1 + TRAINING_PART * predictions.n_records / course.train_records)
        text = f"There are {predictions.n_records:,} test records and {course.train_records:,.0f} training records."
        detail = (
            f"{left_out}; for others of their number they would be about {times:.1f} times as wide, as estimated with "
            "small learners. With networks it can be far more; --replicate-training 5 measures it."
        )
    else:
        return None
    most = np.sqrt(1 + TRAINING_PART * MOST_TEST_RECORDS)
    return StudyWarning("training_records", text, detail, in_head=bool(times > most))


def _width(found: Effect) -> float | None:
    return None if found.low is None or found.high is None else found.high - found.low


def _receptive_field(analysis: Analysis, course: Course) -> StudyWarning | None:
    window = course.window_ms
    known = {found.scale: found.receptive_field_ms for found in analysis.scales if found.receptive_field_ms is not None}
    beyond = {scale: window is not None and reach > window for scale, reach in known.items()}
    if not any(beyond.values()):
        return None
    text = f"The receptive field of {_share(beyond)} scales is longer than the window."
    by_level = _by_level(beyond, analysis.axes, course.rate_hz).removeprefix("; ")
    detail = "Beyond the window there is only padding, so effects of depth and kernel are not those of longer signals."
    _, _, spread = _largest_spread(beyond, analysis.axes)
    detail = f"{by_level[0].upper()}{by_level[1:]}. {detail}" if by_level else detail
    return StudyWarning("receptive_field", text, detail, in_head=spread >= UNEQUAL_SHARES)


def _looks(course: Course) -> StudyWarning | None:
    if len(course.looks) < 2:
        return None
    counts = {name: [look.get(name) for look in course.looks] for name in ("seeds", "trials", "epochs")}
    changed = [
        f"{', '.join(map(str, counts[name]))} {name}"
        for name in counts
        if None not in counts[name] and len(set(counts[name])) > 1
    ]
    text = f"This is look {len(course.looks)} at the study (at {'; '.join(changed)})."
    factor = 2 ** (len(course.looks) - 1)
    detail = f"p-values are multiplied by {factor}, so that looking again does not make more claims hold."
    return StudyWarning("looks", text, detail, in_head=True)


def _depends(analysis: Analysis) -> StudyWarning | None:
    names = [name for name, claim in analysis.claims.items() if claim.depends_on]
    if not names:
        return None
    text = f"One number does not describe the effect of {', '.join(names)}."
    detail = "Read the steps and the interactions."
    return StudyWarning("curvature", text, detail, in_head=False)  # the sentences on these axes begin with it


def _unequal(model: VarianceModel, seed: int) -> StudyWarning | None:
    p = p_of_equal_noise(model, seed=seed)
    if p is None or p >= SIGNIFICANCE:
        return None
    sd = np.sqrt(model.noise.between[model.noise.dof > 0])
    text = "The noise of the seeds differs between the scales."
    detail = (
        f"Standard deviations of a training from {sd.min():.4f} to {sd.max():.4f} (p {p_text(p)}): each scale is "
        "judged by its own, from few seeds."
    )
    return StudyWarning("unequal_variances", text, detail, in_head=False)


def _share(flags: Mapping[Scale, bool]) -> str:
    return f"{sum(flags.values())} of {len(flags)}"


def _often(flags: Mapping[Scale, bool]) -> bool:
    return sum(flags.values()) >= MANY * len(flags)


def _counts(flags: Mapping[Scale, bool], axis: Axis) -> dict[Level, list[bool]]:
    by_level: dict[Level, list[bool]] = {}
    for level in axis.levels:
        if there := [flag for scale, flag in flags.items() if scale[axis.name] == level]:
            by_level[level] = there
    return by_level


def _largest_spread(flags: Mapping[Scale, bool], axes: Sequence[Axis]) -> tuple[Axis, dict[Level, list[bool]], float]:
    """The axis between whose levels the share of flagged scales differs most, its levels, and that difference."""

    def spread(axis: Axis) -> float:
        return float(np.ptp([np.mean(there) for there in _counts(flags, axis).values()]))

    axis = max(axes, key=spread)
    return axis, _counts(flags, axis), spread(axis)


def _by_level(flags: Mapping[Scale, bool], axes: Sequence[Axis], rate_hz: float) -> str:
    """The share of flagged scales at each level of the axis in which it differs most; "" if it differs little."""
    axis, by_level, spread = _largest_spread(flags, axes)
    if spread < MANY:
        return ""
    parts = (
        f"{level_text(axis.name, level, rate_hz)}: {sum(there)} of {len(there)}" for level, there in by_level.items()
    )
    return f"; by {axis.name} {', '.join(parts)}"
