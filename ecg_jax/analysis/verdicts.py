"""Verdicts on the claims of a study, and what a study needs to find an effect of the margin. NumPy and SciPy.

The verdicts on macro AUROC are the primary family. Those on other metrics, and those on single labels, are secondary
tables. Each family is corrected for its number of effects by itself (Holm 1979).

Who adds seeds until a verdict appears, looks several times. The first look is tested at the level .05, and each further
one at half the level of the look before it, so that the levels of all looks, however many, sum to less than .10. A
claim *holds* on one side only: without any effect, some claim *holds* in at most 2.5 % of the studies that are analysed
once, and in at most 5 % of those that are analysed any number of times.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from scipy import special

from ecg_jax.analysis.axes import numeric_axes
from ecg_jax.analysis.effects import dependences, effect_at_best, slope, steps
from ecg_jax.analysis.findings import AxisClaim, Claim, Verdict
from ecg_jax.analysis.multiple_comparisons import SIGNIFICANCE, corrected, significant
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.variance import ONE_SEED, VarianceComponents, VarianceModel, around, macro_model

MARGIN = 0.002
POWER = 0.8
MOST = 10**9  # seeds or records; a number above it counts as never


def claims(predictions: StudyPredictions, *, margin: float = MARGIN, look: int = 1) -> dict[str, AxisClaim]:
    """The effect of each axis on macro AUROC with its verdict, and what it depends on; without categorical axes.

    Args:
        predictions: test predictions of all trials.
        margin: the smallest change of macro AUROC that matters, for each doubling of a `log2` axis or over the whole
            range of a `linear` one. A claim does not hold if its effect is significantly smaller.
        look: the number of this look at the study. Give 2 when seeds were added after the first verdicts, and so on.
    """
    return primary_claims(predictions, macro_model(predictions), margin=margin, look=look)


def primary_claims(
    predictions: StudyPredictions, model: VarianceModel | None, *, margin: float, look: int
) -> dict[str, AxisClaim]:
    """The same with the variance model of macro AUROC; it is None if macro AUROC is not defined."""
    (of_axis,) = secondary_claims(predictions, [model], margin=margin, look=look)
    curvatures, pairs = dependences(predictions, model, look=look)
    changes = [pair for pair, found in pairs.items() if found.differs]

    def depends_on(axis: str) -> tuple[str, ...]:
        others = [other for pair in changes if axis in pair for other in pair if other != axis]
        return (*(["curvature"] if curvatures[axis].differs else []), *others)

    return {
        axis.name: AxisClaim(
            **vars(of_axis[axis.name]),
            depends_on=depends_on(axis.name),
            curvature=curvatures[axis.name],
            steps=steps(predictions, model, axis),
            at_best=effect_at_best(model, axis),
        )
        for axis in numeric_axes(predictions.axes)
    }


def secondary_claims(
    predictions: StudyPredictions, models: Sequence[VarianceModel | None], *, margin: float, look: int
) -> list[dict[str, Claim]]:
    """For each metric or label the effect of each numeric axis on it; all of them are one family of tests.

    Args:
        predictions: of the study.
        models: of the metrics or labels; None for one that is not defined.
        margin, look: as for `claims`.
    """
    weights = {axis.name: slope(predictions, axis.name) for axis in numeric_axes(predictions.axes)}
    claimed = {axis.name: axis.claim for axis in predictions.axes}
    cells = [
        None if model is None or of_axis is None else (claimed[axis], model.value(of_axis), model.components(of_axis))
        for model in models
        for axis, of_axis in weights.items()
    ]
    p_values = [(None, None) if cell is None else p_of_effect(*cell, margin=margin) for cell in cells]
    of_zero, of_margin = (corrected([pair[i] for pair in p_values], look=look) for i in (0, 1))
    level = SIGNIFICANCE / max(sum(cell is not None for cell in cells), 1) / 2**look  # of the next look

    def claim(place: int, note: str | None) -> Claim:
        if (cell := cells[place]) is None:
            return Claim(None, None, None, "not decided", None, None, None, None)
        side, effect, components = cell
        interval = around(effect, components.half_width())
        reached = verdict(side, effect, of_zero[place], of_margin[place])
        needed = needed_for(components, margin, level=level)
        return Claim(effect, *interval, reached, p_values[place][0], of_zero[place], *needed, note)

    notes = [ONE_SEED if model is not None and model.one_seed else None for model in models]
    return [{axis: claim(i * len(weights) + j, note) for j, axis in enumerate(weights)} for i, note in enumerate(notes)]


def p_of_effect(
    side: int, effect: float, components: VarianceComponents, *, margin: float
) -> tuple[float | None, float | None]:
    """Two-sided p-values of an effect: of no effect, and of one as large as the margin on the claimed side.

    Without a claim the second one is of an effect as large as the margin on either side. It is 1 for an estimate that
    is not below the margin. Both are None if the noise of the seeds is not known.
    """
    below = margin - (side * effect if side else abs(effect))
    p, p_margin = components.p_value(effect), components.p_value(below)
    return p, p_margin if p_margin is None or below > 0 else 1.0


def verdict(side: int, effect: float, p: float | None, p_margin: float | None) -> Verdict:
    """The verdict on an effect with these p-values, which `p_of_effect` gives, corrected for what is tested with it.

    `side` is the claimed sign, or 0 for no claim.
    """
    if significant(p_margin):
        return "does not hold" if side else "no effect"
    if significant(p) and (side == 0 or side * effect > 0):
        return "holds" if side else "effect"
    return "not decided"


def needed_for(components: VarianceComponents, effect: float, *, level: float) -> tuple[int | None, int | None]:
    """How many seeds, and how many records, find an effect with a power of 80 %; None if no number does.

    The part of the seeds is taken at its upper 80 % bound, since that of few seeds is often too small by accident.

    Args:
        components: of the variance of its estimate, now.
        effect: to be found: its p-value is to be below `level`.
        level: of the two-sided test.
    """
    if components.seed_dof <= 0:
        return None, None
    bound = components.seed_dof / float(special.chdtri(components.seed_dof, POWER))

    def finds(of: VarianceComponents) -> bool:
        least = of.found_effect(POWER, level)
        return least is not None and least <= effect

    return _needed(replace(components, seed=bound * components.seed), finds)


def _needed(
    components: VarianceComponents, enough: Callable[[VarianceComponents], bool]
) -> tuple[int | None, int | None]:
    """How many seeds, and how many records, are enough; None if no number is."""
    if enough(components):
        return components.seeds, components.records
    return (
        _smallest(lambda seeds: enough(components.with_sizes(seeds=seeds)), components.seeds + 1),
        _smallest(lambda records: enough(components.with_sizes(records=records)), components.records + 1),
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
