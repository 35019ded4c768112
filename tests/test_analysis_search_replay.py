"""Random search replayed from finished trials: which trial is kept, and what a narrowed space is worth."""

from math import comb

import numpy as np
import pytest

from ecg_jax.analysis.axes import READY_MADE, Axis
from ecg_jax.analysis.findings import Claim
from ecg_jax.analysis.search_replay import kept_trials, narrowed, replay
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.errors import ConfigError


def claim(low, high):
    return Claim(None, low, high, "not decided", p=None, p_holm=None, seeds_needed=None, records_needed=None)


NO_EFFECT = {axis.name: claim(-0.01, 0.01) for axis in READY_MADE}
FALLS, RISES, NO_INTERVAL = claim(-0.02, -0.01), claim(0.01, 0.02), claim(None, None)
SHALLOW = NO_EFFECT | {"depth": FALLS}


def with_validation(setting, seed=0):
    """A simulated study whose validation metrics are the true ones with noise."""
    predictions = simulate(setting, seed=seed)
    noise = np.random.default_rng(seed).normal(scale=0.005, size=predictions.n_trials)
    validation = setting.truth.mean(axis=1)[predictions.scale_of] + noise
    trials = [{**t, "validation_macro_auroc": v} for t, v in zip(predictions.trials, validation, strict=True)]
    return predictions.with_trials(trials)


def depth_study(effect, **settings):
    return with_validation(Setting(effects=(effect, 0.0, 0.0), records=300, **settings))


def replayed(predictions, claims, **settings):
    macs = np.array([100.0 * t["depth"] * t["channels"] ** 2 * t["kernel"] for t in predictions.trials])
    return replay(predictions, claims, macs=macs, rate_macs=np.zeros(len(macs)), **{"replays": 300, **settings})


def test_the_trial_kept_after_some_draws_is_the_best_of_a_sample_without_replacement():
    predictions = depth_study(0.0, seeds=1, levels=((1, 2), (4, 8), (3, 5)))
    n, draws = predictions.n_trials, 3
    validation = np.array([t["validation_macro_auroc"] for t in predictions.trials])
    share = kept_trials(
        predictions, range(n), validation, np.ones(n), np.zeros(n), np.array([float(draws)]), replays=8000, seed=0
    )[0]
    rank = np.argsort(np.argsort(-validation))  # 0 is the best
    expected = np.array([comb(n - 1 - place, draws - 1) / comb(n, draws) for place in rank])
    np.testing.assert_allclose(share, expected, atol=4 * np.sqrt(0.25 / 8000))
    assert share[rank >= n - draws + 1].sum() == 0


def test_the_learning_rates_tried_are_paid_with_the_first_trial_of_a_scale_only():
    predictions = depth_study(0.0, seeds=2, levels=((1,), (4,), (3,)))
    validation = np.array([0.1, 0.2])
    budgets = np.array([3.9, 4.0, 4.9, 5.0])
    share = kept_trials(predictions, [0, 1], validation, np.ones(2), np.full(2, 3.0), budgets, replays=50, seed=0)
    np.testing.assert_array_equal(share.sum(axis=1), [0, 1, 1, 1])
    assert 0 < share[2, 0] < 1  # either trial is drawn first
    np.testing.assert_array_equal(share[3], [0, 1])


@pytest.mark.parametrize(
    ("of_depth", "kept", "dropped"),
    [(FALLS, [1, 2], [4]), (RISES, [2, 4], [1]), (NO_EFFECT["depth"], [1, 2, 4], []), (NO_INTERVAL, [1, 2, 4], [])],
)
def test_the_worse_half_of_the_levels_is_dropped_if_the_interval_excludes_0(of_depth, kept, dropped):
    all_kept, all_dropped = narrowed(depth_study(0.0), NO_EFFECT | {"depth": of_depth})
    assert (all_kept["depth"], all_dropped["depth"]) == (kept, dropped)
    assert (all_kept["kernel"], all_dropped["kernel"]) == ([3, 7, 15], [])


def test_all_levels_of_an_axis_without_a_claim_are_kept():
    axes = (READY_MADE[0], Axis("model.head", kind="categorical"))
    levels = ((1, 2), ("gap", "mean"))
    predictions = with_validation(Setting(axes=axes, levels=levels, effects=(-0.02, 0.0), records=300))
    kept, dropped = narrowed(predictions, {"depth": FALLS})
    assert kept == {"depth": [1], "model.head": ["gap", "mean"]}
    assert dropped == {"depth": [2], "model.head": []}
    assert replayed_by_depth(predictions).average.difference > 0


def replayed_by_depth(predictions):
    macs = np.array([100.0 * trial["depth"] for trial in predictions.trials])
    return replay(predictions, {"depth": FALLS}, macs=macs, rate_macs=np.zeros(len(macs)), replays=300)


def test_a_space_that_is_not_narrowed_has_no_difference_and_decides_nothing():
    result = replayed(depth_study(-0.01), NO_EFFECT)
    assert result.verdict == "not decided"
    assert {point.difference for point in (*result.curves, result.average)} == {0}


def test_a_true_effect_narrows_to_a_better_search_and_a_false_one_to_a_worse():
    predictions = depth_study(-0.05)
    better, worse = replayed(predictions, SHALLOW), replayed(predictions, NO_EFFECT | {"depth": RISES})
    assert (better.verdict, worse.verdict) == ("holds", "does not hold")
    assert worse.average.difference < 0 < better.average.difference


def test_more_replays_do_not_make_the_interval_shorter():
    predictions = depth_study(-0.01)
    few, many = (replayed(predictions, SHALLOW, replays=n).average for n in (100, 2500))
    assert many.high - many.low > 0.7 * (few.high - few.low)  # the scatter of the replays would shrink to a fifth


def test_a_narrowed_space_without_trials_is_refused():
    predictions = depth_study(-0.03)
    deep = predictions.of_trials(r for r, trial in enumerate(predictions.trials) if trial["depth"] == 4)
    no_shallow_long = deep.with_trials([{**t, "depth": 1} if t["kernel"] == 3 else t for t in deep.trials])
    with pytest.raises(ConfigError, match="no trial in the narrowed space"):
        replayed(no_shallow_long, {"depth": FALLS, "kernel": RISES})


def test_a_trial_without_a_validation_metric_is_refused():
    predictions = depth_study(-0.03)
    first, *others = predictions.trials
    with pytest.raises(ConfigError, match="on validation and on test"):
        replayed(predictions.with_trials([{**first, "validation_macro_auroc": None}, *others]), SHALLOW)
