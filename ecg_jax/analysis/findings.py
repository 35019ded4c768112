"""What an analysis finds, as values: these dataclasses are the documentation of the keys of `analysis.json`.

Every interval, `low` to `high`, is a 95 % interval over training seeds and test records. None means that a value is not
defined. A `scale` in an entry of a list is written as one key for each axis (`to_dict`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

import numpy as np

from ecg_jax.analysis.axes import Axis, Level, Scale

Verdict = Literal["holds", "does not hold", "not decided", "effect", "no effect"]
"""Of a claim: `holds`, `does not hold` or `not decided`. Of an axis without a claim: `effect` (the interval excludes
0), `no effect` (the interval lies within the margin) or `not decided`."""


@dataclass(frozen=True)
class Effect:
    """Change of a metric, by doubling a `log2` axis or over the whole range of a `linear` one."""

    effect: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class CorrectedEffect(Effect):
    """An effect with the p-value of no effect.

    The interval is of this effect alone. `p_holm` is corrected for all effects that are tested with it (Holm 1979) and
    for the looks at the study; `differs` says whether it is below .05.
    """

    p: float | None
    p_holm: float | None
    differs: bool


@dataclass(frozen=True)
class Claim(Effect):
    """An effect with its verdict, and what is needed to find an effect as large as the margin.

    The interval and `p` are of this effect alone. `p_holm` and the verdict are corrected for all effects of the table
    (Holm 1979) and for the looks at the study. `seeds_needed` and `records_needed` are the numbers of seeds or of test
    records with which an effect of the margin is found with a power of 80 %, the noise of the seeds being at its upper
    80 % bound; None if no number is enough.
    """

    verdict: Verdict
    p: float | None
    p_holm: float | None
    seeds_needed: int | None
    records_needed: int | None
    note: str | None = None
    """Where the study has a single seed: by what its noise is judged. Left out of the file if None."""


@dataclass(frozen=True)
class Step(Effect):
    """Difference of a metric between two neighbouring levels of an axis: that of `upper` minus that of `lower`."""

    lower: Level
    upper: Level


@dataclass(frozen=True, kw_only=True)
class AxisClaim(Claim):
    """A claim of the primary family, and what its effect depends on.

    Attributes:
        depends_on: `curvature` if the effect changes along the axis, and the names of the axes with which it changes,
            corrected for all curvatures and interactions of the study. One slope does not describe such an effect.
        curvature: how much the effect grows with each step of the axis itself.
        steps: between neighbouring levels, over all scales.
        at_best: the effect among the scales that differ from the best one in this axis alone.
    """

    depends_on: tuple[str, ...]
    curvature: CorrectedEffect
    steps: tuple[Step, ...]
    at_best: Effect


@dataclass(frozen=True)
class Contrast(CorrectedEffect):
    """Difference of a metric between two levels of a categorical axis: `level` minus `reference`.

    It is tested with all pairs of levels of the axis.
    """

    level: Level
    reference: Level


@dataclass(frozen=True)
class Slope(Effect):
    """The effect of one axis at one level of another."""

    axis: str
    at: str
    level: Level


@dataclass(frozen=True)
class Interaction(CorrectedEffect):
    """How much the effect of one axis grows with each step of another (None if one of them is categorical).

    It is tested with all interactions and curvatures of the study. A slope in `slopes` has an interval of its own,
    without correction: read it where the interaction `differs`.
    """

    slopes: tuple[Slope, ...]


@dataclass(frozen=True)
class ScaleEntry:
    """An entry of a list by scale; in JSON the scale is written as one key an axis."""

    scale: Scale


@dataclass(frozen=True)
class SelectedScale(ScaleEntry):
    """A scale and the fraction of the sample splits in which it was selected."""

    share: float


@dataclass(frozen=True)
class BestScale:
    """The scale with the largest mean macro AUROC, and the value of selecting a scale in this way.

    The mean is that on validation where the study has it, else that on the test records. `value` is read on seeds and
    test records that did not select, so it has no selection bias. `indistinguishable` contains the scale that is truly
    the best in at least 95 % of studies.
    """

    scale: Scale
    value: float | None
    low: float | None
    high: float | None
    chosen: tuple[SelectedScale, ...]
    indistinguishable: tuple[Scale, ...]


@dataclass(frozen=True)
class ScaleMean(ScaleEntry):
    """A metric of a scale, averaged over its seeds, with the interval of that mean alone."""

    mean: float
    mean_low: float | None
    mean_high: float | None


@dataclass(frozen=True)
class LabelFindings:
    """The best scale for one label, and its gain in AUROC on that label over the overall best scale.

    `differs`: the gain is positive and significant, corrected for the number of labels (`p_holm`, Holm 1979).
    """

    scale: Scale
    advantage: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    differs: bool
    claims: dict[str, Claim]
    scales: tuple[ScaleMean, ...]


@dataclass(frozen=True)
class CostRange:
    """A cost of a scale: the mean over its trials, and the extremes."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ParetoPoint(ScaleEntry):
    """A scale that no scale of at most its cost beats."""

    cost: float
    mean: float


