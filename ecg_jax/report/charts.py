"""Charts of a study: interactive in a page, and SVG or PNG for a paper.

A chart is a list of Altair panels. In a page each panel is as wide as its place; in a figure they are side by side.
Neutral marks take their colour from the config, so that they are dark on light paper and light on a dark screen.
Colours with a meaning are those of Okabe and Ito (the blue lighter, for dark screens), and a shape, a dash or a text
always has the same meaning. May import altair and vl_convert; no network.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import altair as alt
import vl_convert

from ecg_jax.analysis.axes import Axis, Scale
from ecg_jax.analysis.findings import Claim, Contrast, Effect, ParetoPoint, ScaleFindings
from ecg_jax.analysis.search_replay import CurvePoint
from ecg_jax.formatting import level_text, scale_text

BLUE, GREEN, VERMILION, SKY, GREY = "#2a86c7", "#009e73", "#d55e00", "#56b4e9", "#888888"
FRONT, DOMINATED = "no cheaper scale is better", "a cheaper scale is better"
MARKS = {
    "holds": (GREEN, "circle"),
    "does not hold": (VERMILION, "square"),
    "effect": (BLUE, "triangle-up"),
    "no effect": (SKY, "cross"),
    "not decided": (GREY, "diamond"),
    FRONT: (VERMILION, "circle"),
    DOMINATED: (GREY, "diamond"),
}
"""Verdict, or position of a scale relative to the front -> colour and shape of its point."""
COST_TITLES = {
    "parameters": "parameters",
    "macs": "multiply-accumulates (MACs) per window",
    "seconds": "measured training time, s",
    "latency_ms": "latency of one window, ms",
    "bytes": "bytes of the exported file",
}
NUMBERS = {
    "mean": ("macro AUROC", ".4f"),
    "mean_low": ("95 % from", ".4f"),
    "mean_high": ("95 % to", ".4f"),
    "receptive_field_ms": ("receptive field, ms", ",.0f"),
    "parameters": ("parameters", ",d"),
    "macs": ("MACs", ",d"),
    "seconds": ("training, s", ",.1f"),
    "latency_ms": ("latency, ms", ",.2f"),
    "bytes": ("bytes", ",d"),
}
"""Number in a tooltip -> title and format."""
Panels = list[Any]
"""Altair charts that belong together."""


@dataclass(frozen=True)
class EpochMean:
    """Metrics of a scale after an epoch, averaged over its runs; None is a gap."""

    scale: Scale
    epoch: int
    validation_macro_auroc: float | None
    train_loss: float | None


def config(ink: str, paper: str | None = None) -> dict[str, Any]:
    """The style of all charts, with lines and letters in one colour; `currentColor` follows the style of a page."""
    faint = {"gridColor": ink, "gridOpacity": 0.15, "domainColor": ink, "domainOpacity": 0.5, "tickColor": ink}
    letters = {"labelColor": ink, "titleColor": ink, "labelFontSize": 11, "titleFontSize": 11}
    return {
        "background": paper,
        "font": "system-ui, 'DejaVu Sans', sans-serif",
        "view": {"stroke": None},
        "axis": {**faint, **letters, "titleFontWeight": "normal", "tickOpacity": 0.5},
        "legend": {**letters, "symbolBaseFillColor": ink, "symbolBaseStrokeColor": ink, "orient": "bottom"},
        "title": {"color": ink, "fontSize": 12, "anchor": "start"},
        "text": {"fill": ink},
        "rule": {"color": ink},
        "point": {"filled": True, "size": 90, "opacity": 1},
    }


def forest(
    effects: Mapping[str, Effect], *, title: str = "", x_title: str = "change of macro AUROC", margin: float = 0.0
) -> Panels:
    """Effects with their intervals, one below the other, and a line at 0; a band shows plus and minus `margin`.

    Effects without an interval are left out. A line break in a name starts a second line. The mark of a claim shows its
    verdict; that of a contrast shows whether it is significant.
    """
    rows = [
        {"name": name, "effect": found.effect, "low": found.low, "high": found.high, "verdict": _verdict(found)}
        for name, found in effects.items()
        if found.low is not None
    ]
    if not rows:
        return []
    names = alt.Axis(labelLimit=260, domain=False, ticks=False, labelExpr=r"split(datum.label, '\n')")
    verdicts = [kind for kind in MARKS if any(row["verdict"] == kind for row in rows)]
    marks = _marks("verdict", verdicts, columns=3) if verdicts else {"color": alt.value(BLUE)}
    tooltip = [alt.Tooltip("name:N", title=" ")]
    tooltip += [alt.Tooltip(f"{name}:Q", format="+.4f") for name in ("effect", "low", "high")]
    base = _chart(rows).encode(
        y=alt.Y("name:N", sort=[row["name"] for row in rows], title=None, axis=names),
        tooltip=[*tooltip, *(["verdict:N"] if verdicts else [])],
    )
    ticks = alt.Axis(format="+.4~f", tickCount=4)
    x = alt.X("low:Q", title=x_title, axis=ticks, scale=alt.Scale(padding=8))
    band = _chart([{"from": -margin, "to": margin}]).mark_rect(color=SKY, opacity=0.25)
    band = band.encode(x=alt.X("from:Q", title=x_title), x2="to:Q")
    intervals = base.mark_rule(strokeWidth=2.5).encode(x=x, x2="high:Q", color=marks["color"])
    points = base.mark_point().encode(x=alt.X("effect:Q", title=x_title), **marks)
    layers = [*([band] if margin else []), _line(x=0), intervals, points]
    each = 38 if any("\n" in name for name in effects) else 26
    return [alt.layer(*layers).properties(title=title, width=330, height=max(each * len(rows), 60))]


def _verdict(found: Effect) -> str:
    """A key of `MARKS`, or "" for none."""
    if isinstance(found, Contrast):
        return "effect" if found.differs else "not decided"
    return found.verdict if isinstance(found, Claim) else ""


def pareto(
    scales: Sequence[ScaleFindings], fronts: Mapping[str, Sequence[ParetoPoint] | None], *, rate_hz: float
) -> Panels:
    """Macro AUROC against each cost; the line joins the scales that no cheaper scale exceeds."""
    panels = []
    for cost, front in fronts.items():
        on_front = {point.scale for point in front or ()}
        rows = [
            {**scale_row(found, rate_hz), "front": FRONT if found.scale in on_front else DOMINATED}
            for found in scales
            if on_front and (value := found.costs[cost]) and value.value > 0
        ]
        if not rows:
            continue
        form = "~s" if cost in ("parameters", "macs") else "~g"
        base = _chart(rows).encode(
            x=_logarithmic(cost, COST_TITLES[cost], format=form, tickCount=4),
            y=_macro_auroc("mean"),
            tooltip=scale_tooltip(scales[0].scale.names, rows),
        )
        points = base.mark_point().encode(**_marks("front", [FRONT, DOMINATED], columns=1, labelLimit=240))
        line = base.mark_line(interpolate="step-after", color=VERMILION).transform_filter(f"datum.front == '{FRONT}'")
        panels.append((line.encode(tooltip=alt.value(None)) + points).properties(width=330, height=230))
    return panels


def receptive_field(
    scales: Sequence[ScaleFindings], *, axes: Sequence[Axis], rate_hz: float, window_ms: float | None
) -> Panels:
    """Macro AUROC against the receptive field in ms; the dashed line is the window, if all have the same.

    Scales whose receptive field is not known are left out. The levels of the first axis have different shapes, those of
    the second one different colours; each level of a third one, if there is one, has its own panel.
    """
    known = [found for found in scales if found.receptive_field_ms is not None and found.mean is not None]
    if not known:
        return []
    rows = [scale_row(found, rate_hz) for found in known]
    first, second, by = axes[0], axes[:2][-1], axes[2] if len(axes) > 2 else None
    levels = level_texts(second, rate_hz)
    colour = alt.Scale(domain=levels, scheme=alt.SchemeParams(name="viridis", extent=[0.25, 0.95]))  # also on black
    if second.kind == "categorical":
        colour = alt.Scale(domain=levels, range=[BLUE, VERMILION, GREEN, SKY, GREY])
    shape, legend = alt.Scale(domain=level_texts(first, rate_hz)), alt.Legend(columns=4)
    points = (
        alt.Chart()
        .mark_point(opacity=0.9)
        .encode(
            x=_logarithmic("receptive_field_ms", "receptive field, ms"),
            y=_macro_auroc("mean", [row["mean"] for row in rows]),
            color=alt.Color(f"{field_of(second.name)}:O", title=second.name, scale=colour, legend=legend),
            shape=alt.Shape(f"{field_of(first.name)}:N", title=first.name, scale=shape, legend=legend),
            tooltip=scale_tooltip(known[0].scale.names, rows),
        )
    )
    chart = points if window_ms is None else _line(x=window_ms) + points
    panels = []
    for text in level_texts(by, rate_hz) if by else [""]:
        there = [row for row in rows if by is None or row[by.name] == text]
        about = {"title": f"{by.name} {text}" if by else "", "width": 360, "height": 240}
        panels.append(chart.properties(data=alt.Data(values=there), **about))
    return panels


def learning_curves(curves: Sequence[EpochMean], *, rate_hz: float, best: Scale | None) -> Panels:
    """Validation macro AUROC and training loss of every scale by epoch; the best scale is drawn thick, in red."""
    rows = [
        {**asdict(curve), "scale": scale_text(curve.scale.to_dict(), rate_hz), "best": curve.scale == best}
        for curve in curves
    ]
    panels = []
    for name, title in (("validation_macro_auroc", "validation macro AUROC"), ("train_loss", "training loss")):
        near = alt.selection_point(name=f"near_{name}", fields=["scale"], on="pointerover", nearest=True, empty=False)
        raised = alt.when(near | alt.datum.best)
        base = _chart(rows).encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y(f"{name}:Q", title=title, scale=alt.Scale(zero=False)),
            detail="scale:N",
        )
        lines = base.mark_line().encode(
            color=alt.condition("datum.best", alt.value(VERMILION), alt.value(BLUE)),
            strokeWidth=raised.then(alt.value(3)).otherwise(alt.value(1)),
            opacity=raised.then(alt.value(1)).otherwise(alt.value(0.6)),
        )
        tooltip = [alt.Tooltip("scale:N"), "epoch:Q", alt.Tooltip(f"{name}:Q", title=title, format=".4f")]
        points = base.mark_point(opacity=0, size=30).encode(tooltip=tooltip).add_params(near)
        panels.append((lines + points).properties(width=330, height=230))
    return panels if rows else []


def search_curves(curves: Sequence[CurvePoint], *, title: str) -> Panels:
    """Best value so far by training MACs in both search spaces, and the difference with its interval."""
    x = _logarithmic("budget", "training MACs", format=".1~e")
    base = _chart([asdict(point) for point in curves]).encode(x=x)
    best = base.transform_fold(["whole", "narrowed"], as_=["space", "value"]).mark_line(strokeWidth=2.5)
    best = best.encode(
        y=_macro_auroc("value"),
        color=alt.Color("space:N", scale=alt.Scale(domain=["whole", "narrowed"], range=[BLUE, VERMILION])),
        strokeDash=alt.StrokeDash("space:N", legend=None),
    )
    y_title = "narrowed minus whole"
    band = base.mark_area(opacity=0.3, color=VERMILION).encode(y=alt.Y("low:Q", title=y_title), y2="high:Q")
    middle = base.mark_line(color=VERMILION).encode(y=alt.Y("difference:Q", title=y_title))
    difference = band + middle + _line(y=0)
    size = {"width": 380, "height": 240}
    return [best.properties(title=title, **size), difference.properties(title="difference, 95 %", **size)]


def images(panels: Panels, *, columns: int = 3) -> tuple[str, bytes]:
    """Panels as one figure on white: as SVG, and as PNG at twice the size."""
    figure = alt.concat(*panels, columns=columns).resolve_scale(color="independent", shape="independent")
    values, style = _specification(figure), config("#222222", "#ffffff")
    return vl_convert.vegalite_to_svg(values, config=style), vl_convert.vegalite_to_png(values, scale=2, config=style)


def for_page(panels: Panels) -> list[dict[str, Any]]:
    """Panels as specifications that are as wide as their place in a page."""
    fit = {"type": "fit-x", "contains": "padding"}
    return [{**_specification(panel), "width": "container", "autosize": fit} for panel in panels]


def level_texts(axis: Axis, rate_hz: float) -> list[str]:
    """The levels of an axis as text, in their order."""
    return [level_text(axis.name, level, rate_hz) for level in axis.levels]


def scale_row(found: ScaleFindings, rate_hz: float) -> dict[str, Any]:
    """Data of a point or cell: the level of each axis as text, and each number that is known."""
    levels = {name: level_text(name, level, rate_hz) for name, level in found.scale.to_dict().items()}
    costs = {name: cost.value for name, cost in found.costs.items() if cost is not None}
    own = {name: getattr(found, name) for name in ("mean", "mean_low", "mean_high", "receptive_field_ms")}
    return {**levels, **own, **costs}


def field_of(axis_name: str) -> str:
    """An axis in the data of `scale_row`; Vega reads dots and brackets without a backslash as a path of fields."""
    return re.sub(r"([\\.\[\]:'\"])", r"\\\1", axis_name)


def scale_tooltip(axis_names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The tooltip of such points: the axes, and each number that is known of one of the rows."""
    known = [name for name in NUMBERS if any(row.get(name) is not None for row in rows)]
    return [
        *(alt.Tooltip(f"{field_of(name)}:N", title=name) for name in axis_names),
        *(alt.Tooltip(f"{name}:Q", title=NUMBERS[name][0], format=NUMBERS[name][1]) for name in known),
    ]


