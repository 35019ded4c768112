"""Reliability diagrams of a run. May import altair; no network."""

from collections.abc import Mapping
from typing import Any

import altair as alt

from ecg_jax.report.charts import BLUE, VERMILION, Panels

AS_PREDICTED, SCALED = "as predicted", "scaled"
FEWEST_IN_BIN = 5  # records; bins with fewer are not drawn
SHARE = "share of records with the label"


def reliability(calibration: Mapping[str, Any]) -> Panels:
    """A diagram of each label: share of positive records against mean probability, with 95 % intervals.

    Bins of few records are left out. The dashed diagonal is what is right. Of scaled probabilities a second series is
    drawn. A larger point is of more records.

    Args:
        calibration: from `evaluation.calibration.calibration`, with `scaled` if there is a scaling.
    """
    series = {AS_PREDICTED: calibration.get("per_label", {})}
    if "scaled" in calibration:
        series[SCALED] = calibration["scaled"]["per_label"]
    return [
        _diagram(name, {kind: per_label[name]["bins"] for kind, per_label in series.items()})
        for name, found in series[AS_PREDICTED].items()
        if any(b["observed"]["value"] not in (None, 0.0) for b in found["bins"])
    ]


def _diagram(name: str, bins: Mapping[str, list[dict[str, Any]]]) -> Any:
    rows = [
        {
            "kind": kind,
            "probability": b["probability"],
            "observed": b["observed"]["value"],
            "from": b["observed"]["low"],
            "to": b["observed"]["high"],
            "records": b["records"],
        }
        for kind, of_kind in bins.items()
        for b in of_kind
        if b["records"] >= FEWEST_IN_BIN
    ]
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2~f")
    x = alt.X("probability:Q", title="mean probability", scale=alt.Scale(domain=[0, 1]), axis=axis)
    y = alt.Y("observed:Q", title=SHARE, scale=alt.Scale(domain=[0, 1]), axis=axis)
    kinds = list(bins)
    colours = alt.Scale(domain=kinds, range=[BLUE, VERMILION][: len(kinds)])
    shapes = alt.Scale(domain=kinds, range=["circle", "square"][: len(kinds)])
    legend = alt.Legend(title=None) if len(kinds) > 1 else None
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=x,
        color=alt.Color("kind:N", scale=colours, legend=legend),
        tooltip=[
            alt.Tooltip("probability:Q", format=".3f"),
            alt.Tooltip("observed:Q", format=".3f"),
            "records:Q",
            *(["kind:N"] if len(kinds) > 1 else []),
        ],
    )
    ends = [{"probability": 0, "observed": 0}, {"probability": 1, "observed": 1}]
    diagonal = alt.Chart(alt.Data(values=ends)).mark_line(strokeDash=[4, 3], strokeWidth=1)
    diagonal = diagonal.encode(x=x, y=y, color=alt.value("#888888"))
    intervals = base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("from:Q", title=SHARE), y2="to:Q")
    points = base.mark_point().encode(
        y=y,
        shape=alt.Shape("kind:N", scale=shapes, legend=legend),
        size=alt.Size("records:Q", legend=None, scale=alt.Scale(range=[20, 160])),
    )
    return alt.layer(diagonal, intervals, points).properties(title=name, width=260, height=240)
