"""The report of a study: its numbers are the analysis's, its page needs no network and works in a browser."""

import csv
import json
import re
from dataclasses import replace

import browser
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from study_fakes import GRID, Fakes, begun, worked

from ecg_jax.analysis import analyse
from ecg_jax.cli import main
from ecg_jax.report import sentences
from ecg_jax.report.write import conclude_study, validation_means, with_latency, write_report
from ecg_jax.study import latency
from ecg_jax.study.design import Grid, Scale, Trial
from ecg_jax.study.results import collect
from ecg_jax.study.workdir import add_grid, read_founded, trial_folder
from ecg_jax.training.result import read_predictions
from ecg_jax.training.workdir import append_metrics

FIRST = ["depth", "channels", "kernel", "seed", "learning_rate", "chosen", "parameters", "macs"]
FIRST += ["receptive_field_samples", "receptive_field_ms", "seconds", "validation_macro_auroc", "test_macro_auroc"]
RATES = Grid(depths=(1, 2), channels=(4, 8), kernels=(3, 5), seeds=2, learning_rates=(1e-3, 3e-3))


def by_size(study, scale):
    return float(scale.depth * scale.channels)


class WithCurves(Fakes):
    """Leaves the lines of two epochs, too."""

    def run(self, config, workdir, **settings):
        result = super().run(config, workdir, **settings)
        if not (workdir / "metrics.jsonl").is_file():
            for epoch in (1, 2):
                append_metrics(workdir, {"epoch": epoch, "train_loss": 1 / epoch, "validation_macro_auroc": epoch / 3})
        return result


@pytest.fixture(scope="module")
def study(synthetic_set, tmp_path_factory):
    """A finished study of eight scales over two folds, with its report."""
    workdir = tmp_path_factory.mktemp("study")
    worked(workdir, begun(workdir, synthetic_set, RATES, folds=(2, 5)), WithCurves())
    write_report(workdir, measure=by_size)
    return workdir


def rows_of(workdir):
    return list(csv.DictReader((workdir / "trials.csv").read_text().splitlines()))


def test_analysis_json_is_what_the_analysis_says(study):
    founded = read_founded(study)
    outcomes = collect(study, founded).outcomes
    assert outcomes is not None
    expected = analyse(with_latency(study, founded, outcomes, by_size)) | {"notes": [], "left_out": {}}
    assert json.loads((study / "analysis.json").read_text()) == json.loads(json.dumps(expected))
    latencies = {(s["depth"], s["channels"]): s["costs"]["latency_ms"]["value"] for s in expected["scales"]}
    assert latencies == {(d, c): d * c for d in (1, 2) for c in (4, 8)}


def test_trials_csv_has_the_test_figures_of_the_chosen_rate_alone(study):
    rows = rows_of(study)
    assert list(rows[0])[: len(FIRST)] == FIRST
    tests = [name for name in rows[0] if name.startswith("test_")]
    assert tests == ["test_macro_auroc", "test_macro_auprc", "test_macro_f1"]
    founded = read_founded(study)
    for row in rows:
        if row["chosen"] == "0":
            assert not any(row[name] for name in tests)
            continue
        scale = Scale(int(row["depth"]), int(row["channels"]), int(row["kernel"]))
        trial = Trial(scale, float(row["learning_rate"]), int(row["seed"]))
        by_label = []
        for below in trial.runs(founded.study):
            _, p, y = read_predictions(trial_folder(study, trial) / below / "predictions_test.csv")
            some = [2 <= n <= len(y) - 2 for n in y.sum(axis=0)]
            by_label.append([roc_auc_score(y[:, k], p[:, k]) if some[k] else np.nan for k in range(y.shape[1])])
        known = [column[~np.isnan(column)].mean() for column in np.array(by_label).T if not np.isnan(column).all()]
        assert float(row["test_macro_auroc"]) == pytest.approx(np.mean(known))
    assert {row["chosen"] for row in rows} == {"0", "1"}


