"""What a study found, in sentences. Pure: from the content of `analysis.json` to text."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from ecg_jax.config import RunConfig

AXES = ("depth", "channels", "kernel")
CLAIMS = {"depth": "Shallower is better", "channels": "Wider is better", "kernel": "Smaller kernels are better"}
NAMES = {"macro_auroc": "macro AUROC", "macro_auprc": "macro AUPRC", "macro_f1": "macro F1", "score": "the set's score"}
Found = Mapping[str, Any]


def signed(value: float | None, digits: int = 4) -> str:
    """A number with its sign, as it is set in text."""
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "−")


def span(low: float | None, high: float | None, digits: int = 3) -> str:
    """A 95 % interval in brackets, or that there is none."""
    return "(no interval)" if low is None or high is None else f"(95 % {low:.{digits}f} to {high:.{digits}f})"


def scale_text(scale: Found, rate_hz: float) -> str:
    """A scale in words, its kernel in ms too."""
    kernel = f"{scale['kernel']} ({1000 * scale['kernel'] / rate_hz:.3g} ms)"
    return f"depth {scale['depth']}, channels {scale['channels']}, kernel {kernel}"


def same_scale(one: Found, other: Found) -> bool:
    """Whether two entries are of one scale."""
    return all(one[axis] == other[axis] for axis in AXES)


def claim_sentence(axis: str, claim: Found) -> str:
    """A claim's verdict, its numbers and, where it is not decided, what would decide it."""
    effect, low, high = claim["effect"], claim["low"], claim["high"]
    head = f"{CLAIMS[axis]}: {claim['verdict']}."
    if effect is None:
        return f"{head} The study has one level of {axis}, or too few combinations to tell."
    told = f"Each doubling of {axis} changes macro AUROC by {signed(effect)}"
    if low is None:
        return f"{head} {told}; there is nothing to judge its noise by."
    said = f"{head} {told} (95 % {signed(low)} to {signed(high)})."
    if claim["verdict"] == "does not hold":
        opposite = high < 0 if axis == "channels" else low > 0
        return (
            f"{said} {'The effect is the opposite one.' if opposite else 'Whatever there is, is too small to matter.'}"
        )
    return said if claim["verdict"] == "holds" else f"{said} {needed(claim)}"


def needed(claim: Found) -> str:
    """How many seeds or records would decide a claim, if the effect is what it seems."""
    seeds, records = claim["seeds_needed"], claim["records_needed"]
    if seeds is None and records is None:
        return "Neither more seeds nor more test records alone would decide it."
    parts = [
        f"{seeds:,} seeds with these records" if seeds else "",
        f"{records:,} test records with these seeds" if records else "",
    ]
    return f"If the effect is what it seems, it would take {' or '.join(filter(None, parts))} to decide."


def others_than_chose(analysis: Found) -> str:
    """On what a choice among the scales is read; a single seed chooses and is read."""
    return f"records{' and seeds' if analysis['seeds'] > 1 else ''} that did not choose"


def best_sentences(analysis: Found, rate_hz: float) -> list[str]:
    """The best scale, its value free of the winner's favour, and what cannot be told from it."""
    best = analysis["best"]
    if best is None:
        return ["Macro AUROC is not defined on these test records: no label has two records of each class."]
    share = next((entry["share"] for entry in best["chosen"] if same_scale(entry, best["scale"])), 0.0)
    if len(analysis["scales"]) == 1:
        told = "" if best["value"] is None else f": macro AUROC {best['value']:.3f} {span(best['low'], best['high'])}"
        return [f"The study has one scale, {scale_text(best['scale'], rate_hz)}{told}."]
    first = f"The best scale seen is {scale_text(best['scale'], rate_hz)}"
    value = (
        ""
        if best["value"] is None
        else (
            f"; choosing so gives a macro AUROC of {best['value']:.3f} {span(best['low'], best['high'])}, "
            f"read on {others_than_chose(analysis)}"
        )
    )
    entries = [s for s in analysis["scales"] if s["indistinguishable"]]
    others = len(entries) - 1
    if not others:
        return [f"{first}{value}. All {len(analysis['scales']) - 1} others are surely worse."]
    said = [f"{first}{value}. On half of the data it was the choice in {100 * share:.0f} % of the splits."]
    told = f"{others} of the {len(analysis['scales']) - 1} others cannot be told apart from it"
    known = [s for s in entries if (s.get("costs") or {}).get("macs")]
    cheapest = min(known, key=lambda s: s["costs"]["macs"]["value"], default=None)
    if cheapest is None or same_scale(cheapest, best["scale"]):
        return [*said, f"{told}{', all of them dearer' if cheapest else ''}."]
    part = cheapest["costs"]["macs"]["value"] / _macs_of(analysis, best["scale"])
    return [
        *said,
        f"{told}; the cheapest of these is {scale_text(cheapest, rate_hz)}, at {100 * part:.0f} % of its MACs.",
    ]


def _macs_of(analysis: Found, scale: Found) -> float:
    return next(s["costs"]["macs"]["value"] for s in analysis["scales"] if same_scale(s, scale))


def label_sentence(analysis: Found, rate_hz: float) -> str:
    """Which labels want another scale than the overall best."""
    known = {name: found for name, found in analysis["per_label"].items() if found is not None}
    other = {name: found for name, found in known.items() if found["differs"]}
    left_out = [name for name, found in analysis["per_label"].items() if found is None]
    said = f"None of the {len(known)} labels surely wants another scale."
    if other:
        parts = [
            f"{name} wants {scale_text(found['scale'], rate_hz)} "
            f"({signed(found['advantage'])}, 95 % {signed(found['low'])} to {signed(found['high'])})"
            for name, found in other.items()
        ]
        said = f"Surely another scale (corrected for {len(known)} tests): {'; '.join(parts)}."
    return f"{said} Not judged, since too few records have it or lack it: {', '.join(left_out)}." if left_out else said


def answer(analysis: Found, rate_hz: float) -> list[str]:
    """The answer: the best scale, the three claims, the labels."""
    claims = [claim_sentence(axis, analysis["claims"][axis]) for axis in AXES]
    return [*best_sentences(analysis, rate_hz), *claims, label_sentence(analysis, rate_hz)]


def power_law_sentence(name: str, law: Found | None) -> str:
    """What a power law of the error in one cost came to."""
    if law is None:
        return f"{name}: not known."
    if law["exponent"] is None or law["low"] is None:
        return f"{name}: no power law ({law['why']})."
    low, high = signed(law["low"], 3), signed(law["high"], 3)
    fit = f"error as cost to the power of {signed(law['exponent'], 3)} (95 % {low} to {high})"
    return f"{name}: {fit}." if law["fits"] else f"{name}: no power law ({law['why']}; {fit})."


def flags(config: Any, default: Any = None, prefix: str = "") -> list[str]:
    """The command-line flags that make a run's config from the default one; without the data's path and the feed."""
    default = RunConfig() if default is None else default
    found: list[str] = []
    for field in fields(config):
        name, value, usual = (
            f"{prefix}{field.name.replace('_', '-')}",
            getattr(config, field.name),
            getattr(default, field.name),
        )
        if name in ("data.path", "data.feed", "train.parallel", "functions"):
            continue
        if is_dataclass(value):
            found += flags(value, usual, f"{name}.")
        elif value != usual:
            if isinstance(value, bool):
                found.append(f"--{name}" if value else f"--{prefix}no-{field.name.replace('_', '-')}")
            else:
                found += [f"--{name}", *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    return found
