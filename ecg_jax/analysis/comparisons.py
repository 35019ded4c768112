"""Compares the scales of a study, or networks beside it, with one scale that is named beforehand. NumPy and SciPy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ecg_jax.analysis.axes import Axis, Scale
from ecg_jax.analysis.findings import ScaleMean
from ecg_jax.analysis.multiple_comparisons import simultaneous
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.recommendation import TOLERATED
from ecg_jax.analysis.tradeoffs import costs_of
from ecg_jax.analysis.variance import VarianceModel, around, macro_model
from ecg_jax.errors import RunError

Outcome = Literal["better", "worse", "equivalent", "not decided"]
"""Of a comparison with a reference: `better` or `worse` if the interval of the difference excludes 0, `equivalent` if
it lies within the margin around 0, else `not decided`."""
FACTS = ("parameters", "macs", "receptive_field_samples", "receptive_field_ms")


@dataclass(frozen=True)
class ScaleComparison(ScaleMean):
    """The macro AUROC of a scale and its difference from the reference; None for what is not known.

    `mean_low` to `mean_high` is the interval of the mean alone, `low` to `high` that of the difference, for all
    differences at once. `outcome` is that of the comparison; None for the reference itself.
    """

    difference: float
    low: float | None
    high: float | None
    outcome: Outcome | None = None
    parameters: int | None = None
    macs: int | None = None
    receptive_field_samples: int | None = None
    receptive_field_ms: float | None = None
    seconds: float | None = None


def join(parts: Mapping[str, StudyPredictions], axis: Axis) -> StudyPredictions:
    """Several studies on the same records as one, whose only axis has one level for each scale of each part, in order.

    Args:
        parts: name -> study. The level of a scale is its part's name, followed by the scale's name if it has several.
        axis: the categorical axis of the joined study.

    Raises:
        RunError: a part predicts other records than the first, or only some parts have thresholds.
    """
    trials, levels = [], []
    for name, part in parts.items():
        own = [f"{name} {scale.name}" if len(part.scales) > 1 else name for scale in part.scales]
        trials += [{**trial, axis.name: own[c]} for trial, c in zip(part.trials, part.scale_of, strict=True)]
        levels += own
    return _joined(parts, trials, (replace(axis, levels=tuple(levels)),))


def cross(parts: Mapping[str, StudyPredictions], axis: Axis) -> StudyPredictions:
    """Several studies over the same axes on the same records as one, with one more axis, whose levels are the parts.

    Scales that a part does not have are left out of all of them.

    Args:
        parts: name -> study.
        axis: the categorical axis that is added.

    Raises:
        RunError: the studies vary different settings, have fewer than two scales in common, or `join` refuses them.
    """
    first_name, first = next(iter(parts.items()))
    of_part: dict[str, list[Scale]] = {}
    for name, part in parts.items():
        if {own.name for own in part.axes} != {own.name for own in first.axes}:
            raise RunError(
                f"{first_name} varies {', '.join(own.name for own in first.axes)}, {name} varies "
                f"{', '.join(own.name for own in part.axes)}; give studies over the same axes"
            )
        of_part[name] = [Scale.of(trial, first.axes) for trial in part.trials]
    common = set[Scale].intersection(*map(set, of_part.values()))
    if len(common) < 2:
        raise RunError(f"{' and '.join(parts)} have {len(common)} scales in common; give studies with two or more")
    kept = {
        name: part.of_trials([r for r, scale in enumerate(of_part[name]) if scale in common])
        for name, part in parts.items()
    }
    trials = [{**trial, axis.name: name} for name, part in kept.items() for trial in part.trials]
    return _joined(kept, trials, (*first.axes, replace(axis, levels=tuple(parts))))


def _joined(
    parts: Mapping[str, StudyPredictions], trials: Sequence[Mapping[str, Any]], axes: Sequence[Axis]
) -> StudyPredictions:
    """The trials of all parts as one study, after a check that they predict the same records."""
    first_name, first = next(iter(parts.items()))
    for name, part in parts.items():
        for what in ("labels", "fold_of", "patient_of"):
            if not np.array_equal(getattr(part, what), getattr(first, what)):
                raise RunError(f"{name} predicts other records than {first_name}")
        if (part.thresholds is None) != (first.thresholds is None):
            raise RunError(f"only one of {first_name} and {name} has thresholds; give thresholds for both or for none")
    thresholds = [part.thresholds for part in parts.values() if part.thresholds is not None]
    return first.replace(
        trials=trials,
        probabilities=np.concatenate([part.probabilities for part in parts.values()]),
        thresholds=np.concatenate(thresholds) if thresholds else None,
        axes=axes,
        validation=None,
    )


def compare_with(
    predictions: StudyPredictions, reference: Scale, *, margin: float = TOLERATED, seed: int = 0
) -> list[ScaleComparison]:
    """The mean macro AUROC of every scale and its difference from one of them, which is named before it is measured.

    A reference that is chosen by these test records, as their best scale, has an advantage over all others.

    Args:
        predictions: of the study.
        reference: the scale to compare with.
        margin: two scales are equivalent if their difference is certainly smaller.
        seed: of the simultaneous intervals.

    Raises:
        RunError: macro AUROC is not defined, or the study does not have the reference scale.
    """
    model = _macro_model(predictions)
    if reference not in predictions.scales:
        raise RunError(f"the study has no scale {reference.name} to compare with")
    place, weights = predictions.scales.index(reference), predictions.mean_weights()
    away = weights - weights[place]
    return [
        _comparison(model, c, model.value(contrast), half, None if c == place else margin)
        for c, (contrast, half) in enumerate(zip(away, simultaneous(model, away, seed=seed), strict=True))
    ]


def opponent(predictions: StudyPredictions, name: str = "") -> int:
    """The place of the scale of this name or, without a name, of the scale with the largest mean on validation.

    Raises:
        RunError: the study has no such scale, or no validation metric to choose one by.
    """
    names = [scale.name for scale in predictions.scales]
    if name and name not in names:
        raise RunError(f"--against {name}: there is no such scale; choose from {', '.join(names)}")
    if name:
        return names.index(name)
    if predictions.validation is None:
        raise RunError("the study has no macro AUROC on validation to choose a scale by; name one with --against")
    return int((predictions.mean_weights() @ predictions.validation).argmax())


def outcome(difference: float, half_width: float | None, margin: float) -> Outcome:
    """What an interval around the difference from a reference says."""
    if half_width is None:
        return "not decided"
    if abs(difference) > half_width:
        return "better" if difference > 0 else "worse"
    return "equivalent" if abs(difference) + half_width < margin else "not decided"


def as_good_as_any(
    rows: Sequence[ScaleComparison], *, margin: float = TOLERATED
) -> Literal["holds", "does not hold", "not decided"]:
    """Whether the reference of a comparison is as good as every other scale, within the margin.

    `holds`: no other scale is better by the margin, as the simultaneous intervals say; `does not hold`: one is better.
    """
    others = [row for row in rows if row.outcome is not None]
    if all(row.high is not None and row.high < margin for row in others):
        return "holds"
    return "does not hold" if any(row.outcome == "better" for row in others) else "not decided"


def _macro_model(predictions: StudyPredictions) -> VarianceModel:
    model = macro_model(predictions)
    if model is None:
        raise RunError("macro AUROC is not defined: no label has five records of each class in a fold")
    return model


def _comparison(
    model: VarianceModel, scale: int, difference: float, half_width: float | None, margin: float | None
) -> ScaleComparison:
    predictions = model.predictions
    own = predictions.mean_weights()[scale]
    trial = predictions.trials[predictions.trials_of(scale)[0]]
    seconds = costs_of(predictions, scale)["seconds"]
    return ScaleComparison(
        predictions.scales[scale],
        model.value(own),
        *model.interval(own),
        difference,
        *around(difference, half_width),
        None if margin is None else outcome(difference, half_width, margin),
        **{name: trial.get(name) for name in FACTS},
        seconds=None if seconds is None else seconds.value,
    )
