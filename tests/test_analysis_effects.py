"""Effects of the axes: slope, interval, verdict, interaction, and the numbers of seeds or records that would decide."""

import numpy as np
import pytest
from analysis_samples import macro_model
from hypothesis import given
from hypothesis import strategies as st

from ecg_jax.analysis import StudyPredictions, claims
from ecg_jax.analysis.effects import MOST, _needed, effect_difference, interaction, interactions, slope, verdict
from ecg_jax.analysis.influence import macro_auroc
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.analysis.variance import VarianceComponents

GRID = ((1, 2, 4), (16, 32, 64), (3, 7, 15))
NO_NUMBERS = (None, None, None, None, None)


def numbers(claim):
    return claim.effect, claim.low, claim.high, claim.seeds_needed, claim.records_needed


@pytest.fixture(scope="module")
def predictions():
    return simulate(Setting(seeds=3, effects=(-0.015, 0.0, 0.015), ratio=0.5), seed=3)


def test_the_effect_is_the_slope_of_a_regression_with_an_intercept_for_everything_else(predictions):
    unbalanced = predictions.of_trials(np.delete(np.arange(54), [1, 7, 8, 30]))
    groups = sorted({(t["channels"], t["kernel"], t["seed"]) for t in unbalanced.trials})
    design = np.array(
        [
            [np.log2(t["depth"]), *((t["channels"], t["kernel"], t["seed"]) == group for group in groups)]
            for t in unbalanced.trials
        ]
    )
    expected = np.linalg.lstsq(design.astype(float), macro_auroc(unbalanced).value, rcond=None)[0][0]
    assert claims(unbalanced)["depth"].effect == pytest.approx(expected, abs=1e-12)


def test_an_effect_on_the_claimed_side_holds_and_one_on_the_other_side_does_not(predictions):
    assert claims(predictions)["depth"].verdict == "holds"
    assert claims(predictions)["kernel"].verdict == "does not hold"  # kernel is claimed to fall; here it rises


def test_an_effect_significantly_below_the_margin_does_not_hold_although_its_interval_excludes_0(predictions):
    claim = claims(predictions)["depth"]
    assert claim.high < 0
    assert claims(predictions, margin=1.1 * -claim.low)["depth"].verdict == "does not hold"
    assert claims(predictions, margin=0.9 * -claim.low)["depth"].verdict == "holds"


@pytest.mark.parametrize(
    ("effect", "half_width", "side", "expected"),
    [
        (0.010, 0.004, 1, "holds"),
        (0.010, 0.012, 1, "not decided"),
        (-0.010, 0.004, 1, "does not hold"),
        (-0.010, 0.004, -1, "holds"),
        (0.0005, 0.001, 1, "does not hold"),  # smaller than the margin at both ends
        (0.0005, 0.001, 0, "no effect"),
        (0.010, 0.004, 0, "effect"),
        (-0.010, 0.004, 0, "effect"),
        (0.001, 0.0015, 0, "not decided"),
        (0.010, None, 1, "not decided"),
        (0.010, None, 0, "not decided"),
    ],
)
def test_the_verdict_follows_from_interval_side_and_margin(effect, half_width, side, expected):
    assert verdict(effect, half_width, side=side, margin=0.002) == expected


def test_an_axis_with_one_level_is_not_decided_and_has_no_numbers():
    by_axis = claims(simulate(Setting(seeds=2, levels=((2,), (16, 32), (3, 7))), seed=0))
    assert (by_axis["depth"].verdict, numbers(by_axis["depth"])) == ("not decided", NO_NUMBERS)
    assert by_axis["kernel"].low is not None


