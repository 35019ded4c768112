"""The card of a run: its numbers are those of the files, it says what was not tested, and it needs no network."""

import json
import re
import shutil
from html import unescape
from pathlib import Path

import browser
import numpy as np
import pytest
from assessed import called
from rich.console import Console

from ecg_jax.assessment.flags import AssessmentFlags
from ecg_jax.assessment.split import evaluate
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import DataError, RunError
from ecg_jax.explain.segments import Beats
from ecg_jax.report.card import write_card
from ecg_jax.training import run
from ecg_jax.training.result import read_result


def plain(page: Path) -> str:
    text = page.read_text()
    body = text[text.index("<body>") : text.index('<script type="application/json"')]
    return unescape(re.sub(r"<[^>]+>", " ", body)).replace("\u00a0", " ")


@pytest.fixture(scope="module")
def page(evaluated, external, tmp_path_factory):
    """The card of the evaluated run with another set."""
    folder = shutil.copytree(evaluated, tmp_path_factory.mktemp("card") / "my & run")
    return write_card(folder)


def test_the_card_shows_the_figures_of_the_files(page):
    words = plain(page)
    result = json.loads((page.parent / "result_test.json").read_text())
    auroc = result["metrics"]["macro_auroc"]
    assert f"macro AUROC is {auroc['value']:.3f} (95 % {auroc['low']:.3f} to {auroc['high']:.3f})" in words
    for name, points in result["operating_points"]["per_label"].items():
        assert name in words
        assert str(points[0]["fp"]) in words
    loss = json.loads((page.parent / "result_external_elsewhere.json").read_text())["external"]["drop"]["metrics"]
    assert f"{abs(loss['macro_auroc']['value']):.3f}" in words


def test_the_card_says_what_is_expected_and_on_whom_the_run_was_trained(page, synthetic_set):
    words, prepared = plain(page), open_prepared(synthetic_set)
    assert "I, II, III, aVR, aVL, aVF, V1, V2, V3, V4, V5, V6" in words
    assert "100 Hz" in words
    assert prepared.fingerprint[:16] in words
    splits = read_result(page.parent).config["data"]
    assert splits["test_folds"] is None
    test = np.count_nonzero(prepared.folds == prepared.folds.max())
    assert re.search(rf"test\s+{test}\s", words)


def test_the_card_asks_the_network_for_nothing_and_escapes_names(page):
    text = page.read_text()
    body = text[text.index("<body>") : text.index('<script type="application/json"')]
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:|#)[^"'>\s]+""", body)
    assert "<title>Model card: my &amp; run</title>" in text


def test_what_was_not_tested_is_said_from_what_is_known(page):
    words = plain(page)
    limits = words[words.index("What it was not tested for") :]
    result = json.loads((page.parent / "result_test.json").read_text())
    for name, figures in result["per_label"].items():
        if figures["auroc"]["value"] is None or figures["positives"] < 20:
            assert name in limits
    assert "Any age by itself: the set does not say the ages." in limits
    assert "no other set was evaluated" not in limits


def test_a_run_without_other_sets_and_with_exclusive_labels_has_a_square_and_says_so(exclusive):
    folder = shutil.copytree(exclusive, exclusive.parent / "alone")
    for path in folder.glob("result_*.json"):
        path.unlink()
    with pytest.raises(RunError, match="not evaluated on its test folds yet; do it first: ecg-jax evaluate"):
        write_card(folder)
    evaluate(folder, flags=AssessmentFlags(calibrate="temperature"))
    words = plain(write_card(folder))
    assert "a row for each true label, a column for each decision" in words
    assert "no other set was evaluated" in words
    assert "Temperature scaling" in words


def test_a_run_that_keeps_no_test_fold_has_a_card_of_its_validation_records(config, tmp_path):
    from dataclasses import replace

    few = replace(config, data=replace(config.data, test_folds=()), train=replace(config.train, epochs=1))
    run(few, tmp_path / "run", console=Console(quiet=True))
    with pytest.raises(RunError, match="--split validation"):
        write_card(tmp_path / "run")
    evaluate(tmp_path / "run", "validation")
    words = plain(write_card(tmp_path / "run"))
    assert "on which its epoch was chosen" in words
    assert "The run keeps no test records" in words


def test_another_set_is_no_set_of_the_card(page, elsewhere):
    with pytest.raises(DataError, match="is not the set that the run was trained on"):
        write_card(page.parent, data=elsewhere)


def test_the_command_writes_the_card_and_names_the_next_one(page, capsys):
    status, error = called("card", "--workdir", page.parent)
    assert status == 0
    assert "next: ecg-jax predict" in error or "next: python" in error


@pytest.mark.skipif(browser.program() is None, reason="no Chromium is installed")
def test_in_a_browser_the_card_draws_a_diagram_of_each_label_and_is_as_wide_as_the_screen(page):
    with browser.browser() as tab:
        for width in (1200, 390):
            tab.look(width=width, dark=width < 600)
            tab.open(page)
            drawn = int(tab.value("document.documentElement.dataset.drawn"))
            assert drawn == tab.value("document.querySelectorAll('.panels svg').length") >= 5
            assert tab.value("document.documentElement.scrollWidth") == width
        assert tab.errors == []


def test_the_card_shows_what_the_probabilities_owe_to_if_records_are_explained(page, monkeypatch):
    beats = Beats(*np.array([[70, 170], [86, 186], [95, 195], [130, 230]], float))
    monkeypatch.setattr("ecg_jax.explain.explanation.find_beats", lambda *_: beats)
    assert "What the probabilities owe to" not in plain(page)
    shown = plain(write_card(page.parent, explained=1))
    assert "Mean shares over test records" in shown
    assert re.search(r"AFIB\s+1\s+\d+ %", shown)
