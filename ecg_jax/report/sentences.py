"""The findings of a study in sentences. Pure: from an `Analysis` to text."""

from collections.abc import Iterable

from ecg_jax.analysis.axes import Axis
from ecg_jax.analysis.findings import Analysis, Claim, Contrast, PowerLaw, ScaleFindings
from ecg_jax.formatting import level_text, plural, scale_text, signed, signed_range, span

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


def numeric_axes(axes: Iterable[Axis]) -> list[Axis]:
    """The axes that have effects; the others have contrasts."""
    return [axis for axis in axes if axis.kind != "categorical"]


def claim_text(axis: Axis) -> str:
    """The claim about an axis, such as `Shallower is better`; its name if there is no claim."""
    other = axis.name if axis.claim == 0 else f"A {'larger' if axis.claim > 0 else 'smaller'} {axis.name} is better"
    return CLAIMS.get((axis.name, axis.claim), other)


def step_text(axis: Axis) -> str:
    """The change of an axis whose effect is given: `for each doubling`, or `from 0 to 0.3`."""
    return "for each doubling" if axis.kind == "log2" else f"from {axis.levels[0]:g} to {axis.levels[-1]:g}"


def claim_sentence(axis: Axis, claim: Claim) -> str:
    """The verdict on an axis with its numbers and, if it is not decided, what would decide it."""
    head = f"{claim_text(axis)}: {claim.verdict}."
    if claim.effect is None:
        return f"{head} The study has one level of {axis.name}, or no two trials that differ in it alone."
    if axis.kind == "log2":
        change = f"Each doubling of {axis.name} changes macro AUROC by {signed(claim.effect)}"
    else:
        change = f"A change of {axis.name} {step_text(axis)} changes macro AUROC by {signed(claim.effect)}"
    if claim.low is None or claim.high is None:
        return f"{head} {change}; its uncertainty is not known."
    text = f"{head} {change} (95 % {signed_range(claim.low, claim.high)})."
    if claim.verdict == "does not hold":
        opposite = claim.high < 0 if axis.claim > 0 else claim.low > 0
        return f"{text} {'The effect is the opposite.' if opposite else 'An effect, if any, is too small to matter.'}"
    return f"{text} {needed(claim)}" if claim.verdict == "not decided" else text


def needed(claim: Claim) -> str:
    """How many seeds or records would decide a claim if the effect is as estimated."""
    parts = [
        f"{claim.seeds_needed:,} seeds with these records" if claim.seeds_needed else "",
        f"{claim.records_needed:,} test records with these seeds" if claim.records_needed else "",
    ]
    if not any(parts):
        return "Neither more seeds nor more test records alone would decide it."
    return f"If the effect is as estimated, {' or '.join(filter(None, parts))} would decide it."


def contrast_sentences(axis: Axis, contrasts: Iterable[Contrast], rate_hz: float) -> list[str]:
    """Which levels of a categorical axis differ from each other, corrected for all pairs."""
    known = [pair for pair in contrasts if pair.effect is not None]
    if not known:
        return [f"{axis.name}: the study has one level, or no two trials that differ in it alone."]
    corrected = f", corrected for {len(known)} pairs" if len(known) > 1 else ""
    different = sorted((pair for pair in known if pair.differs), key=lambda pair: -abs(pair.effect or 0.0))
    if not different:
        levels = ", ".join(level_text(axis.name, level, rate_hz) for level in axis.levels)
        return [f"{axis.name}: no significant difference between its levels {levels}{corrected}."]
    largest = [contrast_text(axis, pair, rate_hz) for pair in different[:3]]
    more = f"; {len(different) - 3} more pairs differ" if len(different) > 3 else ""
    return [f"{axis.name}: significant differences in macro AUROC{corrected}: {'; '.join(largest)}{more}."]


def contrast_text(axis: Axis, pair: Contrast, rate_hz: float) -> str:
    """The two levels of a contrast, the better one first, with the difference and its interval."""
    better, worse, effect, ends = pair.level, pair.reference, pair.effect or 0.0, (pair.low, pair.high)
    if effect < 0:
        better, worse, effect = worse, better, -effect
        ends = (None, None) if pair.low is None or pair.high is None else (-pair.high, -pair.low)
    names = [level_text(axis.name, level, rate_hz) for level in (better, worse)]
    interval = signed_range(*ends)
    return f"{names[0]} is better than {names[1]} by {signed(effect)}" + (f" (95 % {interval})" if interval else "")


