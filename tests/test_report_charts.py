"""The charts of a study show what the values say, and need neither network nor browser."""

import json
import re
from dataclasses import replace

import pytest

from ecg_jax.analysis import analyse
from ecg_jax.analysis.axes import READY_MADE, Axis, Scale
from ecg_jax.analysis.findings import Claim, Contrast, CostRange, Effect, ParetoPoint, ScaleFindings
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.config import DataConfig, RunConfig
from ecg_jax.report import charts
from ecg_jax.report.heat_maps import MOST_PANELS, choose_plane, effect_sizes, heat_maps, select
from ecg_jax.report.html_page import About, figures
from ecg_jax.study.design import Study
from ecg_jax.study.results import StudyResults

NUMBERS = tuple(axis.with_levels(levels) for axis, levels in zip(READY_MADE, ((1, 2), (8, 16), (3, 5)), strict=True))
HEAD = Axis("model.head", ("gap", "attention"), "categorical")
DEPTH, CHANNELS, KERNEL = NUMBERS
UNKNOWN = dict.fromkeys(("p", "p_holm", "seeds_needed", "records_needed"))


def scale(levels, mean, macs=1000.0, axes=NUMBERS):
    cost = CostRange(macs, macs, macs)
    against_best = ("may_lose", "best_probability", "expected_loss")
    unknown = dict.fromkeys(("difference", "low", "high", "learning_rate", *against_best))
    return ScaleFindings(
        scale=Scale(tuple(axis.name for axis in axes), levels),
        mean=mean,
        mean_low=mean - 0.01,
        mean_high=mean + 0.01,
        values={},
        indistinguishable=mean > 0.8,
        receptive_field_samples=3,
        receptive_field_ms=30.0,
        costs={"parameters": cost, "macs": cost, "seconds": None, "latency_ms": None},
        **unknown,
    )


SCALES = [
    scale((1, 8, 3), 0.8, 100.0),
    scale((1, 16, 3), 0.9, 300.0),
    scale((2, 8, 5), 0.7, 200.0),
    scale((2, 16, 5), 0.85, 400.0),
]


def specifications(panels):
    return json.loads(json.dumps(charts.for_page(panels), allow_nan=False))


def values_of(specification):
    data = [part["data"]["values"] for part in (specification, *specification["layer"]) if "data" in part]
    return max(data, key=len)


def maps_of(scales, axes, plane, best=None):
    return heat_maps(scales, axes, plane, rate_hz=250, best=best)


def test_a_heat_map_names_the_levels_of_the_other_axes_and_frames_the_best_scale():
    maps = maps_of(SCALES, NUMBERS, (DEPTH, CHANNELS), SCALES[1].scale)
    panels = specifications([chart for _, chart in maps])
    assert [levels for levels, _ in maps] == [{"kernel": "3 (12 ms)"}, {"kernel": "5 (20 ms)"}]
    assert [" ".join(panel["title"]) for panel in panels] == [
        "test macro AUROC kernel 3 (12 ms)",
        "test macro AUROC kernel 5 (20 ms)",
    ]
    first = {row["channels"]: row for row in values_of(panels[0])}
    assert {channels: row["text"] for channels, row in first.items()} == {"8": "0.800", "16": "0.900 ~"}
    assert {channels: row["best"] for channels, row in first.items()} == {"8": False, "16": True}
    assert not any(row["best"] for row in values_of(panels[1]))


@pytest.mark.parametrize(
    ("sizes", "names"),
    [
        ({"depth": 0.1, "channels": 0.2, "kernel": 0.3}, ["channels", "kernel"]),
        ({"depth": 0.3, "channels": 0.1, "model.head": 0.2}, ["model.head", "depth"]),
        ({}, ["depth", "channels"]),
    ],
)
def test_the_plane_is_made_of_the_axes_with_the_largest_effects_and_a_category_is_vertical(sizes, names):
    assert [axis.name for axis in choose_plane((*NUMBERS, HEAD), sizes)] == names


