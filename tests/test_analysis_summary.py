"""The whole analysis, and the content of `analysis.json`."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from ecg_jax.analysis import StudyPredictions, analyse, claims
from ecg_jax.analysis import findings as f
from ecg_jax.analysis.axes import READY_MADE, Axis, Scale
from ecg_jax.analysis.simulation import Setting, simulate

SETTING = Setting(seeds=2, levels=((1, 2, 4), (16, 32), (3, 7)), effects=(0.02, 0.02, 0), records=200, base=(0.8, 0.85))
WITH_HEADS = replace(
    SETTING,
    axes=(READY_MADE[0], Axis("model.dropout", kind="linear"), Axis("model.head", kind="categorical")),
    levels=((1, 2), (0.0, 0.2), ("gap", "mean", "attention")),
)


def with_costs(predictions):
    trials = [
        {**t, "parameters": 1000 * t["depth"], "seconds": 10.0 + t["seed"], "learning_rate": 0.01}
        for t in predictions.trials
    ]
    return predictions.with_trials(trials)


@pytest.fixture(scope="module")
def predictions():
    return with_costs(simulate(SETTING, seed=0))


@pytest.fixture(scope="module")
def analysis(predictions):
    return analyse(predictions.replace(score=lambda y, p: float((np.where(y, p, 1 - p)).mean())))


@pytest.mark.parametrize("setting", [SETTING, WITH_HEADS, replace(SETTING, seeds=1)])
def test_its_dictionary_is_plain_json(setting):
    content = analyse(with_costs(simulate(setting, seed=0))).to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content


def keys(finding):
    """The keys of a finding by the fields of its class; an entry of a list has one key for each axis."""
    names = [field.name for field in fields(finding)]
    if isinstance(finding, f.ScaleEntry):
        names = [*finding.scale.names, *(name for name in names if name != "scale")]
    if isinstance(finding, f.Claim) and finding.note is None:
        names.remove("note")
    return names


def compare(finding, content, seen):
    """Asserts that every finding has its documented keys in the dictionary, and collects their classes."""
    if isinstance(finding, Scale):
        assert content == finding.to_dict()
    elif hasattr(finding, "__dataclass_fields__"):
        seen.add(type(finding))
        assert list(content) == keys(finding)
        for name in set(content) & {field.name for field in fields(finding)}:
            compare(getattr(finding, name), content[name], seen)
    elif isinstance(finding, dict):
        assert list(content) == list(finding)
        for name, part in finding.items():
            compare(part, content[name], seen)
    elif isinstance(finding, tuple):
        for part, of_part in zip(finding, content, strict=True):
            compare(part, of_part, seen)
    else:
        assert content == finding


def test_the_keys_of_its_dictionary_are_the_documented_fields():
    analysis = analyse(with_costs(simulate(WITH_HEADS, seed=0)))
    seen = set()
    compare(analysis, analysis.to_dict(), seen)
    classes = {value for value in vars(f).values() if hasattr(value, "__dataclass_fields__")}
    assert classes - seen == {f.ScaleEntry, Scale}  # all classes but the bases occur in the analysis


def test_a_claim_by_the_residual_of_one_seed_has_a_note(analysis):
    single = analyse(simulate(replace(SETTING, seeds=1), seed=0))
    assert "note" in single.to_dict()["claims"]["depth"]
    assert "note" not in analysis.to_dict()["claims"]["depth"]


def test_a_study_with_validation_metrics_names_what_selected_its_best_scale(predictions, analysis):
    assert analysis.selected_on == "test"
    deep = [float(trial["depth"] == 4) for trial in predictions.trials]
    validated = analyse(predictions.replace(validation=deep))
    assert validated.selected_on == "validation"
    assert validated.best.scale["depth"] == 4
    differences = {entry.scale: entry.difference for entry in validated.scales}
    assert differences[validated.best.scale] == 0


def test_the_margin_is_that_of_every_verdict(predictions):
    wide = analyse(predictions, margin=0.5)
    by_axis = [wide.claims, *wide.metrics.values(), *(label.claims for label in wide.per_label.values())]
    assert {claim.verdict for claims_of in by_axis for claim in claims_of.values()} == {"does not hold"}
    assert wide.margin == 0.5


def test_effects_of_every_metric_and_interactions_of_every_pair_are_there(analysis):
    assert set(analysis.metrics) == {"macro_auprc", "macro_f1", "score"}
    assert {tuple(by_axis) for by_axis in analysis.metrics.values()} == {("depth", "channels", "kernel")}
    assert set(analysis.interactions) == {"depth:channels", "depth:kernel", "channels:kernel"}


def test_the_claims_of_a_label_are_those_of_a_study_with_this_label_only(predictions, analysis):
    for name, of_label in analysis.per_label.items():
        for axis, alone in claims(predictions.of_label(name)).items():
            found = of_label.claims[axis]
            assert (found.effect, found.low, found.high, found.p) == (alone.effect, alone.low, alone.high, alone.p)
            assert found.p_holm >= alone.p_holm, "corrected for all labels"


def test_what_is_taken_as_given_is_named(analysis):
    text = " ".join(analysis.taken_as_given)
    assert "training records" in text
    assert "learning rate" in text
    assert "seed" not in text


def test_each_scale_has_its_mean_its_seeds_and_its_difference_from_the_best(analysis):
    assert len(analysis.scales) == 12
    top = max(analysis.scales, key=lambda entry: entry.mean)
    assert top.scale == analysis.best.scale
    for entry in analysis.scales:
        assert np.mean(list(entry.values.values())) == pytest.approx(entry.mean)
        assert entry.difference == pytest.approx(entry.mean - top.mean)
        assert entry.indistinguishable == (entry.high >= 0)
        assert entry.expected_loss >= 0
        assert entry.may_lose >= -entry.difference
        assert entry.costs["seconds"] == f.CostRange(10.5, 10, 11)
        assert entry.costs["macs"] is None
        assert entry.learning_rate == 0.01
    assert sum(entry.best_probability for entry in analysis.scales) == pytest.approx(1)
    indistinguishable = tuple(entry.scale for entry in analysis.scales if entry.indistinguishable)
    assert analysis.best.indistinguishable == indistinguishable


def test_what_is_not_finite_is_null(predictions):
    trials = [{**trial, "learning_rate": float("nan")} for trial in predictions.trials]
    assert analyse(predictions.with_trials(trials)).to_dict()["scales"][0]["learning_rate"] is None


def test_a_label_that_is_never_defined_changes_nothing_else(predictions):
    labels = np.column_stack([predictions.labels, np.zeros(200)])
    probabilities = np.concatenate([predictions.probabilities, predictions.probabilities[..., :1]], axis=2)
    more = StudyPredictions(predictions.trials, labels, probabilities, label_names=["a", "b", "none"])
    assert analyse(more).per_label["none"] is None
    for axis, claim in claims(predictions).items():
        assert claims(more)[axis].effect == pytest.approx(claim.effect)


def test_without_any_defined_label_all_findings_are_none(predictions):
    empty = analyse(predictions.replace(labels=np.zeros_like(predictions.labels)))
    assert (empty.best, empty.pareto, empty.power_laws) == (None, None, None)
    assert set(empty.per_label.values()) == {None}
    assert empty.claims["depth"].verdict == "not decided"
    assert {entry.mean for entry in empty.scales} == {None}


def test_a_study_with_one_seed_says_what_that_means():
    single = analyse(simulate(replace(SETTING, seeds=1), seed=0))
    assert len(single.taken_as_given) == 4
    assert all("one seed" in note.lower() for note in single.taken_as_given[2:])


def test_the_only_scale_of_a_study_is_its_best():
    best = analyse(simulate(replace(SETTING, levels=((1,), (8,), (3,)), effects=(0, 0, 0)), seed=0)).best
    assert best.indistinguishable == (best.scale,)
    assert [entry.share for entry in best.chosen] == [1]
