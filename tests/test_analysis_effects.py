"""The claims: slope, interval, verdict, and the numbers that would decide."""

import itertools
import time

import numpy as np
import pytest

from ecg_jax.analysis import StudyPredictions, claims
from ecg_jax.analysis.effects import _needed, interaction, slope
from ecg_jax.analysis.influence import aurocs, mean_of
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.analysis.variance import Spread, VarianceModel

GRID = ((1, 2, 4), (16, 32, 64), (3, 7, 15))
KEYS = {"verdict", "effect", "low", "high", "seeds_needed", "records_needed"}


def taken(outcomes, kept):
    """The outcomes of some trials."""
    return StudyPredictions([outcomes.trials[t] for t in kept], outcomes.labels, outcomes.probabilities[kept])


@pytest.fixture(scope="module")
def outcomes():
    return simulate(Setting(seeds=3, effects=(-0.015, 0.0, 0.015), ratio=0.5), seed=3)


def test_the_effect_is_the_slope_of_a_regression_with_an_intercept_for_everything_else(outcomes):
    uneven = taken(outcomes, np.delete(np.arange(54), [1, 7, 8, 30]))
    value = mean_of(aurocs(uneven)).value
    groups = sorted({(t["channels"], t["kernel"], t["seed"]) for t in uneven.trials})
    design = np.array(
        [
            [np.log2(t["depth"]), *((t["channels"], t["kernel"], t["seed"]) == group for group in groups)]
            for t in uneven.trials
        ]
    )
    expected = np.linalg.lstsq(design.astype(float), value, rcond=None)[0][0]
    assert claims(uneven)["depth"]["effect"] == pytest.approx(expected, abs=1e-12)


def test_the_order_of_the_trials_does_not_matter(outcomes):
    shuffled = claims(taken(outcomes, np.random.default_rng(0).permutation(54)))
    for axis, answer in claims(outcomes).items():
        assert set(answer) == KEYS
        assert shuffled[axis]["verdict"] == answer["verdict"]
        assert shuffled[axis]["high"] == pytest.approx(answer["high"], abs=1e-9)


def test_verdicts_know_the_side_of_the_claim(outcomes):
    found = claims(outcomes)
    assert found["depth"]["verdict"] == "holds"
    assert found["kernel"]["verdict"] == "does not hold"  # it rises, the claim says it falls
    assert claims(outcomes, margin=0.1)["depth"]["verdict"] == "does not hold"  # surely less than a tenth


def test_an_effect_that_is_surely_small_does_not_hold_though_its_interval_is_off_0(outcomes):
    answer = claims(outcomes)["depth"]
    assert answer["high"] < 0
    assert claims(outcomes, margin=1.1 * -answer["low"])["depth"]["verdict"] == "does not hold"
    assert claims(outcomes, margin=0.9 * -answer["low"])["depth"]["verdict"] == "holds"


def test_72_trials_on_900_records_take_less_than_a_third_of_a_second():
    rng = np.random.default_rng(0)
    axes = itertools.product((1, 2, 4), (16, 32), (3, 5, 9, 15), range(3))
    trials = [{"depth": d, "channels": c, "kernel": k, "seed": s} for d, c, k, s in axes]
    labels = rng.random((900, 5)) < 0.25
    outcomes = StudyPredictions(trials, labels, rng.random((72, 900, 5)), folds=np.arange(900) % 9)

    def seconds():
        start = time.process_time()
        claims(outcomes)
        return time.process_time() - start

    assert min(seconds() for _ in range(3)) < 0.3


def test_an_axis_with_one_level_is_not_decided_and_has_no_numbers():
    one_depth = simulate(Setting(seeds=2, levels=((2,), (16, 32), (3, 7))), seed=0)
    found = claims(one_depth)
    assert found["depth"] == {**dict.fromkeys(KEYS), "verdict": "not decided"}
    assert found["kernel"]["low"] is not None


def test_one_seed_lets_the_residual_stand_for_the_noise_and_says_so():
    single = simulate(Setting(seeds=1, effects=(-0.05, 0, 0), levels=GRID), seed=0)
    answer = claims(single)["depth"]
    assert answer["low"] < answer["effect"] < answer["high"] < 0
    assert "one seed" in answer["note"]
    value = mean_of(aurocs(single)).value
    level = [[GRID[a].index(t[axis]) for t in single.trials] for a, axis in enumerate(("depth", "channels", "kernel"))]
    cube = np.zeros((3, 3, 3))
    cube[tuple(level)] = value
    for axis in range(3):  # what is left without main effects and two-way interactions
        cube = cube - cube.mean(axis=axis, keepdims=True)
    assert VarianceModel(single, mean_of(aurocs(single))).between == pytest.approx((cube**2).sum() / 8)


