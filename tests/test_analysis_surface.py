"""The response surface: a judgement on all scales that learns from similar ones."""

from dataclasses import replace

import numpy as np
import pytest
from analysis_samples import macro_model

from ecg_jax.analysis.axes import READY_MADE, Axis
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.analysis.surface import response_surface

SMOOTH = Setting(seeds=3, effects=(-0.008, 0.008, 0.0), levels=((1, 2, 4), (8, 16, 32), (3, 7)), records=300)


def surface_of(predictions):
    found = response_surface(macro_model(predictions), seed=0)
    assert found is not None
    return found


def test_probabilities_sum_to_1_and_the_loss_of_a_clear_winner_is_nearly_0():
    found = surface_of(simulate(replace(SMOOTH, effects=(-0.04, 0.04, -0.02), ratio=0.3, base=(0.8,)), seed=0))
    assert found.best_probability.sum() == pytest.approx(1)
    assert found.best_probability.max() > 0.95
    assert found.expected_loss.argmin() == found.best_probability.argmax()
    assert found.expected_loss.min() < 0.001


def test_its_choice_loses_less_than_the_scale_with_the_largest_mean():
    lost, lost_by_mean, expected, contained = [], [], [], 0
    truth = SMOOTH.truth.mean(axis=1)
    for number in range(40):
        predictions = simulate(SMOOTH, seed=number)
        found = surface_of(predictions)
        choice = found.expected_loss.argmin()
        lost.append(truth.max() - truth[choice])
        expected.append(found.expected_loss[choice])
        means = predictions.mean_weights() @ macro_model(predictions).estimate.value
        lost_by_mean.append(truth.max() - truth[means.argmax()])
        order = np.argsort(-found.best_probability)
        needed = np.searchsorted(np.cumsum(found.best_probability[order]), 0.95) + 1
        contained += truth.argmax() in order[:needed]
    assert np.mean(lost) < np.mean(lost_by_mean)
    assert np.mean(expected) == pytest.approx(np.mean(lost), abs=0.002)
    assert contained >= 34  # 95 % of 40 is 38


def test_a_shift_of_all_scales_changes_nothing():
    """Only differences count: a surface with a level of its own would be drawn to the quiet scales."""
    predictions = simulate(SMOOTH, seed=0)
    model = macro_model(predictions)
    before = response_surface(model, seed=0)
    model.estimate = replace(model.estimate, value=model.estimate.value + 0.05)
    after = response_surface(model, seed=0)
    np.testing.assert_allclose(before.expected_loss, after.expected_loss, atol=1e-9)


def test_categories_are_scales_too_and_a_single_scale_is_the_best():
    axes = (READY_MADE[0], Axis("model.head", kind="categorical"))
    setting = Setting(axes=axes, levels=((1, 2), ("gap", "mean", "max")), effects=(-0.05, 0.03), ratio=0.3)
    predictions = simulate(setting, seed=0)
    best = predictions.scales[int(surface_of(predictions).best_probability.argmax())]
    assert best.to_dict() == {"depth": 1, "model.head": "max"}
    single = surface_of(simulate(replace(SMOOTH, effects=(0, 0, 0), levels=((1,), (8,), (3,))), seed=0))
    assert (single.best_probability.tolist(), single.expected_loss.tolist()) == ([1], [0])


def test_without_a_known_noise_of_seeds_there_is_no_judgement():
    single = simulate(Setting(seeds=1, levels=((1,), (16, 32), (3, 7))), seed=0)
    assert response_surface(macro_model(single), seed=0) is None
