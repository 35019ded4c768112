"""Random search replayed from finished trials, and a real one with a made-up training."""

import re
from dataclasses import replace
from math import comb

import numpy as np
import pytest
from jax.errors import JaxRuntimeError
from study_fakes import QUIET, Fakes, begun, worked

from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import ConfigError, DataError, RunError
from ecg_jax.study.folder import read_founded
from ecg_jax.study.replay import held, narrowed, replay
from ecg_jax.study.search import replay_study, search, sentences, training_macs, wider, write_replay
from ecg_jax.study.simulation import Setting, simulate
from ecg_jax.study.space import Grid, Scale

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


def test_a_wider_space_does_not_widen_where_it_was_narrowed():
    kept = {"depth": [1, 2], "channels": [16, 32], "kernel": [3, 7]}
    assert wider(kept, {"depth": [4], "channels": [8], "kernel": []}) == {
        "depth": (1, 2),
        "channels": (16, 64),
        "kernel": (1, 14),
    }
    assert wider(kept | {"kernel": [5, 9, 15]}, {axis: [] for axis in kept})["kernel"] == (3, 30)


def test_a_real_search_spends_its_budget_once_and_takes_what_is_best_on_validation(studies, tmp_path):
    ranges = {"depth": (1, 2), "channels": (4, 8), "kernel": (3, 7)}
    fakes = Fakes(fails=lambda config: config.model.kernel == 5)
    settings = {"budget": 2e10, "console": QUIET, "run": fakes.run, "predict": fakes.predict}
    found = search(tmp_path, studies[0], ranges, **settings)
    assert found.spent >= 2e10
    assert len(fakes.trained) >= 2 * found.trials > 4  # two folds each
    assert {name.split("/")[0] for name in fakes.predicted} == {found.trial.name}
    assert found.trial.scale.kernel in (3, 7)
    assert found.test is not None
    trained = len(fakes.trained)
    assert search(tmp_path, studies[0], ranges, **settings) == found
    assert len(fakes.trained) == trained


def test_a_real_search_goes_on_after_a_scale_that_does_not_fit_the_memory_and_stops_where_the_set_is_away(
    studies, tmp_path
):
    ranges = {"depth": (1, 2), "channels": (4, 8), "kernel": (3, 7)}

    def out_of_memory(config):
        if config.model.kernel == 5:
            raise JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    def away(config):
        raise DataError("the prepared set cannot be read")

    settings = {"budget": 2e10, "console": QUIET, "predict": Fakes().predict}
    assert search(tmp_path / "one", studies[0], ranges, run=Fakes(before=out_of_memory).run, **settings).spent >= 2e10
    with pytest.raises(DataError, match="cannot be read"):
        search(tmp_path / "two", studies[0], ranges, run=Fakes(before=away).run, **settings)


def test_a_real_search_that_was_stopped_takes_up_what_was_cut_off_and_pays_for_each_trial_once(studies, tmp_path):
    ranges = {"depth": (1, 2), "channels": (4, 8), "kernel": (3, 7)}
    begun_ = []

    def stop_at_the_third(config):
        begun_.append(config)
        if len(begun_) == 6:  # the second fold of the third trial
            raise KeyboardInterrupt

    fakes = Fakes(before=stop_at_the_third)
    settings = {"budget": 1.5e10, "console": QUIET, "run": fakes.run, "predict": fakes.predict}
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, studies[0], ranges, **settings)
    found = search(tmp_path, studies[0], ranges, **settings)
    assert begun_[5].model == begun_[6].model
    assert len(fakes.trained) == len(set(fakes.trained)) == 2 * found.trials
    study = read_founded(studies[0]).study
    prepared = open_prepared(study.base.data.path)
    scales = [Scale(*map(int, re.findall(r"[dck](\d+)", name)[:3])) for name in fakes.trained[::2]]
    assert found.spent == pytest.approx(sum(training_macs(study, prepared, scale) for scale in scales))
