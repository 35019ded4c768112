"""The findings of a study in sentences. Pure: from an `Analysis` to text."""

from collections.abc import Iterable, Mapping, Sequence

from ecg_jax.analysis.axes import Axis
from ecg_jax.analysis.findings import (
    Analysis,
    AxisClaim,
    BestScale,
    Claim,
    Contrast,
    Effect,
    PowerLaw,
    ScaleFindings,
)
from ecg_jax.analysis.recommendation import TOLERATED
from ecg_jax.formatting import change_text, level_text, plural, scale_text, signed, signed_range, span

CLAIMS = {
    ("depth", -1): "Shallower is better",
    ("channels", 1): "Wider is better",
    ("kernel", -1): "Smaller kernels are better",
}
METRICS = {
    "macro_auroc": "macro AUROC",
    "macro_auprc": "macro AUPRC",
    "macro_f1": "macro F1",
    "score": "score of the data set",
}


def claim_text(axis: Axis) -> str:
    """The claim about an axis, such as `Shallower is better`; its name if there is no claim."""
    other = axis.name if axis.claim == 0 else f"A {'larger' if axis.claim > 0 else 'smaller'} {axis.name} is better"
    return CLAIMS.get((axis.name, axis.claim), other)


def verdict_text(axis: Axis, claim: Claim) -> str:
    """The claim about an axis with its verdict, such as `Wider is better: holds.`."""
    return f"{claim_text(axis)}: {claim.verdict}."


def step_text(axis: Axis) -> str:
    """The change of an axis whose effect is given: `for each doubling`, or `from 0 to 0.3`."""
    return "for each doubling" if axis.kind == "log2" else f"from {axis.levels[0]:g} to {axis.levels[-1]:g}"


def claim_sentence(axis: Axis, claim: AxisClaim, rate_hz: float, *, margin: float, tests: int, look: int) -> str:
    """What an effect depends on, the verdict with its numbers and, if it is not decided, what would find the margin.

    `tests` is the number of effects for which the verdict is corrected, and `look` that of the look at the study.
    """
    head = verdict_text(axis, claim)
    if claim.effect is None:
        return f"{head} The study has one level of {axis.name}, or no two trials that differ in it alone."
    if claim.depends_on:
        head = f"{dependence_text(axis, claim, rate_hz)} On average over all scales: {head}"
    step = _step(axis)
    text = (
        f"{head} {step[0].upper()}{step[1:]} changes macro AUROC by {change_text(claim.effect, claim.low, claim.high)}"
    )
    if claim.low is None or claim.high is None:
        return f"{text}; its uncertainty is not known."
    corrections = [f"{tests} effects"] * (tests > 1) + [f"{look} looks"] * (look > 1)
    corrected = f", corrected for {' and '.join(corrections)}" if corrections else ""
    text = f"{text}; p {p_text(claim.p_holm)}{corrected}."
    if claim.verdict == "not decided":
        return f"{text} {needed(claim, margin)}"
    if claim.verdict == "does not hold":
        return f"{text} {_bound(axis, claim, margin)}"
    return text


def dependence_text(axis: Axis, claim: AxisClaim, rate_hz: float) -> str:
    """On what the effect of an axis depends, with the steps between its levels and the effect at the best scale."""
    on = ["its level" if name == "curvature" else name for name in claim.depends_on]
    steps = "; ".join(
        f"from {level_text(axis.name, one.lower, rate_hz)} to {level_text(axis.name, one.upper, rate_hz)} "
        f"{change_text(one.effect, one.low, one.high)}"
        for one in claim.steps
        if one.effect is not None
    )
    text = f"The effect of {axis.name} depends on {' and '.join(on)}, so one number does not describe it: {steps}."
    at = claim.at_best
    if at.effect is None:
        return text
    beside = (
        f"{_step(axis)[0].lower()}{_step(axis)[1:]} changes macro AUROC by {change_text(at.effect, at.low, at.high)}"
    )
    return f"{text} Among the scales that differ from the best one in {axis.name} alone, {beside}."


def p_text(p: float | None) -> str:
    """A p-value, such as `.013` or `< .001`."""
    return "not known" if p is None else "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def _step(axis: Axis) -> str:
    return f"each doubling of {axis.name}" if axis.kind == "log2" else f"a change of {axis.name} {step_text(axis)}"


