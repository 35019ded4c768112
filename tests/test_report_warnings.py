"""Warnings before the verdicts: each is given for its reason, and none in a study that has none of the reasons."""

from dataclasses import replace

import numpy as np
import pytest
from analysis_samples import macro_model

from ecg_jax.analysis import analyse
from ecg_jax.analysis.findings import Effect
from ecg_jax.analysis.influence import MetricEstimate
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.analysis.variance import VarianceModel
from ecg_jax.report.study_warnings import Course, study_warnings

SETTING = Setting(seeds=3, levels=((1, 2), (8, 16, 32), (3, 7, 15)), records=300, base=(0.8,), ratio=0.3)
COURSE = {"rate_edge": None, "epochs": 20, "best_epoch": 15.0, "last_quarter_gain": 0.0}


@pytest.fixture(scope="module")
def sound():
    """A study without a reason for a warning: its best scale, selected on validation, is inside the grid."""
    predictions = simulate(SETTING, seed=4)
    inside = [float(t["depth"] == 1 and t["channels"] == 16 and t["kernel"] == 7) for t in predictions.trials]
    trials = [{**trial, "receptive_field_ms": 800.0} for trial in predictions.trials]
    patients = [f"p{i // 2}" for i in range(300)]
    predictions = predictions.replace(trials=trials, patients=patients, validation=inside)
    return predictions, analyse(predictions)


def course(predictions, edit=lambda row: {}, **facts):
    rows = [{**trial, **COURSE, **edit(trial)} for trial in predictions.trials]
    sound = {
        "window_ms": 1000.0,
        "train_records": None,
        "for_other_records": {},
        "looks": [look(3, 54, 20)],
        "rate_hz": 100.0,
    }
    return Course(**{"rows": rows, **sound, **facts})


def named(found):
    return {warning.name: warning for warning in found}


def test_a_sound_study_has_no_warning(sound):
    predictions, analysis = sound
    assert study_warnings(analysis, macro_model(predictions), course(predictions)) == []
    (limit,) = study_warnings(analysis, macro_model(predictions), course(predictions, train_records=1000))
    assert (limit.name, limit.in_head) == ("training_records", False)
    assert "1.0 times as wide" in limit.detail


def of_rows(sound, edit, **facts):
    predictions, analysis = sound
    return study_warnings(analysis, macro_model(predictions), course(predictions, edit, **facts))


def test_rates_at_an_edge_are_counted_by_the_axis_that_they_go_with(sound):
    (found,) = of_rows(sound, lambda row: {"rate_edge": "high"} if row["channels"] == 8 else {})
    assert found.name == "rate_at_edge"
    assert found.in_head
    assert found.text == "The learning rate of 6 of 18 scales is at an edge of the rates tried."
    assert found.detail.startswith(
        "6 are at the highest rate, 0 at the lowest; by channels 8: 6 of 6, 16: 0 of 6, 32: 0 of 6: a rate beyond"
    )
    (one,) = of_rows(sound, lambda row: {"rate_edge": "low"} if (row["channels"], row["kernel"]) == (8, 3) else {})
    assert not one.in_head, "a few rates at an edge change no verdict"


@pytest.mark.parametrize(
    ("changes", "in_head"),
    [({"best_epoch": 19.0}, True), ({"last_quarter_gain": 0.0011}, True), ({"last_quarter_gain": 0.0009}, None)],
)
def test_trainings_that_still_improve_are_named_from_half_the_margin_on(sound, changes, in_head):
    found = of_rows(sound, lambda row: changes)
    assert [(warning.name, warning.in_head) for warning in found] == (
        [] if in_head is None else [("still_improving", True)]
    )


def test_more_test_than_training_records_and_looks_are_named(sound):
    found = named(of_rows(sound, lambda row: {}, train_records=100, looks=[look(2, 36, 20), look(3, 54, 20)]))
    assert set(found) == {"training_records", "looks"}
    assert "300 test records and 100 training records" in found["training_records"].text
    assert "1.3 times as wide" in found["training_records"].detail
    assert found["looks"].text == "This is look 2 at the study (at 2, 3 seeds; 36, 54 trials)."
    assert "multiplied by 2," in found["looks"].detail


@pytest.mark.parametrize(("times", "in_head"), [(1.2, False), (3.5, True)])
def test_measured_intervals_for_other_training_records_replace_the_estimate(sound, times, in_head):
    own = sound[1].claims["channels"]
    half = times * (own.high - own.low) / 2
    wider = {"channels": Effect(own.effect, own.effect - half, own.effect + half), "depth": Effect(None, None, None)}
    found = named(of_rows(sound, lambda row: {}, train_records=1000, for_other_records=wider))["training_records"]
    assert found.text == f"For other training records the intervals are up to {times} times as wide."
    assert "small learners" not in found.detail
    assert found.in_head == in_head


