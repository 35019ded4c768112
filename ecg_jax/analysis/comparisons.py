"""Compares the scales of a study, or networks beside it, with one scale that is named beforehand. NumPy and SciPy."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

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
    first_name, first = next(iter(parts.items()))
    trials, levels = [], []
    for name, part in parts.items():
        for what in ("labels", "fold_of", "patient_of"):
            if not np.array_equal(getattr(part, what), getattr(first, what)):
                raise RunError(f"{name} predicts other records than {first_name}")
        if (part.thresholds is None) != (first.thresholds is None):
            raise RunError(f"only one of {first_name} and {name} has thresholds; give thresholds for both or for none")
        own = [f"{name} {scale.name}" if len(part.scales) > 1 else name for scale in part.scales]
        trials += [{**trial, axis.name: own[c]} for trial, c in zip(part.trials, part.scale_of, strict=True)]
        levels += own
    thresholds = [part.thresholds for part in parts.values() if part.thresholds is not None]
    return first.replace(
        trials=trials,
        probabilities=np.concatenate([part.probabilities for part in parts.values()]),
        thresholds=np.concatenate(thresholds) if thresholds else None,
        axes=(replace(axis, levels=tuple(levels)),),
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