def _bound(axis: Axis, claim: Claim, margin: float) -> str:
    """What is known of an effect that is smaller than the margin on the side of the claim."""
    assert claim.low is not None
    assert claim.high is not None
    opposite = claim.high < 0 if axis.claim > 0 else claim.low > 0
    if opposite:
        return "The effect is the opposite."
    other_end = claim.low if axis.claim > 0 else claim.high
    return f"On the side of the claim it is below {margin:g}; on the other side it may reach {signed(other_end)}."


def needed(claim: Claim, margin: float) -> str:
    """How many seeds or records would find an effect as large as the margin."""
    parts = [f"{claim.seeds_needed:,} seeds with these records"] if claim.seeds_needed else []
    parts += [f"{claim.records_needed:,} test records with these seeds"] if claim.records_needed else []
    effect = f"an effect of {margin:g} with a power of 80 %"
    if not parts:
        return f"Neither more seeds nor more test records alone would find {effect}."
    return f"To find {effect}, the study needs {' or '.join(parts)}."


def contrast_sentence(axis: Axis, contrasts: Iterable[Contrast], rate_hz: float) -> str:
    """Which levels of a categorical axis differ from each other, corrected for all pairs."""
    known = [pair for pair in contrasts if pair.effect is not None]
    if not known:
        return f"{axis.name}: the study has one level, or no two trials that differ in it alone."
    corrected = f", corrected for {len(known)} pairs" if len(known) > 1 else ""
    different = sorted((pair for pair in known if pair.differs), key=lambda pair: -abs(pair.effect or 0.0))
    if not different:
        levels = ", ".join(level_text(axis.name, level, rate_hz) for level in axis.levels)
        return f"{axis.name}: no significant difference between its levels {levels}{corrected}."
    largest = "; ".join(contrast_text(axis, pair, rate_hz) for pair in different[:3])
    more = f"; {len(different) - 3} more pairs differ" if len(different) > 3 else ""
    return f"{axis.name}: significant differences in macro AUROC{corrected}: {largest}{more}."


def contrast_text(axis: Axis, pair: Contrast, rate_hz: float) -> str:
    """The two levels of a contrast, the better one first, with the difference and its interval."""
    effect = pair.effect or 0.0
    sign = -1 if effect < 0 else 1
    better, worse = (level_text(axis.name, level, rate_hz) for level in (pair.level, pair.reference)[::sign])
    ends = sorted(sign * end for end in (pair.low, pair.high) if end is not None)
    return f"{better} is better than {worse} by {change_text(sign * effect, *ends)}"


def selection_text(analysis: Analysis) -> str:
    """By what the best scale is selected and where its value is measured; a single seed both selects and measures."""
    if analysis.selected_on == "validation":
        seeds = ", by seeds that took no part in the selection" if analysis.seeds > 1 else ""
        return f"selected on validation and measured on the test records{seeds}"
    seeds = " and seeds" if analysis.seeds > 1 else ""
    return f"measured on test records{seeds} that took no part in the selection"


def best_sentences(analysis: Analysis, rate_hz: float) -> list[str]:
    """The best scale, its value without selection bias, what it may lose, and which other scales may be the best."""
    best, others = analysis.best, len(analysis.scales) - 1
    if best is None:
        return ["Macro AUROC is not defined on these test records: no label has enough records of each class."]
    name = scale_text(best.scale.to_dict(), rate_hz)
    value = "" if best.value is None else f"{best.value:.3f} {span(best.low, best.high)}"
    if not others:
        return [f"The study has one scale, {name}{value and f': macro AUROC {value}'}."]
    measured = f"a macro AUROC of {value}, {selection_text(analysis)}"
    first = f"The best scale is {name}{value and f'; choosing a scale in this way gives {measured}'}."
    similar = [found for found in analysis.scales if found.indistinguishable and found.scale != best.scale]
    contains = "a set that contains the best one in at least 95 % of studies"
    if similar:
        some = f"All {others}" if len(similar) == others else f"{len(similar)} of the {others}"
        which = "The other scale" if others == 1 else f"{some} other scales"
        may_be = f"{which} may be the best, too ({contains}){_cheapest(analysis.scales, best, similar, rate_hz)}."
    else:
        may_be = f"No other scale may be the best ({contains} has this one only)."
    return [first, *_losses(analysis, best, rate_hz), may_be]


