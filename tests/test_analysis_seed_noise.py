"""The variance between seeds of contrasts: what each scale, each seed and the other scales contribute."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from ecg_jax.analysis.effects import slope
from ecg_jax.analysis.hierarchy import as_estimate, draw_variances
from ecg_jax.analysis.influence import MetricEstimate
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.variance import VarianceModel

LEVELS = ((1, 2, 4), (8, 16), (3, 15))


def grid(seeds, levels=LEVELS):
    """A study in which only the trials matter."""
    scales = itertools.product(*levels)
    trials = [{"depth": d, "channels": c, "kernel": k, "seed": s} for d, c, k in scales for s in range(seeds)]
    labels = np.tile([0, 1], 10)[:, None]
    return StudyPredictions(trials, labels, np.tile(np.linspace(0.1, 0.9, 20)[:, None], (len(trials), 1, 1)))


def model_of(study, value):
    """The model of a metric with these values, which the records leave no doubt about."""
    return VarianceModel(study, MetricEstimate(value, np.zeros((study.n_trials, 3))))


def drawn(study, sd, number):
    return np.random.default_rng(number).normal(size=study.n_trials) * sd[study.scale_of]


def test_two_scales_are_compared_as_welch_does():
    study = grid(4, ((1, 2), (8,), (3,)))
    value = np.random.default_rng(0).normal(size=8) * np.repeat([1.0, 7.0], 4)
    weights = study.mean_weights()[0] - study.mean_weights()[1]
    components = model_of(study, value).components(weights)
    variance = value[:4].var(ddof=1) / 4, value[4:].var(ddof=1) / 4
    common = np.var(value[:4] - value[4:], ddof=1) / 4 - sum(variance)
    assert common < 0  # so that the parts of the two scales are all there is
    assert components.variance == pytest.approx(sum(variance))
    assert components.dof == pytest.approx(sum(variance) ** 2 / sum(v**2 / 5 for v in variance) - 2)


def test_the_variance_of_a_mean_of_one_scale_is_that_of_its_own_seeds():
    study = grid(3)
    value = drawn(study, np.linspace(0.001, 0.1, 12), 0)
    for weights, trials in zip(study.mean_weights(), map(study.trials_of, range(12)), strict=True):
        components = model_of(study, value).components(weights)
        assert components.half_width() == pytest.approx(stats.t.ppf(0.975, 2) * value[trials].std(ddof=1) / 3**0.5)


@settings(max_examples=50)
@given(number=st.integers(0, 2**16), seeds=st.integers(2, 5))
def test_no_slope_has_less_variance_than_over_seeds_of_the_slope_within_each_seed(number, seeds):
    study = grid(seeds)
    value = drawn(study, np.full(12, 1.0), number)
    seed_of = np.array([trial["seed"] for trial in study.trials])
    weights = slope(study, "channels")
    assert weights is not None
    within = [seeds * (weights * value)[seed_of == seed].sum() for seed in range(seeds)]
    components = model_of(study, value).components(weights)
    assert components.variance >= np.var(within, ddof=1) / seeds * (1 - 1e-9)


def test_a_seed_that_stalls_all_narrow_networks_is_seen_in_the_slope_of_channels_alone():
    study = grid(3)
    narrow_and_stalled = np.array([t["channels"] == 8 and t["seed"] == 1 for t in study.trials])
    quiet = drawn(study, np.full(12, 0.002), 0)
    model = model_of(study, quiet - 0.08 * narrow_and_stalled)
    channels = model.components(slope(study, "channels"))
    assert channels.dof < 4  # three seeds say little about their own variance
    assert channels.half_width() > 0.08 / 3
    assert model.components(slope(study, "kernel")).dof > 6


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("noisy", ["none", "depth 4", "8 channels"])
def test_intervals_of_slopes_and_of_single_scales_cover_however_the_noise_is_distributed(seeds, noisy):
    study, covered, studies = grid(seeds), {}, 120
    scales = [scale.to_dict() for scale in study.scales]
    is_noisy = {
        "none": lambda scale: False,
        "depth 4": lambda scale: scale["depth"] == 4,
        "8 channels": lambda scale: scale["channels"] == 8,
    }
    sd = np.array([0.03 if is_noisy[noisy](scale) else 0.002 for scale in scales])
    means = study.mean_weights()
    contrasts = {axis: slope(study, axis) for axis in ("depth", "channels", "kernel")}
    contrasts |= {"single": means[-1], "quiet": means[5] - means[7], "mixed": means[5] - means[8]}
    for number in range(studies):
        value = drawn(study, sd, number)
        model = model_of(study, value)
        for name, weights in contrasts.items():
            hit = abs(weights @ value) <= model.components(weights).half_width()
            covered[name] = covered.get(name, 0) + int(hit)
    fewest = stats.binom.ppf(1e-4, studies, 0.93)
    assert min(covered.values()) >= fewest, covered


def test_a_quiet_scale_is_not_charged_with_the_noise_of_others():
    study = grid(3)
    sd = np.array([0.03 if scale["channels"] == 8 else 0.002 for scale in study.scales])
    quiet = [c for c, scale in enumerate(study.scales) if scale["channels"] == 16][:2]
    weights = study.mean_weights()[quiet[0]] - study.mean_weights()[quiet[1]]
    assert model_of(study, drawn(study, sd, 0)).components(weights).half_width() < 0.02


@given(dof=st.floats(1, 200), scale=st.floats(1e-8, 10))
@settings(max_examples=20)
def test_draws_of_an_estimated_variance_give_its_scale_and_degrees_of_freedom_back(dof, scale):
    chances = (np.arange(20_000) + 0.5) / 20_000
    draws = scale * dof / special.chdtri(dof, chances)[:, None]
    value, found = as_estimate(draws)
    assert (value[0], found[0]) == (pytest.approx(scale, rel=0.02), pytest.approx(dof, rel=0.05))


def test_with_many_seeds_the_hierarchy_says_what_each_scale_says_itself():
    variance = np.geomspace(1, 100, 12)
    draws = draw_variances(variance, np.full(12, 400), np.zeros((12, 0)), seed=0)
    np.testing.assert_allclose(np.log(draws).mean(axis=0), np.log(variance), atol=0.03)
    np.testing.assert_allclose(np.log(draws).std(axis=0), np.sqrt(2 / 400), rtol=0.15)


def test_a_scale_with_one_seed_takes_its_variance_from_the_trend_of_the_others():
    place = np.linspace(-0.5, 0.5, 12)[:, None]
    dof = np.array([3] * 11 + [0])
    draws = draw_variances(np.exp(4 * place[:, 0]), dof, place, seed=0)
    assert np.median(np.log(draws[:, -1])) == pytest.approx(2, abs=0.5)
    assert np.log(draws[:, -1]).std() > np.log(draws[:, -2]).std()


def test_the_same_key_gives_the_same_draws_and_another_key_others():
    arguments = np.ones(4), np.ones(4, int), np.zeros((4, 1))
    one, same, other = (draw_variances(*arguments, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_several_contrasts_at_once_have_the_variances_of_each():
    study = grid(3)
    model = model_of(study, drawn(study, np.linspace(0.01, 0.1, 12), 0))
    weights = np.random.default_rng(0).normal(size=(5, study.n_trials))
    found = model.contrasts(weights)
    for contrast, *of_it in zip(weights, found.value, found.variance, found.dof, strict=True):
        components = model.components(contrast)
        assert of_it == pytest.approx([model.value(contrast), components.variance, components.dof])
    per_trial = model.noise.between[study.scale_of]
    covariance = (weights * per_trial) @ weights.T
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(found.correlation, covariance / np.outer(sd, sd), atol=1e-12)
