"""Explanations add up, name the parts that they should, change with the network, and are drawn where they belong."""

import json
import re
import runpy
from pathlib import Path

import browser
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import called

from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.explain import SEGMENTS, Explainer, Explanation, Parts, label_shares
from ecg_jax.explain.attribution import integrated_gradients, log_odds, occlusion, shuffled
from ecg_jax.explain.segments import PQ, QRS, ST_T, TP, Beats, find_beats, level_line
from ecg_jax.inference import load
from ecg_jax.records import MISSING, STANDARD_LEADS, Quantised
from ecg_jax.report.recording_page import explained_labels, marked, page
from ecg_jax.synthetic import write
from ecg_jax.synthetic.cohort import Visit
from ecg_jax.synthetic.heart import draw_beats, draw_patient
from ecg_jax.synthetic.recordings import signal_mv as synthetic_mv
from ecg_jax.target import Target

BEATS = Beats(*(np.array(column, float) for column in ([70, 170], [86, 186], [95, 195], [130, 230])))


class Linear(nn.Module):
    """A network whose parts are known: log-odds are a weighted sum of the samples."""

    labels: int = 2

    @nn.compact
    def __call__(self, x, valid=None, *, train):
        return nn.Dense(self.labels)(x.reshape(len(x), -1))


@pytest.fixture(scope="module")
def model(finished):
    return load(finished.workdir)


@pytest.fixture(scope="module")
def explainer(model):
    return Explainer(model)


@pytest.fixture(scope="module")
def prepared(synthetic_set):
    return open_prepared(synthetic_set)


def record_at(prepared, index):
    signal, scale_mv = prepared.read([index])[0]
    return Quantised(signal.copy(), scale_mv, ())


@given(st.integers(0, 1000))
@settings(max_examples=10)
def test_of_a_linear_network_each_part_is_weight_times_difference(seed):
    random = np.random.default_rng(seed)
    window, line = random.normal(size=(2, 20, 3)).astype(np.float32)
    functions = log_odds(Linear(), Target("multilabel", ("a", "b")))
    variables = Linear().init(jax.random.key(seed), window[None], train=False)
    valid = np.ones(20, bool)
    expected = np.asarray(variables["params"]["Dense_0"]["kernel"])[:, 1].reshape(20, 3) * (window - line)
    parts = integrated_gradients(functions, variables, window, line, valid, 1)
    np.testing.assert_allclose(parts, expected, atol=1e-5)
    masks = random.random((4, 20, 3)) < 0.3
    falls = occlusion(functions, variables, window, line, valid, 1, masks)
    np.testing.assert_allclose(falls, [expected[mask].sum() for mask in masks], atol=1e-4)


def test_log_odds_are_those_of_the_probability_for_labels_of_either_kind():
    logits = np.random.default_rng(0).normal(0, 3, (5, 4)).astype(np.float32)

    class Given(nn.Module):
        def __call__(self, x, valid=None, *, train):
            return jnp.asarray(logits)

    names = ("a", "b", "c", "d")
    valid = np.ones((5, 3), bool)
    found = {
        kind: np.asarray(log_odds(Given(), Target(kind, names)).of({}, np.zeros((5, 3, 1)), valid))
        for kind in ("multilabel", "exclusive")
    }
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    sigmoid = 1 / (1 + np.exp(-logits))
    for kind, p in (("multilabel", sigmoid), ("exclusive", softmax)):
        np.testing.assert_allclose(found[kind], np.log(p / (1 - p)), rtol=1e-3)


@pytest.mark.parametrize("label", ["CRBBB", "NORM"])
def test_parts_add_up_to_the_change_of_the_log_odds_to_1_percent(explainer, prepared, label):
    record = record_at(prepared, 3)
    window = Quantised(record.signal[:200], record.scale_mv, ())  # one window: its probability is that of the record
    found = explainer.explain(window, label, BEATS)
    p = explainer.model.probability(window)[explainer.model.contract.target.names.index(label)]
    change = np.log(p / (1 - p)) - found.log_odds_without_waves
    assert found.samples.sum() == pytest.approx(change, abs=0.01 * max(abs(change), 0.1) + 1e-5)
    assert found.completeness_error <= 0.01
    for parts in (found.gradients.by_lead, found.gradients.by_segment):
        assert sum(parts.values()) == pytest.approx(found.samples.sum(), abs=1e-9)


