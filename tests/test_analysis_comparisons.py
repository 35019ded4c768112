"""Scales compared with one of them, or with the selected best of all others, on the same records."""

from dataclasses import replace

import numpy as np
import pytest

from ecg_jax.analysis.axes import Axis, Scale
from ecg_jax.analysis.comparisons import compare_with, join, opponent, outcome
from ecg_jax.analysis.effects import effect_difference
from ecg_jax.analysis.influence import macro_auroc
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.errors import RunError

NETWORK = Axis("model.preset", kind="categorical")
SMALL = Setting(seeds=2, levels=((1, 2), (4, 8), (3,)), records=200, base=(0.8,))


def network(name):
    return Scale(("model.preset",), (name,))


@pytest.fixture(scope="module")
def predictions():
    drawn = simulate(SMALL, seed=0)
    return drawn.with_trials([{**t, "parameters": 10 * t["depth"], "seconds": 5.0 + t["seed"]} for t in drawn.trials])


def test_every_scale_is_compared_with_the_reference(predictions):
    value = macro_auroc(predictions).value
    mean = {
        scale: np.mean([v for v, c in zip(value, predictions.scale_of, strict=True) if c == place])
        for place, scale in enumerate(predictions.scales)
    }
    reference = predictions.scales[2]
    rows = compare_with(predictions, reference)
    assert [row.scale for row in rows] == predictions.scales
    for row in rows:
        assert row.mean == pytest.approx(mean[row.scale])
        assert row.difference == pytest.approx(mean[row.scale] - mean[reference])
        assert row.mean_low < row.mean < row.mean_high
        assert row.low < row.difference < row.high or row.scale == reference
        assert (row.parameters, row.seconds, row.macs) == (10 * row.scale["depth"], 5.5, None)
    assert (rows[2].difference, rows[2].low, rows[2].high) == (0, 0, 0)


def test_a_reference_that_is_not_in_the_study_is_refused(predictions):
    with pytest.raises(RunError, match="no scale d9_c4_k3"):
        compare_with(predictions, Scale(("depth", "channels", "kernel"), (9, 4, 3)))


def test_one_seed_of_networks_on_one_axis_has_no_intervals():
    single = join({"a": simulate(replace(SMALL, seeds=1), seed=0)}, NETWORK)
    rows = compare_with(single, single.scales[0])
    assert {row.mean_low for row in rows} == {None}
    assert [row.low for row in rows] == [0, None, None, None]


def test_joined_studies_have_one_scale_for_each_scale_of_each_study(predictions):
    single = predictions.of_trials(predictions.trials_of(0))
    joined = join({"resnet": single, "study": predictions}, NETWORK)
    assert joined.axes[0].field == "model.preset"
    assert [scale["model.preset"] for scale in joined.scales] == [
        "resnet",
        *(f"study d{d}_c{c}_k3" for d in (1, 2) for c in (4, 8)),
    ]
    np.testing.assert_array_equal(joined.probabilities[2:], predictions.probabilities)
    assert [str(s["model.preset"]) for s in join({"z": single, "a": single}, NETWORK).scales] == ["z", "a"], "in order"
    assert joined.trials[2]["parameters"] == predictions.trials[0]["parameters"]


def test_joining_a_study_with_thresholds_and_one_without_is_refused(predictions):
    thresholds = np.full((predictions.n_trials, predictions.n_labels), 0.5)
    with pytest.raises(RunError, match="only one of first and second has thresholds"):
        join({"first": predictions, "second": predictions.replace(thresholds=thresholds)}, NETWORK)


def test_joining_studies_on_other_records_is_refused(predictions):
    with pytest.raises(RunError, match="second predicts other records than first"):
        join({"first": predictions, "second": simulate(SMALL, seed=1)}, NETWORK)


