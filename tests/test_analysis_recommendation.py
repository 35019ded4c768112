"""The scale that is recommended for a budget or a label, and the quality that is expected of it."""

import numpy as np
import pytest
from analysis_samples import macro_model

from ecg_jax.analysis import analyse
from ecg_jax.analysis.axes import Scale
from ecg_jax.analysis.findings import CostRange
from ecg_jax.analysis.recommendation import recommend
from ecg_jax.analysis.selection import scale_means
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.errors import ConfigError

WIDE = Setting(effects=(0.0, 0.04, 0.0), seeds=3, levels=((1, 2), (4, 8, 16), (3,)))


def with_costs(setting, seed=0):
    """A simulated study in which a scale costs the product of its levels, and its latency is its depth."""
    predictions = simulate(setting, seed=seed)
    products = [t["depth"] * t["channels"] * t["kernel"] for t in predictions.trials]
    return predictions.with_trials(
        [
            {**t, "macs": p, "parameters": 10 * p, "latency_ms": float(t["depth"]), "seconds": p * (1.0 + t["seed"])}
            for t, p in zip(predictions.trials, products, strict=True)
        ]
    )


def with_latencies(predictions, latency_of):
    return predictions.with_trials([{**trial, "latency_ms": latency_of(trial)} for trial in predictions.trials])


@pytest.fixture(scope="module")
def predictions():
    return with_costs(WIDE)


def scale(*levels):
    return Scale(("depth", "channels", "kernel"), levels)


def test_without_a_budget_it_is_the_best_scale_of_the_study_and_its_value(predictions):
    recommendation, best = recommend(predictions, tolerate=0), analyse(predictions).best
    assert recommendation.best == best.scale
    expected = (recommendation.quality, recommendation.low, recommendation.high)
    assert expected == pytest.approx((best.value, best.low, best.high))


def test_a_budget_leaves_the_best_of_the_affordable_scales(predictions):
    assert recommend(predictions).best["channels"] == 16
    recommendation = recommend(predictions, {"macs": 30.0})
    assert recommendation.best == recommendation.scale == scale(1, 8, 3)
    assert (recommendation.affordable, recommendation.of) == (3, 6)
    assert recommendation.costs["macs"] == CostRange(24, 24, 24)
    assert recommendation.costs["seconds"] == CostRange(48, 24, 72)


def test_all_limits_of_a_budget_are_met_at_once(predictions):
    assert recommend(predictions, {"macs": 60.0, "latency_ms": 1.0}).scale == scale(1, 16, 3)


def test_the_only_affordable_scale_has_its_mean_as_expected_quality(predictions):
    recommendation = recommend(predictions, {"macs": 12})
    (entry,) = (entry for entry in analyse(predictions).scales if entry.scale == scale(1, 4, 3))
    assert (recommendation.scale, recommendation.affordable) == (entry.scale, 1)
    assert recommendation.quality == pytest.approx(entry.mean)
    assert (recommendation.low, recommendation.high) == pytest.approx((entry.mean_low, entry.mean_high))


def test_it_is_the_cheapest_scale_that_is_expected_to_lose_no_more_than_is_tolerated():
    kinds = set()
    for seed in range(4):
        predictions = with_costs(Setting(seeds=3, levels=((1, 2), (4, 8), (3,)), effects=(-0.01, 0.005, 0)), seed=seed)
        scales = analyse(predictions).scales
        for tolerate in (0.0, 0.002, 0.02, 0.5):
            found = recommend(predictions, tolerate=tolerate)
            tolerable = [entry for entry in scales if entry.expected_loss <= tolerate]
            cheapest = min(tolerable, key=lambda entry: entry.costs["macs"].value, default=None)
            assert found.scale == (found.best if cheapest is None else cheapest.scale)
            (entry,) = (entry for entry in scales if entry.scale == found.scale)
            assert (found.expected_loss, found.may_lose) == pytest.approx((entry.expected_loss, entry.may_lose))
            kinds.add((cheapest is None, found.scale == found.best))
    assert {(True, True), (False, False)} <= kinds


def test_the_guaranteed_scale_is_the_cheapest_whose_bound_is_tolerated():
    predictions = with_costs(WIDE)
    bounds = {entry.scale: (entry.costs["macs"].value, entry.may_lose) for entry in analyse(predictions).scales}
    assert recommend(predictions, tolerate=0).guaranteed is None
    for tolerate in (0.05, 1.0):
        expected = min((macs, scale) for scale, (macs, most) in bounds.items() if most <= tolerate)
        assert recommend(predictions, tolerate=tolerate).guaranteed == expected[1]


def test_a_tolerated_loss_below_0_is_refused(predictions):
    with pytest.raises(ConfigError, match=r"--tolerate is -0\.1; give a loss of AUROC from 0 up"):
        recommend(predictions, tolerate=-0.1)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"macs": 5}, r"no scale has at most 5 MACs.*depth 1, channels 4, kernel 3, has 12"),
        ({"latency_ms": 0.5}, r"no scale has at most 0.5 ms per window.*depth 1.*has 1"),
    ],
)
def test_a_budget_that_no_scale_meets_names_the_smallest(predictions, budget, message):
    with pytest.raises(ConfigError, match=message):
        recommend(predictions, budget)


def test_limits_that_no_scale_meets_together_name_the_smallest_of_each(predictions):
    opposite = with_latencies(predictions, lambda trial: 100.0 / trial["macs"])
    with pytest.raises(ConfigError, match=r"not all by one scale.*has 12; .*channels 16, kernel 3, has 1.04"):
        recommend(opposite, {"macs": 12, "latency_ms": 2.0})


def test_a_limit_of_a_cost_that_is_not_known_is_refused(predictions):
    with pytest.raises(ConfigError, match="ms per window of this study's scales are not known"):
        recommend(with_latencies(predictions, lambda trial: None), {"latency_ms": 2.0})


def test_a_label_is_recommended_for_by_its_own_auroc(predictions):
    probabilities = predictions.probabilities.copy()
    wide = np.array([trial["channels"] > 4 for trial in predictions.trials])
    probabilities[wide, :, 1] = 0.5  # only narrow networks recognise label 1
    recommendation = recommend(predictions.replace(probabilities=probabilities), label="label 1")
    assert recommendation.scale["channels"] == 4
    assert recommendation.quality == pytest.approx(0.8, abs=0.1)


def test_an_unknown_label_is_refused_with_the_known_ones(predictions):
    with pytest.raises(ConfigError, match="no such label; choose from label 0, label 1, label 2"):
        recommend(predictions, label="label 9")


def test_the_expected_quality_has_no_selection_bias_within_a_budget():
    """If all scales are equally good, the mean of the recommended one is too high, its expected quality is not."""
    setting = Setting(seeds=3, ratio=2.0, records=300, levels=((1, 2, 4), (4, 8), (3, 5)))
    errors_of_mean, errors = [], []
    for seed in range(25):
        predictions = with_costs(setting, seed=seed)
        recommendation, truth = recommend(predictions, {"macs": 60}), setting.truth.mean()
        mean = {entry.scale: entry.mean for entry in scale_means(macro_model(predictions))}[recommendation.best]
        errors_of_mean.append(mean - truth)
        errors.append(recommendation.quality - truth)
    assert np.mean(errors_of_mean) > np.mean(errors) + 0.002
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(25)
