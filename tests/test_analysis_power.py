"""What a planned study can find: effects, seeds and records, against the noncentral t and whole simulated studies."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ecg_jax.analysis import claims
from ecg_jax.analysis.power import Power, planned_power
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.analysis.variance import VarianceComponents, macro_model

STUDY = Setting(seeds=3, levels=((1, 2, 4), (8, 16, 32), (3, 7)), records=600)
CORNERS = replace(STUDY, seeds=2, levels=((1, 4), (8, 32), (3, 7)))

components = st.builds(
    VarianceComponents,
    seed=st.floats(1e-8, 1e-3),
    record=st.floats(1e-8, 1e-3),
    both=st.floats(0, 1e-4),
    seed_dof=st.just(8.0),
    record_dof=st.floats(10, 200),
    dof_per_seed=st.just(8.0),
    seeds=st.just(2),
    records=st.integers(50, 5000),
)


def planned(setting: Setting, seed: int):
    pilot = simulate(replace(CORNERS, records=setting.records, ratio=setting.ratio), seed=seed)
    model = macro_model(pilot)
    assert model is not None
    axes = simulate(replace(setting, seeds=1), seed=0).axes
    return planned_power(model, axes)


@given(components, st.floats(0.5, 0.95), st.integers(2, 20), st.integers(1, 3))
def test_the_smallest_effect_is_found_with_the_power_that_a_noncentral_t_has(parts, power, seeds, tests):
    effect = Power(parts, power, tests).smallest_effect(seeds=seeds)
    at = parts.with_sizes(seeds=seeds)
    critical = stats.t.ppf(1 - 0.025 / tests, at.dof)
    assert stats.nct.sf(critical, at.dof, effect / np.sqrt(at.variance)) == pytest.approx(power, abs=1e-4)


@given(components, st.floats(1e-4, 0.2), st.integers(2, 10))
def test_the_numbers_needed_are_the_fewest_that_find_the_effect(parts, effect, seeds):
    plan = Power(parts, 0.8, 1)
    enough = plan.seeds_needed(effect)
    if enough is None:
        assert plan.least_effect() > effect
    else:
        assert plan.smallest_effect(seeds=enough) <= effect
        assert enough == 2 or plan.smallest_effect(seeds=enough - 1) > effect
    records = plan.records_needed(effect, seeds)
    if records is None:
        assert plan.smallest_effect(seeds=seeds, records=10**9) > effect
    else:
        assert plan.smallest_effect(seeds=seeds, records=records) <= effect
        assert records == 10 or plan.smallest_effect(seeds=seeds, records=records - 1) > effect


@given(components, st.integers(2, 50), st.integers(100, 10_000))
def test_more_power_or_more_tests_ask_for_a_larger_effect(parts, seeds, records):
    plan = Power(parts, 0.8, 1)
    at = plan.smallest_effect(seeds=seeds, records=records)
    assert replace(plan, tests=3).smallest_effect(seeds=seeds, records=records) > at
    assert replace(plan, power=0.9).smallest_effect(seeds=seeds, records=records) > at


def test_an_effect_of_the_planned_size_is_found_in_at_least_the_planned_share_of_studies():
    plans = [planned(STUDY, seed) for seed in range(10)]
    sizes = {name: np.median([plan[name].smallest_effect(seeds=3) for plan in plans]) for name in plans[0]}
    effects = (sizes["depth"], sizes["channels"], sizes["kernel"])
    found = [claims(simulate(replace(STUDY, effects=effects), seed=1000 + seed)) for seed in range(60)]
    for name in sizes:
        share = np.mean([claim[name].low > 0 for claim in found])
        assert share > 0.72, name  # 80 %, less two standard errors of 60 studies; the bound makes it more


def test_the_records_of_a_small_test_set_hide_an_effect_that_those_of_a_large_one_show():
    small, large = (planned(replace(STUDY, records=records), 1)["channels"] for records in (200, 3200))
    assert large.least_effect() < small.least_effect() / 2.5
    between = (large.least_effect() + small.least_effect()) / 2
    assert small.seeds_needed(between) is None
    assert large.seeds_needed(between) is not None
    assert 200 < small.records_needed(between, 100) <= 3200


def test_an_axis_of_one_level_and_a_pilot_of_one_seed_of_one_scale_promise_nothing():
    pilot = simulate(replace(CORNERS, levels=((1, 4), (8, 32), (3,))), seed=0)
    found = planned_power(macro_model(pilot), pilot.axes)
    assert found["kernel"] is None
    assert found["depth"].tests == 2
