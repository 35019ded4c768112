"""Effects of the axes of a study on a metric: slopes, steps, curvatures, interactions, contrasts. NumPy only.

Each is a contrast of trials: weights [R] whose sum over the trials' values is the effect.
"""

import itertools
from collections.abc import Hashable, Iterable

import numpy as np

from ecg_jax.analysis.axes import Axis, Level, numeric_axes
from ecg_jax.analysis.findings import Contrast, CorrectedEffect, Effect, Interaction, Slope, Step
from ecg_jax.analysis.multiple_comparisons import corrected, significant
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.variance import VarianceModel, macro_model

NO_EFFECT = Effect(None, None, None)
Weights = np.ndarray | None
"""[R]; None if the study has no such contrast."""


def slope(predictions: StudyPredictions, axis: str, *, where: np.ndarray | None = None) -> Weights:
    """The effect of an axis; None if no two trials differ in this axis alone.

    Least squares on the coordinate of the axis with an intercept for each combination of the other axes and the seed,
    over the trials in the mask `where` [R]. The weights are the deviations from the mean of such a group, divided by
    their sum of squares.
    """
    return _within(_coordinate(predictions, axis), [_groups_without(predictions, axis)], where)


def curvature(predictions: StudyPredictions, axis: str) -> Weights:
    """How much the effect of an axis grows with each step of the axis itself; None if it has fewer than three levels.

    Least squares on half the square of the coordinate, beside the coordinate and the intercepts of `slope`.
    """
    x = _coordinate(predictions, axis)
    return _within(x**2 / 2, [_groups_without(predictions, axis)], None, beside=[x])


def step(predictions: StudyPredictions, axis: Axis, lower: Level, upper: Level) -> Weights:
    """The difference between two levels of an axis, within combinations of the other axes and the seed."""
    rows = dict(rows_by_level(predictions, axis))
    groups = _groups_without(predictions, axis.name)
    return _within(rows[upper].astype(float), [groups], rows[lower] | rows[upper])


def interaction(predictions: StudyPredictions, one: str, other: str) -> Weights:
    """How much the effect of one axis grows with each step of another; None if the study cannot show it.

    Least squares on the product of both coordinates, with fixed effects that absorb the main effect of both axes.
    """
    product = _coordinate(predictions, one) * _coordinate(predictions, other)
    return _within(product, [_groups_without(predictions, axis) for axis in (other, one)], None)


def steps(predictions: StudyPredictions, model: VarianceModel | None, axis: Axis) -> tuple[Step, ...]:
    """The differences between neighbouring levels of an axis, from the lowest to the highest."""
    return tuple(
        Step(**vars(estimate(model, step(predictions, axis, lower, upper))), lower=lower, upper=upper)
        for lower, upper in itertools.pairwise(axis.levels)
    )


def best_place(model: VarianceModel) -> int:
    """The place of the scale with the largest mean: on validation, where the study has it, else on the test records."""
    predictions = model.predictions
    chosen_by = model.estimate.value if predictions.validation is None else predictions.validation
    return int((predictions.mean_weights() @ chosen_by).argmax())


def effect_at_best(model: VarianceModel | None, axis: Axis) -> Effect:
    """The effect of an axis among the scales that differ from the best one in this axis alone."""
    if model is None:
        return NO_EFFECT
    predictions = model.predictions
    best = predictions.scales[best_place(model)]
    others = [other.name for other in predictions.axes if other.name != axis.name]
    where = np.array([all(trial[name] == best[name] for name in others) for trial in predictions.trials])
    return estimate(model, slope(predictions, axis.name, where=where))


def dependences(
    predictions: StudyPredictions, model: VarianceModel | None, *, look: int = 1
) -> tuple[dict[str, CorrectedEffect], dict[tuple[str, str], CorrectedEffect]]:
    """The curvature of each numeric axis, and the interaction of each pair of numeric axes: one family of tests."""
    axes = [axis.name for axis in numeric_axes(predictions.axes)]
    pairs = list(itertools.combinations(axes, 2))
    weights = [curvature(predictions, axis) for axis in axes]
    weights += [interaction(predictions, *pair) for pair in pairs]
    found = tested(model, weights, look=look)
    return dict(zip(axes, found, strict=False)), dict(zip(pairs, found[len(axes) :], strict=True))


