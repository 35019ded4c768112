"""A study's charts, from plain values: each is interactive in a page, and SVG or PNG for a paper.

A chart is a list of Altair panels, which a page lays out as wide as it is, and a figure puts side by side. Neutral
marks take their colour from the config, so that they are dark on light paper and light on a dark screen. Colours that
mean something are those of Okabe and Ito (the blue lighter, for dark screens), and never mean it alone. May import
altair and vl_convert; no network.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

BLUE, GREEN, VERMILION, SKY = "#2a86c7", "#009e73", "#d55e00", "#56b4e9"
VERDICTS = {"holds": (GREEN, "circle"), "does not hold": (VERMILION, "square"), "not decided": ("#888888", "diamond")}
COST_NAMES = {
    "parameters": "parameters",
    "macs": "multiply-accumulates (MACs) a window",
    "seconds": "measured training time, s",
    "latency_ms": "latency of one window, ms",
}
Row = Mapping[str, Any]
Panels = list[Any]
"""Altair charts that belong together."""


def config(ink: str, paper: str | None = None) -> dict[str, Any]:
    """The look of all charts with lines and letters in one colour; `currentColor` in a page follows its style."""
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


def scale_name(scale: Row, rate_hz: float) -> str:
    """A scale as charts and text name it, the kernel in ms too."""
    return f"depth {scale['depth']}, channels {scale['channels']}, kernel {kernel_name(scale['kernel'], rate_hz)}"


def kernel_name(kernel: int, rate_hz: float) -> str:
    """A kernel in samples and in ms."""
    return f"{kernel} ({1000 * kernel / rate_hz:.3g} ms)"


def heat_maps(scales: Sequence[Row], *, rate_hz: float, best: Row | None, figure="test macro AUROC") -> Panels:
    """Depth by channels at each kernel: `mean` of every scale; the best is framed, ~ marks what it may be.

    Args:
        scales: with `depth`, `channels`, `kernel`, `mean`; where known `mean_low`, `mean_high`, `indistinguishable`.
        rate_hz: of the signal.
        best: depth, channels and kernel of the scale to frame.
        figure: what `mean` is.
    """
    known = [scale for scale in scales if scale.get("mean") is not None]
    if not known:
        return []
    low, high = min(s["mean"] for s in known), max(s["mean"] for s in known)
    dark = f"datum.mean < {low + 0.55 * (high - low)}"
    rows = [
        {
            **_told(scale, rate_hz),
            "said": f"{scale['mean']:.3f}{' ~' if scale.get('indistinguishable') else ''}",
            "best": best is not None and all(scale[axis] == best[axis] for axis in ("depth", "channels", "kernel")),
        }
        for scale in known
    ]
    panels = []
    for kernel in sorted({row["kernel"] for row in rows}):
        there = [row for row in rows if row["kernel"] == kernel]
        base = alt.Chart(alt.Data(values=there)).encode(
            x=alt.X("channels:O", title="channels", axis=alt.Axis(labelAngle=0, domain=False, ticks=False)),
            y=alt.Y("depth:O", title="depth", sort="descending", axis=alt.Axis(domain=False, ticks=False)),
            tooltip=_tooltip(there),
        )
        colour = alt.Color(
            "mean:Q", scale=alt.Scale(scheme="viridis", domain=[low, max(high, low + 1e-6)]), legend=None
        )
        cells = base.mark_rect().encode(color=colour)
        frame = base.mark_rect(filled=False, stroke=VERMILION, strokeWidth=4).transform_filter("datum.best")
        letters = base.mark_text(fontSize=12).encode(
            text="said:N", color=alt.condition(dark, alt.value("#ffffff"), alt.value("#000000"))
        )
        levels = len({row["depth"] for row in rows})
        title = f"{figure}, kernel {kernel_name(kernel, rate_hz)}"
        panels.append((cells + frame + letters).properties(title=title, width=230, height=38 * levels))
    return panels


def forest(rows: Sequence[Row], *, title: str, x_title: str, margin: float = 0.0) -> Panels:
    """Effects with their intervals below each other, about the line of no effect; a band shows the margin.

    Args:
        rows: `name`, `effect`, `low`, `high` and `verdict` ("" for none); those without an interval are left out.
        title: of the panel.
        x_title: what the effect is.
        margin: half width of the band.
    """
    known = [row for row in rows if row["effect"] is not None and row["low"] is not None]
    if not known:
        return []
    data, order = alt.Data(values=[dict(row) for row in known]), [row["name"] for row in known]
    x = alt.X(
        "low:Q",
        title=x_title,
        axis=alt.Axis(format="+.4~f", tickCount=4, labelOverlap=True),
        scale=alt.Scale(padding=8),
    )
    base = alt.Chart(data).encode(
        y=alt.Y("name:N", sort=order, title=None, axis=alt.Axis(labelLimit=260, domain=False, ticks=False)),
        tooltip=[
            alt.Tooltip("name:N", title=" "),
            *(alt.Tooltip(f"{name}:Q", format="+.4f") for name in ("effect", "low", "high")),
            *([alt.Tooltip("verdict:N")] if any(row["verdict"] for row in known) else []),
        ],
    )
    zero = alt.Chart(alt.Data(values=[{"zero": 0, "from": -margin, "to": margin}]))
    band = zero.mark_rect(color=SKY, opacity=0.25).encode(x=alt.X("from:Q", title=x_title), x2="to:Q")
    colours, shapes = zip(*VERDICTS.values(), strict=True)
    domain = list(VERDICTS)
    judged = any(row["verdict"] for row in known)
    legend = alt.Legend(title=None, orient="bottom") if judged else None
    colour = alt.Color("verdict:N", scale=alt.Scale(domain=domain, range=colours), legend=legend)
    shape = alt.Shape("verdict:N", scale=alt.Scale(domain=domain, range=shapes), legend=legend)
    marks = {"color": colour, "shape": shape} if judged else {"color": alt.value(BLUE)}
    intervals = base.mark_rule(strokeWidth=2.5).encode(x=x, x2="high:Q", color=marks["color"])
    points = base.mark_point(filled=True, size=90, opacity=1).encode(x=alt.X("effect:Q", title=x_title), **marks)
    layers = [*([band] if margin else []), zero.mark_rule(strokeDash=[4, 3]).encode(x="zero:Q"), intervals, points]
    return [alt.layer(*layers).properties(title=title, width=330, height=max(26 * len(known), 60))]


def pareto(scales: Sequence[Row], fronts: Mapping[str, Sequence[Row] | None], *, rate_hz: float) -> Panels:
    """Quality against each cost; the line joins the scales that nothing cheaper beats."""
    panels = []
    for cost, front in fronts.items():
        if not front:
            continue
        on_front = {(entry["depth"], entry["channels"], entry["kernel"]) for entry in front}
        rows = [
            {
                **_told(scale, rate_hz),
                "cost": value["value"],
                "front": "nothing cheaper is better" if _place(scale) in on_front else "beaten",
            }
            for scale in scales
            if (value := scale["costs"][cost]) and value["value"] > 0
        ]
        axis = alt.Axis(format="~s" if cost in ("parameters", "macs") else "~g", labelOverlap=True, tickCount=4)
        base = alt.Chart(alt.Data(values=rows)).encode(
            x=alt.X("cost:Q", title=COST_NAMES[cost], scale=alt.Scale(type="log", nice=False, padding=12), axis=axis),
            y=_quality("mean"),
            tooltip=_tooltip(rows),
        )
        kinds = ["nothing cheaper is better", "beaten"]
        legend = alt.Legend(title=None, orient="bottom")
        points = base.mark_point(filled=True, size=90, opacity=1).encode(
            color=alt.Color("front:N", scale=alt.Scale(domain=kinds, range=[VERMILION, "#888888"]), legend=legend),
            shape=alt.Shape("front:N", scale=alt.Scale(domain=kinds, range=["circle", "diamond"]), legend=legend),
        )
        line = base.mark_line(interpolate="step-after", color=VERMILION).transform_filter(
            f"datum.front == '{kinds[0]}'"
        )
        panels.append((line.encode(tooltip=alt.value(None)) + points).properties(width=330, height=230))
    return panels


def reach(scales: Sequence[Row], *, rate_hz: float, window_ms: float) -> Panels:
    """Quality against the receptive field in ms; the dashed line is the window."""
    rows = [_told(scale, rate_hz) for scale in scales if scale.get("receptive_field_ms")]
    rows = [row for row in rows if row["mean"] is not None]
    if not rows:
        return []
    title = "receptive field, ms"
    channels = sorted({row["channels"] for row in rows})
    base = alt.Chart(alt.Data(values=rows))
    points = base.mark_point(filled=True, size=90, opacity=0.9).encode(
        x=alt.X(
            "receptive_field_ms:Q",
            title=title,
            scale=alt.Scale(type="log", nice=False, padding=12),
            axis=alt.Axis(labelOverlap=True),
        ),
        y=_quality("mean"),
        color=alt.Color(
            "channels:O", sort=channels, scale=alt.Scale(scheme="viridis"), legend=alt.Legend(orient="bottom")
        ),
        shape=alt.Shape("depth:N", legend=alt.Legend(orient="bottom")),
        tooltip=_tooltip(rows),
    )
    window = alt.Chart(alt.Data(values=[{"window": window_ms}])).mark_rule(strokeDash=[4, 3])
    return [(window.encode(x=alt.X("window:Q", title=title)) + points).properties(width=480, height=260)]


def heads(rows: Sequence[Row], *, window_ms: float) -> Panels:
    """Quality against the receptive field in ms, a panel for each head on one scale; the dashed line is the window.

    Args:
        rows: with `head`, `changed` (what sets the network apart), `mean`, `receptive_field_ms`, and where known
            `mean_low`, `mean_high`.
        window_ms: length of the window.
    """
    x = alt.X("receptive_field_ms:Q", title="receptive field, ms", scale=alt.Scale(type="log", nice=False, padding=16))
    figures = [f for row in rows for name in ("mean", "mean_low", "mean_high") if (f := row.get(name)) is not None]
    scale = alt.Scale(zero=False, domain=[min(figures), max(figures)], nice=True) if figures else alt.Scale(zero=False)
    quality = {"title": "test macro AUROC", "scale": scale, "axis": alt.Axis(format=".3f", tickCount=5)}
    panels = []
    for head in dict.fromkeys(row["head"] for row in rows):
        base = alt.Chart(alt.Data(values=[dict(row) for row in rows if row["head"] == head])).encode(x=x)
        bars = base.mark_rule(color=BLUE, opacity=0.5).encode(y=alt.Y("mean_low:Q", **quality), y2="mean_high:Q")
        points = base.mark_point(filled=True, size=60, color=BLUE).encode(y=alt.Y("mean:Q", **quality))
        names = base.mark_text(angle=270, align="left", dx=4, fontSize=10).encode(y=alt.value(220), text="changed:N")
        window = alt.Chart(alt.Data(values=[{"window": window_ms}])).mark_rule(strokeDash=[4, 3]).encode(x="window:Q")
        panels.append((window + bars + points + names).properties(title=f"head: {head}", width=260, height=220))
    return panels


def learning_curves(curves: Sequence[Row], *, rate_hz: float, best: Row | None) -> Panels:
    """Validation AUROC and training loss of every scale by epoch, means over seeds and folds; the best in colour.

    Args:
        curves: `depth`, `channels`, `kernel`, `epoch` and the two figures, None for a gap.
        rate_hz: of the signal.
        best: depth, channels and kernel of the scale in colour.
    """
    rows = [
        {**curve, "scale": scale_name(curve, rate_hz), "best": best is not None and _place(curve) == _place(best)}
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


def search_curves(curves: Sequence[Row], *, title: str) -> Panels:
    """Best so far by training MACs, one line a search, and their difference with its interval.

    Args:
        curves: by `budget`: `whole`, `narrowed`, `difference`, `low`, `high`.
        title: of the figure.
    """
    lines = [
        {"budget": c["budget"], "value": c[space], "space": space} for c in curves for space in ("whole", "narrowed")
    ]
    x = alt.X("budget:Q", title="training MACs", scale=alt.Scale(type="log", nice=False), axis=alt.Axis(format=".1~e"))
    colour = alt.Color(
        "space:N",
        scale=alt.Scale(domain=["whole", "narrowed"], range=[BLUE, VERMILION]),
        legend=alt.Legend(orient="bottom"),
    )
    best = (
        alt.Chart(alt.Data(values=lines))
        .mark_line(strokeWidth=2.5)
        .encode(x=x, y=_quality("value"), color=colour, strokeDash=alt.StrokeDash("space:N", legend=None))
    )
    base = alt.Chart(alt.Data(values=[dict(c) for c in curves])).encode(x=x)
    y = alt.Y("low:Q", title="narrowed minus whole")
    band = base.mark_area(opacity=0.3, color=VERMILION).encode(y=y, y2="high:Q")
    middle = base.mark_line(color=VERMILION).encode(y=alt.Y("difference:Q", title="narrowed minus whole"))
    zero = alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(strokeDash=[4, 3]).encode(y=alt.Y("zero:Q"))
    size = {"width": 380, "height": 240}
    return [best.properties(title=title, **size), (band + middle + zero).properties(title="difference, 95 %", **size)]


def together(panels: Panels, *, columns: int = 3) -> dict[str, Any]:
    """Panels as one figure: its Vega-Lite specification, for `svg` and `png`."""
    figure = (
        panels[0]
        if len(panels) == 1
        else alt.concat(*panels, columns=columns).resolve_scale(color="independent", shape="independent")
    )
    return _specification(figure)


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


def _specification(chart: Any) -> dict[str, Any]:
    values = json.loads(chart.to_json())
    values.pop("config", None)  # the page's, or the paper's
    return values


def _raised(near: Any, value: float, otherwise: float) -> Any:
    """A value for the line under the pointer and for the best one, and another for the rest."""
    high = alt.value(value)
    return alt.when(near).then(high).when("datum.best").then(high).otherwise(alt.value(otherwise))


def _quality(name: str) -> Any:
    return alt.Y(
        f"{name}:Q", title="test macro AUROC", scale=alt.Scale(zero=False), axis=alt.Axis(format=".3f", tickCount=5)
    )


def _place(scale: Row) -> tuple[int, int, int]:
    return scale["depth"], scale["channels"], scale["kernel"]


def _told(scale: Row, rate_hz: float) -> dict[str, Any]:
    """What a tooltip tells of a scale."""
    costs = scale.get("costs") or {}
    known = {name: value["value"] for name, value in costs.items() if value is not None}
    names = ("depth", "channels", "kernel", "mean", "mean_low", "mean_high", "receptive_field_ms")
    return {**{name: scale.get(name) for name in names}, "kernel_name": kernel_name(scale["kernel"], rate_hz), **known}


_TOLD = (
    ("depth", "depth", "d"),
    ("channels", "channels", "d"),
    ("kernel_name", "kernel", ""),
    ("mean", "macro AUROC", ".4f"),
    ("mean_low", "95 % from", ".4f"),
    ("mean_high", "95 % to", ".4f"),
    ("receptive_field_ms", "receptive field, ms", ",.0f"),
    ("parameters", "parameters", ",d"),
    ("macs", "MACs", ",d"),
    ("seconds", "training, s", ",.1f"),
    ("latency_ms", "latency, ms", ",.2f"),
)


def _tooltip(rows: Iterable[Row]) -> list[Any]:
    there = {name for row in rows for name, value in row.items() if value is not None}
    told = [entry for entry in _TOLD if entry[0] in there]
    return [
        alt.Tooltip(f"{name}:Q", title=title, format=form) if form else alt.Tooltip(f"{name}:N", title=title)
        for name, title, form in told
    ]