@pytest.mark.parametrize(
    ("looks", "at"),
    [
        ([(3, 90, 20), (3, 108, 20)], "90, 108 trials"),
        ([(3, 90, 20), (3, 90, 30)], "20, 30 epochs"),
        ([(2, 60, 20), (3, 90, 20), (3, 90, 30)], "2, 3, 3 seeds; 60, 90, 90 trials; 20, 20, 30 epochs"),
        ([(2, 60, None), (3, 90, 20)], "2, 3 seeds; 60, 90 trials"),
    ],
)
def test_looks_are_told_apart_by_what_was_added(sound, looks, at):
    found = named(of_rows(sound, lambda row: {}, looks=[look(*counts) for counts in looks]))
    assert found["looks"].text == f"This is look {len(looks)} at the study (at {at})."


def look(seeds, trials, epochs):
    return {"seeds": seeds, "trials": trials} | ({} if epochs is None else {"epochs": epochs})


def test_a_receptive_field_beyond_the_window_is_in_the_head_if_it_goes_with_an_axis(sound):
    predictions, analysis = sound
    reach = [replace(s, receptive_field_ms=1500.0 if s.scale["kernel"] == 15 else 500.0) for s in analysis.scales]
    (found,) = study_warnings(replace(analysis, scales=tuple(reach)), macro_model(predictions), course(predictions))
    assert (found.name, found.in_head) == ("receptive_field", True)
    assert "6 of 18 scales is longer than the window" in found.text
    assert found.detail.startswith("By kernel 3 (30 ms): 0 of 6, 7 (70 ms): 0 of 6, 15 (150 ms): 6 of 6. Beyond the")
    every = tuple(replace(scale, receptive_field_ms=1500.0) for scale in analysis.scales)
    (found,) = study_warnings(replace(analysis, scales=every), macro_model(predictions), course(predictions))
    assert not found.in_head
    assert study_warnings(analysis, macro_model(predictions), course(predictions, window_ms=None)) == []


def with_values(sound, change):
    """The warnings if the macro AUROC of the trials were another."""
    predictions, analysis = sound
    estimate = macro_model(predictions).estimate
    value = estimate.value + np.array([change(trial) for trial in predictions.trials])
    model = VarianceModel(predictions, MetricEstimate(value, estimate.influence))
    return named(study_warnings(analysis, model, course(predictions)))


def test_stalled_trials_are_named_with_scale_and_seed(sound):
    found = with_values(sound, lambda t: -0.1 * (t["depth"] == 2 and t["kernel"] == 3 and t["seed"] == 1))
    assert found["stalled_trials"].in_head
    assert "3 of 54 trials stalled" in found["stalled_trials"].text
    assert "depth 2, channels 8, kernel 3 (30 ms), seed 1" in found["stalled_trials"].detail


def test_seeds_that_vary_together_are_in_the_head_and_unequal_noise_is_a_limit(sound):
    found = with_values(sound, lambda t: -0.1 * (t["channels"] == 8 and t["seed"] == 1))
    assert found["common_seeds"].in_head
    assert "most in the scales with channels 8" in found["common_seeds"].text
    assert not found["unequal_variances"].in_head


def test_an_edge_of_the_grid_rare_labels_and_missing_patients_are_named(sound):
    predictions, _ = sound
    edge = [float(trial["channels"] == 32) for trial in predictions.trials]
    labels = np.column_stack([predictions.labels, np.arange(300) == 0])
    probabilities = np.concatenate([predictions.probabilities] * 2, axis=2)
    names = {"label_names": ["common", "rare"]}
    changed = predictions.replace(validation=edge, patients=None, labels=labels, probabilities=probabilities, **names)
    found = named(study_warnings(analyse(changed), macro_model(changed), course(changed)))
    assert set(found) == {"best_at_edge", "rare_labels", "no_patients"}
    assert all(warning.in_head for warning in found.values())
    assert "(channels 32, kernel 3 (30 ms))" in found["best_at_edge"].text
    assert found["rare_labels"].text == "1 label has too few records of a class to count."
    assert found["rare_labels"].detail.startswith("These are rare;")


def test_an_effect_that_depends_on_something_is_a_limit_too(sound):
    predictions, analysis = sound
    claims = {**analysis.claims, "kernel": replace(analysis.claims["kernel"], depends_on=("curvature",))}
    (found,) = study_warnings(replace(analysis, claims=claims), macro_model(predictions), course(predictions))
    assert found.name == "curvature"
    assert "effect of kernel" in found.text