@pytest.mark.parametrize(
    ("difference", "half_width", "expected"),
    [
        (0.02, 0.01, "better"),
        (-0.02, 0.01, "worse"),
        (0.003, 0.001, "better"),  # although it is smaller than the margin
        (0.001, 0.003, "equivalent"),
        (0.001, 0.01, "not decided"),
        (0.0, 0.005, "not decided"),
        (0.02, None, "not decided"),
    ],
)
def test_equivalent_is_only_what_differs_by_less_than_the_margin(difference, half_width, expected):
    assert outcome(difference, half_width, 0.005) == expected


def test_the_outcome_of_each_comparison_is_that_of_its_interval(predictions):
    rows = compare_with(predictions, predictions.scales[0], margin=0.5)
    assert rows[0].outcome is None
    assert {row.outcome for row in rows[1:]} <= {"equivalent", "better", "worse"}
    for row in compare_with(predictions, predictions.scales[0], margin=1e-9)[1:]:
        assert row.outcome == outcome(row.difference, row.high - row.difference, 1e-9) != "equivalent"


def test_the_opponent_is_the_best_on_validation_or_the_one_that_was_named(predictions):
    validation = [1.0 if trial["depth"] == 2 and trial["channels"] == 4 else 0.5 for trial in predictions.trials]
    validated = predictions.replace(validation=validation)
    assert predictions.scales[opponent(validated)].name == "d2_c4_k3"
    assert predictions.scales[opponent(validated, "d1_c8_k3")].name == "d1_c8_k3"
    with pytest.raises(RunError, match="--against d9: there is no such scale; choose from d1_c4_k3, d1_c8_k3"):
        opponent(validated, "d9")
    with pytest.raises(RunError, match="name one with --against"):
        opponent(predictions)


def test_the_difference_from_an_opponent_that_validation_chose_has_no_selection_bias():
    """All scales are equally good, so the best on the test records is too good; the best on validation is not."""
    setting = Setting(seeds=2, levels=((1, 2), (4, 8, 16, 32), (3, 7)), records=200, base=(0.8,), ratio=0.3)
    differences, differences_from_maximum = [], []
    for number in range(30):
        drawn = simulate(setting, seed=number)
        parts = {"network": drawn.of_trials(drawn.trials_of(0))}
        study = drawn.of_trials(np.flatnonzero(drawn.scale_of > 0))
        study = study.replace(validation=np.random.default_rng(number).random(study.n_trials))
        place = opponent(study)
        parts["opponent"] = study.of_trials(study.trials_of(place))
        joined = join(parts, NETWORK)
        network_row, opponent_row = compare_with(joined, network("opponent"))
        assert opponent_row.difference == 0
        differences.append(network_row.difference)
        differences_from_maximum.append(
            network_row.mean - max(row.mean for row in compare_with(drawn, drawn.scales[0]))
        )
    error = 3 * np.std(differences) / np.sqrt(len(differences))
    assert abs(np.mean(differences)) < error
    assert np.mean(differences_from_maximum) < -error


def test_an_effect_that_grows_with_the_data_differs_by_its_growth():
    share = Axis("data.training_share", kind="categorical")
    setting = Setting(seeds=3, levels=((1, 2), (8, 16), (3, 7)), records=2000, base=(0.8,), ratio=0.3)
    parts = {
        "few": simulate(setting, seed=0),
        "all": simulate(replace(setting, effects=(0.05, 0.0, 0.0)), seed=0),
    }
    trials = [{**trial, share.name: name} for name, part in parts.items() for trial in part.trials]
    probabilities = np.concatenate([part.probabilities for part in parts.values()])
    axes = (*parts["few"].axes, replace(share, levels=("few", "all")))
    joint = parts["few"].replace(trials=trials, probabilities=probabilities, axes=axes)
    of_depth, of_channels = (effect_difference(joint, axis, share.name) for axis in ("depth", "channels"))
    assert 0 < of_depth.low < 0.05 < of_depth.high
    assert of_channels.low < 0 < of_channels.high
