"""Effects of the axes of a study on a metric, the verdicts on the claims, and interactions. NumPy and SciPy."""

import itertools
from collections.abc import Callable, Hashable

import numpy as np

from ecg_jax.analysis.axes import Axis, Level
from ecg_jax.analysis.findings import Claim, Contrast, Effect, Interaction, Slope, Verdict
from ecg_jax.analysis.multiple_comparisons import holm, significant
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.variance import ONE_SEED, VarianceComponents, VarianceModel, around, macro_model

MOST = 10**9  # seeds or records; a number above it counts as never
MARGIN = 0.002
NO_EFFECT = Effect(None, None, None)


def claims(predictions: StudyPredictions, *, margin: float = MARGIN) -> dict[str, Claim]:
    """The effect of each axis on macro AUROC with its verdict; without categorical axes.

    Args:
        predictions: test predictions of all trials.
        margin: the smallest change of macro AUROC that matters, for each doubling of a `log2` axis or over the whole
            range of a `linear` one. A claim does not hold if its effect is significantly smaller.
    """
    return claims_on(predictions, macro_model(predictions), margin=margin)


def claims_on(predictions: StudyPredictions, model: VarianceModel | None, *, margin: float) -> dict[str, Claim]:
    """The same for any metric; `model` is None if the metric is not defined."""
    numeric = [axis for axis in predictions.axes if axis.kind != "categorical"]
    return {axis.name: _claim(model, slope(predictions, axis.name), axis.claim, margin) for axis in numeric}


def slope(predictions: StudyPredictions, axis: str, *, where: np.ndarray | None = None) -> np.ndarray | None:
    """Weights [R] of the trials whose sum is the effect of an axis; None if no two trials differ in this axis alone.

    Least squares on the coordinate of the axis with an intercept for each combination of the other axes and the seed,
    over the trials in the mask `where` [R]. The weights are the deviations from the mean of such a group, divided by
    their sum of squares.
    """
    return _within(_coordinate(predictions, axis), [_groups_without(predictions, axis)], where)


def interaction(predictions: StudyPredictions, one: str, other: str) -> np.ndarray | None:
    """Weights [R] of how much the effect of one axis grows with each step of another; None if the study cannot show it.

    Least squares on the product of both coordinates, with fixed effects that absorb the main effect of both axes.
    """
    product = _coordinate(predictions, one) * _coordinate(predictions, other)
    return _within(product, [_groups_without(predictions, axis) for axis in (other, one)], None)


def interactions(predictions: StudyPredictions, model: VarianceModel | None) -> dict[str, Interaction]:
    """For each pair of axes the interaction, and the effect of each axis at each level of the other.

    With a categorical axis there are only the effects of the other axis at its levels.
    """

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
        numeric = "categorical" not in (one.kind, other.kind)
        effect = estimate(model, interaction(predictions, one.name, other.name)) if numeric else NO_EFFECT
        pairs[f"{one.name}:{other.name}"] = Interaction(**vars(effect), slopes=slopes)
    return pairs


def contrasts(predictions: StudyPredictions, model: VarianceModel | None) -> dict[str, tuple[Contrast, ...]]:
    """All pairs of levels of each categorical axis, compared within combinations of the other axes and the seed."""
    return {axis.name: _contrasts(predictions, model, axis) for axis in predictions.axes if axis.kind == "categorical"}


def _contrasts(predictions: StudyPredictions, model: VarianceModel | None, axis: Axis) -> tuple[Contrast, ...]:
    rows, groups = dict(rows_by_level(predictions, axis)), _groups_without(predictions, axis.name)
    pairs = list(itertools.combinations(axis.levels, 2))
    effects, p_values = [], []
    for reference, level in pairs:
        weights = _within(rows[level].astype(float), [groups], rows[reference] | rows[level])
        effects.append(estimate(model, weights))
        if model is None or weights is None:
            p_values.append(None)
        else:
            p_values.append(model.components(weights).p_value(model.value(weights)))
    return tuple(
        Contrast(
            **vars(effect), level=level, reference=reference, p=p, p_holm=corrected, differs=significant(corrected)
        )
        for (reference, level), effect, p, corrected in zip(pairs, effects, p_values, holm(p_values), strict=True)
    )