def interactions(
    predictions: StudyPredictions, model: VarianceModel | None, *, look: int = 1
) -> dict[str, Interaction]:
    """For each pair of axes the interaction, and the effect of each axis at each level of the other.

    With a categorical axis there are only the effects of the other axis at its levels.
    """
    _, of_numeric = dependences(predictions, model, look=look)

    def effect_at(axis: Axis, rows: np.ndarray) -> Effect:
        return estimate(model, slope(predictions, axis.name, where=rows))

    pairs = {}
    for one, other in itertools.combinations(predictions.axes, 2):
        if one.kind == other.kind == "categorical":
            continue
        slopes = tuple(
            Slope(**vars(effect_at(axis, rows)), axis=axis.name, at=at.name, level=level)
            for axis, at in ((one, other), (other, one))
            if axis.kind != "categorical"
            for level, rows in rows_by_level(predictions, at)
        )
        effect = of_numeric.get((one.name, other.name), CorrectedEffect(None, None, None, None, None, differs=False))
        pairs[f"{one.name}:{other.name}"] = Interaction(**vars(effect), slopes=slopes)
    return pairs


def contrasts(
    predictions: StudyPredictions, model: VarianceModel | None, *, look: int = 1
) -> dict[str, tuple[Contrast, ...]]:
    """All pairs of levels of each categorical axis, compared within combinations of the other axes and the seed."""
    by_axis = {}
    for axis in predictions.axes:
        if axis.kind == "categorical":
            pairs = list(itertools.combinations(axis.levels, 2))
            found = tested(model, [step(predictions, axis, *pair) for pair in pairs], look=look)
            by_axis[axis.name] = tuple(
                Contrast(**vars(one), level=level, reference=reference)
                for (reference, level), one in zip(pairs, found, strict=True)
            )
    return by_axis


def effect_difference(predictions: StudyPredictions, axis: str, by: str) -> Effect:
    """How much larger the effect of one axis on macro AUROC is at the last level of another than at its first."""
    rows = [rows for _, rows in rows_by_level(predictions, predictions.axis(by))]
    first, last = slope(predictions, axis, where=rows[0]), slope(predictions, axis, where=rows[-1])
    weights = None if first is None or last is None else last - first
    return estimate(macro_model(predictions), weights)


def estimate(model: VarianceModel | None, weights: Weights) -> Effect:
    """A contrast with its interval; None throughout if there is no such contrast or the metric is not defined."""
    if model is None or weights is None:
        return NO_EFFECT
    return Effect(model.value(weights), *model.interval(weights))


def tested(model: VarianceModel | None, family: Iterable[Weights], *, look: int) -> list[CorrectedEffect]:
    """Contrasts that are tested together."""
    listed = list(family)
    p_values = [
        None if model is None or weights is None else model.components(weights).p_value(model.value(weights))
        for weights in listed
    ]
    return [
        CorrectedEffect(**vars(estimate(model, weights)), p=p, p_holm=p_holm, differs=significant(p_holm))
        for weights, p, p_holm in zip(listed, p_values, corrected(p_values, look=look), strict=True)
    ]


def rows_by_level(predictions: StudyPredictions, axis: Axis) -> list[tuple[Level, np.ndarray]]:
    """The levels of an axis, each with the mask [R] of the trials that have it."""
    of_trial = [trial[axis.name] for trial in predictions.trials]
    return [(level, np.array([value == level for value in of_trial])) for level in axis.levels]


def _coordinate(predictions: StudyPredictions, axis: str) -> np.ndarray:
    return predictions.axis(axis).coordinates([trial[axis] for trial in predictions.trials])


def _groups_without(predictions: StudyPredictions, axis: str) -> list[Hashable]:
    """[R], the combination of all other axes and the seed."""
    names = [other.name for other in predictions.axes if other.name != axis]
    return [tuple(trial[name] for name in (*names, "seed")) for trial in predictions.trials]


def _within(
    x: np.ndarray, groupings: list[list[Hashable]], where: np.ndarray | None, beside: Iterable[np.ndarray] = ()
) -> Weights:
    """The least-squares slope on x [R] with an intercept for every group of each grouping, and beside other columns."""
    rows = np.ones(len(x), bool) if where is None else where
    if not rows.any():
        return None
    columns = [[key == group for key in keys] for keys in groupings for group in dict.fromkeys(keys)]
    dummies = np.array([*columns, *beside], float).T[rows]
    residual = x[rows] - dummies @ np.linalg.lstsq(dummies, x[rows], rcond=None)[0]
    size = float(residual @ residual)
    if size < 1e-9:
        return None
    weights = np.zeros(len(x))
    weights[rows] = residual / size
    return weights
