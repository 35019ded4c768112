"""The report of a study as one page that needs no network. Pure: from values to figures, tables and HTML.

The fixed text of the page is in its template, `page.html`; text that depends on the findings comes from `sentences`.
"""

import heapq
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ecg_jax.analysis.axes import Axis, numeric_axes
from ecg_jax.analysis.findings import Analysis, Claim, Effect, ScaleFindings, Slope
from ecg_jax.formatting import duration, level_text, plural, scale_text, signed, signed_range
from ecg_jax.report import charts, sentences
from ecg_jax.report.charts import EpochMean, Panels
from ecg_jax.report.heat_maps import MOST_PANELS, choose_plane, effect_sizes, heat_maps, select
from ecg_jax.report.study_warnings import StudyWarning
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

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes of the study, with all levels of its trials."""
        rows = self.results.rows
        return tuple(axis.with_levels([*axis.levels, *(row[axis.name] for row in rows)]) for axis in self.study.axes)

    @property
    def window_seconds(self) -> float | None:
        """None if the study varies it."""
        return None if "data.window_seconds" in self.study.varied else self.study.base.data.window_seconds


@dataclass(frozen=True)
class Figure:
    """Panels that belong together."""

    panels: Panels
    columns: int = 3
    """Number of columns in the figure for a paper."""
    least_rem: int = 18
    """Smallest width of a panel in the page, in rem."""
    choices: tuple[Mapping[str, str], ...] = ()
    """For each panel, axis -> level. The page has a selector for each axis with several levels."""
    selected: Mapping[str, str] = field(default_factory=dict)
    """Axis -> level, for the panels in the figure for a paper, which the page shows first."""

    @property
    def for_paper(self) -> Panels:
        """The panels with the selected levels."""
        pairs = zip(self.panels, self.choices or [{}] * len(self.panels), strict=True)
        return [panel for panel, choice in pairs if choice.items() >= self.selected.items()]

    @property
    def selectors(self) -> dict[str, list[str]]:
        """Axis -> levels, for the axes in which the panels differ."""
        axes = self.choices[0] if self.choices else {}
        levels = {axis: list(dict.fromkeys(choice[axis] for choice in self.choices)) for axis in axes}
        return {axis: texts for axis, texts in levels.items() if len(texts) > 1}


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
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_spaced,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for_script = {
        name: {"panels": charts.for_page(figure.panels), "choices": figure.choices} for name, figure in drawn.items()
    }
    return environment.get_template("page.html").render(
        analysis=analysis,
        about=about,
        rate_hz=about.study.rate_hz,
        rows=about.results.rows,
        drawn=drawn,
        numeric=numeric_axes(analysis.axes if analysis else ()),
        most_panels=MOST_PANELS,
        cost_titles=charts.COST_TITLES,
        sentences=sentences,
        **{text.__name__: text for text in (duration, level_text, plural, scale_text, signed, signed_range)},
        charts={"config": charts.config("currentColor"), "figures": for_script},
        library=vl_convert.javascript_bundle(),  # pyright: ignore[reportCallIssue]  # its stub lacks the default
    )


def _spaced(value: Any) -> Any:
    """A dash for None; keeps a number on the line of its percent sign or unit, and of its "p". HTML is not changed."""
    if hasattr(value, "__html__"):
        return value
    return "–" if value is None else re.sub(r"(?<=\d) (?=%|ms\))|(?<=\bp) (?=[<.])|(?<=<) (?=\.)", "\u00a0", str(value))


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
