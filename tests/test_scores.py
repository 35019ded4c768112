"""The scores that data sets define, against values computed by others, by hand and by slow obvious code."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from ecg_jax.evaluation import scores
from ecg_jax.evaluation import summary as evaluation_summary
from ecg_jax.evaluation.scores import SCORES, cinc2021
from ecg_jax.evaluation.summary import point_values, summarise
from ecg_jax.target import Target


@pytest.fixture(scope="module")
def oracle(real_data):
    return json.loads((real_data / "cinc2021" / "score_oracle.json").read_text())


def test_the_score_of_2021_equals_that_of_the_official_code(oracle):
    assert len(oracle["cases"]) == 3
    for case in oracle["cases"]:
        value = cinc2021(np.array(case["labels"]), np.array(case["outputs"]))
        assert value == pytest.approx(case["score"], abs=1e-12, rel=0)


def test_the_score_of_2021_is_1_if_all_is_right_and_0_for_sinus_rhythm_alone(oracle):
    labels = np.array(oracle["cases"][1]["labels"])
    always = np.zeros_like(labels)
    always[:, oracle["classes"].index(oracle["sinus_rhythm"])] = 1
    assert cinc2021(labels, labels) == pytest.approx(1)
    assert cinc2021(labels, always) == 0
    assert cinc2021(always, always) == 0  # the official code says so, though nothing is wrong


def test_the_score_of_2021_of_records_that_occur_twice_is_that_of_weights_of_two(oracle):
    labels, outputs = (np.array(oracle["cases"][2][name]) for name in ("labels", "outputs"))
    twice = np.repeat(np.arange(len(labels)), 2)
    weight = np.full((1, len(labels)), 2.0)
    weight[0, 5:] = 1
    some = np.concatenate([np.arange(len(labels)), np.arange(5)])
    assert SCORES["cinc2021"](labels, outputs, weight)[0] == pytest.approx(cinc2021(labels[some], outputs[some]))
    assert cinc2021(labels[twice], outputs[twice]) == pytest.approx(cinc2021(labels, outputs))


def test_one_public_name_has_the_year():
    assert [name for name in vars(scores) if "2021" in name and not name.startswith("_")] == ["cinc2021"]


def among_the_highest(label, probability, orders=4000):
    """The mean sensitivity over random orders of equal probabilities."""
    rng, found = np.random.default_rng(0), []
    for _ in range(orders):
        order = rng.permutation(len(label))
        order = order[np.argsort(-probability[order], kind="stable")]
        found.append(label[order][: int(0.05 * len(label))].sum() / label.sum())
    return np.mean(found)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_the_score_of_2025_is_the_sensitivity_among_the_5_percent_with_the_highest_probabilities(levels):
    rng = np.random.default_rng(levels)
    label = (rng.random(130) < 0.1).astype(float)
    probability = np.round(rng.random(130) * levels + 0.3 * label * levels) / (2 * levels)
    value = SCORES["cinc2025"](label[:, None], probability[:, None], np.ones((1, 130)))[0]
    assert value == pytest.approx(among_the_highest(label, probability), abs=0.02 if levels < 1000 else 1e-12)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_the_score_of_2025_with_weights_is_that_of_repeated_records(records):
    label, level, weight = (np.array(column, float) for column in zip(*records, strict=True))
    score = SCORES["cinc2025"]
    repeated = np.repeat(np.arange(len(label)), weight.astype(int))
    weighted = score(label[:, None], level[:, None] / 3, weight[None])[0]
    expected = np.nan
    if repeated.size:
        ones = np.ones((1, len(repeated)))
        expected = score(label[repeated][:, None], level[repeated][:, None] / 3, ones)[0]
    assert weighted == pytest.approx(expected, nan_ok=True)


def test_the_score_of_2018_is_the_mean_f1_of_nine_classes():
    rng = np.random.default_rng(0)
    label, decision = (rng.random((2, 300, 9)) < 0.3).astype(int)
    value = SCORES["cpsc2018"](label.astype(float), decision, np.ones((1, 300)))[0]
    assert value == pytest.approx(f1_score(label, decision, average="macro"))


BEATS = Target("exclusive", ("F", "N", "Q", "S", "V"))


def some_beats(size=400, seed=0):
    """True and decided classes of beats, half of which are right, as numbers of the labels of `BEATS`."""
    rng = np.random.default_rng(seed)
    truth, guess = rng.choice(5, (2, size), p=[0.1, 0.5, 0.1, 0.1, 0.2])
    return truth, np.where(rng.random(size) < 0.5, truth, guess)


def test_figures_of_beats_are_recall_and_precision_of_s_and_v_and_the_score_is_their_mean():
    truth, decided = some_beats()
    values = point_values(np.eye(5)[truth], np.eye(5)[decided], None, target=BEATS, score="aami")
    expected = {}
    for column, name in ((3, "S"), (4, "V")):
        expected[f"sensitivity_{name}"] = recall_score(truth == column, decided == column)
        expected[f"ppv_{name}"] = precision_score(truth == column, decided == column)
    assert {name: values[name] for name in expected} == pytest.approx(expected)
    assert values["aami"] == pytest.approx(np.mean([*expected.values()]))


def test_the_score_of_beats_is_0_for_classes_never_decided_and_not_defined_without_s():
    truth, _ = some_beats()
    never = np.eye(5)[np.ones_like(truth)]
    assert SCORES["aami"](np.eye(5)[truth], never, np.ones((1, len(truth))))[0] == 0
    without_s = np.where(truth == 3, 1, truth)
    values = point_values(np.eye(5)[without_s], np.eye(5)[truth], None, target=BEATS, score="aami")
    assert np.isnan([values["aami"], values["sensitivity_S"], values["ppv_S"]]).all()
    assert values["sensitivity_V"] == 1


def test_the_score_of_beats_under_weights_is_that_of_repeated_beats():
    truth, decided = some_beats()
    weight = np.random.default_rng(1).integers(0, 3, len(truth))
    again = np.repeat(np.arange(len(truth)), weight)
    repeated = SCORES["aami"](np.eye(5)[truth[again]], np.eye(5)[decided[again]], np.ones((1, len(again))))
    assert SCORES["aami"](np.eye(5)[truth], np.eye(5)[decided], weight[None]) == pytest.approx(repeated)


def test_figures_of_beats_stand_in_the_result_with_intervals_over_patients():
    truth, decided = some_beats()
    patients = np.array([f"p{n % 8}" for n in range(len(truth))])
    options = {"target": BEATS, "score": "aami", "resamples": 200}
    metrics = summarise(np.eye(5)[truth], np.eye(5)[decided], None, patients, **options)["metrics"]
    for name in ("aami", "sensitivity_S", "ppv_S", "sensitivity_V", "ppv_V"):
        assert 0 < metrics[name]["low"] < metrics[name]["value"] < metrics[name]["high"] < 1, name


def test_intervals_are_those_of_all_resamples_however_few_are_computed_at_a_time(monkeypatch):
    truth, decided = some_beats()
    arguments = np.eye(5)[truth], np.eye(5)[decided], None, np.array([f"p{n % 8}" for n in range(len(truth))])
    options = {"target": BEATS, "score": "aami", "resamples": 50}
    at_once = summarise(*arguments, **options)["metrics"]
    monkeypatch.setattr(evaluation_summary, "MOST_WEIGHTS", 7 * len(truth))
    in_blocks = summarise(*arguments, **options)["metrics"]
    for name, figure in at_once.items():
        assert in_blocks[name] == pytest.approx(figure, abs=1e-12), name


@pytest.mark.parametrize(("score", "labels"), [("cinc2021", 26), ("cinc2025", 1), ("cpsc2018", 9)])
def test_a_score_stands_in_the_result_with_its_interval(score, labels):
    rng = np.random.default_rng(0)
    label = (rng.random((200, labels)) < 0.3).astype(int)
    probability = np.clip(0.3 * rng.random((200, labels)) + 0.5 * label, 0, 1)
    target, thresholds = Target("multilabel", tuple(f"l{k}" for k in range(labels))), np.full(labels, 0.4)
    options = {"target": target, "score": score}
    figure = summarise(label, probability, thresholds, np.full(200, ""), **options, resamples=50)["metrics"][score]
    assert figure["value"] == pytest.approx(point_values(label, probability, thresholds, **options)[score])
    assert figure["low"] <= figure["value"] <= figure["high"]
    assert figure["value"] > 0
