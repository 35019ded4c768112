"""Charts of a study: interactive in a page, and SVG or PNG for a paper.

A chart is a list of Altair panels. In a page each panel is as wide as its place; in a figure they are side by side.
Neutral marks take their colour from the config, so that they are dark on light paper and light on a dark screen.
Colours with a meaning are those of Okabe and Ito (the blue lighter, for dark screens), and a shape, a dash or a text
always has the same meaning. May import altair and vl_convert; no network.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import altair as alt

from ecg_jax.analysis.axes import Axis, Scale
from ecg_jax.analysis.findings import Claim, Contrast, Effect, ParetoPoint, ScaleFindings
from ecg_jax.analysis.search_replay import CurvePoint
from ecg_jax.formatting import level_text, scale_text

BLUE, GREEN, VERMILION, SKY, GREY = "#2a86c7", "#009e73", "#d55e00", "#56b4e9", "#888888"
VERDICTS = {
    "holds": (GREEN, "circle"),
    "does not hold": (VERMILION, "square"),
    "effect": (BLUE, "triangle-up"),
    "no effect": (SKY, "cross"),
    "not decided": (GREY, "diamond"),
}
COST_TITLES = {
    "parameters": "parameters",
    "macs": "multiply-accumulates (MACs) per window",
    "seconds": "measured training time, s",
    "latency_ms": "latency of one window, ms",
}
FRONT, DOMINATED = "no cheaper scale is better", "a cheaper scale is better"
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
        "legend": {**letters, "symbolBaseFillColor": ink, "symbolBaseStrokeColor": ink},
        "title": {"color": ink, "fontSize": 12, "anchor": "start"},
        "text": {"fill": ink},
        "rule": {"color": ink},
    }


def forest(effects: Mapping[str, Effect], *, title: str = "", x_title: str, margin: float = 0.0) -> Panels:
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
    verdicts = [verdict for verdict in VERDICTS if any(row["verdict"] == verdict for row in rows)]
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("name:N", sort=[row["name"] for row in rows], title=None, axis=names),
        tooltip=[
            alt.Tooltip("name:N", title=" "),
            *(alt.Tooltip(f"{name}:Q", format="+.4f") for name in ("effect", "low", "high")),
            *([alt.Tooltip("verdict:N")] if verdicts else []),
        ],
    )
    marks: dict[str, Any] = {"color": alt.value(BLUE)}
    if verdicts:
        colours, shapes = zip(*(VERDICTS[verdict] for verdict in verdicts), strict=True)
        legend = alt.Legend(title=None, orient="bottom", columns=3)
        marks = {
            "color": alt.Color("verdict:N", scale=alt.Scale(domain=verdicts, range=colours), legend=legend),
            "shape": alt.Shape("verdict:N", scale=alt.Scale(domain=verdicts, range=shapes), legend=legend),
        }
    ticks = alt.Axis(format="+.4~f", tickCount=4, labelOverlap=True)
    x = alt.X("low:Q", title=x_title, axis=ticks, scale=alt.Scale(padding=8))
    zero = alt.Chart(alt.Data(values=[{"zero": 0, "from": -margin, "to": margin}]))
    band = zero.mark_rect(color=SKY, opacity=0.25).encode(x=alt.X("from:Q", title=x_title), x2="to:Q")
    intervals = base.mark_rule(strokeWidth=2.5).encode(x=x, x2="high:Q", color=marks["color"])
    points = base.mark_point(filled=True, size=90, opacity=1).encode(x=alt.X("effect:Q", title=x_title), **marks)
    layers = [*([band] if margin else []), zero.mark_rule(strokeDash=[4, 3]).encode(x="zero:Q"), intervals, points]
    each = 38 if any("\n" in name for name in effects) else 26
    return [alt.layer(*layers).properties(title=title, width=330, height=max(each * len(rows), 60))]


def _verdict(found: Effect) -> str:
    """A key of `VERDICTS`, or "" for none."""
    if isinstance(found, Contrast):
        return "effect" if found.differs else "not decided"
    return found.verdict if isinstance(found, Claim) else ""


def pareto(
    scales: Sequence[ScaleFindings], fronts: Mapping[str, Sequence[ParetoPoint] | None], *, rate_hz: float
) -> Panels:
    """Macro AUROC against each cost; the line joins the scales that no cheaper scale exceeds."""
    panels = []
    for cost, front in fronts.items():
        if not front:
            continue
        on_front = {point.scale for point in front}
        rows = [
            {
                **scale_row(found, rate_hz),
                "cost": value.value,
                "front": FRONT if found.scale in on_front else DOMINATED,
            }
            for found in scales
            if (value := found.costs[cost]) and value.value > 0
        ]
        axis = alt.Axis(format="~s" if cost in ("parameters", "macs") else "~g", labelOverlap=True, tickCount=4)
        x = alt.X("cost:Q", title=COST_TITLES[cost], scale=alt.Scale(type="log", nice=False, padding=12), axis=axis)
        tooltip = scale_tooltip(scales[0].scale.names, rows)
        base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=_macro_auroc("mean"), tooltip=tooltip)
        kinds, legend = [FRONT, DOMINATED], alt.Legend(title=None, orient="bottom", columns=1, labelLimit=240)
        points = base.mark_point(filled=True, size=90, opacity=1).encode(
            color=alt.Color("front:N", scale=alt.Scale(domain=kinds, range=[VERMILION, GREY]), legend=legend),
            shape=alt.Shape("front:N", scale=alt.Scale(domain=kinds, range=["circle", "diamond"]), legend=legend),
        )
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
    names, legend = known[0].scale.names, alt.Legend(orient="bottom", columns=4)
    rows = [scale_row(found, rate_hz) for found in known]
    first, second = axes[0], axes[1] if len(axes) > 1 else axes[0]
    levels = level_texts(second, rate_hz)
    colour = alt.Scale(domain=levels, scheme=alt.SchemeParams(name="viridis", extent=[0.25, 0.95]))  # also on black
    if second.kind == "categorical":
        colour = alt.Scale(domain=levels, range=[BLUE, VERMILION, GREEN, SKY, GREY])
    shape = alt.Scale(domain=level_texts(first, rate_hz))
    title = "receptive field, ms"
    x_scale = alt.Scale(type="log", nice=False, padding=12)
    points = alt.Chart().encode(
        x=alt.X("receptive_field_ms:Q", title=title, scale=x_scale, axis=alt.Axis(labelOverlap=True)),
        y=_macro_auroc("mean", [row["mean"] for row in rows]),
        color=alt.Color(f"{field_of(second, names)}:O", title=second.name, scale=colour, legend=legend),
        shape=alt.Shape(f"{field_of(first, names)}:N", title=first.name, scale=shape, legend=legend),
        tooltip=scale_tooltip(names, rows),
    )
    points = points.mark_point(filled=True, size=90, opacity=0.9)
    window = alt.Chart(alt.Data(values=[{"window": window_ms}])).mark_rule(strokeDash=[4, 3])
    window = window.encode(x=alt.X("window:Q", title=title))
    panels = []
    by = axes[2] if len(axes) > 2 else None
    for text in level_texts(by, rate_hz) if by else [""]:
        there = [row for row in rows if by is None or row[field_of(by, names)] == text]
        panel = points.properties(data=alt.Data(values=there))
        panel = panel if window_ms is None else window + panel
        panels.append(panel.properties(title=f"{by.name} {text}" if by else "", width=360, height=240))
    return panels


def learning_curves(curves: Sequence[EpochMean], *, rate_hz: float, best: Scale | None) -> Panels:
    """Validation macro AUROC and training loss of every scale by epoch; the best scale is drawn thick, in red."""
    rows = [
        {**asdict(curve), "scale": scale_text(curve.scale.to_dict(), rate_hz), "best": curve.scale == best}
        for curve in curves
    ]
    if not rows:
        return []
    panels = []
    for name, title in (("validation_macro_auroc", "validation macro AUROC"), ("train_loss", "training loss")):
        near = alt.selection_point(name=f"near_{name}", fields=["scale"], on="pointerover", nearest=True, empty=False)
        base = alt.Chart(alt.Data(values=rows)).encode(
            x=alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y(f"{name}:Q", title=title, scale=alt.Scale(zero=False)),
            detail="scale:N",
        )
        lines = base.mark_line().encode(
            color=alt.condition("datum.best", alt.value(VERMILION), alt.value(BLUE)),
            strokeWidth=_raised(near, 3, 1),
            opacity=_raised(near, 1, 0.6),
        )
        tooltip = [alt.Tooltip("scale:N"), "epoch:Q", alt.Tooltip(f"{name}:Q", title=title, format=".4f")]
        points = base.mark_point(opacity=0, size=30).encode(tooltip=tooltip).add_params(near)
        panels.append((lines + points).properties(width=330, height=230))
    return panels


def search_curves(curves: Sequence[CurvePoint], *, title: str) -> Panels:
    """Best value so far by training MACs in both search spaces, and the difference with its interval."""
    lines = [
        {"budget": point.budget, "value": getattr(point, space), "space": space}
        for point in curves
        for space in ("whole", "narrowed")
    ]
    x = alt.X("budget:Q", title="training MACs", scale=alt.Scale(type="log", nice=False), axis=alt.Axis(format=".1~e"))
    colours = alt.Scale(domain=["whole", "narrowed"], range=[BLUE, VERMILION])
    best = alt.Chart(alt.Data(values=lines)).mark_line(strokeWidth=2.5)
    best = best.encode(
        x=x,
        y=_macro_auroc("value"),
        color=alt.Color("space:N", scale=colours, legend=alt.Legend(orient="bottom")),
        strokeDash=alt.StrokeDash("space:N", legend=None),
    )
    base = alt.Chart(alt.Data(values=[asdict(point) for point in curves])).encode(x=x)
    y_title = "narrowed minus whole"
    band = base.mark_area(opacity=0.3, color=VERMILION).encode(y=alt.Y("low:Q", title=y_title), y2="high:Q")
    middle = base.mark_line(color=VERMILION).encode(y=alt.Y("difference:Q", title=y_title))
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(strokeDash=[4, 3]).encode(y=alt.Y("zero:Q"))
    size = {"width": 380, "height": 240}
    return [best.properties(title=title, **size), (band + middle + zero).properties(title="difference, 95 %", **size)]


def together(panels: Panels, *, columns: int = 3) -> dict[str, Any]:
    """Panels as one figure: its Vega-Lite specification, for `svg` and `png`."""
    if len(panels) == 1:
        return _specification(panels[0])
    return _specification(alt.concat(*panels, columns=columns).resolve_scale(color="independent", shape="independent"))


def for_page(panels: Panels) -> list[dict[str, Any]]:
    """Panels as specifications that are as wide as their place in a page."""
    fit = {"type": "fit-x", "contains": "padding"}
    return [{**_specification(panel), "width": "container", "autosize": fit} for panel in panels]


def svg(figure: dict[str, Any]) -> str:
    """A figure as SVG, on white."""
    import vl_convert

    return vl_convert.vegalite_to_svg(figure, config=config("#222222", "#ffffff"))


def png(figure: dict[str, Any]) -> bytes:
    """A figure as PNG, on white, at twice the size."""
    import vl_convert

    return vl_convert.vegalite_to_png(figure, scale=2, config=config("#222222", "#ffffff"))


def level_texts(axis: Axis, rate_hz: float) -> list[str]:
    """The levels of an axis as text, in their order."""
    return [level_text(axis.name, level, rate_hz) for level in axis.levels]


def scale_row(found: ScaleFindings, rate_hz: float) -> dict[str, Any]:
    """Data of a point or cell: levels as `axis_0`, `axis_1`, ... (Vega reads a dot in a name as a nested field)."""
    levels = {
        f"axis_{i}": level_text(name, level, rate_hz) for i, (name, level) in enumerate(found.scale.to_dict().items())
    }
    costs = {name: cost.value for name, cost in found.costs.items() if cost is not None}
    own = {name: getattr(found, name) for name in ("mean", "mean_low", "mean_high", "receptive_field_ms")}
    return {**levels, **own, **costs}


def field_of(axis: Axis, names: Sequence[str]) -> str:
    """The name of an axis in the data of `scale_row`, from the names of all axes."""
    return f"axis_{names.index(axis.name)}"


def scale_tooltip(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The tooltip of such points: the axes `names`, and each figure that is known of one of the rows."""
    numbers = {
        "mean": ("macro AUROC", ".4f"),
        "mean_low": ("95 % from", ".4f"),
        "mean_high": ("95 % to", ".4f"),
        "receptive_field_ms": ("receptive field, ms", ",.0f"),
        "parameters": ("parameters", ",d"),
        "macs": ("MACs", ",d"),
        "seconds": ("training, s", ",.1f"),
        "latency_ms": ("latency, ms", ",.2f"),
    }
    return [
        *(alt.Tooltip(f"axis_{i}:N", title=name) for i, name in enumerate(names)),
        *(
            alt.Tooltip(f"{name}:Q", title=title, format=form)
            for name, (title, form) in numbers.items()
            if any(row.get(name) is not None for row in rows)
        ),
    ]


def _specification(chart: Any) -> dict[str, Any]:
    values = json.loads(chart.to_json())
    values.pop("config", None)  # the page's, or the paper's
    return values


def _raised(near: Any, value: float, otherwise: float) -> Any:
    """A value for the line under the pointer and for the best one, and another for the rest."""
    high = alt.value(value)
    return alt.when(near).then(high).when("datum.best").then(high).otherwise(alt.value(otherwise))


def _macro_auroc(name: str, values: Sequence[float] = ()) -> Any:
    """The vertical axis; `values` makes panels that share them equal in range."""
    scale = alt.Scale(zero=False, domain=[min(values), max(values)], nice=True) if values else alt.Scale(zero=False)
    return alt.Y(f"{name}:Q", title="test macro AUROC", scale=scale, axis=alt.Axis(format=".3f", tickCount=5))