def test_an_axis_of_one_level_is_no_part_of_the_plane():
    axes = (replace(DEPTH, levels=(1,)), CHANNELS, replace(KERNEL, levels=(3,)))
    assert [axis.name for axis in choose_plane(axes, {"depth": 1.0})] == ["channels"]
    assert [axis.name for axis in choose_plane(axes[:1], {})] == ["depth"]


def test_of_many_panels_those_are_selected_that_share_levels_with_the_best():
    axes = (*NUMBERS, replace(HEAD, levels=tuple("abcdefg")))
    levels = [(d, c, k, h) for d in (1, 2) for c in (8, 16) for k in (3, 5) for h in "abcdefg"]
    scales = [scale(some, 0.5 + 0.01 * i, axes=axes) for i, some in enumerate(levels)]
    maps = maps_of(scales, axes, (DEPTH, CHANNELS))
    choices = [others for others, _ in maps]
    assert len(choices) == 14
    best = {"kernel": "5 (20 ms)", "model.head": "g"}
    assert select(choices, best, {"kernel": 0.1, "model.head": 0.2}) == {"kernel": "5 (20 ms)"}
    assert select(choices, best, {"kernel": 0.2, "model.head": 0.1}) == {"model.head": "g"}
    assert select(choices[:MOST_PANELS], best, {}) == {}


def test_an_effect_without_an_interval_is_left_out_and_without_any_there_is_no_chart():
    unknown = Effect(0.1, None, None)
    (panel,) = charts.forest({"a": Effect(-0.01, -0.02, -0.001), "b": unknown}, x_title="")
    assert '"b"' not in panel.to_json()
    assert '"a"' in panel.to_json()
    assert charts.forest({"b": unknown}, x_title="") == []


def test_the_mark_of_a_claim_is_its_verdict_and_that_of_a_contrast_its_significance():
    claim = Claim(verdict="does not hold", effect=0.1, low=0.0, high=0.2, **UNKNOWN)
    contrast = Contrast(level="a", reference="b", effect=0.1, low=0.0, high=0.2, p=0.1, p_holm=0.2, differs=False)
    effects = {"a": claim, "b": contrast, "c": replace(contrast, differs=True), "d": Effect(0.1, 0.0, 0.2)}
    (panel,) = specifications(charts.forest(effects, x_title=""))
    assert [row["verdict"] for row in values_of(panel)] == ["does not hold", "not decided", "effect", ""]
    (points,) = [layer for layer in panel["layer"] if layer["mark"]["type"] == "point"]
    assert points["encoding"]["shape"]["scale"]["domain"] == ["does not hold", "effect", "not decided"]


def test_the_pareto_chart_marks_the_front_and_its_tooltip_has_the_configuration():
    front = tuple(ParetoPoint(found.scale, 1.0, 1.0) for found in SCALES[:2])
    panels = charts.pareto(SCALES, {"macs": front, "seconds": None}, rate_hz=100)
    (panel,) = specifications(panels)
    rows = values_of(panel)
    assert [row["front"] == charts.DOMINATED for row in rows] == [False, False, True, True]
    (points,) = [layer for layer in panel["layer"] if layer["mark"]["type"] == "point"]
    titles = [entry["title"] for entry in points["encoding"]["tooltip"]]
    assert titles[:4] == ["depth", "channels", "kernel", "macro AUROC"]
    assert rows[0]["kernel"] == "3 (30 ms)"
    assert "training, s" not in titles


def test_a_scale_whose_receptive_field_is_unknown_is_left_out_of_its_chart():
    unknown = [replace(found, receptive_field_ms=None) for found in SCALES]
    settings = {"axes": (DEPTH, CHANNELS), "rate_hz": 100, "window_ms": 2500.0}
    (panel,) = specifications(charts.receptive_field([*SCALES[:1], *unknown[1:]], **settings))
    assert [row["mean"] for row in values_of(panel)] == [0.8]
    assert charts.receptive_field(unknown, **settings) == []


