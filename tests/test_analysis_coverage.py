"""Does the instrument measure? Simulated studies with known truth; the long table is `tools/calibrate.py`'s."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ecg_jax.analysis import claims
from ecg_jax.analysis.coverage import Counts, judge
from ecg_jax.analysis.effects import slope
from ecg_jax.analysis.influence import aurocs, mean_of
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.analysis.variance import VarianceModel

BY_CHANCE = 1e-4  # how often a right instrument would fail here, were the seeds not fixed


def test_the_true_auroc_is_that_of_many_seeds_and_records():
    setting = Setting(
        seeds=60, levels=((1, 2), (8,), (3,)), records=20_000, effects=(0.05, 0, 0), ratio=30, base=(0.75, 0.9)
    )
    outcomes = simulate(setting, seed=0)
    for k, measure in enumerate(aurocs(outcomes)):
        for c in range(2):
            of_scale = measure.value[outcomes.scale_of == c]
            error = np.hypot(of_scale.std() / np.sqrt(60), np.sqrt((measure.influence[0] ** 2).sum()))
            assert of_scale.mean() == pytest.approx(setting.truth[c, k], abs=3 * error)


def test_the_true_slopes_are_the_effects_however_uneven_the_scales_are():
    setting = Setting(effects=(0.01, -0.02, 0.0), unevenness=0.01)
    outcomes = simulate(setting, seed=0)
    truth = setting.truth.mean(axis=1)[outcomes.scale_of]
    found = [slope(outcomes, axis) @ truth for axis in ("depth", "channels", "kernel")]
    assert found == pytest.approx(setting.effects)
    assert np.ptp(replace(setting, effects=(0.0, 0.0, 0.0)).truth[:, 0]) > 0.01


def test_the_estimated_variance_of_an_effect_is_the_variance_over_studies_in_all_its_parts():
    setting = Setting(seeds=3, ratio=1.0, records=200)
    found = [
        (chance := VarianceModel(o, mean_of(aurocs(o)))).value(w := slope(o, "depth")) + 1j * chance.spread(w).variance
        for o in (simulate(setting, seed=number) for number in range(200))
    ]
    effects, variances = np.real(found), np.imag(found)
    assert variances.mean() / effects.var() == pytest.approx(1, abs=0.35)  # 200 studies know it to 10 %


def total(ratio, seeds, studies, **changes):
    return judge(seeds, ratio, range(studies), seed=0, **changes)


@pytest.mark.parametrize(("seeds", "ratio"), [(2, 1 / 3), (2, 3.0), (3, 1.0), (5, 1 / 3)])
def test_intervals_cover_and_claims_without_effect_seldom_hold(seeds, ratio):
    counts = total(ratio, seeds, 120)
    assert counts.covered >= stats.binom.ppf(BY_CHANCE, counts.intervals, 0.93)
    assert counts.covered <= stats.binom.ppf(1 - BY_CHANCE, counts.intervals, 0.97)
    assert counts.false_holds <= stats.binom.ppf(1 - BY_CHANCE, counts.without_effect, 0.05)


@pytest.mark.parametrize("part", ["record", "seed"])
def test_the_test_would_see_a_source_of_chance_that_was_forgotten(part, monkeypatch):
    spread = VarianceModel.spread

    def forgetful(self, *args):
        return replace(spread(self, *args), **{part: 0.0})

    monkeypatch.setattr(VarianceModel, "spread", forgetful)
    counts = total({"record": 1 / 3, "seed": 3.0}[part], 5, 60)
    assert counts.covered < stats.binom.ppf(BY_CHANCE, counts.intervals, 0.93)


@pytest.mark.parametrize("ratio", [1 / 3, 3.0])
def test_the_truly_best_scale_is_among_those_that_cannot_be_told_apart(ratio):
    counts = total(ratio, 2, 30, with_best=True)
    assert counts.contained >= stats.binom.ppf(BY_CHANCE, counts.bests, 0.95)
    assert counts.value_covered >= stats.binom.ppf(BY_CHANCE, counts.bests, 0.93)


def test_folds_and_patients_with_several_records_are_covered_as_well():
    setting = Setting(records_of_a_patient=4, folds=4, ratio=0.3)
    covered = Counts()
    for number in range(100):
        found = claims(simulate(setting, seed=number))
        covered += Counts(intervals=3, covered=sum(a["low"] <= 0 <= a["high"] for a in found.values()))
    assert covered.covered >= stats.binom.ppf(BY_CHANCE, covered.intervals, 0.93)
    assert covered.covered <= stats.binom.ppf(1 - BY_CHANCE, covered.intervals, 0.97)
