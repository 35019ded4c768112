"""The intervals and verdicts of the analysis on simulated studies with known true effects.

The long table is that of `tools/calibrate.py`. The seeds of all simulations are fixed, so no test fails by accident.
"""

from dataclasses import replace

import numpy as np
import pytest
from analysis_samples import macro_model
from scipy import stats

from ecg_jax.analysis import claims
from ecg_jax.analysis.axes import READY_MADE, Axis
from ecg_jax.analysis.coverage import ROWS, Counts, count_coverage
from ecg_jax.analysis.effects import contrasts, slope
from ecg_jax.analysis.influence import aurocs
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.analysis.variance import VarianceModel

FALSE_ALARMS = 1e-4  # how often a correct analysis would fail here, if the seeds were not fixed


def fewest(intervals, coverage=0.93):
    """The fewest intervals that must contain the truth."""
    return stats.binom.ppf(FALSE_ALARMS, intervals, coverage)


def most(intervals, rate=0.97):
    return stats.binom.ppf(1 - FALSE_ALARMS, intervals, rate)


def test_the_true_auroc_is_the_mean_over_many_seeds_and_records():
    n_seeds = 400
    setting = Setting(
        seeds=n_seeds, levels=((1, 2), (8,), (3,)), records=4000, effects=(0.05, 0, 0), ratio=70, base=(0.75, 0.9)
    )
    predictions = simulate(setting, seed=0)
    for k, estimate in enumerate(aurocs(predictions)):
        for c in range(2):
            of_scale = estimate.value[predictions.scale_of == c]
            error = np.hypot(of_scale.std() / np.sqrt(n_seeds), np.sqrt((estimate.influence[0] ** 2).sum()))
            assert of_scale.mean() == pytest.approx(setting.truth[c, k], abs=3 * error)


def test_the_true_slopes_are_the_effects_that_were_set_on_uneven_scales_too():
    setting = Setting(effects=(0.01, -0.02, 0.0), unevenness=0.01)
    predictions = simulate(setting, seed=0)
    truth = setting.truth.mean(axis=1)[predictions.scale_of]
    slopes = [slope(predictions, axis) @ truth for axis in ("depth", "channels", "kernel")]
    assert slopes == pytest.approx(setting.effects)
    assert np.ptp(replace(setting, effects=(0.0, 0.0, 0.0)).truth[:, 0]) > 0.01


def test_the_estimated_variance_of_an_effect_is_its_variance_over_studies():
    setting = Setting(seeds=3, ratio=1.0, records=200)
    effects, variances = [], []
    for number in range(200):
        predictions = simulate(setting, seed=number)
        model, weights = macro_model(predictions), slope(predictions, "depth")
        effects.append(model.value(weights))
        variances.append(model.components(weights).variance)
    assert np.mean(variances) / np.var(effects) == pytest.approx(1, abs=0.35)  # 200 studies know it to 10 %


@pytest.mark.parametrize(("seeds", "ratio"), [(2, 1 / 3), (2, 3.0), (3, 1.0), (5, 1 / 3)])
def test_intervals_cover_and_claims_without_effect_seldom_hold(seeds, ratio):
    counts = count_coverage(f"equal noise, {seeds} seeds, seed : record {ratio:.2f}", range(120), seed=0)
    assert fewest(360) <= covered(counts) <= most(360)
    assert counts.falsely_holding <= most(120, 0.05)


def covered(counts):
    return counts.depth_covered + counts.channels_covered + counts.kernel_covered


@pytest.mark.parametrize(
    "row",
    [
        "depth 4 noisy (.03, else .002)",
        "depth 4 with 8 channels noisy (.05)",
        "8 channels stall alone (.08, 30 %)",
        "heavy tails (t, 2.5 degrees of freedom)",
        "10 records a patient",
    ],
)
def test_intervals_of_every_axis_cover_and_no_claim_holds_falsely_however_the_noise_is_distributed(row):
    counts = count_coverage(row, range(60), seed=0)
    assert min(counts.depth_covered, counts.channels_covered, counts.kernel_covered) >= fewest(60)
    assert counts.falsely_holding <= most(60, 0.05)


