"""Verdicts on the claims: families of tests, looks, what effects depend on, and what a study needs."""

from dataclasses import replace

import numpy as np
import pytest
from analysis_samples import macro_model
from hypothesis import given
from hypothesis import strategies as st

from ecg_jax.analysis import claims
from ecg_jax.analysis.effects import slope
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.analysis.variance import VarianceComponents
from ecg_jax.analysis.verdicts import MOST, _needed, needed_for, p_of_effect, secondary_claims, verdict

NONE = Setting(seeds=3, levels=((1, 2, 4), (8, 16), (3, 7, 15)), records=200, base=(0.8, 0.85))
CLAIMED = {"depth": -1, "channels": 1, "kernel": -1}


@pytest.fixture(scope="module")
def predictions():
    return simulate(Setting(seeds=3, effects=(-0.015, 0.0, 0.015), ratio=0.5), seed=3)


def test_an_effect_on_the_claimed_side_holds_and_one_on_the_other_side_does_not(predictions):
    assert claims(predictions)["depth"].verdict == "holds"
    assert claims(predictions)["kernel"].verdict == "does not hold"  # kernel is claimed to fall; here it rises


def test_an_effect_significantly_below_the_margin_does_not_hold_although_its_interval_excludes_0(predictions):
    claim = claims(predictions)["depth"]
    assert claim.high < 0
    assert claims(predictions, margin=1.1 * -claim.low)["depth"].verdict == "does not hold"
    assert claims(predictions, margin=0.9 * -claim.low)["depth"].verdict == "holds"


@pytest.mark.parametrize(
    ("effect", "sd", "side", "expected"),
    [
        (0.010, 0.002, 1, "holds"),
        (0.010, 0.006, 1, "not decided"),
        (-0.010, 0.002, 1, "does not hold"),
        (-0.010, 0.002, -1, "holds"),
        (0.0005, 0.0005, 1, "does not hold"),  # smaller than the margin at both ends
        (0.0005, 0.0005, 0, "no effect"),
        (0.010, 0.002, 0, "effect"),
        (-0.010, 0.002, 0, "effect"),
        (0.001, 0.00075, 0, "not decided"),
    ],
)
def test_the_verdict_on_one_effect_is_that_of_its_interval(effect, sd, side, expected):
    parts = VarianceComponents(0, sd**2, 0, seed_dof=1e6, record_dof=1e6, dof_per_seed=1, seeds=3, records=400)
    assert verdict(side, effect, *p_of_effect(side, effect, parts, margin=0.002)) == expected


def test_without_a_known_noise_of_seeds_nothing_is_decided():
    parts = VarianceComponents(0, 1e-6, 0, seed_dof=0, record_dof=1e6, dof_per_seed=1, seeds=1, records=400)
    for side in (-1, 0, 1):
        assert verdict(side, 0.01, *p_of_effect(side, 0.01, parts, margin=0.002)) == "not decided"


def holds(found):
    return any(claim.verdict == "holds" for claim in found.values())


def test_without_any_effect_a_study_seldom_has_a_claim_that_holds_and_seldom_a_dependence():
    found = [claims(simulate(NONE, seed=[5, number])) for number in range(150)]
    assert sum(map(holds, found)) <= 10  # 2.5 % of 150 is 3.75; 11 or more has a probability of .002
    assert sum(any(claim.depends_on for claim in one.values()) for one in found) <= 15  # 5 % is 7.5
    alone = [any(c.p < 0.05 and c.effect * CLAIMED[axis] > 0 for axis, c in one.items()) for one in found]
    assert sum(alone) > sum(map(holds, found)), "without correction more would hold"


def test_adding_seeds_until_a_claim_holds_does_not_make_more_claims_hold():
    ever = uncorrected = 0
    for number in range(60):
        study = simulate(replace(NONE, seeds=5, records=120, base=(0.8,)), seed=[6, number])
        looks = [study.of_trials([r for r, t in enumerate(study.trials) if t["seed"] < s]) for s in (2, 3, 4, 5)]
        found = [claims(of, look=look) for look, of in enumerate(looks, 1)]
        ever += any(map(holds, found))
        uncorrected += any(
            c.p_holm < 0.05 * 2**look and c.effect * CLAIMED[axis] > 0
            for look, one in enumerate(found)
            for axis, c in one.items()
        )
    assert ever <= 9  # 5 % of 60 is 3; 10 or more has a probability of .001
    assert uncorrected > ever


def test_each_further_look_halves_the_level(predictions):
    first, third = claims(predictions)["depth"], claims(predictions, look=3)["depth"]
    assert (first.effect, first.low, first.high, first.p) == (third.effect, third.low, third.high, third.p)
    assert third.p_holm == pytest.approx(4 * first.p_holm)


