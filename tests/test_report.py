"""The report of a study: its numbers are those of the analysis, its page needs no network and works in a browser."""

import csv
import json
import re
from dataclasses import replace
from html import unescape

import browser
import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import roc_auc_score
from study_fakes import GRID, Fakes, begun, scale_of, with_levels, worked

from ecg_jax.analysis import analyse
from ecg_jax.analysis.axes import READY_MADE, Axis
from ecg_jax.cli import main
from ecg_jax.config import DataConfig, RunConfig
from ecg_jax.dataset.prepare import prepare
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import RunError
from ecg_jax.evaluation import groups
from ecg_jax.report import sentences
from ecg_jax.report.best_groups import best_by_group
from ecg_jax.report.html_page import About, page
from ecg_jax.report.write import (
    conclude_study,
    looks_with,
    validation_means,
    with_latency,
    with_test,
    write_report,
)
from ecg_jax.sources import Synthetic
from ecg_jax.study import runner
from ecg_jax.study.design import Study, Trial, make_grid
from ecg_jax.study.latency import machine
from ecg_jax.study.results import StudyResults, load_results
from ecg_jax.study.runner import Runner
from ecg_jax.study.workdir import open_study
from ecg_jax.training.result import read_predictions

FIRST = ["depth", "channels", "kernel", "model.head", "seed", "learning_rate", "chosen", "parameters", "macs"]
FIRST += ["receptive_field_samples", "receptive_field_ms", "seconds", "rate_edge", "epochs", "best_epoch"]
FIRST += ["last_quarter_gain", "validation_macro_auroc", "test_macro_auroc"]
HEAD = Axis("model.head", ("gap", "flatten"), "categorical")
AXES = (*(replace(axis, levels=levels) for axis, levels in zip(READY_MADE, ((1, 2), (4, 8), (3,)), strict=True)), HEAD)
RATES = make_grid(AXES, 2, (1e-3, 3e-3))


def by_size(study, scale):
    return float(scale["depth"] * scale["channels"])


def fails(*_):
    pytest.fail("a latency is measured once, and only where test predictions are read")


MEASURES = Runner(measure_latency=by_size)
MEASURES_NOTHING = Runner(measure_latency=fails)