def test_the_page_says_the_answer_first_and_asks_the_network_for_nothing(study):
    page = (study / "report.html").read_text()
    body = page[page.index("<body>") : page.index('<script type="application/json"')]
    plain = re.sub(r"&nbsp;", " ", re.sub(r"<[^>]+>", "", body))
    paragraphs = sentences.answer(json.loads((study / "analysis.json").read_text()), 100.0)
    places = [plain.index(sentence.replace("'", "&#x27;")) for sentence in paragraphs]
    assert places == sorted(places)
    assert places[-1] < plain.index("All scales")
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:|#)[^"'>\s]+""", body)
    assert "The training records are taken as given" in plain
    assert read_founded(study).study.fingerprint in plain
    assert "--depths 1 2 --channels 4 8 --kernels 3 5 --learning-rates 0.001 0.003 --seeds 2 --folds 2 5" in plain
    names = {file.name for file in (study / "figures").iterdir()}
    drawn = ("claims", "scales", "metrics", "interactions", "pareto", "receptive_field", "learning_curves")
    assert names == {f"{name}.{kind}" for name in drawn for kind in ("svg", "png")}


def test_where_a_single_seed_chooses_the_answer_does_not_claim_that_another_one_reads():
    one, two = (sentences.others_than_chose({"seeds": seeds}) for seeds in (1, 2))
    assert (one, two) == ("records that did not choose", "records and seeds that did not choose")


def test_a_report_written_again_is_the_same_to_the_byte(study):
    before = {file: file.read_bytes() for file in [*study.glob("*.*"), *study.glob("figures/*")]}
    write_report(study, measure=lambda study, scale: pytest.fail("latency is measured once"))
    assert {file: file.read_bytes() for file in [*study.glob("*.*"), *study.glob("figures/*")]} == before


def test_a_half_finished_study_gives_a_report_that_says_so(synthetic_set, tmp_path):
    founded = begun(tmp_path, synthetic_set, GRID)
    worked(tmp_path, founded, Fakes())
    add_grid(tmp_path, replace(GRID, seeds=3))
    written = write_report(tmp_path, measure=by_size)
    assert written.answer[0] == "the study is not finished: 2 of 3 seeds are there at every scale"
    assert written.answer[0] in written.page.read_text()
    assert json.loads((tmp_path / "analysis.json").read_text())["seeds"] == 2

    add_grid(tmp_path, replace(GRID, channels=(16,), seeds=2))  # now no seed is finished at every scale
    written = write_report(tmp_path, measure=lambda study, scale: pytest.fail("nothing is read on test"))
    assert "validation figures only" in written.page.read_text()
    assert json.loads((tmp_path / "analysis.json").read_text())["claims"] is None
    assert not any(name.startswith("test_") for name in rows_of(tmp_path)[0])
    assert {file.stem for file in (tmp_path / "figures").iterdir()} == {"scales"}


def test_before_the_first_trial_the_report_says_that_nothing_is_finished(synthetic_set, tmp_path):
    begun(tmp_path, synthetic_set)
    written = write_report(tmp_path)
    assert written.answer[-1] == "No seed is finished at every scale yet."
    assert "0 finished trials" in written.page.read_text()


def test_until_its_rate_is_chosen_a_scale_is_shown_at_its_best_rate():
    row = {"depth": 1, "channels": 4, "kernel": 3, "parameters": 1, "macs": 1, "receptive_field_ms": 1.0}
    tried = [{**row, "chosen": 0, "validation_macro_auroc": value} for value in (0.7, 0.8)]
    assert validation_means(tried)[0]["mean"] == 0.8
    chosen = [{**row, "chosen": 1, "validation_macro_auroc": value} for value in (0.6, 0.7)]
    assert validation_means([*tried, *chosen])[0]["mean"] == pytest.approx(0.65)