def not_used_for_selection(seeds: int) -> str:
    """On what the value of a selected scale is measured; a single seed both selects and measures."""
    return f"records{' and seeds' if seeds > 1 else ''} that were not used for the selection"


def best_sentences(analysis: Analysis, rate_hz: float) -> list[str]:
    """The best scale, its value without selection bias, and the scales that are not distinguishable from it."""
    best, others = analysis.best, len(analysis.scales) - 1
    if best is None:
        return ["Macro AUROC is not defined on these test records: no label has two records of each class."]
    name, value = scale_text(best.scale.to_dict(), rate_hz), ""
    if not others:
        value = "" if best.value is None else f": macro AUROC {best.value:.3f} {span(best.low, best.high)}"
        return [f"The study has one scale, {name}{value}."]
    if best.value is not None:
        value = (
            f"; a scale selected in this way has a macro AUROC of {best.value:.3f} {span(best.low, best.high)}, "
            f"measured on {not_used_for_selection(analysis.seeds)}"
        )
    first = f"The best scale is {name}{value}."
    similar = [found for found in analysis.scales if found.indistinguishable and found.scale != best.scale]
    if not similar:
        return [f"{first} {'The other one is' if others == 1 else f'All {others} others are'} significantly worse."]
    share = next((entry.share for entry in best.chosen if entry.scale == best.scale), 0.0)
    which = "The other one" if others == 1 else f"{len(similar)} of the {others} others"
    return [
        f"{first} On random halves of the data it was selected in {100 * share:.0f} % of the cases.",
        f"{which} cannot be distinguished from it{_cheapest(analysis, similar, rate_hz)}.",
    ]


def _cheapest(analysis: Analysis, similar: list[ScaleFindings], rate_hz: float) -> str:
    """The scale with the fewest MACs of those that cannot be distinguished from the best one."""
    macs = {found.scale: cost.value for found in analysis.scales if (cost := found.costs.get("macs")) is not None}
    own = macs.get(analysis.best.scale) if analysis.best else None
    known = [found.scale for found in similar if found.scale in macs]
    if own is None or not known:
        return ""
    cheapest = min(known, key=lambda scale: macs[scale])
    if macs[cheapest] >= own:
        return "; it is not cheaper" if len(similar) == 1 else "; none of these is cheaper"
    name = scale_text(cheapest.to_dict(), rate_hz)
    return f"; the cheapest of these is {name}, at {100 * macs[cheapest] / own:.0f} % of its MACs"


def label_sentence(analysis: Analysis, rate_hz: float) -> str:
    """For which labels another scale than the overall best is significantly better."""
    known = {name: found for name, found in analysis.per_label.items() if found is not None}
    unknown = [name for name, found in analysis.per_label.items() if found is None]
    parts = [
        f"for {name} {scale_text(found.scale.to_dict(), rate_hz)} "
        f"({signed(found.advantage)}, 95 % {signed_range(found.low, found.high)})"
        for name, found in known.items()
        if found.differs
    ]
    if parts:
        corrected = f"corrected for {plural(len(known), 'label')}"
        text = f"Another scale is significantly better ({corrected}): {'; '.join(parts)}."
    else:
        text = f"For none of the {len(known)} labels is another scale significantly better."
    left_out = f" Too few records have or lack these labels to assess them: {', '.join(unknown)}." if unknown else ""
    return f"{text}{left_out}"


def answer(analysis: Analysis, rate_hz: float) -> list[str]:
    """The answer: the best scale, the effect of each axis, the labels."""
    effects = []
    for axis in analysis.axes:
        if axis.kind == "categorical":
            effects += contrast_sentences(axis, analysis.contrasts[axis.name], rate_hz)
        else:
            effects.append(claim_sentence(axis, analysis.claims[axis.name]))
    return [*best_sentences(analysis, rate_hz), *effects, label_sentence(analysis, rate_hz)]


def power_law_sentence(name: str, law: PowerLaw | None) -> str:
    """The power law of the error in one cost, or why there is none."""
    if law is None:
        return f"{name}: not known."
    if law.exponent is None or law.low is None:
        return f"{name}: no power law ({law.why})."
    interval = signed_range(law.low, law.high, 3)
    fit = f"error proportional to cost to the power of {signed(law.exponent, 3)} (95 % {interval})"
    return f"{name}: {fit}." if law.fits else f"{name}: no power law ({law.why}; {fit})."