def test_with_one_seed_the_residual_of_the_axes_stands_for_the_noise_and_a_note_says_so():
    single = simulate(Setting(seeds=1, effects=(-0.05, 0, 0), levels=GRID), seed=0)
    claim = claims(single)["depth"]
    assert claim.low < claim.effect < claim.high < 0
    assert "one seed" in claim.note
    level = [[GRID[a].index(t[axis]) for t in single.trials] for a, axis in enumerate(("depth", "channels", "kernel"))]
    cube = np.zeros((3, 3, 3))
    cube[tuple(level)] = macro_auroc(single).value
    for axis in range(3):  # leaves what main effects and two-way interactions do not explain
        cube = cube - cube.mean(axis=axis, keepdims=True)
    assert macro_model(single).noise.between == pytest.approx(np.full(27, (cube**2).sum() / 8))


def test_one_seed_without_a_degree_of_freedom_has_an_effect_but_no_interval():
    claim = claims(simulate(Setting(seeds=1, levels=((1,), (16, 32), (3, 7))), seed=0))["kernel"]
    assert claim.effect is not None
    assert (claim.low, claim.high, claim.verdict) == (None, None, "not decided")


def test_a_study_without_any_defined_label_has_no_numbers():
    trials = [{"depth": d, "channels": 8, "kernel": 3, "seed": s} for d in (1, 2) for s in (0, 1)]
    claim = claims(StudyPredictions(trials, np.zeros((20, 2)), np.random.default_rng(0).random((4, 20, 2))))["depth"]
    assert (claim.verdict, numbers(claim)) == ("not decided", NO_NUMBERS)


def test_constant_probabilities_have_an_effect_of_0_with_an_interval_of_length_0():
    trials = [{"depth": d, "channels": 8, "kernel": 3, "seed": s} for d in (1, 2) for s in (0, 1)]
    claim = claims(StudyPredictions(trials, np.arange(20)[:, None] % 2, np.full((4, 20, 1), 0.5)))["depth"]
    assert [claim.effect, claim.low, claim.high] == pytest.approx([0, 0, 0], abs=1e-12)
    assert claim.verdict == "does not hold"


@st.composite
def components(draw, fewest_record_dof=1):
    """Of a study in which every scale has the same number of seeds."""
    scales, seeds = draw(st.integers(1, 30)), draw(st.integers(2, 5))
    return VarianceComponents(
        seed=draw(st.floats(0.01, 4)),
        record=draw(st.floats(0, 4)),
        both=draw(st.floats(0, 1)),
        seed_dof=scales * (seeds - 1),
        record_dof=draw(st.integers(fewest_record_dof, 1000)),
        dof_per_seed=scales,
        seeds=seeds,
        records=draw(st.integers(20, 5000)),
    )


@given(parts=components(), limit=st.floats(0.05, 10))
def test_the_seeds_and_records_needed_decide_and_one_less_does_not(parts, limit):
    def decides(of):
        return of.half_width() < limit

    seeds, records = _needed(parts, decides)
    if decides(parts):
        assert (seeds, records) == (parts.seeds, parts.records)
        return
    for name, number, start in (("seeds", seeds, parts.seeds), ("records", records, parts.records)):
        if number is None:
            assert not decides(parts.with_sizes(**{name: MOST}))
        else:
            assert number > start
            assert decides(parts.with_sizes(**{name: number}))
            assert not decides(parts.with_sizes(**{name: number - 1}))


@given(parts=components(fewest_record_dof=8), more=st.integers(1, 40))
def test_the_seeds_needed_are_the_fewest_that_decide(parts, more):
    """With 8 or more degrees of freedom of the records every further seed makes the interval shorter."""
    limit = parts.with_sizes(seeds=parts.seeds + more).half_width()
    seeds, _ = _needed(parts, lambda of: of.half_width() <= limit)
    assert seeds == parts.seeds + more


def test_a_claim_names_the_seeds_that_decide_it():
    predictions = simulate(Setting(seeds=2, ratio=4, records=1500, effects=(-0.002, 0, 0)), seed=1)
    claim = claims(predictions)["depth"]
    assert claim.verdict == "not decided"
    parts = macro_model(predictions).components(slope(predictions, "depth"))
    decided = [
        verdict(claim.effect, parts.with_sizes(seeds=n).half_width(), side=-1, margin=0.002) != "not decided"
        for n in range(2, claim.seeds_needed + 1)
    ]
    assert decided == [False] * (claim.seeds_needed - 2) + [True]


