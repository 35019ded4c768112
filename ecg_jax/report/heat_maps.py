"""Heat maps of all scales: a plane of two axes, and a panel for each combination of levels of the other axes.

May import altair; no file.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from ecg_jax.analysis.axes import Axis, Scale
from ecg_jax.analysis.findings import Analysis, ScaleFindings
from ecg_jax.formatting import level_text
from ecg_jax.report.charts import VERMILION, field_of, level_texts, scale_row, scale_tooltip

MOST_PANELS = 12  # in one figure


def effect_sizes(analysis: Analysis) -> dict[str, float]:
    """The change of macro AUROC over the whole range of each axis, from its effect or its largest contrast."""
    sizes = {}
    for axis in analysis.axes:
        if axis.kind == "categorical":
            effects = [abs(pair.effect) for pair in analysis.contrasts[axis.name] if pair.effect is not None]
            sizes[axis.name] = max(effects, default=0.0)
        else:
            doublings = np.log2(float(axis.levels[-1]) / float(axis.levels[0])) if axis.kind == "log2" else 1.0
            sizes[axis.name] = abs(analysis.claims[axis.name].effect or 0.0) * float(doublings)
    return sizes


def choose_plane(axes: Sequence[Axis], sizes: Mapping[str, float]) -> tuple[Axis, ...]:
    """The two axes with several levels and the largest effects, the vertical one first; one if there is only one.

    They are in the order of the study, except that a categorical axis is vertical, because its names are long.
    """
    several = [axis for axis in axes if len(axis.levels) > 1] or list(axes[:1])
    largest = sorted(several, key=lambda axis: -sizes.get(axis.name, 0.0))[:2]
    return tuple(sorted(largest, key=lambda axis: (axis.kind != "categorical", axes.index(axis))))


def heat_maps(
    scales: Sequence[ScaleFindings],
    axes: Sequence[Axis],
    plane: Sequence[Axis],
    *,
    rate_hz: float,
    best: Scale | None,
    metric: str = "test macro AUROC",
) -> list[tuple[dict[str, str], Any]]:
    """The mean of every scale; the best is framed, and ~ marks the scales that are not distinguishable from it.

    Returns:
        For each panel the levels of the other axes, axis -> text, and the chart.
    """
    known = [found for found in scales if found.mean is not None]
    means = [found.mean for found in known if found.mean is not None]
    others = [axis for axis in axes if axis not in plane]
    panels: dict[tuple[str, ...], list[ScaleFindings]] = {}
    for found in sorted(known, key=lambda found: [axis.levels.index(found.scale[axis.name]) for axis in others]):
        key = tuple(level_text(axis.name, found.scale[axis.name], rate_hz) for axis in others)
        panels.setdefault(key, []).append(found)
    width, height = max(230, 64 * len(plane[-1].levels)), 38 * (len(plane[0].levels) if len(plane) > 1 else 1)
    titles = {key: _title(metric, [axis.name for axis in others], key, width // 7) for key in panels}
    lines = max(map(len, titles.values()), default=0)
    maps = []
    for key, there in panels.items():
        chart = _panel(there, plane, min(means), max(means), rate_hz=rate_hz, best=best)
        title = [""] * (lines - len(titles[key])) + titles[key]  # so that panels side by side are level
        levels = {axis.name: text for axis, text in zip(others, key, strict=True)}
        maps.append((levels, chart.properties(title=title, width=width, height=height)))
    return maps


def _title(metric: str, names: Sequence[str], levels: Sequence[str], columns: int) -> list[str]:
    """The title of a panel in lines, which break between axes only."""
    parts = [metric, *(f"{name} {level}" for name, level in zip(names, levels, strict=True))]
    text = ", ".join(part.replace(" ", "\u00a0") for part in parts)
    lines = textwrap.wrap(text, columns, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\u00a0", " ") for line in lines]


def select(choices: Sequence[Mapping[str, str]], best: Mapping[str, str], sizes: Mapping[str, float]) -> dict[str, str]:
    """Axis -> level, so that at most `MOST_PANELS` panels have these levels; {} if there are no more panels.

    The levels are those of the best scale; axes with small effects are fixed first.
    """
    selected: dict[str, str] = {}
    for axis in sorted(choices[0] if choices else (), key=lambda name: sizes.get(name, 0.0)):
        if sum(choice.items() >= selected.items() for choice in choices) > MOST_PANELS:
            selected[axis] = best[axis]
    return selected


def _panel(
    there: Sequence[ScaleFindings],
    plane: Sequence[Axis],
    low: float,
    high: float,
    *,
    rate_hz: float,
    best: Scale | None,
) -> Any:
    """One panel without a title; `low` and `high` are the ends of the colours."""
    names = there[0].scale.names
    rows = [
        {
            **scale_row(found, rate_hz),
            "text": f"{found.mean:.3f}{' ~' if found.indistinguishable else ''}",
            "best": found.scale == best,
        }
        for found in there
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(tooltip=scale_tooltip(names, rows))
    base = base.encode(x=_position(alt.X, plane[-1], names, rate_hz))
    if len(plane) > 1:
        base = base.encode(y=_position(alt.Y, plane[0], names, rate_hz))
    colours = alt.Scale(scheme="viridis", domain=[low, max(high, low + 1e-6)])
    cells = base.mark_rect().encode(color=alt.Color("mean:Q", scale=colours, legend=None))
    frame = base.mark_rect(filled=False, stroke=VERMILION, strokeWidth=4).transform_filter("datum.best")
    dark = f"datum.mean < {low + 0.55 * (high - low)}"
    letters = base.mark_text(fontSize=12).encode(
        text="text:N", color=alt.condition(dark, alt.value("#ffffff"), alt.value("#000000"))
    )
    return cells + frame + letters


def _position(channel: Any, axis: Axis, names: Sequence[str], rate_hz: float) -> Any:
    """An axis of the plane. Vertically, numbers increase upwards, and categories are in order from the top."""
    levels = level_texts(axis, rate_hz)
    if channel is alt.Y and axis.kind != "categorical":
        levels.reverse()
    title = f"{axis.name}, {axis.unit}" if axis.unit else axis.name
    look = alt.Axis(domain=False, ticks=False, labelLimit=160, labelAngle=0)
    return channel(f"{field_of(axis, names)}:N", title=title, scale=alt.Scale(domain=levels), axis=look)
