"""Random search replayed from finished trials, and a real one with a made-up training."""

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from study_fakes import Fakes, begun, worked

from ecg_jax.analysis.search_replay import held, narrowed, replay
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.report.search_replay import replay_study, sentences, write_replay
from ecg_jax.study.design import Grid

NOTHING = {"low": -0.01, "high": 0.01}
NO_CLAIM = dict.fromkeys(("depth", "channels", "kernel"), NOTHING)
SHALLOW = NO_CLAIM | {"depth": {"low": -0.02, "high": -0.01}}


def outcomes_of(effect, seed=0, **settings):
    """A simulated study whose validation figures are drawn about the trials' truth."""
    setting = Setting(effects=(effect, 0.0, 0.0), records=300, **settings)
    outcomes = simulate(setting, seed=seed)
    noise = np.random.default_rng(seed).normal(scale=0.005, size=outcomes.n_trials)
    truth = [setting.truth[c].mean() for c in outcomes.scale_of]
    trials = [{**t, "validation_macro_auroc": v} for t, v in zip(outcomes.trials, truth + noise, strict=True)]
    return replace(outcomes, trials=trials)


def replayed(outcomes, claims, **settings):
    macs = np.array([100.0 * t["depth"] * t["channels"] ** 2 * t["kernel"] for t in outcomes.trials])
    return replay(outcomes, claims, macs=macs, rate_macs=np.zeros(len(macs)), **{"replays": 300, **settings})


def test_what_is_held_after_k_draws_is_the_best_of_a_sample_without_return():
    outcomes = outcomes_of(0.0, seeds=1, levels=((1, 2), (4, 8), (3, 5)))
    n, draws = outcomes.n_trials, 3
    validation = np.array([t["validation_macro_auroc"] for t in outcomes.trials])
    share = held(
        outcomes, range(n), validation, np.ones(n), np.zeros(n), np.array([float(draws)]), replays=8000, seed=0
    )[0]
    rank = np.argsort(np.argsort(-validation))  # 0 is the best
    expected = np.array([comb(n - 1 - r, draws - 1) / comb(n, draws) for r in rank])
    np.testing.assert_allclose(share, expected, atol=4 * np.sqrt(0.25 / 8000))
    assert share[rank >= n - draws + 1].sum() == 0


def test_the_rates_tried_are_paid_with_a_scales_first_trial_alone():
    outcomes = outcomes_of(0.0, seeds=2, levels=((1,), (4,), (3,)))
    validation = np.array([0.1, 0.2])
    budgets = np.array([3.9, 4.0, 4.9, 5.0])
    share = held(outcomes, [0, 1], validation, np.ones(2), np.full(2, 3.0), budgets, replays=50, seed=0)
    np.testing.assert_array_equal(share.sum(axis=1), [0, 1, 1, 1])
    assert 0 < share[2, 0] < 1  # the first trial is either
    np.testing.assert_array_equal(share[3], [0, 1])


@pytest.mark.parametrize(
    ("claim", "kept", "dropped"),
    [
        ({"low": -0.02, "high": -0.01}, [1, 2], [4]),
        ({"low": 0.01, "high": 0.02}, [2, 4], [1]),
        (NOTHING, [1, 2, 4], []),
        ({"low": None, "high": None}, [1, 2, 4], []),
    ],
)
def test_the_worse_half_of_the_levels_is_dropped_where_the_interval_is_off_0(claim, kept, dropped):
    found = narrowed(outcomes_of(0.0), NO_CLAIM | {"depth": claim})
    assert (found[0]["depth"], found[1]["depth"]) == (kept, dropped)
    assert (found[0]["kernel"], found[1]["kernel"]) == ([3, 7, 15], [])


def test_a_space_that_is_not_narrowed_is_equal_and_decides_nothing():
    found = replayed(outcomes_of(-0.01), NO_CLAIM)
    assert found.verdict == "not decided"
    assert all(point["difference"] == 0 for point in [*found.curves, found.average])
    assert "both spaces are equal" in " ".join(sentences(found, rate_hz=100))


def test_a_true_finding_narrows_to_a_better_search_and_a_false_one_to_a_worse():
    deep = NO_CLAIM | {"depth": {"low": 0.01, "high": 0.02}}
    outcomes = outcomes_of(-0.03)
    better, worse = replayed(outcomes, SHALLOW), replayed(outcomes, deep)
    assert better.verdict == "holds"
    assert worse.verdict == "does not hold"
    assert worse.average["difference"] < 0 < better.average["difference"]


def test_more_replays_do_not_make_the_interval_shorter():
    outcomes = outcomes_of(-0.01)
    few, many = (replayed(outcomes, SHALLOW, replays=n).average for n in (100, 2500))
    width = [found["high"] - found["low"] for found in (few, many)]
    assert width[1] > 0.7 * width[0]  # the spread of the replays would shrink to a fifth


def test_a_narrowed_space_without_trials_is_refused():
    outcomes = outcomes_of(-0.03)
    deep = outcomes.of_trials(t for t, trial in enumerate(outcomes.trials) if trial["depth"] == 4)
    shallow = {axis: {"low": None, "high": None} for axis in ("channels", "kernel")}
    uneven = replace(deep, trials=[{**t, "depth": 1} if t["kernel"] == 3 else t for t in deep.trials])
    claims = shallow | {"depth": {"low": -0.2, "high": -0.1}, "kernel": {"low": 0.1, "high": 0.2}}
    with pytest.raises(ConfigError, match="no trial in the narrowed space"):
        replayed(uneven, claims)


@pytest.fixture(scope="module")
def studies(synthetic_set, tmp_path_factory):
    """Two studies on other folds of one set, and a third on the folds of the first."""
    grid = Grid(depths=(1, 2), channels=(4, 8), kernels=(3,), seeds=2, learning_rates=(3e-3,))
    folders = []
    for name, folds in (("a", (1, 2)), ("b", (5, 6)), ("c", (2, 3))):
        folders.append(tmp_path_factory.mktemp(name))
        worked(folders[-1], begun(folders[-1], synthetic_set, grid, folds=folds, epochs=2), Fakes())
    return folders


def test_studies_on_other_folds_of_a_set_are_replayed_and_on_the_same_are_refused(studies, tmp_path):
    found, notes = replay_study(studies[0], studies[1])
    assert notes == ()
    assert all(point["low"] <= point["difference"] <= point["high"] for point in found.curves)
    assert write_replay(tmp_path / "out", found, "title").is_file()
    assert (tmp_path / "out" / "search.svg").read_text().startswith("<svg")
    with pytest.raises(RunError, match="test the same"):
        replay_study(studies[0], studies[2])