def test_a_recording_without_waves_has_no_parts(explainer):
    flat = Quantised(np.full((500, 12), 300, np.int16), np.full(12, 1e-3, np.float32), ())
    found = explainer.explain(flat, "NORM", BEATS)
    assert np.abs(found.samples).max() == 0
    assert set(found.occlusion.by_lead.values()) == {0}
    assert set(found.gradients.shares().by_segment.values()) == {0}


def test_what_was_not_recorded_has_no_part(explainer, prepared):
    record = record_at(prepared, 5)
    record.signal[:, 4] = MISSING
    record.signal[300:350] = MISSING
    found = explainer.explain(record, "NORM", BEATS)
    assert found.samples.shape == record.signal.shape
    assert (found.samples[record.signal == MISSING] == 0).all()
    assert (found.samples != 0).any()
    assert found.occlusion.by_lead[STANDARD_LEADS[4]] == 0


def test_the_largest_window_alone_explains_a_maximum(explainer, prepared, finished):
    record = record_at(prepared, 7)
    other = Explainer(load(finished.workdir))
    config = other.model.config
    other.model.config = type(config)(**{**vars(config), "evaluate": type(config.evaluate)(pool="max")})
    found = other.explain(record, "STACH", BEATS)
    covered = np.flatnonzero(found.samples.any(axis=1))
    assert covered[-1] - covered[0] < 200
    assert found.log_odds >= explainer.explain(record, "STACH", BEATS).log_odds


def test_shares_are_those_of_the_parts_that_add_something():
    shares = Parts({"I": 3.0, "II": -5.0, "V1": 1.0}, {"PQ": -1.0, "QRS": -2.0, "ST-T": 0.0, "TP": 0.0}).shares()
    assert shares.by_lead == {"I": 0.75, "II": 0.0, "V1": 0.25}
    assert set(shares.by_segment.values()) == {0.0}


