"""Compares the scales of a study with one of them, or given networks with the selected best scale. NumPy and SciPy."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ecg_jax.analysis.axes import Axis, Scale
from ecg_jax.analysis.findings import ScaleMean
from ecg_jax.analysis.multiple_comparisons import SIGNIFICANCE, simultaneous
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.selection import SplitSelection
from ecg_jax.analysis.tradeoffs import costs_of
from ecg_jax.analysis.variance import VarianceModel, around, macro_model
from ecg_jax.errors import RunError

FACTS = ("parameters", "macs", "receptive_field_samples", "receptive_field_ms")


@dataclass(frozen=True)
class ScaleComparison(ScaleMean):
    """The macro AUROC of a scale and its difference from the reference; None for what is not known.

    `mean_low` to `mean_high` is the interval of the mean alone, `low` to `high` that of the difference, for all
    differences at once. `share`, of a selected scale: the fraction of the splits in which it was selected.
    """

    difference: float | None
    low: float | None
    high: float | None
    share: float | None = None
    parameters: int | None = None
    macs: int | None = None
    receptive_field_samples: int | None = None
    receptive_field_ms: float | None = None
    seconds: float | None = None


def join(parts: Mapping[str, StudyPredictions], axis: Axis) -> StudyPredictions:
    """Several studies on the same records as one, whose only axis has one level for each scale of each part.

    Args:
        parts: name -> study. The level of a scale is its part's name, followed by the scale's name if it has several.
        axis: the categorical axis of the joined study.

    Raises:
        RunError: a part predicts other records than the first, or only some parts have thresholds.
    """
    first_name, first = next(iter(parts.items()))
    trials = []
    for name, part in parts.items():
        for what in ("labels", "fold_of", "patient_of"):
            if not np.array_equal(getattr(part, what), getattr(first, what)):
                raise RunError(f"{name} predicts other records than {first_name}")
        if (part.thresholds is None) != (first.thresholds is None):
            raise RunError(f"only one of {first_name} and {name} has thresholds; give thresholds for both or for none")
        for trial in part.trials:
            level = f"{name} {Scale.of(trial, part.axes).name}" if len(part.scales) > 1 else name
            trials.append({**trial, axis.name: level})
    thresholds = [part.thresholds for part in parts.values() if part.thresholds is not None]
    return first.replace(
        trials=trials,
        probabilities=np.concatenate([part.probabilities for part in parts.values()]),
        thresholds=np.concatenate(thresholds) if thresholds else None,
        axes=(replace(axis, levels=()),),
        validation=None,
    )


def compare_with(predictions: StudyPredictions, reference: Scale, *, seed: int = 0) -> list[ScaleComparison]:
    """The mean macro AUROC of every scale and its difference from one of them.

    Args:
        predictions: of the study.
        reference: the scale to compare with.
        seed: of the simultaneous intervals.

    Raises:
        RunError: macro AUROC is not defined, or the study does not have the reference scale.
    """
    model = _macro_model(predictions)
    if reference not in predictions.scales:
        raise RunError(f"the study has no scale {reference.name} to compare with")
    weights = predictions.mean_weights()
    away = weights - weights[predictions.scales.index(reference)]
    return [
        _comparison(model, c, model.value(contrast), half)
        for c, (contrast, half) in enumerate(zip(away, simultaneous(model, away, seed=seed), strict=True))
    ]


def compare_with_best(
    predictions: StudyPredictions, candidates: Collection[Scale], *, seed: int = 0
) -> list[ScaleComparison]:
    """Compares each candidate with the selected best of all other scales, without selection bias.

    In each split (see `selection`) the scale that is best on one half is read on the other half, and so are the
    candidates. The first row is that best scale; its `mean` is the value of selecting a scale in this way. The
    intervals of the differences hold for all candidates at once (Bonferroni).

    Args:
        predictions: of the study, with the candidates among its scales.
        candidates: scales that are not selected from.
        seed: of the splits.

    Raises:
        RunError: no label has both classes in both halves of a fold.
    """
    model = _macro_model(predictions)
    places = [c for c, scale in enumerate(predictions.scales) if scale in candidates]
    if len(places) == len(predictions.scales):
        raise RunError("every scale is a candidate; leave some from which the best one is selected")
    selection = SplitSelection(predictions, seed=seed, excluded=places)
    selected = selection.overall()
    if selected is None:
        raise RunError("macro AUROC is not defined: too few test records of a class in half of a fold")
    share, value = selected
    weights, most_often = predictions.mean_weights(), int(share.argmax())
    low, high = around(value, model.components(weights, share).half_width())
    best = _comparison(model, most_often, None, None)
    rows = [replace(best, mean=value, mean_low=low, mean_high=high, share=float(share[most_often]))]
    for c in places:
        gain = selection.gain_over(c)
        assert gain is not None  # it is known wherever the selection is
        components = model.components(weights[gain.pairs[:, 1]] - weights[gain.pairs[:, 0]], gain.share)
        rows.append(_comparison(model, c, -gain.value, components.half_width(1 - SIGNIFICANCE / 2 / len(places))))
    return rows


def _macro_model(predictions: StudyPredictions) -> VarianceModel:
    model = macro_model(predictions)
    if model is None:
        raise RunError("macro AUROC is not defined: no label has two records of each class in a fold")
    return model


def _comparison(
    model: VarianceModel, scale: int, difference: float | None, half_width: float | None
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
        **{name: trial.get(name) for name in FACTS},
        seconds=None if seconds is None else seconds.value,
    )
