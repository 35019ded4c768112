"""Figures: true to scale, complete, with notes on what is missing; ROC curves that agree with scikit-learn."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn.metrics import roc_auc_score

from ecg_jax.plots.curves import MOST_LABELS, roc, training_curves
from ecg_jax.plots.ecg_paper import draw
from ecg_jax.plots.timeline import MOST_LABELS as MOST_ROWS
from ecg_jax.plots.timeline import timeline

STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def traces(figure: Figure) -> list[Line2D]:
    """The lines that hold samples, in drawing order: neither calibration pulses nor the marks between leads."""
    return [line for line in figure.axes[0].lines if line.get_gid() == "trace"]


def millimetres(axes: Axes, line: Line2D) -> np.ndarray:
    """[T, 2]: where the points of a line lie on the printed page."""
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    return axes.transData.transform(line.get_xydata()) / figure.dpi * 25.4


def test_a_second_is_25_mm_and_a_millivolt_10_mm_on_the_printed_page():
    signal = np.zeros((1000, 1))
    signal[500:600] = 1.0  # mV
    figure = draw(signal, 100, ("II",))
    points = millimetres(figure.axes[0], traces(figure)[0])
    np.testing.assert_allclose(np.ptp(points[:, 1]), 10, rtol=1e-6)
    np.testing.assert_allclose(points[900, 0] - points[100, 0], 8 * 25, rtol=1e-6)


def test_the_calibration_pulse_is_one_millivolt_high_and_a_fifth_of_a_second_wide():
    figure = draw(np.zeros((1000, 1)), 100, ("II",))
    pulse = next(line for line in figure.axes[0].lines if line not in traces(figure))
    points = millimetres(figure.axes[0], pulse)
    top = points[points[:, 1] > points[:, 1].min() + 9.9]
    np.testing.assert_allclose([np.ptp(points[:, 1]), np.ptp(top[:, 0])], [10, 5], rtol=1e-6)


def test_twelve_leads_of_ten_seconds_come_as_three_rows_of_four_and_a_rhythm_strip():
    signal = np.random.default_rng(0).normal(0, 0.1, (5000, 12))
    figure = draw(signal, 500, [name.upper() for name in STANDARD])  # names as some sets write them
    rows = ["I", "AVR", "V1", "V4", "II", "AVL", "V2", "V5", "III", "AVF", "V3", "V6", "II"]
    assert [text for text in texts(figure) if text.upper() in map(str.upper, STANDARD)] == rows
    lengths = [len(np.asarray(line.get_xdata())) for line in traces(figure)]
    assert [round((n - 1) / 500, 1) for n in lengths] == [2.5] * 12 + [10.0]


def test_each_column_shows_its_own_stretch_of_time():
    signal = np.tile(np.arange(5000.0)[:, None] / 5000, (1, 12))  # mV: its height tells the time
    lines = traces(draw(signal, 500, STANDARD))
    starts = [np.asarray(line.get_ydata())[0] - np.asarray(lines[0].get_ydata())[0] for line in lines[:4]]
    np.testing.assert_allclose(starts, [0, 2.5, 5, 7.5], atol=1e-9)  # a tenth of 10 mm each second


def test_one_lead_of_thirty_seconds_takes_three_rows():
    figure = draw(np.random.default_rng(0).normal(0, 0.1, (9000, 1)), 300, ("ECG",))
    heights = [np.median(np.asarray(line.get_ydata())) for line in traces(figure)]
    assert len(heights) == 3
    assert np.all(np.diff(heights) < -10)
    assert {"ECG", "ECG, from 10 s", "ECG, from 20 s"} <= set(texts(figure))


def test_a_longer_recording_of_twelve_leads_goes_on_in_the_rhythm_strip():
    figure = draw(np.random.default_rng(0).normal(0, 0.1, (3500, 12)), 100, STANDARD)
    assert {"II, from 10 s", "II, from 20 s", "II, from 30 s"} <= set(texts(figure))
    assert sum(len(np.asarray(line.get_xdata())) for line in traces(figure)[12:]) >= 3500


def test_half_an_hour_is_cut_to_a_page_that_can_be_read_and_says_so():
    figure = draw(np.zeros((180_000, 2)), 100, ("MLII", "V1"))
    assert figure.get_size_inches()[1] < 30
    assert any("the rest does not fit" in text for text in texts(figure))


def test_missing_samples_are_gaps_and_a_missing_lead_is_said():
    signal = np.zeros((1000, 2))
    signal[300:400, 0] = np.nan
    signal[:, 1] = np.nan
    figure = draw(signal, 100, ("I", "II"))
    first, second = (np.isnan(np.asarray(line.get_ydata())) for line in traces(figure))
    assert np.flatnonzero(first).tolist() == list(range(300, 400))
    assert second.all()
    assert texts(figure).count("no signal") == 1


@given(leads=st.integers(1, 16), seconds=st.floats(0.3, 70), rate_hz=st.sampled_from([60, 128.5]))
@settings(max_examples=40, deadline=None)
def test_any_number_of_leads_and_any_duration_fit_on_the_page_or_it_says_that_they_do_not(leads, seconds, rate_hz):
    names = [f"lead{k}" for k in range(leads)]
    samples = int(seconds * rate_hz)
    figure = draw(np.random.default_rng(0).normal(0, 0.3, (samples, leads)), rate_hz, names)
    width, height = figure.get_size_inches() * 25.4
    for line in traces(figure):
        points = millimetres(figure.axes[0], line)
        assert (points >= 0).all()
        assert (points <= (width, height)).all()
    all_named = set(names) <= set(texts(figure))
    # a strip ends on the first sample of the next one, which is drawn twice
    all_drawn = sum(len(np.asarray(line.get_xdata())) for line in traces(figure)) >= samples * leads
    assert (all_named and all_drawn) != any("the rest does not fit" in text for text in texts(figure))


def test_a_signal_that_does_not_fit_its_leads_is_refused():
    with pytest.raises(ValueError, match=r"\[T, 2\].*\[1000, 3\]"):
        draw(np.zeros((1000, 3)), 100, ("I", "II"))


def test_drawing_and_saving_need_no_window_and_leave_no_global_figure(tmp_path):
    code = (
        "import sys, numpy as np; from ecg_jax.plots import curves, ecg_paper;"
        f"ecg_paper.draw(np.zeros((100, 1)), 100, ['I']).savefig(r'{tmp_path / 'page.png'}');"
        "curves.roc(np.eye(4), np.eye(4), list('abcd')); curves.training_curves([{'epoch': 1}]);"
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib.pyplot", "jax", "tensorflow"} & set(loaded)
    assert (tmp_path / "page.png").stat().st_size > 1000


def scored(records: int, labels: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng([records, labels])
    label = (rng.random((records, labels)) < 0.3).astype(int)
    return label, label * rng.uniform(0, 2, labels) + rng.normal(size=label.shape), [f"L{k:02d}" for k in range(labels)]


def legend_of(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("labels", [1, 5, 71])
def test_the_roc_picture_gives_the_auroc_that_scikit_learn_gives(labels):
    label, probability, names = scored(200, labels)
    auroc = roc_auc_score(label, probability, average=None) if labels > 1 else [roc_auc_score(label, probability)]
    said = dict(line.rsplit("  ", 1) for line in legend_of(roc(label, probability, names).axes[0]))
    assert said.pop("macro mean") == f"{np.mean(auroc):.3f}"
    assert said == {name: f"{auroc[names.index(name)]:.3f}" for name in said}
    assert len(said) == min(labels, MOST_LABELS)


def test_of_many_labels_the_best_and_the_worst_are_named():
    label, probability, names = scored(300, 30)
    auroc = roc_auc_score(label, probability, average=None)
    order = [names[k] for k in np.argsort(-auroc)]
    said = [line.split("  ")[0] for line in legend_of(roc(label, probability, names).axes[0])]
    assert said == [*order[:4], *order[-4:], "macro mean"]


@pytest.mark.parametrize("labels", [3, 40])
def test_the_area_under_the_drawn_macro_curve_is_the_macro_auroc(labels):
    label, probability, names = scored(400, labels)
    figure = roc(label, probability, names)
    line = next(line for line in figure.axes[0].lines if str(line.get_label()).startswith("macro"))
    area = np.trapezoid(np.asarray(line.get_ydata()), np.asarray(line.get_xdata()))
    np.testing.assert_allclose(area, roc_auc_score(label, probability), atol=2e-3)  # 501 points of a step curve


@pytest.mark.parametrize("labels", [5, 71])
def test_every_label_with_both_classes_has_its_dot_and_name(labels):
    label, probability, names = scored(200, labels)
    label[:, 1] = 0
    figure = roc(label, probability, names)
    ticks = [tick.get_text() for axes in figure.axes[1:] for tick in axes.get_yticklabels()]
    assert sorted(ticks) == [f"{name}  ({n})" for name, n in zip(names, label.sum(0), strict=True) if n]
    assert "without both classes: 1" in figure.axes[1].get_xlabel()


def test_labels_without_both_classes_at_all_are_said_instead_of_drawn():
    assert "no label has both classes" in texts(roc(np.zeros((5, 2)), np.zeros((5, 2)), ("a", "b")))


def test_scores_that_do_not_fit_their_labels_are_refused():
    with pytest.raises(ValueError, match=r"\[N, 2\].*\[5, 2\] and \[5, 3\]"):
        roc(np.zeros((5, 2)), np.zeros((5, 3)), ("a", "b"))


def epochs(aurocs: list[float | None]) -> list[dict[str, float | None]]:
    return [
        {
            "epoch": k,
            "train_loss": 1 / k,
            "validation_loss": 1.1 / k,
            "validation_macro_auroc": a,
            "learning_rate": 1e-3,
        }
        for k, a in enumerate(aurocs, start=1)
    ]


def test_the_best_epoch_is_marked_and_an_undefined_one_is_a_gap():
    axes = training_curves(epochs([0.6, None, 0.9, 0.8])).axes[1]
    assert legend_of(axes) == ["best: 0.900 at epoch 3"]
    np.testing.assert_array_equal(np.asarray(axes.lines[0].get_ydata(), float), [0.6, np.nan, 0.9, 0.8])


def test_curves_without_any_defined_auroc_are_still_drawn():
    assert training_curves(epochs([None, None])).axes[1].get_legend() is None


def test_training_curves_of_no_epoch_are_refused():
    with pytest.raises(ValueError, match="no epoch"):
        training_curves([])


def hours(n, labels=2):
    """Stretches of an hour, of which the first label is decided in the first half."""
    probability = np.tile(np.linspace(1, 0, n)[:, None], (1, labels))
    decided = np.zeros((n, labels), bool)
    decided[: n // 2, 0] = True
    return np.arange(n + 1) * 3600.0, probability, decided


def test_a_timeline_has_a_row_for_each_label_with_its_share_of_the_time_and_marks_at_whole_hours():
    seconds, probability, decided = hours(24)
    figure = timeline(seconds, probability, decided, np.array([0.5, 0.9]), ("AFIB", "$x$"), "r1")
    assert [axes.get_ylabel() for axes in figure.axes] == ["AFIB\n50.0%", "$x$\n0.0%"]
    figure.draw_without_rendering()
    marks = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert {"0:00:00", "2:00:00", "24:00:00"} <= set(marks)


def test_of_many_labels_a_timeline_shows_those_that_are_decided_longest_and_names_the_others():
    seconds, probability, decided = hours(10, labels=MOST_ROWS + 1)
    decided[:, 1:-1] = True
    decided[0, -1] = True
    names = [f"L{k}" for k in range(MOST_ROWS + 1)]
    figure = timeline(seconds, probability, decided, None, names)
    assert [axes.get_ylabel().partition("\n")[0] for axes in figure.axes] == names[:-1]
    assert figure.axes[-1].get_xlabel().endswith(f"not shown: L{MOST_ROWS}")


def test_a_timeline_leaves_a_gap_where_there_is_no_probability():
    seconds, probability, decided = hours(4)
    probability[1] = np.nan
    figure = timeline(seconds, probability, decided, None, ("A", "B"))
    values = figure.axes[0].patches[0].get_data().values
    np.testing.assert_array_equal(np.isnan(values), [False, True, False, False])


def test_of_many_stretches_a_timeline_shows_mean_and_range_and_how_often_the_label_is_decided():
    seconds, probability, decided = hours(4800)
    probability[::2] = 0
    decided[:, 1] = np.arange(4800) % 10 < 3
    figure = timeline(seconds, probability, decided, None, ("A", "B"))
    mean, band, shade = (patch.get_data() for patch in figure.axes[1].patches)
    assert len(mean.values) == 480
    np.testing.assert_allclose(mean.values, probability[:, 1].reshape(480, 10).mean(axis=1))
    np.testing.assert_allclose(band.baseline, 0)
    np.testing.assert_allclose(band.values, probability[:, 1].reshape(480, 10).max(axis=1))
    np.testing.assert_allclose(shade.values, 0.3)
