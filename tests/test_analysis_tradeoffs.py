"""Quality against cost."""

import numpy as np
import pytest
from analysis_samples import macro_model
from scipy.special import ndtri

from ecg_jax.analysis import StudyPredictions
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.analysis.tradeoffs import costs_of, pareto, power_laws

SETTING = Setting(seeds=2, levels=((1, 2, 4), (16, 32), (3, 7)), effects=(0.02, 0.02, 0), records=200, base=(0.8, 0.85))
CHANNELS = (4, 8, 16, 32, 64, 128)


@pytest.fixture(scope="module")
def predictions():
    drawn = simulate(SETTING, seed=0)
    return drawn.with_trials([{**t, "parameters": t["depth"] * t["channels"] ** 2} for t in drawn.trials])


def test_a_scale_is_on_the_front_unless_another_is_better_at_no_more_cost(predictions):
    model = macro_model(predictions)
    front = pareto(model)["parameters"]
    means = predictions.mean_weights() @ model.estimate.value
    costs = [scale["depth"] * scale["channels"] ** 2 for scale in predictions.scales]
    on_front = {point.scale for point in front}
    for scale, cost, mean in zip(predictions.scales, costs, means, strict=True):
        beaten = any(c <= cost and m > mean for c, m in zip(costs, means, strict=True))
        assert (scale in on_front) == (not beaten)
    assert [point.cost for point in front] == sorted(point.cost for point in front)


def test_a_cost_that_is_not_known_has_no_front_and_no_power_law(predictions):
    model = macro_model(predictions)
    assert pareto(model)["latency_ms"] is None
    assert power_laws(model)["latency_ms"] is None


def test_a_cost_is_the_mean_over_the_trials_that_know_it():
    drawn = simulate(Setting(seeds=3, levels=((1,), (8,), (3,))), seed=0)
    seconds = {0: 10.0, 1: None, 2: 13.0}
    known = drawn.with_trials([{**t, "seconds": seconds[t["seed"]], "latency_ms": float("nan")} for t in drawn.trials])
    costs = costs_of(known, 0)
    assert (costs["seconds"].value, costs["seconds"].low, costs["seconds"].high) == (11.5, 10, 13)
    assert (costs["latency_ms"], costs["macs"]) == (None, None)


def with_aurocs(auroc_of, noise):
    """A study over channels in which the AUROC is a function of the MACs."""
    rng = np.random.default_rng(0)
    trials = [{"depth": 1, "channels": c, "kernel": 3, "seed": s, "macs": c**2} for c in CHANNELS for s in (0, 1)]
    labels = rng.random((3000, 1)) < 0.4
    shift = np.sqrt(2) * ndtri([auroc_of(trial["macs"]) for trial in trials])
    scores = shift[:, None, None] * labels + rng.normal(size=(3000, 1)) + noise * rng.normal(size=(12, 3000, 1))
    return StudyPredictions(trials, labels, scores)


def test_the_exponent_of_a_power_law_is_covered_by_its_interval():
    fit = power_laws(macro_model(with_aurocs(lambda macs: 1 - 0.3 * macs**-0.2, noise=0)))["macs"]
    assert fit.fits
    assert fit.low < -0.2 < fit.high < 0
    assert fit.factor == pytest.approx(0.3, rel=0.1)


def test_where_the_cost_changes_nothing_no_power_law_fits():
    fit = power_laws(macro_model(with_aurocs(lambda macs: 0.76, noise=0.3)))["macs"]
    assert not fit.fits
    assert fit.low < 0 < fit.high
    assert "interval of the exponent contains 0" in fit.why


def test_three_costs_are_too_few_for_a_power_law():
    few = with_aurocs(lambda macs: 0.76, noise=0.3)
    fit = power_laws(macro_model(few.of_trials(range(6))))["macs"]
    assert (fit.fits, fit.exponent, fit.why) == (False, None, "fewer than 4 different costs")


def test_scales_without_errors_have_no_power_law():
    certain = with_aurocs(lambda macs: 0.76, noise=0)
    fit = power_laws(macro_model(certain.replace(probabilities=np.tile(certain.labels * 1.0, (12, 1, 1)))))["macs"]
    assert (fit.fits, fit.exponent) == (False, None)
    assert "no logarithm" in fit.why