def test_only_the_config_decides_the_colour_of_letters_and_lines():
    """So that a dark page is legible: no chart sets black or white, except in a cell of its own colour."""
    claim = Claim(verdict="holds", effect=-0.01, low=-0.02, high=-0.001, **UNKNOWN)
    curves = [charts.EpochMean(SCALES[0].scale, epoch, 0.8, 1.0) for epoch in (1, 2)]
    panels = [
        *charts.forest({"a": claim}, title="t", x_title="x", margin=0.002),
        *charts.pareto(SCALES, {"macs": (ParetoPoint(SCALES[0].scale, 1.0, 1.0),)}, rate_hz=100),
        *charts.receptive_field(SCALES, axes=(DEPTH, CHANNELS), rate_hz=100, window_ms=2500.0),
        *charts.learning_curves(curves, rate_hz=100, best=SCALES[0].scale),
    ]
    assert len(panels) == 5
    text = json.dumps(charts.for_page(panels))
    assert not re.search(r'"(black|white|#000|#fff|#222)', text)
    assert '"config"' not in text


def test_a_figure_is_svg_and_png_without_network():
    svg, png = charts.images([chart for _, chart in maps_of(SCALES, NUMBERS, (DEPTH, CHANNELS))])
    assert svg.startswith("<svg")
    assert png[:4] == b"\x89PNG"


def test_nothing_to_show_is_no_chart():
    assert maps_of([], NUMBERS, (DEPTH, CHANNELS)) == []
    assert charts.learning_curves([], rate_hz=100, best=None) == []
    assert charts.receptive_field([], axes=NUMBERS, rate_hz=100, window_ms=1.0) == []


@pytest.fixture(scope="module")
def four_axes():
    """A study in which dropout and head matter most."""
    axes = (
        DEPTH,
        CHANNELS,
        Axis("model.dropout", kind="linear"),
        replace(HEAD, levels=("gap", "attention", "flatten")),
    )
    levels = ((1, 2), (8, 16), (0.0, 0.3), ("gap", "attention", "flatten"))
    setting = Setting(effects=(0.0, 0.0, -0.08, 0.05), seeds=2, records=300, levels=levels, axes=axes)
    return analyse(simulate(setting, seed=0))


def test_effects_are_compared_over_the_whole_range_of_an_axis(four_axes):
    sizes = effect_sizes(four_axes)
    assert sorted(sizes, key=lambda name: -sizes[name])[:2] == ["model.head", "model.dropout"]
    assert sizes["model.head"] == pytest.approx(0.1, abs=0.03)  # from gap to flatten, two steps of .05
    wide = replace(DEPTH, levels=(1, 2, 4, 8))  # three doublings
    doubled = replace(four_axes, axes=(wide, *four_axes.axes[1:]))
    assert effect_sizes(doubled)["depth"] == pytest.approx(3 * sizes["depth"])


def test_a_study_over_four_axes_has_a_selector_for_each_axis_outside_the_plane(four_axes):
    study = Study(RunConfig(DataConfig("set", window_seconds=2.5)), four_axes.axes, (), "abc", 100.0, 12, 3)
    about = About("name", "data", study, StudyResults([], None))
    drawn = figures(four_axes, four_axes.scales, [], about)
    assert drawn["scales"].selectors == {"depth": ["1", "2"], "channels": ["8", "16"]}
    assert len(drawn["scales"].panels) == len(drawn["scales"].for_paper) == 4
    texts, _ = charts.images(drawn["claims"].panels)
    assert all(name in texts for name in ("model.dropout", "from 0 to 0.3", "attention − gap", "flatten − attention"))
    assert len(drawn["metrics"].panels) == 3  # one for each numeric axis