@dataclass(frozen=True)
class PowerLaw:
    """The fit 1 - macro AUROC = factor x cost^exponent over all scales.

    `fits`: the interval of the exponent excludes 0 and the fit explains half of the variance; else `why` not.
    """

    exponent: float | None
    low: float | None
    high: float | None
    factor: float | None
    r_squared: float | None
    fits: bool
    why: str | None


@dataclass(frozen=True)
class ScaleFindings(ScaleEntry):
    """All that is known of a scale.

    Attributes:
        difference, low, high: from the best scale; the intervals hold for all scales at once.
        indistinguishable: it is not significantly worse than the best scale.
        may_lose: the most that it may lose against the scale that is truly the best: a guarantee, which holds for all
            scales at once in 95 % of studies (one-sided multiple comparisons with the best, Hsu 1996).
        best_probability, expected_loss: how probably it is the best, and what it is expected to lose against the best:
            a judgement, which assumes that scales with similar levels are similarly good (`analysis.surface`).
    """

    mean: float | None
    mean_low: float | None
    mean_high: float | None
    values: dict[str, float]
    """Seed -> macro AUROC."""
    difference: float | None
    low: float | None
    high: float | None
    indistinguishable: bool
    may_lose: float | None
    best_probability: float | None
    expected_loss: float | None
    receptive_field_samples: int | None
    receptive_field_ms: float | None
    learning_rate: float | None
    costs: dict[str, CostRange | None]


@dataclass(frozen=True)
class Analysis:
    """All findings of a study: the content of `analysis.json`."""

    axes: tuple[Axis, ...]
    claims: dict[str, AxisClaim]
    """The primary family: axis -> effect on macro AUROC; without categorical axes."""
    contrasts: dict[str, tuple[Contrast, ...]]
    """Categorical axis -> all pairs of its levels, those with the first level first."""
    metrics: dict[str, dict[str, Claim]]
    """Metric -> axis -> effect on it: `macro_auprc`, `macro_f1` and, where the data set has one, its own `score`.

    A secondary table: its verdicts are corrected for all of its effects. The claims of `per_label` are another one.
    """
    interactions: dict[str, Interaction]
    """Pair of axes, joined by a colon."""
    selected_on: Literal["validation", "test"]
    """By what the best scale is selected; `test`: by one half of the test records, and read on the other half."""
    best: BestScale | None
    per_label: dict[str, LabelFindings | None]
    pareto: dict[str, tuple[ParetoPoint, ...] | None] | None
    """Cost -> scales from cheap to expensive; None if the cost is not known."""
    power_laws: dict[str, PowerLaw | None] | None
    scales: tuple[ScaleFindings, ...]
    taken_as_given: tuple[str, ...]
    margin: float
    look: int
    """The number of this look at the study: how many times it was analysed, each time with other seeds."""
    seeds: int
    records: int
    patients: int
    folds: int
    labels: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The content of `analysis.json`: plain values, None for what is not finite."""
        return to_dict(self)


def to_dict(value: Any) -> Any:
    """A finding, or a mapping or sequence of findings, as JSON holds it."""
    if isinstance(value, Scale):
        return to_dict(value.to_dict())
    if is_dataclass(value) and not isinstance(value, type):
        return _entry(value)
    if isinstance(value, Mapping):
        return {str(key): to_dict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [to_dict(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _entry(finding: Any) -> dict[str, Any]:
    values = {field.name: getattr(finding, field.name) for field in fields(finding)}
    scale = values.pop("scale").to_dict() if isinstance(finding, ScaleEntry) else {}
    if isinstance(finding, Claim) and finding.note is None:
        del values["note"]
    return to_dict({**scale, **values})
