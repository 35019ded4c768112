"""Effects of the axes: slopes, steps, curvatures and interactions, with their intervals."""

import numpy as np
import pytest
from analysis_samples import macro_model

from ecg_jax.analysis import StudyPredictions, claims
from ecg_jax.analysis.effects import curvature, effect_difference, interaction, interactions, slope
from ecg_jax.analysis.influence import macro_auroc
from ecg_jax.analysis.simulation import Setting, simulate

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


def test_a_curvature_is_the_square_term_and_not_affected_by_the_slope_or_the_other_axes():
    predictions = simulate(Setting(seeds=2, levels=GRID), seed=0)
    x, y, z = (np.log2([t[axis] for t in predictions.trials]) for axis in ("depth", "channels", "kernel"))
    weights = curvature(predictions, "depth")
    assert weights @ (x**2 / 2) == pytest.approx(1)
    for other in (x, y, y**2, x * np.ptp(x), y * z, np.sin(z)):
        assert weights @ other == pytest.approx(0, abs=1e-9)


def test_an_axis_with_two_levels_has_no_curvature():
    assert curvature(simulate(Setting(seeds=2), seed=0), "channels") is None


def test_the_steps_of_an_axis_are_the_differences_of_the_means_of_its_levels(predictions):
    value = macro_auroc(predictions).value
    levels = np.array([trial["kernel"] for trial in predictions.trials])
    for one in claims(predictions)["kernel"].steps:
        expected = value[levels == one.upper].mean() - value[levels == one.lower].mean()
        assert one.effect == pytest.approx(expected)
        assert one.low < one.effect < one.high
    assert [(one.lower, one.upper) for one in claims(predictions)["kernel"].steps] == [(3, 7), (7, 15)]


def test_the_effect_beside_the_best_scale_is_that_of_the_scales_that_differ_from_it_in_one_axis(predictions):
    validation = [float(trial["depth"] == 4 and trial["kernel"] == 3) for trial in predictions.trials]
    best = predictions.replace(validation=validation)
    beside = [r for r, trial in enumerate(predictions.trials) if trial["depth"] == 4 and trial["channels"] == 16]
    expected = claims(predictions.of_trials(beside))["kernel"].effect
    assert claims(best)["kernel"].at_best.effect == pytest.approx(expected)


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
