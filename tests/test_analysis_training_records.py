"""Intervals for other training records, from trainings on halves of the training patients."""

import itertools

import numpy as np
import pytest
from analysis_samples import macro_model
from scipy import stats

from ecg_jax.analysis.axes import READY_MADE, Axis
from ecg_jax.analysis.effects import slope
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.analysis.training_records import DRAW, for_other_training_records

LEVELS = ((1, 4), (8, 16), (3, 15))


def replicates_of(study, draws):
    """Trainings of the corners, whose predictions are those of the first seed, with more noise at depth 4."""
    trials, probabilities = [], []
    rng = np.random.default_rng(0)
    for draw, (r, trial) in itertools.product(range(draws), enumerate(study.trials)):
        if trial["seed"] == 0:
            worse = rng.random() * (trial["depth"] == 4)
            trials.append({**trial, DRAW: draw})
            probabilities.append(study.probabilities[r] + worse * rng.normal(size=study.probabilities[r].shape))
    axes = (*READY_MADE, Axis(DRAW, kind="categorical"))
    return study.replace(trials=trials, probabilities=np.array(probabilities), axes=axes)


def test_the_variance_over_halves_is_added_to_that_of_the_study():
    study = simulate(Setting(levels=LEVELS, seeds=3), seed=0)
    replicates = replicates_of(study, 5)
    found = for_other_training_records(study, replicates)["depth"]
    of_halves = []
    for draw in range(5):
        half = replicates.of_trials([r for r, t in enumerate(replicates.trials) if t[DRAW] == draw])
        half = half.replace(axes=READY_MADE)
        of_halves.append(slope(half, "depth") @ macro_model(half).estimate.value)
    own = macro_model(study).components(slope(study, "depth"))
    added = np.var(of_halves, ddof=1)
    variance = own.variance + added
    dof = variance**2 / (own.variance**2 / own.dof + added**2 / 4)
    assert found.high - found.effect == pytest.approx(stats.t.ppf(0.975, dof) * np.sqrt(variance))
    assert found.effect == pytest.approx(slope(study, "depth") @ macro_model(study).estimate.value)


def test_one_half_gives_no_interval():
    study = simulate(Setting(levels=LEVELS, seeds=2), seed=0)
    assert for_other_training_records(study, replicates_of(study, 1))["depth"].low is None


def test_means_of_halves_vary_as_means_of_whole_new_sets_do():
    """The rule itself: n patients of variance 1, halves of one set, and the variance of a whole set, which is 1 / n."""
    rng, n = np.random.default_rng(0), 40
    over_halves = []
    for _ in range(2000):
        patients = rng.normal(size=n)
        halves = [rng.permutation(patients)[: n // 2].mean() for _ in range(5)]
        over_halves.append(np.var(halves, ddof=1))
    assert np.mean(over_halves) == pytest.approx(1 / n, rel=0.05)