def test_shares_change_when_the_parameters_are_shuffled(explainer, prepared, finished):
    destroyed = load(finished.workdir)
    destroyed.variables = shuffled(destroyed.variables, jax.random.key(1))
    pairs = zip(jax.tree.leaves(destroyed.variables), jax.tree.leaves(explainer.model.variables), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_array_equal(np.sort(np.ravel(ours)), np.sort(np.ravel(theirs)))
    own, other = (each.explain(record_at(prepared, 2), "LVH", BEATS) for each in (explainer, Explainer(destroyed)))
    correlation = np.corrcoef(own.samples.ravel(), other.samples.ravel())[0, 1]
    assert abs(correlation) < 0.5
    leads = [list(each.gradients.shares().by_lead.values()) for each in (own, other)]
    assert np.abs(np.subtract(*leads)).sum() / 2 > 0.2


def test_the_segments_of_a_beat_follow_each_other():
    segment = BEATS.segments(250)
    assert [segment[place] for place in (0, 69, 70, 85, 86, 94, 95, 129, 130, 170, 249)] == [
        TP, TP, PQ, PQ, QRS, QRS, ST_T, ST_T, TP, PQ, TP
    ]  # fmt: skip


@given(st.lists(st.tuples(*[st.one_of(st.floats(-50, 300), st.just(np.nan))] * 4), max_size=6), st.integers(1, 250))
def test_whatever_beats_are_found_each_sample_has_one_segment_and_every_qrs_complex_its_own(rows, samples):
    columns = np.array(rows, float).reshape(-1, 4).T
    segment = Beats(*columns).segments(samples)
    assert segment.shape == (samples,)
    assert set(segment.tolist()) <= set(range(len(SEGMENTS)))
    for begin, end in zip(columns[1], columns[2], strict=True):
        if begin < end:
            assert (segment[max(round(begin), 0) : max(round(end), 0)] == QRS).all()


def test_the_line_without_waves_goes_through_the_levels_before_the_qrs_complexes():
    time = np.arange(250)
    wander = np.stack([time * 0.01, np.full(250, 3.0)], axis=1)
    waves = np.zeros((250, 1))
    waves[86:130] = 5
    waves[186:230] = 5
    line = level_line(wander + waves, np.ones((250, 2), bool), BEATS.qrs_onset, 100)
    np.testing.assert_allclose(line[86:187], wander[86:187], atol=0.03)
    measured = np.ones((250, 2), bool)
    measured[:, 1] = False
    alone = level_line(wander, measured, np.array([]), 100)
    np.testing.assert_allclose(alone[:, 0], np.median(wander[:, 0]))
    assert (alone[:, 1] == 0).all()


def test_beats_of_a_recording_are_found_where_the_generator_has_put_them():
    pytest.importorskip("neurokit2", reason="the extra [explain] is not installed")
    for patient, label in enumerate(("NORM", "CRBBB", "1AVB")):
        visit = Visit(patient, 0, frozenset({label}))
        drawn = draw_patient(np.random.default_rng([0, 3, patient]), visit.labels)
        beats = draw_beats(np.random.default_rng([0, 4, patient, 0]), drawn, 10)
        found = find_beats(synthetic_mv(visit, 0)[::5], 100, STANDARD_LEADS)
        segment = found.segments(1000)
        inside = [beat for beat in beats if 0.4 < beat.onset_seconds < 9.4]
        middles = [round(100 * (beat.onset_seconds + drawn.qrs_seconds / 2)) for beat in inside]
        assert np.mean(segment[middles] == QRS) == 1, label
        p_waves = [round(100 * (beat.p_onset_seconds + 0.06)) for beat in inside]
        assert np.mean(segment[p_waves] == PQ) >= 0.9, label


def test_without_a_lead_that_can_be_delineated_there_is_no_beat():
    pytest.importorskip("neurokit2", reason="the extra [explain] is not installed")
    signal = np.full((1000, 2), np.nan)
    signal[:, 0] = 0.3
    assert find_beats(signal, 100, ("I", "II")).qrs_onset.size == 0


def test_the_shares_of_a_label_are_means_over_the_records_that_have_it(explainer, prepared, monkeypatch):
    monkeypatch.setattr("ecg_jax.explain.explanation.find_beats", lambda *_: BEATS)
    column = prepared.labels.index("CRBBB")
    having = np.flatnonzero(prepared.label[:, column])
    shares = label_shares(explainer.model, prepared, having, most=2)
    alone = [explainer.explain(record_at(prepared, index), "CRBBB") for index in having[[0, -1]]]
    assert shares["CRBBB"].records == 2
    expected = np.mean([one.occlusion.shares().by_lead["V1"] for one in alone])
    assert shares["CRBBB"].occlusion.by_lead["V1"] == pytest.approx(expected)
    assert sum(shares["CRBBB"].gradients.by_segment.values()) == pytest.approx(1)
    occurring = prepared.label[having].any(axis=0)
    assert list(shares) == [name for name, occurs in zip(prepared.labels, occurring, strict=True) if occurs]


def invented(samples=1000, label="AFIB"):
    """An explanation in which the QRS complexes of V1 speak for the label and those of V6 against it."""
    parts = np.zeros((samples, 12))
    parts[586:595, 6], parts[886:895, 11] = 1, -1
    by_segment = Parts(dict.fromkeys(STANDARD_LEADS, 0.5), dict(zip(SEGMENTS, (1, -2, 3, 0), strict=True)))
    return Explanation(label, 0.75, 1.1, -0.2, parts, 0.004, by_segment, by_segment)


def test_the_tracing_is_marked_where_the_parts_are():
    figure = marked(invented(), np.zeros((1000, 12)), 100, STANDARD_LEADS, "r1")
    marks = [piece for piece in figure.axes[0].collections if piece.get_gid() == "marks" and len(piece.get_segments())]
    assert len(marks) == 2
    spans = [np.ptp(np.concatenate(piece.get_segments())[:, 0]) for piece in marks]
    begins = [np.concatenate(piece.get_segments())[:, 0].min() for piece in marks]
    np.testing.assert_allclose(begins, 7 + 12 + 25 * np.array([5.84, 8.84]), atol=0.6)  # margin, pulse, 25 mm/s
    np.testing.assert_allclose(spans, 25 * 0.13, atol=0.6)  # smoothed by 0.05 s


ANSWER = {
    "record": "<b>&r1",
    "warnings": ["lead V1 flat"],
    "probabilities": {"AFIB": 0.75, "{{ 7*7 }}": 0.2, "NORM": 0.9},
    "thresholds": {"AFIB": 0.5, "{{ 7*7 }}": 0.3, "NORM": 0.95},
    "decisions": ["AFIB"],
}


def test_labels_that_are_decided_are_explained_or_else_the_most_probable_one():
    assert explained_labels(ANSWER) == ["AFIB"]
    assert explained_labels({**ANSWER, "decisions": []}) == ["NORM"]
    many = {"probabilities": {name: p / 10 for p, name in enumerate("abcdef")}, "decisions": list("abcdef")}
    assert explained_labels(many) == ["f", "e", "d"]


def test_a_page_shows_text_as_it_is_and_its_colours_follow_the_scheme():
    signal = np.random.default_rng(0).normal(0, 0.3, (1000, 12))
    text = page(ANSWER, [invented()], signal, 100, STANDARD_LEADS, "a run")
    assert "&lt;b&gt;&amp;r1" in text
    assert "{{ 7*7 }}" in text
    assert text.count("<svg") == 2
    drawings = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert not re.search(r"(fill|stroke): #(000000|f7d9d5|e8a9a2|d55e00|0072b2)", drawings)
    assert {"var(--trace)", "var(--fine)", "var(--raises)"} <= set(re.findall(r"var\(--\w+\)", drawings))


@pytest.mark.skipif(browser.program() is None, reason="no Chromium is installed")
def test_a_page_needs_no_network_and_fits_a_telephone(tmp_path):
    signal = np.random.default_rng(0).normal(0, 0.3, (1000, 12))
    file = tmp_path / "page.html"
    file.write_text(page(ANSWER, [invented()], signal, 100, STANDARD_LEADS, "a run"), encoding="utf-8")
    with browser.browser() as tab:
        tab.look(width=390, dark=True)
        tab.open(file)
        assert tab.value("document.documentElement.scrollWidth") <= 390
        assert tab.value("document.querySelectorAll('tr.decided').length") == 1
        ids = tab.value("[...document.querySelectorAll('[id]')].map(x => x.id)")
        assert len(ids) == len(set(ids))
        assert tab.errors == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("explained")
    write(made, records=2, seed=9)
    return made / "records"


def test_explain_prints_one_json_and_draws_the_marked_recording(finished, folder, tmp_path, monkeypatch, capsys):
    pytest.importorskip("neurokit2", reason="the extra [explain] is not installed")
    monkeypatch.chdir(tmp_path)
    record = str(folder / "s00000")
    assert called("explain", "--workdir", str(finished.workdir), record, "--label", "LVH", "--out", "x.svg") == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["label"] == "LVH"
    assert sum(found["occlusion"]["segment_shares"].values()) == pytest.approx(1, abs=1e-3)
    assert set(found["gradients"]["lead_shares"]) == set(STANDARD_LEADS)
    assert Path("x.svg").is_file()
    assert "--html" in printed.err


def test_a_page_is_written_beside_the_usual_line(finished, folder, tmp_path, monkeypatch, capsys):
    pytest.importorskip("neurokit2", reason="the extra [explain] is not installed")
    monkeypatch.chdir(tmp_path)
    flags = ["--workdir", str(finished.workdir), str(folder / "s00001")]
    assert called("predict", *flags) == 0
    usual = capsys.readouterr().out
    assert called("predict", *flags, "--html", "page.html") == 0
    assert capsys.readouterr().out == usual
    assert "Why" in Path("page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["explain", "nowhere"], '"error": "file missing'),
        (["explain", "s00000", "--label", "XYZ"], "--label XYZ: the run has no such label; choose from 1AVB"),
        (["predict", "s00000", "s00001", "--html", "x.html"], "--html is a page on one whole recording"),
        (["predict", ".", "--html", "x.html"], "--html is a page on one recording; name one, such as s00000"),
    ],
)
def test_wrong_requests_are_one_line(command, says, finished, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert called(*command, "--workdir", str(finished.workdir)) == 1
    printed = capsys.readouterr()
    assert says in printed.out + printed.err
    assert len((printed.out + printed.err).splitlines()) == 1


@pytest.mark.slow  # prepares 1,300 recordings and trains for some minutes
def test_the_right_segment_is_found_in_90_percent_of_the_records_of_six_labels(tmp_path):
    """By occlusion; by integrated gradients as often over all labels. Shuffled parameters change the shares."""
    pytest.importorskip("neurokit2", reason="the extra [explain] is not installed")
    data, workdir, found = tmp_path / "set", tmp_path / "run", tmp_path / "found.json"
    assert called("prepare", "synthetic", "--records", "1300", "--to", str(data)) == 0
    flags = ["--train.epochs", "25", "--augment.mixup", "0.3", "--evaluate.overlap", "0", "--evaluate.resamples", "20"]
    assert called("train", "--preset", "ptb_xl", "--data", str(data), "--workdir", str(workdir), *flags) == 0
    tool = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "explanations.py"))
    tool["main"](workdir, most=30, json_path=found)
    rows = json.loads(found.read_text())
    assert sum(row["occlusion_right"] >= 0.9 for row in rows.values()) >= 6
    assert np.mean([row["gradients_right"] for row in rows.values()]) >= 0.9
    assert min(row["changed_by_shuffling"] for row in rows.values()) > 0.3
    assert max(row["largest_error"] for row in rows.values()) <= 0.01
