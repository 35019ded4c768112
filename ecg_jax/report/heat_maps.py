"""Heat maps of all scales: a plane of two axes, and a panel for each combination of levels of the other axes.

May import altair; no file.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from ecg_jax.analysis.axes import Axis, Scale
from ecg_jax.analysis.findings import Analysis, ScaleFindings
from ecg_jax.report.charts import VERMILION, field_of, level_texts, scale_row, scale_tooltip

MOST_PANELS = 12  # in one figure


def effect_sizes(analysis: Analysis) -> dict[str, float]:
    """The change of macro AUROC over the whole range of each axis, from its effect or its largest contrast."""
    sizes = {}
    for axis in analysis.axes:
        categorical = axis.kind == "categorical"
        steps = 1.0 if categorical else float(np.ptp(axis.coordinates(axis.levels)))
        found = analysis.contrasts[axis.name] if categorical else [analysis.claims[axis.name]]
        sizes[axis.name] = steps * max((abs(one.effect) for one in found if one.effect is not None), default=0.0)
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
    rows = [
        {
            **scale_row(found, rate_hz),
            "text": f"{found.mean:.3f}{' ~' if found.indistinguishable else ''}",
            "best": found.scale == best,
        }
        for found in scales
        if found.mean is not None
    ]
    if not rows:
        return []
    chart = _cells(plane, [row["mean"] for row in rows], rate_hz)
    chart = chart.encode(tooltip=scale_tooltip(scales[0].scale.names, rows))
    others = [axis for axis in axes if axis not in plane]
    maps = []
    for texts in itertools.product(*(level_texts(axis, rate_hz) for axis in others)):
        levels = {axis.name: text for axis, text in zip(others, texts, strict=True)}
        there = [row for row in rows if levels.items() <= row.items()]
        title = [metric, *(f"{name} {text}" for name, text in levels.items())]
        if there:
            maps.append((levels, chart.properties(data=alt.Data(values=there), title=title)))
    return maps


def select(choices: Sequence[Mapping[str, str]], best: Mapping[str, str], sizes: Mapping[str, float]) -> dict[str, str]:
    """Axis -> level, so that at most `MOST_PANELS` panels have these levels; {} if there are no more panels.

    The levels are those of the best scale; axes with small effects are fixed first.
    """
    selected: dict[str, str] = {}
    for axis in sorted(choices[0] if choices else (), key=lambda name: sizes.get(name, 0.0)):
        if sum(choice.items() >= selected.items() for choice in choices) > MOST_PANELS:
            selected[axis] = best[axis]
    return selected


def _cells(plane: Sequence[Axis], means: Sequence[float], rate_hz: float) -> Any:
    """A panel without data and title; its colours range over all means."""
    low, high = min(means), max(means)
    places = {"x": _position(alt.X, plane[-1], rate_hz)}
    if len(plane) > 1:
        places["y"] = _position(alt.Y, plane[0], rate_hz)
    base = alt.Chart().encode(**places)
    colours = alt.Scale(scheme="viridis", domain=[low, max(high, low + 1e-6)])
    cells = base.mark_rect().encode(color=alt.Color("mean:Q", scale=colours, legend=None))
    frame = base.mark_rect(filled=False, stroke=VERMILION, strokeWidth=4).transform_filter("datum.best")
    dark = f"datum.mean < {low + 0.55 * (high - low)}"
    letters = base.mark_text(fontSize=12).encode(
        text="text:N", color=alt.condition(dark, alt.value("#ffffff"), alt.value("#000000"))
    )
    size = {
        "width": max(230, 64 * len(plane[-1].levels)),
        "height": 38 * (len(plane[0].levels) if len(plane) > 1 else 1),
    }
    return (cells + frame + letters).properties(**size)


def _position(channel: Any, axis: Axis, rate_hz: float) -> Any:
    """An axis of the plane. Vertically, numbers increase upwards, and categories are in order from the top."""
    levels = level_texts(axis, rate_hz)
    if channel is alt.Y and axis.kind != "categorical":
        levels.reverse()
    title = f"{axis.name}, {axis.unit}" if axis.unit else axis.name
    look = alt.Axis(domain=False, ticks=False, labelLimit=160, labelAngle=0)
    return channel(f"{field_of(axis.name)}:N", title=title, scale=alt.Scale(domain=levels), axis=look)
