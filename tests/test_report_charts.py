"""The study's charts say what the values say, and need neither network nor browser."""

import json
import re

import pytest

from ecg_jax.report import charts

CLAIM = {"effect": -0.01, "low": -0.02, "high": -0.001, "verdict": "holds"}


def scale(depth, channels, kernel, mean, macs=1000):
    cost = {"value": macs, "low": macs, "high": macs}
    entry = {"depth": depth, "channels": channels, "kernel": kernel, "mean": mean, "mean_low": mean - 0.01}
    return {
        **entry,
        "mean_high": mean + 0.01,
        "indistinguishable": mean > 0.8,
        "receptive_field_ms": 30.0 * kernel,
        "costs": {"parameters": cost, "macs": cost, "seconds": None, "latency_ms": None},
    }


SCALES = [scale(1, 8, 3, 0.8, 100), scale(1, 16, 3, 0.9, 300), scale(2, 8, 5, 0.7, 200), scale(2, 16, 5, 0.85, 400)]


def specifications(panels):
    return json.loads(json.dumps(charts.for_page(panels), allow_nan=False))


def values_of(specification):
    data = [part["data"]["values"] for part in (specification, *specification["layer"]) if "data" in part]
    return max(data, key=len)


def test_there_is_a_heat_map_for_each_kernel_and_it_names_the_kernel_in_ms():
    panels = specifications(charts.heat_maps(SCALES, rate_hz=250, best=SCALES[1]))
    assert [panel["title"] for panel in panels] == [
        "test macro AUROC, kernel 3 (12 ms)",
        "test macro AUROC, kernel 5 (20 ms)",
    ]
    first = {row["channels"]: row for row in values_of(panels[0])}
    assert first[8]["said"] == "0.800"
    assert first[16]["said"] == "0.900 ~"
    assert [first[c]["best"] for c in (8, 16)] == [False, True]
    assert not any(row["best"] for row in values_of(panels[1]))


def test_an_effect_without_an_interval_is_left_out_and_without_any_there_is_no_chart():
    unknown = {"effect": 0.1, "low": None, "high": None, "verdict": "not decided"}
    (panel,) = charts.forest([{"name": "a", **CLAIM}, {"name": "b", **unknown}], title="", x_title="")
    assert '"b"' not in panel.to_json()
    assert '"a"' in panel.to_json()
    assert charts.forest([{"name": "b", **unknown}], title="", x_title="") == []


def test_the_pareto_chart_marks_the_front_and_tells_the_configuration():
    front = [{**SCALES[0], "cost": 100}, {**SCALES[1], "cost": 300}]
    panels = charts.pareto(SCALES, {"macs": front, "seconds": None}, rate_hz=100)
    (panel,) = specifications(panels)
    rows = values_of(panel)
    assert [row["front"] == "beaten" for row in rows] == [False, False, True, True]
    (points,) = [layer for layer in panel["layer"] if layer["mark"]["type"] == "point"]
    told = [entry["field"] for entry in points["encoding"]["tooltip"]]
    assert told[:4] == ["depth", "channels", "kernel_name", "mean"]
    assert rows[0]["kernel_name"] == "3 (30 ms)"
    assert "seconds" not in told


def test_only_the_config_decides_the_colour_of_letters_and_lines():
    """So that a page in the dark is legible: no chart sets black or white but in a cell of its own colour."""
    curves = [{**SCALES[0], "epoch": e, "validation_macro_auroc": 0.8, "train_loss": 1.0} for e in (1, 2)]
    panels = [
        *charts.forest([{"name": "a", **CLAIM}], title="t", x_title="x", margin=0.002),
        *charts.pareto(SCALES, {"macs": SCALES[:1]}, rate_hz=100),
        *charts.reach(SCALES, rate_hz=100, window_ms=2500),
        *charts.learning_curves(curves, rate_hz=100, best=SCALES[0]),
    ]
    assert len(panels) == 5
    text = json.dumps(charts.for_page(panels))
    assert not re.search(r'"(black|white|#000|#fff|#222)', text)
    assert '"config"' not in text


def test_a_figure_is_svg_and_png_without_network():
    figure = charts.together(charts.heat_maps(SCALES, rate_hz=100, best=None))
    svg = charts.svg(figure)
    assert svg.startswith("<svg")
    assert ">0.900 ~<" in svg
    assert charts.png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("make", [charts.heat_maps, charts.reach])
def test_nothing_to_show_is_no_chart(make):
    settings = {"best": None} if make is charts.heat_maps else {"window_ms": 1.0}
    assert make([], rate_hz=100, **settings) == []


def test_each_head_has_a_panel_that_names_its_networks():
    about = {"mean_low": 0.7, "mean_high": 0.9}
    rows = [
        {**about, "mean": mean, "head": head, "changed": changed, "receptive_field_ms": seen}
        for head, mean in (("gap", 0.8), ("flatten", 0.6))
        for changed, seen in (("plain", 510.0), ("kernel 7", 1390.0))
    ]
    panels = charts.heads(rows, window_ms=2500.0)
    assert len(panels) == 2
    drawn = charts.svg(charts.together(panels))
    assert all(drawn.count(text) for text in ("head: gap", "head: flatten", "kernel 7"))
    assert drawn.count(">0.600<") == 2  # one y axis for both, though one head alone is so low
