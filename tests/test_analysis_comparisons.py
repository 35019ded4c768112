"""Scales compared with one of them, or with the selected best of all others, on the same records."""

from dataclasses import replace

import numpy as np
import pytest

from ecg_jax.analysis import StudyPredictions
from ecg_jax.analysis.axes import Axis, Scale
from ecg_jax.analysis.comparisons import compare_with, compare_with_best, join
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
    assert joined.trials[2]["parameters"] == predictions.trials[0]["parameters"]


def test_joining_a_study_with_thresholds_and_one_without_is_refused(predictions):
    thresholds = np.full((predictions.n_trials, predictions.n_labels), 0.5)
    with pytest.raises(RunError, match="only one of first and second has thresholds"):
        join({"first": predictions, "second": predictions.replace(thresholds=thresholds)}, NETWORK)


def test_joining_studies_on_other_records_is_refused(predictions):
    with pytest.raises(RunError, match="second predicts other records than first"):
        join({"first": predictions, "second": simulate(SMALL, seed=1)}, NETWORK)


@pytest.mark.parametrize("gain", [0.0, 0.1])
def test_the_difference_from_the_best_of_many_scales_has_no_selection_bias(gain):
    """All scales are equally good, so the best mean is too high; a network's mean difference from it is its gain."""
    setting = Setting(seeds=2, levels=((1, 2), (4, 8, 16, 32), (3, 7)), records=200, base=(0.8,), ratio=3)
    differences, differences_from_maximum = [], []
    for number in range(30):
        drawn = simulate(setting, seed=number)
        of_network = drawn.scale_of == 0
        probabilities = drawn.probabilities + gain * of_network[:, None, None] * drawn.labels
        drawn = drawn.replace(probabilities=probabilities)
        parts = {"study": drawn.of_trials(np.flatnonzero(~of_network)), "network": drawn.of_trials(drawn.trials_of(0))}
        joined = join(parts, NETWORK)
        best, row = compare_with_best(joined, [network("network")], seed=number)
        assert best.scale != row.scale == network("network")
        differences.append(row.difference)
        means = {entry.scale: entry.mean for entry in compare_with(joined, joined.scales[0])}
        differences_from_maximum.append(means.pop(row.scale) - max(means.values()))
    error = 3 * np.std(differences) / np.sqrt(len(differences))
    if gain:
        assert np.mean(differences) > error
    else:
        assert abs(np.mean(differences)) < error
        assert np.mean(differences_from_maximum) < -error


def test_the_intervals_of_two_candidates_are_wider_than_that_of_one(predictions):
    constant = predictions.of_trials(predictions.trials_of(0))  # it recognises nothing, so it is never selected
    constant = constant.replace(probabilities=np.full_like(constant.probabilities, 0.5))
    first, *others = (predictions.of_trials(predictions.trials_of(c)) for c in range(4))
    parts = {"network": first, "constant": constant} | {f"scale {c}": part for c, part in enumerate(others)}
    joined = join(parts, NETWORK)
    one, both = (
        {row.scale: row for row in compare_with_best(joined, [network(name) for name in names])}[network("network")]
        for names in (["network"], ["network", "constant"])
    )
    assert one.difference == both.difference
    assert both.high - both.low > one.high - one.low


def test_the_best_of_the_others_has_its_share_and_the_candidates_have_none(predictions):
    best, *rows = compare_with_best(predictions, predictions.scales[:2])
    assert [row.scale for row in rows] == predictions.scales[:2]
    assert best.scale in predictions.scales[2:]
    assert 0.5 <= best.share <= 1
    assert [row.share for row in rows] == [None, None]


def test_without_enough_records_in_half_a_fold_there_is_no_best_scale():
    trials = [{"depth": d, "channels": 8, "kernel": 3, "seed": s} for d in (1, 2) for s in (0, 1)]
    labels = np.arange(20)[:, None] < 3
    few = StudyPredictions(trials, labels, np.random.default_rng(0).random((4, 20, 1)))
    with pytest.raises(RunError, match="macro AUROC is not defined"):
        compare_with_best(few, few.scales[:1])


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
