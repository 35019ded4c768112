"""What the predictions of a study tell about its noise: each diagnosis is seldom given where there is nothing."""

from dataclasses import replace

import numpy as np
import pytest
from analysis_samples import macro_model

from ecg_jax.analysis.axes import Axis, Scale
from ecg_jax.analysis.diagnostics import (
    at_edges,
    common_noise,
    names_patients,
    p_of_equal_noise,
    rare_labels,
    stalled,
)
from ecg_jax.analysis.influence import MetricEstimate
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.analysis.variance import VarianceModel

SMALL = Setting(seeds=3, levels=((1, 2, 4), (8, 16), (3, 15)), records=60, base=(0.8,))


@pytest.fixture(scope="module")
def predictions():
    return simulate(SMALL, seed=0)


def model_with(predictions, value):
    """A model in which the trials have these values [R], and the records play no part."""
    return VarianceModel(predictions, MetricEstimate(np.asarray(value, float), np.zeros((len(value), 60))))


def noise(predictions, seed, sd):
    return np.random.default_rng(seed).normal(size=predictions.n_trials) * sd


def test_a_trial_that_is_far_below_its_scale_is_named_and_no_other(predictions):
    value = 0.9 + noise(predictions, 0, 0.002)
    assert stalled(model_with(predictions, value)) == []
    value[[4, 20]] -= 0.08
    assert stalled(model_with(predictions, value)) == [4, 20]
    value[4] += 0.065  # .015 below is no stall, however even the others are
    assert stalled(model_with(predictions, value)) == [20]


def test_a_scale_that_scatters_widely_has_no_stalled_trial(predictions):
    value = 0.9 + np.array([0.0, 0.03, -0.06])[[int(trial["seed"]) for trial in predictions.trials]]
    assert stalled(model_with(predictions, value)) == []


def test_equal_noise_seldom_looks_unequal_and_unequal_noise_does(predictions):
    narrow = np.array([trial["channels"] == 8 for trial in predictions.trials])
    p = [p_of_equal_noise(model_with(predictions, noise(predictions, n, 0.01)), seed=0) for n in range(60)]
    assert sum(value < 0.05 for value in p) <= 9  # 5 % of 60 is 3
    sd = np.where(narrow, 0.03, 0.002)
    assert p_of_equal_noise(model_with(predictions, noise(predictions, 0, sd)), seed=0) < 0.01


def test_equal_noise_is_not_tested_with_one_seed_and_holds_where_nothing_varies(predictions):
    single = predictions.of_trials([r for r, trial in enumerate(predictions.trials) if trial["seed"] == 0])
    assert p_of_equal_noise(macro_model(single), seed=0) is None
    assert p_of_equal_noise(model_with(predictions, np.full(36, 0.9)), seed=0) == 1


def test_independent_seeds_seldom_look_common(predictions):
    found = [common_noise(model_with(predictions, noise(predictions, n, 0.01)), seed=0).p for n in range(60)]
    assert sum(p < 0.05 for p in found) <= 9  # 5 % of 60 is 3


def test_a_seed_that_stalls_all_narrow_networks_is_seen_where_it_happens(predictions):
    bad = np.array([trial["channels"] == 8 and trial["seed"] == 1 for trial in predictions.trials])
    found = common_noise(model_with(predictions, noise(predictions, 0, 0.002) - 0.05 * bad), seed=0)
    assert found.p < 0.01
    assert found.where == "channels 8"


def test_a_seed_that_is_better_at_all_scales_is_common_to_all(predictions):
    good = np.array([trial["seed"] == 2 for trial in predictions.trials])
    found = common_noise(model_with(predictions, noise(predictions, 0, 0.01) + 0.02 * good), seed=0)
    assert (found.p < 0.01, found.where) == (True, "")


def test_common_noise_needs_two_seeds_of_two_scales(predictions):
    single = predictions.of_trials([r for r, trial in enumerate(predictions.trials) if trial["seed"] == 0])
    assert common_noise(macro_model(single), seed=0) is None
    assert common_noise(macro_model(predictions.of_trials(predictions.trials_of(0))), seed=0) is None


def test_an_edge_counts_unless_nothing_can_lie_beyond_it(predictions):
    def edges(depth, channels, kernel):
        return at_edges(Scale(("depth", "channels", "kernel"), (depth, channels, kernel)), predictions.axes)

    assert edges(1, 16, 3) == ["channels", "kernel"]  # there is no depth below 1
    assert edges(4, 8, 15) == ["depth", "channels", "kernel"]
    assert "depth" not in edges(2, 8, 3)
    dropout, head = Axis("model.dropout", (0.0, 0.1, 0.2), "linear"), Axis("model.head", ("gap", "max"), "categorical")
    assert at_edges(Scale(("model.dropout", "model.head"), (0.2, "max")), (dropout, head)) == ["model.dropout"]


def test_a_label_that_does_not_count_in_a_fold_is_named_with_the_number_of_folds():
    drawn = simulate(replace(SMALL, records=200, folds=4), seed=0)
    labels = np.column_stack([drawn.labels, np.isin(drawn.fold_of, (0, 1)) & drawn.labels[:, 0]])
    probabilities = np.concatenate([drawn.probabilities] * 2, axis=2)
    more = drawn.replace(labels=labels, probabilities=probabilities, label_names=["a", "b"])
    assert rare_labels(more) == {"b": 2}


@pytest.mark.parametrize(
    ("patients", "named"), [(None, False), ([""] * 60, False), ([None] * 60, False), (["", *["p1"] * 59], True)]
)
def test_patients_are_named_if_any_is(predictions, patients, named):
    assert names_patients(predictions.replace(patients=patients)) is named
