"""The report of a study as one page that needs no network. Pure: from values to figures, tables and HTML.

The fixed text of the page is in its template, `page.html`; text that depends on the findings comes from `sentences`.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ecg_jax.analysis.axes import Axis, numeric_axes
from ecg_jax.analysis.findings import Analysis, Claim, Effect, ScaleFindings, Slope
from ecg_jax.evaluation.groups import FEWEST
from ecg_jax.formatting import level_text, scale_text
from ecg_jax.report import charts, sentences
from ecg_jax.report.charts import EpochMean, Panels
from ecg_jax.report.heat_maps import MOST_PANELS, choose_plane, effect_sizes, heat_maps, select
from ecg_jax.report.study_warnings import StudyWarning
from ecg_jax.report.templates import Figure, render
from ecg_jax.study.design import Study
from ecg_jax.study.results import StudyResults


@dataclass(frozen=True)
class About:
    """The facts about a study that its report shows, apart from the analysis."""

    name: str
    data: str
    """Folder of the prepared set."""
    study: Study
    results: StudyResults
    commands: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    machine: str = ""
    warnings: tuple[StudyWarning, ...] = ()
    groups: Mapping[str, Any] = field(default_factory=dict)
    """The best scale by group, from `best_groups`."""

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes of the study, with all levels of its trials."""
        rows = self.results.rows
        return tuple(axis.with_levels([*axis.levels, *(row[axis.name] for row in rows)]) for axis in self.study.axes)

    @property
    def window_seconds(self) -> float | None:
        """None if the study varies it."""
        return None if "data.window_seconds" in self.study.varied else self.study.base.data.window_seconds


def figures(
    analysis: Analysis | None, scales: Sequence[ScaleFindings], curves: Sequence[EpochMean], about: About
) -> dict[str, Figure]:
    """All figures of the report by name, without empty ones.

    `scales` are those of the analysis or, before the first seed is finished, means on validation.
    """
    rate_hz, best = about.study.rate_hz, analysis.best.scale if analysis and analysis.best else None
    axes = analysis.axes if analysis else about.axes
    sizes = effect_sizes(analysis) if analysis else {}
    plane = choose_plane(axes, sizes)
    metric = f"{'test' if analysis else 'validation'} macro AUROC"
    maps = heat_maps(scales, axes, plane, rate_hz=rate_hz, best=best, metric=metric)
    choices = tuple(levels for levels, _ in maps)
    top = max(scales, key=lambda found: found.mean or 0.0, default=None)
    levels = {} if top is None else top.scale.to_dict()
    selected = select(choices, {name: level_text(name, level, rate_hz) for name, level in levels.items()}, sizes)
    least = max(15, 5 + 4 * len(plane[-1].levels))
    made = {
        "scales": Figure([chart for _, chart in maps], least_rem=least, choices=choices, selected=selected),
        "learning_curves": Figure(charts.learning_curves(curves, rate_hz=rate_hz, best=best), columns=2),
    }
    if analysis:
        window_ms = about.window_seconds and 1000 * about.window_seconds
        others = [axis for axis in axes if axis.kind == "categorical" and axis not in plane and len(axis.levels) > 1]
        reach = charts.receptive_field(scales, axes=[*plane, *others], rate_hz=rate_hz, window_ms=window_ms)
        made |= {
            "claims": Figure(_effect_panels(analysis, rate_hz)),
            "metrics": Figure(_metric_panels(analysis), least_rem=20),
            "interactions": Figure(_interaction_panels(analysis, rate_hz), least_rem=20),
            "pareto": Figure(charts.pareto(scales, analysis.pareto or {}, rate_hz=rate_hz), columns=2, least_rem=24),
            "receptive_field": Figure(reach),
        }
    return {name: figure for name, figure in made.items() if figure.panels}


def page(analysis: Analysis | None, drawn: Mapping[str, Figure], about: About) -> str:
    """The page; without an analysis it shows validation metrics only."""
    return render(
        "page.html",
        drawn,
        analysis=analysis,
        about=about,
        rate_hz=about.study.rate_hz,
        rows=about.results.rows,
        numeric=numeric_axes(analysis.axes if analysis else ()),
        most_panels=MOST_PANELS,
        cost_titles=charts.COST_TITLES,
        sentences=sentences,
        fewest=FEWEST,
        level_text=level_text,
        scale_text=scale_text,
    )


def _effect_panels(analysis: Analysis, rate_hz: float) -> Panels:
    """The effects of all numeric axes, and the contrasts of each categorical one."""
    numeric = numeric_axes(analysis.axes)
    groups: dict[str, dict[str, Effect]] = {
        "": {f"{axis.name}\n{sentences.step_text(axis)}": analysis.claims[axis.name] for axis in numeric}
    }
    for name, pairs in analysis.contrasts.items():
        levels = [[level_text(name, level, rate_hz) for level in (pair.level, pair.reference)] for pair in pairs]
        groups[name] = dict(zip(map(" − ".join, levels), pairs, strict=True))
    panels = (charts.forest(effects, title=title, margin=analysis.margin) for title, effects in groups.items())
    return [panel for some in panels for panel in some]


def _metric_panels(analysis: Analysis) -> Panels:
    """The effect of each numeric axis on all metrics."""
    panels = []
    for axis in numeric_axes(analysis.axes):
        effects = {sentences.METRICS[name]: claims[axis.name] for name, claims in _by_metric(analysis).items()}
        title = f"{sentences.claim_text(axis)}?" if axis.claim else axis.name
        x_title = f"change {sentences.step_text(axis)}"
        panels += charts.forest(effects, title=title, x_title=x_title, margin=analysis.margin)
    return panels


def _interaction_panels(analysis: Analysis, rate_hz: float) -> Panels:
    """The effect of one axis at each level of another; if there are many pairs, those whose effects differ most."""
    steps = {axis.name: sentences.step_text(axis) for axis in numeric_axes(analysis.axes)}
    by_pair: dict[tuple[str, str], dict[str, Slope]] = {}
    for slope in (slope for found in analysis.interactions.values() for slope in found.slopes):
        if slope.effect is not None:
            name = f"{slope.at} {level_text(slope.at, slope.level, rate_hz)}"
            by_pair.setdefault((slope.axis, slope.at), {})[name] = slope

    def spread(pair: tuple[str, str]) -> float:
        return float(np.ptp([slope.effect or 0.0 for slope in by_pair[pair].values()]))

    panels = []
    most = heapq.nlargest(MOST_PANELS, by_pair, key=spread)
    for axis, at in (pair for pair in by_pair if pair in most):
        panels += charts.forest(by_pair[axis, at], title=f"{axis}, {steps[axis]}")
    return panels


def _by_metric(analysis: Analysis) -> dict[str, Mapping[str, Claim]]:
    return {"macro_auroc": analysis.claims, **analysis.metrics}