class WithCurves(Fakes):
    """Leaves the lines of two epochs, too."""

    def train_run(self, config, workdir):
        result = super().train_run(config, workdir)
        if not (workdir / "metrics.jsonl").is_file():
            lines = [{"epoch": e, "step": e, "train_loss": 1 / e, "validation_macro_auroc": e / 3} for e in (1, 2)]
            (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return result


@pytest.fixture(scope="module")
def study(larger_set, tmp_path_factory):
    """A finished study of eight scales over four axes and two folds, with its report."""
    path = tmp_path_factory.mktemp("study")
    worked(begun(path, larger_set, RATES, folds=(2, 5)), WithCurves())
    write_report(path, runner=MEASURES)
    return path


def rows_of(path):
    return list(csv.DictReader((path / "trials.csv").read_text().splitlines()))


def analysis_of(path):
    folder = open_study(path)
    predictions = load_results(folder).predictions
    assert predictions is not None
    return analyse(with_latency(folder, predictions, MEASURES_NOTHING))


def test_a_study_that_trained_longer_is_looked_at_once_more(study):
    predictions = load_results(open_study(study)).predictions
    assert predictions is not None
    before = looks_with(study, predictions)
    longer = predictions.replace(trials=[{**trial, "epochs": 7} for trial in predictions.trials])
    assert looks_with(study, longer) == [*before, {**before[-1], "epochs": 7}]


def test_analysis_json_is_the_analysis(study):
    epochs = open_study(study).study.base.train.epochs
    expected = analysis_of(study).to_dict() | {
        "notes": [],
        "left_out": {},
        "looks": [{"seeds": 2, "trials": 16, "epochs": epochs}],
    }
    written = json.loads((study / "analysis.json").read_text())
    assert {warning["name"] for warning in written.pop("warnings")} >= {"best_at_edge"}
    assert written.pop("for_other_training_records") == {}
    assert written.pop("best_by_group") == {}  # the set has no ages and sexes
    assert written == json.loads(json.dumps(expected))
    latencies = {(s["depth"], s["channels"]): s["costs"]["latency_ms"]["value"] for s in expected["scales"]}
    assert latencies == {(d, c): d * c for d in (1, 2) for c in (4, 8)}


def test_the_best_scale_is_shown_by_group_as_the_mean_of_its_seeds(study, monkeypatch):
    monkeypatch.setattr(groups, "FEWEST", 5)
    folder = open_study(study)
    predictions, prepared = load_results(folder).predictions, open_prepared(folder.study.base.data.path)
    sexes = np.where(np.arange(len(prepared)) % 3 == 0, "female", "male")
    scale = predictions.scales[1]
    found = best_by_group(predictions, scale, replace(prepared, sexes=sexes), folder.study)
    places = np.concatenate([np.flatnonzero(prepared.folds == fold) for fold in (2, 5)])
    men, male = sexes[places] == "male", found["sex"]["groups"]["male"]
    assert male["records"] == men.sum()
    large = [name for name, figures in male["per_label"].items() if not figures["too_small"]]
    assert large
    for name in large:
        k = predictions.label_names.index(name)
        by_seed = [
            roc_auc_score(predictions.labels[men, k], predictions.probabilities[r][men, k])
            for r in predictions.trials_of(1)
        ]
        assert male["per_label"][name]["auroc"]["value"] == pytest.approx(np.mean(by_seed), abs=1e-9)


def test_trials_csv_has_the_test_metrics_of_the_chosen_rate_alone(study):
    rows = rows_of(study)
    assert list(rows[0])[: len(FIRST)] == FIRST
    tests = [name for name in rows[0] if name.startswith("test_")]
    assert tests == ["test_macro_auroc", "test_macro_auprc", "test_macro_f1"]
    folder = open_study(study)
    for row in rows:
        assert row["chosen"] == "1"
        levels = (int(row["depth"]), int(row["channels"]), int(row["kernel"]), row["model.head"])
        scale = replace(scale_of(1, 1, 1), names=tuple(axis.name for axis in AXES), levels=levels)
        by_label = []
        for workdir in folder.run_folders(Trial(scale, float(row["learning_rate"]), int(row["seed"]))):
            _, p, y = read_predictions(workdir / "predictions_test.csv")
            some = [5 <= n <= len(y) - 5 for n in y.sum(axis=0)]
            by_label.append([roc_auc_score(y[:, k], p[:, k]) if some[k] else np.nan for k in range(y.shape[1])])
        known = [column[~np.isnan(column)].mean() for column in np.array(by_label).T if not np.isnan(column).all()]
        assert float(row["test_macro_auroc"]) == pytest.approx(np.mean(known))
    pilot = list(csv.DictReader((study / "pilot.csv").read_text().splitlines()))
    assert [row["chosen"] for row in pilot] == ["0", "1", "0"] * 8
    assert not any(name.startswith("test_") for name in pilot[0])


def test_the_test_column_of_a_score_is_named_as_its_validation_column(study):
    def cinc2017(label, probability):
        return 0.5

    results = load_results(open_study(study))
    rows = with_test(results.rows, results.predictions.replace(score=cinc2017))
    assert [name for name in rows[0] if name.startswith("test_")][-1] == "test_cinc2017"
    assert {row["test_cinc2017"] for row in rows} == {0.5}


def test_the_page_gives_the_answer_first_and_asks_the_network_for_nothing(study):
    text = (study / "report.html").read_text()
    body = text[text.index("<body>") : text.index('<script type="application/json"')]
    plain = unescape(re.sub(r"<[^>]+>", "", body)).replace("\u00a0", " ")
    places = [plain.index(sentence) for sentence in sentences.answer(analysis_of(study), 100.0)]
    assert places == sorted(places)
    verdicts = {f"{name}: {analysis_of(study).claims[axis].verdict}." for (axis, _), name in sentences.CLAIMS.items()}
    assert verdicts <= set(re.findall("<b>([^<]+)</b>", body)), "the verdicts stand out"
    assert places[-1] < plain.index("All scales")
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:|#)[^"'>\s]+""", body)
    assert "The training records are taken as given" in plain
    assert open_study(study).study.fingerprint in plain
    grid = (
        "--depths 1 2 --channels 4 8 --kernels 3 --axis model.head gap flatten --learning-rates 0.001 0.003 --seeds 2"
    )
    assert f"{grid} --folds 2 5" in plain
    names = {file.name for file in (study / "figures").iterdir()}
    drawn = ("claims", "scales", "metrics", "interactions", "pareto", "receptive_field", "learning_curves")
    assert names == {f"{name}.{kind}" for name in drawn for kind in ("svg", "png")}


def test_warnings_that_change_how_a_verdict_is_read_come_before_the_answer_and_all_among_the_limits(study):
    text = (study / "report.html").read_text()
    plain = unescape(re.sub(r"<[^>]+>", "", text)).replace("\u00a0", " ")
    head, limits = plain[: plain.index("The best scale is depth")], plain[plain.index("Limits\n") :]
    for warning in json.loads((study / "analysis.json").read_text())["warnings"]:
        assert (warning["text"] in head) == warning["in_head"]
        assert f"{warning['text']} {warning['detail']}" in limits


def test_each_report_on_other_trials_is_a_look_and_the_same_report_again_is_none(larger_set, tmp_path):
    folder = begun(tmp_path, larger_set, GRID)
    worked(folder, Fakes())
    for _ in range(2):
        written = write_report(tmp_path, runner=MEASURES)
    first, epochs = json.loads((tmp_path / "analysis.json").read_text()), folder.study.base.train.epochs
    assert (first["look"], first["looks"]) == (1, [{"seeds": 2, "trials": 4, "epochs": epochs}])
    folder.add_grid(with_levels(GRID, seeds=3))
    worked(folder, Fakes())
    written = write_report(tmp_path, runner=MEASURES)
    second = json.loads((tmp_path / "analysis.json").read_text())
    assert (second["look"], second["looks"]) == (2, [*first["looks"], {"seeds": 3, "trials": 6, "epochs": epochs}])
    assert "This is look 2 at the study (at 2, 3 seeds; 4, 6 trials)." in written.answer
    claim = second["claims"]["channels"]
    assert claim["p_holm"] == pytest.approx(min(1, 2 * claim["p"]))


@pytest.mark.parametrize("damage", ["{", '{"looks": 5}', '{"looks": [{"seeds": 1}]}'])
def test_looks_that_cannot_be_read_are_named(study, tmp_path, damage):
    (tmp_path / "analysis.json").write_text(damage)
    predictions = load_results(open_study(study)).predictions
    with pytest.raises(
        RunError, match=r"analysis\.json cannot be read \(.*\); delete it; then looks are counted from 1"
    ):
        looks_with(tmp_path, predictions)


def test_text_in_the_page_is_escaped():
    study = Study(RunConfig(DataConfig("set")), (Axis("data.window_seconds"),), (), "", 100.0, leads=1, labels=2)
    text = page(None, {}, About("<b>", "a & b", study, StudyResults([], None, notes=("<i>note</i>",))))
    assert "<title>Scaling study: &lt;b&gt;</title>" in text
    assert "a &amp; b: signal at 100 Hz, windows of several lengths" in text
    assert "&lt;i&gt;note&lt;/i&gt;" in text


def test_a_report_written_again_is_the_same_to_the_byte(study):
    before = {file: file.read_bytes() for file in [*study.glob("*.*"), *study.glob("figures/*")]}
    write_report(study, runner=MEASURES_NOTHING)
    assert {file: file.read_bytes() for file in [*study.glob("*.*"), *study.glob("figures/*")]} == before


def test_a_half_finished_study_gives_a_report_that_says_so(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set, GRID)
    worked(folder, Fakes())
    folder.add_grid(with_levels(GRID, seeds=3))
    written = write_report(tmp_path, runner=MEASURES)
    assert written.answer[0] == "the study is not finished: 2 of 3 seeds are finished at every scale"
    assert written.answer[0] in written.page.read_text()
    assert json.loads((tmp_path / "analysis.json").read_text())["seeds"] == 2

    folder.add_grid(with_levels(GRID, channels=(16,), seeds=2))  # now no seed is finished at every scale
    written = write_report(tmp_path, runner=MEASURES_NOTHING)
    assert "validation metrics only" in written.page.read_text()
    assert json.loads((tmp_path / "analysis.json").read_text())["claims"] is None
    assert not any(name.startswith("test_") for name in rows_of(tmp_path)[0])
    assert {file.stem for file in (tmp_path / "figures").iterdir()} == {"scales"}


def test_before_the_first_trial_the_report_says_that_nothing_is_finished(synthetic_set, tmp_path):
    begun(tmp_path, synthetic_set)
    written = write_report(tmp_path)
    assert written.answer[-1] == "No seed is finished at every scale yet."
    assert "0 finished trials" in written.page.read_text()


def test_where_no_macro_auroc_is_defined_the_report_says_so(tmp_path):
    """Six test records have no label with five records of each class."""
    prepare(PrepareConfig(Synthetic(records=60), tmp_path / "set", workers=1), Console(quiet=True))
    worked(begun(tmp_path / "study", tmp_path / "set"), Fakes())
    written = write_report(tmp_path / "study", runner=Fakes().runner)
    assert written.answer[0].startswith("Macro AUROC is not defined on these test records")
    assert "The macro AUROC of these networks is not known." in written.page.read_text()


def test_until_its_rate_is_chosen_a_scale_is_shown_at_its_best_rate():
    row = {**scale_of(1, 4, 3).to_dict(), "parameters": 1, "macs": 1, "receptive_field_ms": 1.0}
    row["receptive_field_samples"] = None
    tried = [{**row, "chosen": 0, "validation_macro_auroc": value} for value in (0.7, 0.8)]
    assert validation_means(tried, READY_MADE)[0].mean == 0.8
    chosen = [{**row, "chosen": 1, "validation_macro_auroc": value} for value in (0.6, 0.7)]
    assert validation_means([*tried, *chosen], READY_MADE)[0].mean == pytest.approx(0.65)


def test_the_worker_that_ends_a_study_writes_the_report(synthetic_set, tmp_path, capsys):
    worked(begun(tmp_path, synthetic_set), Fakes(), conclude=conclude_study)
    assert capsys.readouterr().out.endswith(f"report: {tmp_path / 'report.html'}\n")
    assert "Shallower is better" in (tmp_path / "report.html").read_text()
    (tmp_path / "report.html").unlink()
    with pytest.raises(SystemExit) as left:
        main(["report", str(tmp_path)])
    assert left.value.code in (None, 0)
    assert capsys.readouterr().out.endswith(f"report: {tmp_path / 'report.html'}\n")


def test_the_latency_of_a_real_network_is_measured(study):
    folder = open_study(study)
    assert 0 < runner.measure_latency(folder.study, folder.grids()[0].scales()[0]) < 1000
    assert list(json.loads((study / "latency.json").read_text())) == [machine()]


@pytest.mark.skipif(browser.program() is None, reason="no Chromium is installed")
def test_in_a_browser_the_page_renders_sorts_selects_and_names_the_scale_under_the_pointer(study):
    means = "[...document.querySelectorAll('#scales tbody tr')].map((row) => Number(row.cells[4].dataset.v))"
    shown = "document.querySelectorAll('[data-chart=scales] > :not([hidden]) svg').length"
    tip = "(document.getElementById('vg-tooltip-element')?.classList.contains('visible') ?? false)"
    with browser.browser() as tab:
        tab.look(width=1200)
        tab.open(study / "report.html")
        panels = tab.value("document.documentElement.dataset.drawn")
        assert int(panels) == tab.value("document.querySelectorAll('.panels svg').length") > 10

        unsorted = tab.value(means)
        tab.click("document.querySelectorAll('#scales th button')[4]")
        assert tab.value(means) == sorted(unsorted, reverse=True)
        tab.click("document.querySelectorAll('#scales th button')[4]")
        assert tab.value(means) == sorted(unsorted)

        assert tab.value(shown) == 2
        tab.value(
            "{ const select = document.querySelector('#scales select'); select.selectedIndex = 1;"
            " select.dispatchEvent(new Event('change')); }"
        )
        assert tab.value(shown) == 1

        tab.point_at("document.querySelector('[data-chart=pareto] .mark-symbol path')")
        tab.until(tip, 10)
        words = tab.value("document.getElementById('vg-tooltip-element').innerText").split()
        assert words[:6] == ["depth", "1", "channels", "4", "kernel", "3"]

        tab.look(width=390, dark=True)
        tab.open(study / "report.html")
        assert tab.value("document.documentElement.scrollWidth") == 390
        letter, paper = tab.value(
            "[getComputedStyle(document.querySelector('[data-chart=scales] .role-axis-title text')).fill,"
            " getComputedStyle(document.body).backgroundColor]"
        )
        assert min(map(int, re.findall(r"\d+", letter))) > 200 > 60 > max(map(int, re.findall(r"\d+", paper)))
        assert tab.errors == []