def test_a_number_of_records_is_given_although_endless_records_would_not_decide():
    """With few seeds the t quantile is widest once the records' part, which has many degrees of freedom, is gone."""
    parts = VarianceComponents(0.1, 1, 0, seed_dof=2, record_dof=500, dof_per_seed=1, seeds=2, records=400)
    _, records = _needed(parts, lambda of: of.half_width() < 1.29)
    assert 400 < records <= 3200
    assert parts.with_sizes(records=records).half_width() < 1.29 < parts.with_sizes(records=MOST).half_width()


def test_where_the_records_alone_leave_it_open_no_number_of_seeds_is_given():
    claim = claims(simulate(Setting(seeds=3, ratio=0.1, effects=(-0.002, 0, 0), records=60), seed=1))["depth"]
    assert claim.verdict == "not decided"
    assert claim.seeds_needed is None
    assert claim.records_needed > 60


def test_a_decided_claim_needs_no_more_seeds_or_records_than_there_are(predictions):
    claim = claims(predictions)["depth"]
    assert (claim.seeds_needed, claim.records_needed) == (3, 400)


def test_the_three_parts_of_the_variance_shrink_with_seeds_records_and_both():
    predictions = simulate(Setting(seeds=3, ratio=2), seed=0)
    parts = macro_model(predictions).components(slope(predictions, "depth"))
    assert min(parts.seed, parts.record, parts.both) > 0
    assert parts.with_sizes(seeds=6).variance == pytest.approx(parts.seed / 2 + parts.record + parts.both / 2)
    assert parts.with_sizes(records=800).variance == pytest.approx(parts.seed + parts.record / 2 + parts.both / 2)


def test_an_interaction_is_the_product_term_and_not_affected_by_main_effects():
    predictions = simulate(Setting(seeds=2, levels=GRID), seed=0)
    x, y, z = (np.log2([t[axis] for t in predictions.trials]) for axis in ("depth", "channels", "kernel"))
    weights = interaction(predictions, "depth", "channels")
    assert weights @ (x * y) == pytest.approx(1)
    for main_effect in (x**2, y, np.exp(x), y * z, x * z, np.sin(z)):
        assert weights @ main_effect == pytest.approx(0, abs=1e-9)


def test_slopes_at_the_levels_of_another_axis_are_those_of_the_trials_with_that_level(predictions):
    pair = interactions(predictions, macro_model(predictions))["depth:kernel"]
    assert [(s.axis, s.at, s.level) for s in pair.slopes] == [
        *(("depth", "kernel", level) for level in (3, 7, 15)),
        *(("kernel", "depth", level) for level in (1, 2, 4)),
    ]
    for slope_at in pair.slopes:
        kept = [r for r, trial in enumerate(predictions.trials) if trial[slope_at.at] == slope_at.level]
        assert slope_at.effect == pytest.approx(claims(predictions.of_trials(kept))[slope_at.axis].effect, abs=1e-12)


def test_the_difference_of_an_effect_is_that_between_the_last_and_the_first_level(predictions):
    pair = interactions(predictions, macro_model(predictions))["depth:kernel"]
    of_depth = {slope_at.level: slope_at.effect for slope_at in pair.slopes if slope_at.axis == "depth"}
    difference = effect_difference(predictions, "depth", "kernel")
    assert difference.effect == pytest.approx(of_depth[15] - of_depth[3])
    assert difference.low < difference.effect < difference.high


def test_an_effect_does_not_differ_between_the_levels_of_an_axis_with_one_level():
    one_depth = simulate(Setting(seeds=2, levels=((2,), (16, 32), (3, 7))), seed=0)
    assert effect_difference(one_depth, "channels", "depth").effect == 0
    assert effect_difference(one_depth, "depth", "channels").effect is None