def test_the_effects_of_all_metrics_or_labels_are_one_family(predictions):
    one, three = (secondary_claims(predictions, [macro_model(predictions)] * n, margin=0.002, look=1) for n in (1, 3))
    least = min(claim.p for claim in one[0].values())
    assert min(claim.p_holm for claim in one[0].values()) == pytest.approx(3 * least)
    assert min(claim.p_holm for claim in three[0].values()) == pytest.approx(9 * least)
    undefined = secondary_claims(predictions, [macro_model(predictions), None], margin=0.002, look=1)
    assert undefined[0] == one[0], "a label that is not defined does not count"
    assert {claim.verdict for claim in undefined[1].values()} == {"not decided"}


def with_optimum_in_the_middle(size, seed):
    """A study in which the middle kernel is better by `size`, so that the slope of the kernel is 0."""
    drawn = simulate(replace(NONE, records=600, ratio=0.3), seed=seed)
    middle = np.array([trial["kernel"] == 7 for trial in drawn.trials])
    moved = drawn.probabilities + size * middle[:, None, None] * (drawn.labels - 0.5)
    return drawn.replace(probabilities=moved)


def test_an_optimum_in_the_middle_of_an_axis_is_named_and_the_verdict_keeps_its_values():
    found = claims(with_optimum_in_the_middle(0.3, seed=0))
    kernel = found["kernel"]
    assert kernel.depends_on[0] == "curvature"
    assert "curvature" not in found["depth"].depends_on
    assert kernel.curvature.high < 0
    assert [np.sign(step.effect) for step in kernel.steps] == [1, -1]
    assert kernel.verdict in ("holds", "does not hold", "not decided")


def test_an_interaction_is_named_by_both_axes():
    drawn = simulate(replace(NONE, records=600, ratio=0.3), seed=0)
    product = np.array([np.log2(t["depth"]) * np.log2(t["channels"] / 8) for t in drawn.trials])
    found = claims(drawn.replace(probabilities=drawn.probabilities + 0.2 * product[:, None, None] * drawn.labels))
    assert "channels" in found["depth"].depends_on
    assert "depth" in found["channels"].depends_on
    assert found["kernel"].depends_on == ()


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


def test_an_effect_as_large_as_was_planned_for_is_found_in_eight_of_ten_studies():
    """The bound of the seeds' variance is left out: it makes the power larger."""
    base = Setting(seeds=2, levels=((1, 2, 4), (16, 32), (3, 7)), ratio=3.0, records=400)
    found, planned = 0, []
    for number in range(60):
        pilot = simulate(base, seed=[1, number])
        parts = macro_model(pilot).components(slope(pilot, "depth"))
        seeds, _ = needed_for(parts, 0.012, level=0.05)
        planned.append(seeds)
        study = simulate(replace(base, seeds=min(seeds or 20, 20), effects=(-0.012, 0, 0)), seed=[2, number])
        found += claims(study)["depth"].p < 0.05
    assert 2 < np.median([seeds or 20 for seeds in planned]) < 20
    assert found >= 42  # 80 % of 60 is 48, with a standard error of 3


def test_the_noise_of_the_seeds_is_taken_at_its_upper_bound():
    parts = VarianceComponents(1e-6, 1e-7, 0, seed_dof=4, record_dof=500, dof_per_seed=2, seeds=3, records=400)
    exact = replace(parts, seed_dof=1e9, dof_per_seed=5e8)  # as if the variance were known
    (needed, _), (of_known, _) = (needed_for(p, 0.002, level=0.05) for p in (parts, exact))
    assert needed > 2 * of_known


def test_a_number_of_records_is_given_although_endless_records_would_not_decide():
    """With few seeds the t quantile is widest once the records' part, which has many degrees of freedom, is gone."""
    parts = VarianceComponents(0.1, 1, 0, seed_dof=2, record_dof=500, dof_per_seed=1, seeds=2, records=400)
    _, records = _needed(parts, lambda of: of.half_width() < 1.29)
    assert 400 < records <= 3200
    assert parts.with_sizes(records=records).half_width() < 1.29 < parts.with_sizes(records=MOST).half_width()


def test_where_the_records_alone_leave_it_open_no_number_of_seeds_is_given():
    claim = claims(simulate(Setting(seeds=3, ratio=0.1, records=60), seed=1))["depth"]
    assert claim.seeds_needed is None
    assert claim.records_needed > 60


def test_more_looks_need_more_records():
    predictions = simulate(Setting(seeds=5, ratio=0.1, records=400), seed=1)
    first, third = (claims(predictions, margin=0.003, look=look)["depth"] for look in (1, 3))
    assert third.records_needed > first.records_needed