def test_one_seed_without_a_degree_of_freedom_decides_nothing():
    answer = claims(simulate(Setting(seeds=1, levels=((1,), (16, 32), (3, 7))), seed=0))["kernel"]
    assert answer["effect"] is not None
    assert (answer["low"], answer["high"], answer["verdict"]) == (None, None, "not decided")


def test_a_study_without_any_defined_label_has_no_numbers():
    trials = [{"depth": d, "channels": 8, "kernel": 3, "seed": s} for d in (1, 2) for s in (0, 1)]
    found = claims(StudyPredictions(trials, np.zeros((20, 2)), np.random.default_rng(0).random((4, 20, 2))))
    assert found["depth"] == {**dict.fromkeys(KEYS), "verdict": "not decided"}


def test_constant_probabilities_are_no_effect_for_sure():
    trials = [{"depth": d, "channels": 8, "kernel": 3, "seed": s} for d in (1, 2) for s in (0, 1)]
    answer = claims(StudyPredictions(trials, np.arange(20)[:, None] % 2, np.full((4, 20, 1), 0.5)))["depth"]
    assert [answer["effect"], answer["low"], answer["high"]] == pytest.approx([0, 0, 0], abs=1e-12)
    assert answer["verdict"] == "does not hold"


def test_the_seeds_needed_decide_and_one_less_does_not():
    outcomes = simulate(Setting(seeds=2, ratio=4, records=1500, effects=(-0.002, 0, 0)), seed=1)
    measure, weights = mean_of(aurocs(outcomes)), slope(outcomes, "depth")
    answer = claims(outcomes)["depth"]
    assert answer["verdict"] == "not decided"
    assert answer["seeds_needed"] > 2
    assert answer["records_needed"] is None or answer["records_needed"] > 1500
    spread = VarianceModel(outcomes, measure).spread(weights)
    room = max(abs(answer["effect"]), 0.002 + answer["effect"])
    assert spread.at(seeds=answer["seeds_needed"]).half_width() < room
    assert spread.at(seeds=answer["seeds_needed"] - 1).half_width() >= room


def test_one_more_seed_is_named_where_one_more_is_enough():
    outcomes = simulate(Setting(seeds=2, ratio=4, records=1500), seed=1)
    spread = VarianceModel(outcomes, mean_of(aurocs(outcomes))).spread(slope(outcomes, "depth"))
    margin = 1.001 * spread.at(seeds=3).half_width() - claims(outcomes)["depth"]["effect"]
    assert claims(outcomes, margin=margin)["depth"]["seeds_needed"] == 3


def test_a_number_of_records_is_found_though_endless_records_would_not_do():
    """Few seeds and many records: t is widest where the records' part, with its many degrees of freedom, is gone."""
    spread = Spread(seed=0.1, record=1, both=0, seed_dof=2, record_dof=500, dof_of_a_seed=1, seeds=2, records=400)
    _, records = _needed(spread, 1.29, margin=0.002)
    assert 400 < records <= 3200
    assert spread.at(records=records).half_width() < 1.29 < spread.at(records=10**9).half_width()


def test_where_the_records_alone_leave_it_open_no_number_of_seeds_is_given():
    few = simulate(Setting(seeds=3, ratio=0.1, effects=(-0.002, 0, 0), records=60), seed=1)
    answer = claims(few)["depth"]
    assert answer["verdict"] == "not decided"
    assert answer["seeds_needed"] is None
    assert answer["records_needed"] > 60


def test_a_decided_claim_needs_no_more_than_there_is(outcomes):
    answer = claims(outcomes)["depth"]
    assert (answer["seeds_needed"], answer["records_needed"]) == (3, 400)


def test_the_three_parts_scale_with_seeds_records_and_both(outcomes):
    spread = VarianceModel(outcomes, mean_of(aurocs(outcomes))).spread(slope(outcomes, "depth"))
    assert min(spread.seed, spread.record, spread.both) > 0
    assert spread.at(seeds=6).variance == pytest.approx(spread.seed / 2 + spread.record + spread.both / 2)
    assert spread.at(records=800).variance == pytest.approx(spread.seed + spread.record / 2 + spread.both / 2)


def test_an_interaction_is_the_product_term_and_blind_to_main_effects():
    outcomes = simulate(Setting(seeds=2, levels=GRID), seed=0)
    x, y, z = (np.log2([t[axis] for t in outcomes.trials]) for axis in ("depth", "channels", "kernel"))
    weights = interaction(outcomes, "depth", "channels")
    assert weights @ (x * y) == pytest.approx(1)
    for blind in (x**2, y, np.exp(x), y * z, x * z, np.sin(z)):
        assert weights @ blind == pytest.approx(0, abs=1e-9)