def effect_difference(predictions: StudyPredictions, axis: str, by: str) -> Effect:
    """How much larger the effect of one axis on macro AUROC is at the last level of another than at its first."""
    rows = [rows for _, rows in rows_by_level(predictions, predictions.axis(by))]
    first, last = slope(predictions, axis, where=rows[0]), slope(predictions, axis, where=rows[-1])
    weights = None if first is None or last is None else last - first
    return estimate(macro_model(predictions), weights)


def estimate(model: VarianceModel | None, weights: np.ndarray | None) -> Effect:
    """A contrast with its interval; None throughout if there is no such contrast or the metric is not defined."""
    if model is None or weights is None:
        return NO_EFFECT
    return Effect(model.value(weights), *model.interval(weights))


def rows_by_level(predictions: StudyPredictions, axis: Axis) -> list[tuple[Level, np.ndarray]]:
    """The levels of an axis, each with the mask [R] of the trials that have it."""
    of_trial = [trial[axis.name] for trial in predictions.trials]
    return [(level, np.array([value == level for value in of_trial])) for level in axis.levels]


def _claim(model: VarianceModel | None, weights: np.ndarray | None, side: int, margin: float) -> Claim:
    if model is None or weights is None:
        return Claim(None, None, None, "not decided", None, None)
    effect, components = model.value(weights), model.components(weights)

    def verdict_on(components: VarianceComponents) -> Verdict:
        return verdict(effect, components.half_width(), side=side, margin=margin)

    low, high = around(effect, components.half_width())
    seeds, records = _needed(components, lambda c: verdict_on(c) != "not decided")
    note = ONE_SEED if model.one_seed else None
    return Claim(effect, low, high, verdict_on(components), seeds, records, note)


def verdict(effect: float, half_width: float | None, *, side: int, margin: float) -> Verdict:
    """The verdict on an effect and its interval.

    Args:
        effect: the estimate.
        half_width: of its interval; None if the noise is not known.
        side: the claimed sign, or 0 for no claim.
        margin: the smallest effect that matters.
    """
    if half_width is None:
        return "not decided"
    if side == 0:
        if abs(effect) + half_width < margin:
            return "no effect"
        return "effect" if abs(effect) > half_width else "not decided"
    if side * effect + half_width < margin:
        return "does not hold"
    return "holds" if side * effect > half_width else "not decided"


def _needed(
    components: VarianceComponents, decides: Callable[[VarianceComponents], bool]
) -> tuple[int | None, int | None]:
    """How many seeds, and how many records, decide if the effect is as estimated; None if no number does."""
    if components.seed_dof <= 0:
        return None, None
    if decides(components):
        return components.seeds, components.records
    return (
        _smallest(lambda seeds: decides(components.with_sizes(seeds=seeds)), components.seeds + 1),
        _smallest(lambda records: decides(components.with_sizes(records=records)), components.records + 1),
    )


def _smallest(enough: Callable[[int], bool], start: int) -> int | None:
    """The smallest number from `start` up that is enough, by doubling and bisection; None if no doubled number is.

    A larger number may not be enough although a smaller one is: with few seeds the t quantile is widest once the part
    of the records, which has many degrees of freedom, is gone; likewise with few positive records and many seeds.
    """
    low, high = start - 1, start
    while not enough(high):
        if high >= MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _coordinate(predictions: StudyPredictions, axis: str) -> np.ndarray:
    return predictions.axis(axis).coordinates([trial[axis] for trial in predictions.trials])


def _groups_without(predictions: StudyPredictions, axis: str) -> list[Hashable]:
    """[R], the combination of all other axes and the seed."""
    names = [other.name for other in predictions.axes if other.name != axis]
    return [tuple(trial[name] for name in (*names, "seed")) for trial in predictions.trials]


def _within(x: np.ndarray, groupings: list[list[Hashable]], where: np.ndarray | None) -> np.ndarray | None:
    """Weights [R] of the least-squares slope on x [R] with an intercept for every group of each grouping."""
    rows = np.ones(len(x), bool) if where is None else where
    if not rows.any():
        return None
    columns = [[key == group for key in keys] for keys in groupings for group in dict.fromkeys(keys)]
    dummies = np.array(columns, float).T[rows]
    residual = x[rows] - dummies @ np.linalg.lstsq(dummies, x[rows], rcond=None)[0]
    size = float(residual @ residual)
    if size < 1e-9:
        return None
    weights = np.zeros(len(x))
    weights[rows] = residual / size
    return weights
