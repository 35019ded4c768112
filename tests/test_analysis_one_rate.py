"""One learning rate for all scales against the best rate of each."""

import itertools

import numpy as np
import pytest
from scipy import stats

from ecg_jax.analysis.influence import macro_auroc
from ecg_jax.analysis.one_rate import loss_of_one_rate
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.errors import RunError

LEVELS = ((1, 4), (8,), (3,))
RATES = (0.001, 0.01)


def studies(validation):
    """Simulated studies of two scales and three seeds at two rates, with these validation values [F, A]."""
    found = {}
    for f, rate in enumerate(RATES):
        study = simulate(Setting(levels=LEVELS, seeds=3), seed=f)
        trials = [{**trial, "seconds": 2.0} for trial in study.trials]
        found[rate] = study.replace(trials=trials, validation=np.array(validation[f])[study.scale_of])
    return found


def values_of(study, scale):
    return macro_auroc(study).value[study.trials_of(scale)]


def test_both_choices_are_made_on_validation_and_read_on_test():
    given = studies([[0.9, 0.7], [0.8, 0.9]])  # the second rate is better on average, the first one at the first scale
    found = loss_of_one_rate(given)
    assert found.rate == 0.01
    assert found.own_rates == (0.001, 0.01)
    gains = values_of(given[0.001], 0) - values_of(given[0.01], 0)
    assert found.effect == pytest.approx(gains.mean() / 2), "the other scale has the common rate and gains nothing"
    assert found.largest == pytest.approx(max(gains.mean(), 0))
    half_width = stats.t.ppf(0.975, 2) * gains.std(ddof=1) / np.sqrt(3) / 2
    assert found.high - found.effect == pytest.approx(half_width)


def test_where_all_scales_have_the_same_best_rate_nothing_is_lost():
    found = loss_of_one_rate(studies([[0.9, 0.9], [0.8, 0.8]]))
    assert (found.effect, found.low, found.high, found.largest) == (0, 0, 0, 0)


def test_scales_and_seeds_that_a_rate_lacks_are_left_out_at_every_rate():
    given = studies([[0.9, 0.7], [0.8, 0.9]])
    whole = loss_of_one_rate({rate: study.of_trials(study.trials_of(1)) for rate, study in given.items()})
    given[0.01] = given[0.01].of_trials(given[0.01].trials_of(1))
    assert loss_of_one_rate(given) == whole
    given[0.001] = given[0.001].of_trials(given[0.001].trials_of(0))
    with pytest.raises(RunError, match="no scale has two seeds at every rate"):
        loss_of_one_rate(given)


def test_the_choice_takes_one_training_at_each_rate_beside_those_of_the_seeds():
    given = studies([[0.9, 0.9], [0.8, 0.8]])
    assert loss_of_one_rate(given).choice_share == pytest.approx(2 / (2 + 3))
    for trial in itertools.chain(given[0.01].trials):
        trial["seconds"] = 4.0
    assert loss_of_one_rate(given).choice_share == pytest.approx(3 / (3 + 3))