def test_the_worker_that_ends_a_study_writes_the_report(synthetic_set, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(latency, "measured", by_size)
    worked(tmp_path, begun(tmp_path, synthetic_set), Fakes(), conclude=conclude_study)
    assert capsys.readouterr().out.endswith(f"report: {tmp_path / 'report.html'}\n")
    assert "Shallower is better" in (tmp_path / "report.html").read_text()
    (tmp_path / "report.html").unlink()
    with pytest.raises(SystemExit) as left:
        main(["report", str(tmp_path)])
    assert left.value.code == 0
    assert capsys.readouterr().out.endswith(f"report: {tmp_path / 'report.html'}\n")


def test_the_latency_of_a_real_network_is_measured(study):
    founded = read_founded(study)
    assert 0 < latency.measured(founded.study, Scale(1, 4, 3)) < 1000
    assert list(json.loads((study / "latency.json").read_text())) == [latency.machine()]


def claim(verdict, effect, low, high, seeds=None, records=None):
    needed = {"seeds_needed": seeds, "records_needed": records}
    return {"verdict": verdict, "effect": effect, "low": low, "high": high, **needed}


@pytest.mark.parametrize(
    ("axis", "found", "said"),
    [
        ("depth", claim("holds", -0.01, -0.02, -0.005), "by −0.0100 (95 % −0.0200 to −0.0050)."),
        ("depth", claim("does not hold", 0.01, 0.005, 0.02), "The effect is the opposite one."),
        ("channels", claim("does not hold", -0.01, -0.02, -0.005), "The effect is the opposite one."),
        ("kernel", claim("does not hold", 0.0, -0.001, 0.001), "Whatever there is, is too small to matter."),
        (
            "kernel",
            claim("not decided", -0.01, -0.1, 0.1, 9, 1200),
            "take 9 seeds with these records or 1,200 test rec",
        ),
        ("kernel", claim("not decided", 0.0, -0.1, 0.1), "Neither more seeds nor more test records alone"),
        ("depth", claim("not decided", None, None, None), "one level of depth"),
        ("depth", claim("not decided", 0.1, None, None), "there is nothing to judge its noise by"),
    ],
)
def test_a_claim_is_told_with_what_would_decide_it(axis, found, said):
    assert said in sentences.claim_sentence(axis, found)


@pytest.mark.skipif(browser.program() is None, reason="no Chromium is installed")
def test_in_a_browser_the_page_renders_sorts_and_tells_the_scale_under_the_pointer(study):
    cells = "[...document.querySelectorAll('#scales tbody tr')].map((row) => Number(row.cells[3].dataset.v))"
    tip = "(document.getElementById('vg-tooltip-element')?.classList.contains('visible') ?? false)"
    with browser.browser() as page:
        page.look(width=1200)
        page.open(study / "report.html")
        panels = page.value("document.documentElement.dataset.drawn")
        assert int(panels) == page.value("document.querySelectorAll('.panels svg').length") > 10

        unsorted = page.value(cells)
        page.click("document.querySelectorAll('#scales th button')[3]")
        assert page.value(cells) == sorted(unsorted, reverse=True)
        page.click("document.querySelectorAll('#scales th button')[3]")
        assert page.value(cells) == sorted(unsorted)

        page.point_at("document.querySelector('[data-chart=pareto] .mark-symbol path')")
        page.until(tip, 10)
        told = page.value("document.getElementById('vg-tooltip-element').innerText").split()
        assert told[:6] == ["depth", "1", "channels", "4", "kernel", "3"]

        page.look(width=390, dark=True)
        page.open(study / "report.html")
        assert page.value("document.documentElement.scrollWidth") == 390
        letter, paper = page.value(
            "[getComputedStyle(document.querySelector('[data-chart=scales] .role-axis-title text')).fill,"
            " getComputedStyle(document.body).backgroundColor]"
        )
        assert min(map(int, re.findall(r"\d+", letter))) > 200 > 60 > max(map(int, re.findall(r"\d+", paper)))
        assert page.errors == []
