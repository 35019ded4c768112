"""The content of `analysis.json`: whole, plain, and honest about what is not defined."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ecg_jax.analysis import StudyPredictions, analyse, claims
from ecg_jax.analysis.influence import aurocs, mean_of
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.analysis.tradeoffs import pareto, power_laws

SETTING = Setting(seeds=2, levels=((1, 2, 4), (16, 32), (3, 7)), effects=(0.02, 0.02, 0), records=200, base=(0.8, 0.85))


@pytest.fixture(scope="module")
def outcomes():
    found = simulate(SETTING, seed=0)
    for trial in found.trials:
        trial["parameters"] = trial["depth"] * trial["channels"] ** 2
        trial["seconds"] = 10.0 + trial["seed"]
    return found


@pytest.fixture(scope="module")
def analysis(outcomes):
    return analyse(replace(outcomes, score=lambda y, p: float((np.where(y, p, 1 - p)).mean())))


def test_it_is_plain_json_with_all_that_the_report_reads(analysis):
    assert json.loads(json.dumps(analysis, allow_nan=False)) == analysis
    wanted = "claims metrics interactions best per_label pareto power_laws scales taken_as_given seeds records labels"
    assert set(wanted.split()) <= set(analysis)
    assert set(analysis["metrics"]) == {"macro_auprc", "macro_f1", "score"}
    assert set(analysis["interactions"]) == {"depth:channels", "depth:kernel", "channels:kernel"}
    assert {"scale", "value", "low", "high", "chosen", "indistinguishable"} <= set(analysis["best"])


def test_its_claims_are_those_of_claims(outcomes, analysis):
    assert analysis["claims"] == claims(outcomes)


def test_what_is_taken_as_given_is_said(analysis):
    said = " ".join(analysis["taken_as_given"])
    assert "training records" in said
    assert "learning rate" in said


def test_each_scale_has_its_mean_its_seeds_and_its_difference_from_the_best(analysis):
    assert len(analysis["scales"]) == 12
    top = max(analysis["scales"], key=lambda entry: entry["mean"])
    assert {axis: top[axis] for axis in ("depth", "channels", "kernel")} == analysis["best"]["scale"]
    for entry in analysis["scales"]:
        assert np.mean(list(entry["values"].values())) == pytest.approx(entry["mean"])
        assert entry["difference"] == pytest.approx(entry["mean"] - top["mean"])
        assert entry["indistinguishable"] == (entry["low"] <= 0 <= entry["high"])
        assert entry["costs"]["seconds"] == {"value": 10.5, "low": 10, "high": 11}
        assert entry["costs"]["macs"] is None


def test_what_is_not_finite_is_null(outcomes):
    trials = [{**trial, "learning_rate": float("nan")} for trial in outcomes.trials]
    assert analyse(replace(outcomes, trials=trials))["scales"][0]["learning_rate"] is None


def test_a_label_defined_nowhere_is_null_and_the_rest_stands(outcomes):
    labels = np.column_stack([outcomes.labels, np.zeros(200)])
    probabilities = np.concatenate([outcomes.probabilities, outcomes.probabilities[..., :1]], axis=2)
    more = StudyPredictions(outcomes.trials, labels, probabilities, label_names=["a", "b", "none"])
    assert analyse(more)["per_label"]["none"] is None
    for axis, answer in claims(outcomes).items():
        assert claims(more)[axis]["effect"] == pytest.approx(answer["effect"])


def test_nothing_defined_is_an_analysis_of_nulls_without_an_exception(outcomes):
    empty = analyse(replace(outcomes, labels=np.zeros_like(outcomes.labels)))
    assert empty["best"] is None
    assert set(empty["per_label"].values()) == {None}
    assert empty["claims"]["depth"]["verdict"] == "not decided"


def test_one_seed_and_one_scale_are_analysed_too():
    one_seed = analyse(simulate(replace(SETTING, seeds=1), seed=0))
    assert any("one seed" in said.lower() for said in one_seed["taken_as_given"])
    one_scale = analyse(simulate(replace(SETTING, levels=((1,), (8,), (3,)), effects=(0, 0, 0)), seed=0))
    assert one_scale["best"]["indistinguishable"] == [one_scale["best"]["scale"]]
    assert [entry["share"] for entry in one_scale["best"]["chosen"]] == [1]


def test_nothing_on_the_front_is_beaten_by_something_cheaper(outcomes):
    measure = mean_of(aurocs(outcomes))
    front = pareto(outcomes, measure)["parameters"]
    of_scale = {s: measure.value[outcomes.scale_of == c].mean() for c, s in enumerate(outcomes.scales)}
    on_it = {(p["depth"], p["channels"], p["kernel"]) for p in front}
    for scale, mean in of_scale.items():
        beaten = any(
            other[0] * other[1] ** 2 <= scale[0] * scale[1] ** 2 and value > mean for other, value in of_scale.items()
        )
        assert (scale in on_it) == (not beaten)
    assert [p["cost"] for p in front] == sorted(p["cost"] for p in front)
    assert pareto(outcomes, measure)["latency_ms"] is None


def test_a_power_law_is_found_where_there_is_one_and_refused_where_there_is_none():
    channels = (4, 8, 16, 32, 64, 128)
    rng = np.random.default_rng(0)
    trials = [{"depth": 1, "channels": c, "kernel": 3, "seed": s, "macs": c**2} for c in channels for s in (0, 1)]
    labels = rng.random((3000, 1)) < 0.4
    from scipy.special import ndtri

    area = np.array([1 - 0.3 * t["macs"] ** -0.2 for t in trials])
    shared = rng.normal(size=(3000, 1))
    scores = np.sqrt(2) * ndtri(area)[:, None, None] * labels + shared
    law = StudyPredictions(trials, labels, scores)
    fit = power_laws(law, mean_of(aurocs(law)))["macs"]
    assert fit["fits"]
    assert fit["low"] < -0.2 < fit["high"] < 0
    flat = StudyPredictions(trials, labels, labels + shared + rng.normal(size=(12, 3000, 1)) * 0.3)
    fit = power_laws(flat, mean_of(aurocs(flat)))["macs"]
    assert not fit["fits"]
    assert fit["why"]