def _specification(chart: Any) -> dict[str, Any]:
    values = chart.to_dict()
    values.pop("config", None)  # the page's, or the paper's
    return values


def _chart(rows: Sequence[Mapping[str, Any]]) -> Any:
    return alt.Chart(alt.Data(values=rows))


def _line(**place: float) -> Any:
    """A dashed line at a value of x or y."""
    return _chart([place]).mark_rule(strokeDash=[4, 3]).encode(**{channel: f"{channel}:Q" for channel in place})


def _marks(field: str, kinds: Sequence[str], **legend: Any) -> dict[str, Any]:
    """Colour and shape of points by a field whose values are keys of `MARKS`."""
    channels = {"color": alt.Color, "shape": alt.Shape}
    ranges = zip(*(MARKS[kind] for kind in kinds), strict=True)
    return {
        name: channel(f"{field}:N", scale=alt.Scale(domain=kinds, range=look), legend=alt.Legend(title=None, **legend))
        for (name, channel), look in zip(channels.items(), ranges, strict=True)
    }


def _logarithmic(name: str, title: str, **axis: Any) -> Any:
    """A horizontal axis."""
    scale = alt.Scale(type="log", nice=False, padding=12)
    return alt.X(f"{name}:Q", title=title, scale=scale, axis=alt.Axis(labelOverlap=True, **axis))


def _macro_auroc(name: str, values: Sequence[float] = ()) -> Any:
    """The vertical axis; `values` makes panels that share them equal in range."""
    scale = alt.Scale(zero=False, domain=[min(values), max(values)], nice=True) if values else alt.Scale(zero=False)
    return alt.Y(f"{name}:Q", title="test macro AUROC", scale=scale, axis=alt.Axis(format=".3f", tickCount=5))