def test_noise_of_the_trials_has_the_mean_0_and_is_where_it_is_set():
    setting = ROWS["a seed stalls all 8 channels (30 %)"].setting
    assert setting.noise is not None
    noise = setting.noise.draw(setting.scales, 4000, np.random.default_rng(0))
    narrow = np.array([scale["channels"] == 8 for scale in setting.scales])
    assert noise.mean(axis=1) == pytest.approx(np.zeros(12), abs=0.003)
    assert noise[~narrow].std() == pytest.approx(0.002, rel=0.05)
    assert np.corrcoef(noise)[np.ix_(narrow, narrow)].min() > 0.9, "they stall together"


def test_a_hump_is_no_effect_and_the_middle_level_is_the_best():
    setting = ROWS["optimum of .008 in the middle of kernel"].setting
    predictions = simulate(setting, seed=0)
    truth = setting.truth[:, 0]
    for axis in ("depth", "channels", "kernel"):
        assert slope(predictions, axis) @ truth[predictions.scale_of] == pytest.approx(0, abs=1e-12)
    assert {setting.scales[c]["kernel"] for c in np.flatnonzero(truth > truth.max() - 1e-9)} == {7}


@pytest.mark.parametrize(("part", "ratio"), [("record", 1 / 3), ("seed", 3.0)])
def test_intervals_without_a_part_of_the_variance_are_seen_to_cover_too_seldom(part, ratio, monkeypatch):
    components = VarianceModel.components

    def without(self, *arguments):
        return replace(components(self, *arguments), **{part: 0.0})

    monkeypatch.setattr(VarianceModel, "components", without)
    counts = count_coverage(f"equal noise, 5 seeds, seed : record {ratio:.2f}", range(60), seed=0)
    assert covered(counts) < fewest(180)


@pytest.mark.parametrize("row", ["equal noise, 2 seeds, seed : record 1.00", "8 channels noisy (.03, else .002)"])
def test_the_truly_best_scale_is_among_the_indistinguishable_ones(row):
    counts = count_coverage(row, range(30), seed=0, best_studies=30)
    assert counts.contained >= fewest(counts.bests, 0.95)
    assert counts.value_covered >= fewest(counts.bests)


def test_intervals_cover_in_studies_with_folds_and_several_records_of_a_patient():
    setting = Setting(records_of_a_patient=4, folds=4, ratio=0.3)
    verdicts = [claim for number in range(100) for claim in claims(simulate(setting, seed=number)).values()]
    covered = sum(claim.low <= 0 <= claim.high for claim in verdicts)
    assert fewest(len(verdicts)) <= covered <= most(len(verdicts))


def test_counts_of_two_parts_are_added():
    one, other = Counts(studies=1, depth_covered=2), Counts(studies=3, bests=4)
    assert one + other == Counts(studies=4, depth_covered=2, bests=4)


FOUR_AXES = Setting(
    axes=(*READY_MADE[:2], Axis("model.dropout", kind="linear"), Axis("model.head", kind="categorical")),
    levels=((1, 2), (16, 32), (0.0, 0.1, 0.3), ("gap", "attention", "mean")),
    effects=(-0.01, 0.008, 0.02, 0.006),
    seeds=2,
    records=200,
    base=(0.8, 0.85),
)


def test_the_true_effects_of_four_axes_are_covered():
    """Slopes of the three axes with numbers, and the differences between the three levels of the fourth."""
    covered, intervals = 0, 0
    of_levels = {("gap", "attention"): 0.006, ("gap", "mean"): 0.012, ("attention", "mean"): 0.006}
    for number in range(40):
        predictions = simulate(FOUR_AXES, seed=number)
        of_axes = claims(predictions).values()
        of_pairs = contrasts(predictions, macro_model(predictions))["model.head"]
        truths = [*FOUR_AXES.effects[:3], *(of_levels[pair.reference, pair.level] for pair in of_pairs)]
        for finding, truth in zip([*of_axes, *of_pairs], truths, strict=True):
            covered += finding.low <= truth <= finding.high
            intervals += 1
    assert intervals == 40 * 6
    assert fewest(intervals) <= covered <= most(intervals)
