"""The findings of a study in sentences. Pure: from an `Analysis` to text."""

from collections.abc import Iterable, Sequence

from ecg_jax.analysis.axes import Axis
from ecg_jax.analysis.findings import Analysis, BestScale, Claim, Contrast, PowerLaw, ScaleFindings
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
    step = f"Each doubling of {axis.name}" if axis.kind == "log2" else f"A change of {axis.name} {step_text(axis)}"
    text = f"{head} {step} changes macro AUROC by {change_text(claim.effect, claim.low, claim.high)}"
    if claim.low is None or claim.high is None:
        return f"{text}; its uncertainty is not known."
    if claim.verdict == "not decided":
        return f"{text}. {needed(claim)}"
    if claim.verdict == "does not hold":
        opposite = claim.high < 0 if axis.claim > 0 else claim.low > 0
        return f"{text}. {'The effect is the opposite.' if opposite else 'An effect, if any, is too small to matter.'}"
    return f"{text}."


def needed(claim: Claim) -> str:
    """How many seeds or records would decide a claim if the effect is as estimated."""
    parts = [f"{claim.seeds_needed:,} seeds with these records"] if claim.seeds_needed else []
    parts += [f"{claim.records_needed:,} test records with these seeds"] if claim.records_needed else []
    if not parts:
        return "Neither more seeds nor more test records alone would decide it."
    return f"If the effect is as estimated, {' or '.join(parts)} would decide it."


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


def not_used_for_selection(seeds: int) -> str:
    """On what the value of a selected scale is measured; a single seed both selects and measures."""
    return f"records{' and seeds' if seeds > 1 else ''} that were not used for the selection"


def best_sentences(analysis: Analysis, rate_hz: float) -> list[str]:
    """The best scale, its value without selection bias, and the scales that are not distinguishable from it."""
    best, others = analysis.best, len(analysis.scales) - 1
    if best is None:
        return ["Macro AUROC is not defined on these test records: no label has two records of each class."]
    name = scale_text(best.scale.to_dict(), rate_hz)
    value = "" if best.value is None else f"{best.value:.3f} {span(best.low, best.high)}"
    if not others:
        return [f"The study has one scale, {name}{value and f': macro AUROC {value}'}."]
    measured = f"a macro AUROC of {value}, measured on {not_used_for_selection(analysis.seeds)}"
    first = f"The best scale is {name}{value and f'; a scale selected in this way has {measured}'}."
    similar = [found for found in analysis.scales if found.indistinguishable and found.scale != best.scale]
    if not similar:
        return [f"{first} {'The other one is' if others == 1 else f'All {others} others are'} significantly worse."]
    share = sum(entry.share for entry in best.chosen if entry.scale == best.scale)
    which = "The other one" if others == 1 else f"{len(similar)} of the {others} others"
    return [
        f"{first} On random halves of the data it was selected in {100 * share:.0f} % of the cases.",
        f"{which} cannot be distinguished from it{_cheapest(analysis.scales, best, similar, rate_hz)}.",
    ]


def _cheapest(
    scales: Sequence[ScaleFindings], best: BestScale, similar: Sequence[ScaleFindings], rate_hz: float
) -> str:
    """The scale with the fewest MACs of those that cannot be distinguished from the best one."""
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
    effects = [
        contrast_sentence(axis, analysis.contrasts[axis.name], rate_hz)
        if axis.kind == "categorical"
        else claim_sentence(axis, analysis.claims[axis.name])
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