def _losses(analysis: Analysis, best: BestScale, rate_hz: float) -> list[str]:
    """The guarantee and the judgement on the best scale, and the cheapest scale that is expected to lose little."""
    (found,) = (found for found in analysis.scales if found.scale == best.scale)
    if found.may_lose is None or found.expected_loss is None:
        return []
    guarantee = (
        f"Guarantee (95 %, all scales at once): it loses at most {found.may_lose:.4f} against the scale that is "
    )
    judgement = "Judgement (if similar scales are similarly good): it is the best with a probability of "
    judgement += f"{100 * (found.best_probability or 0):.0f} %, and is expected to lose {found.expected_loss:.4f}"
    cheap = [
        (cost.value, one)
        for one in analysis.scales
        if one.expected_loss is not None and one.expected_loss <= TOLERATED and (cost := one.costs.get("macs"))
    ]
    least, one = min(cheap, key=lambda pair: pair[0], default=(None, found))
    own = found.costs.get("macs")
    if least is not None and own is not None and least < own.value:
        judgement += (
            f"; the cheapest scale that is expected to lose at most {TOLERATED:g} is "
            f"{scale_text(one.scale.to_dict(), rate_hz)}, at {100 * least / own.value:.0f} % of its MACs "
            f"(expected {one.expected_loss:.4f}, at most {one.may_lose:.4f})"
        )
    return [f"{guarantee}truly the best. {judgement}."]


def _cheapest(
    scales: Sequence[ScaleFindings], best: BestScale, similar: Sequence[ScaleFindings], rate_hz: float
) -> str:
    """The scale with the fewest MACs of those that may be the best."""
    macs = {found.scale: cost.value for found in scales if (cost := found.costs.get("macs")) is not None}
    known = [found.scale for found in similar if found.scale in macs]
    if best.scale not in macs or not known:
        return ""
    cheapest = min(known, key=lambda scale: macs[scale])
    if macs[cheapest] >= macs[best.scale]:
        return "; it is not cheaper" if len(similar) == 1 else "; none of these is cheaper"
    share = 100 * macs[cheapest] / macs[best.scale]
    return f"; the cheapest of these is {scale_text(cheapest.to_dict(), rate_hz)}, at {share:.0f} % of its MACs"


def label_sentence(analysis: Analysis, rate_hz: float) -> str:
    """For which labels another scale than the overall best is significantly better."""
    known = {name: found for name, found in analysis.per_label.items() if found is not None}
    parts = [
        f"for {name} {scale_text(found.scale.to_dict(), rate_hz)} "
        f"({signed(found.advantage)}, 95 % {signed_range(found.low, found.high)})"
        for name, found in known.items()
        if found.differs
    ]
    text = f"For none of the {len(known)} labels is another scale significantly better."
    if parts:
        corrected = f"corrected for {plural(len(known), 'label')}"
        text = f"Another scale is significantly better ({corrected}): {'; '.join(parts)}."
    unknown = ", ".join(name for name in analysis.per_label if name not in known)
    return text + (f" Too few records have or lack these labels to assess them: {unknown}." if unknown else "")


def answer(analysis: Analysis, rate_hz: float) -> list[str]:
    """The answer: the best scale, the effect of each axis, the labels."""
    tests = sum(claim.p is not None for claim in analysis.claims.values())
    effects = [
        contrast_sentence(axis, analysis.contrasts[axis.name], rate_hz)
        if axis.kind == "categorical"
        else claim_sentence(
            axis, analysis.claims[axis.name], rate_hz, margin=analysis.margin, tests=tests, look=analysis.look
        )
        for axis in analysis.axes
    ]
    return [*best_sentences(analysis, rate_hz), *effects, label_sentence(analysis, rate_hz)]


def power_law_sentence(name: str, law: PowerLaw | None) -> str:
    """The power law of the error in one cost, or why there is none."""
    if law is None:
        return f"{name}: not known."
    if law.exponent is None or law.low is None:
        return f"{name}: no power law ({law.why})."
    fit = f"error proportional to cost to the power of {change_text(law.exponent, law.low, law.high, digits=3)}"
    return f"{name}: {fit}." if law.fits else f"{name}: no power law ({law.why}; {fit})."


def for_other_training_records(effects: Mapping[str, Effect], halves: int) -> str:
    """The effects with their intervals for other training records, in one sentence."""
    texts = [
        f"{axis} {change_text(found.effect, found.low, found.high)}"
        for axis, found in effects.items()
        if found.effect is not None
    ]
    effects_of = "; ".join(texts) or "no effect is known"
    return (
        f"For other training records of this number, judged from {halves} random halves of the training patients, the "
        f"intervals are wider: {effects_of}."
    )
