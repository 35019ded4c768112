"""Studies over any axes: numbers, text, one to six of them, whole grids and unions of grids."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from analysis_samples import macro_model
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_jax.analysis import StudyPredictions, analyse, claims
from ecg_jax.analysis.axes import READY_MADE, Axis, Scale, default_kind
from ecg_jax.analysis.effects import contrasts, interaction, interactions
from ecg_jax.analysis.influence import macro_auroc
from ecg_jax.analysis.multiple_comparisons import holm
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.errors import ConfigError

DEPTH, CHANNELS, KERNEL = READY_MADE
DROPOUT = Axis("model.dropout", kind="linear")
HEAD = Axis("model.head", kind="categorical")
DECAY = Axis("train.weight_decay", claim=-1)
SIX = {
    DEPTH: (1, 2),
    CHANNELS: (16, 32),
    KERNEL: (3, 7),
    DROPOUT: (0.0, 0.3),
    HEAD: ("gap", "attention"),
    DECAY: (0.001, 0.01),
}


def drawn(levels_of, seed=0, **settings):
    """A simulated study over these axes with their levels."""
    effects = settings.pop("effects", (0.0,) * len(levels_of))
    setting = Setting(axes=tuple(levels_of), levels=tuple(levels_of.values()), effects=effects, **settings)
    return simulate(setting, seed=seed)


def small(levels_of, seed=0, **changes):
    return drawn(levels_of, seed, **{"records": 80, "base": (0.8,), "seeds": 2, **changes})


# --- the values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Axis("model.depth", (0, 1)), "axis depth must be a whole number from 1 up; got 0"),
        (lambda: Axis("model.depth", ("deep",)), "axis depth must be a whole number from 1 up; got .deep."),
        (lambda: Axis("model.dropout", (0.1, "no"), "linear"), "axis model.dropout must be a number; got .no."),
        (lambda: Axis("model.dropout", (float("inf"),), "linear"), "axis model.dropout must be a number; got inf"),
        (lambda: Axis("model.stem_pool", (True,), "linear"), "axis model.stem_pool must be a number; got True"),
        (lambda: Axis("model.head", kind="text"), "axis model.head is text: give one of log2, linear, categorical"),
        (lambda: Axis("model.depth", claim=2), "axis model.depth: a claim is -1, 0 or"),
        (lambda: Axis("model.head", kind="categorical", claim=1), "axis model.head: a claim is .*0 for a categorical"),
    ],
)
def test_an_axis_that_cannot_be_is_refused_in_one_line(make, message):
    with pytest.raises(ConfigError, match=message) as refused:
        make()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("levels", "kind"),
    [
        (["gap", "mean"], "categorical"),
        ([True, False], "categorical"),
        ([1, "auto"], "categorical"),
        ([1, 2, 4], "log2"),
        ([0.001, 0.1], "log2"),
        ([0, 0.1], "linear"),
        ([-1, 1], "linear"),
    ],
)
def test_text_is_categorical_positive_numbers_are_log2_and_others_linear(levels, kind):
    assert default_kind(levels) == kind


def test_three_axes_have_short_names_and_the_others_that_of_their_field():
    assert [axis.name for axis in SIX] == [
        *("depth", "channels", "kernel"),
        *("model.dropout", "model.head", "train.weight_decay"),
    ]


def test_numbers_are_in_ascending_order_and_categories_in_the_order_given_each_once():
    assert CHANNELS.with_levels([32, 8, 32, 16]).levels == (8, 16, 32)
    assert HEAD.with_levels(["mean", "gap", "mean"]).levels == ("mean", "gap")


def test_numbers_of_a_categorical_axis_without_levels_are_in_ascending_order():
    sizes = Axis("model.channels", kind="categorical")
    trials = [{"channels": c, "seed": 0} for c in (16, 4, "auto", 8)]
    predictions = StudyPredictions(trials, [[0], [1]], np.zeros((4, 2, 1)), axes=[sizes])
    assert predictions.axes[0].levels == (4, 8, 16, "auto")


def test_a_scale_gives_its_levels_by_name_and_is_written_as_in_folders():
    scale = Scale.of({"seed": 3, "model.head": "gap", "kernel": 3, "channels": 16, "depth": 1}, [*READY_MADE, HEAD])
    assert (scale["channels"], scale["model.head"]) == (16, "gap")
    assert scale.to_dict() == {"depth": 1, "channels": 16, "kernel": 3, "model.head": "gap"}
    assert scale.name == "d1_c16_k3_model.head=gap"


def test_equal_scales_are_one_key():
    assert len({Scale(("depth",), (1,)), Scale(("depth",), (1,)), Scale(("kernel",), (1,))}) == 2


# --- effects ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_axes", range(1, 7))
def test_a_study_over_one_to_six_axes_has_findings_for_each_axis_and_pair(n_axes):
    axes = list(SIX)[-n_axes:]
    analysis = analyse(small({axis: SIX[axis] for axis in axes}))
    names = [axis.name for axis in axes]
    numeric = [axis.name for axis in axes if axis.kind != "categorical"]
    assert list(analysis.claims) == numeric
    assert list(analysis.contrasts) == [name for name in names if name not in numeric]
    assert list(analysis.interactions) == [f"{one}:{other}" for one, other in itertools.combinations(names, 2)]
    assert len(analysis.scales) == 2**n_axes
    assert all(claim.low is not None for claim in analysis.claims.values())
    assert analysis.best.scale.names == tuple(names)


def regression(predictions, axis, coordinate):
    """The slope of macro AUROC on a coordinate, with a dummy variable for everything else: least squares."""
    others = [other.name for other in predictions.axes if other.name != axis.name] + ["seed"]
    groups = [tuple(trial[name] for name in others) for trial in predictions.trials]
    x = np.array([coordinate(trial[axis.name]) for trial in predictions.trials])
    design = np.column_stack([x, *(np.array([g == group for g in groups], float) for group in set(groups))])
    return np.linalg.lstsq(design, macro_auroc(predictions).value, rcond=None)[0][0]


@settings(max_examples=15)
@given(seed=st.integers(0, 2**16), n_missing=st.integers(0, 6))
def test_effects_are_slopes_of_a_regression_also_if_trials_are_missing(seed, n_missing):
    """By a doubling of a log2 axis, over the whole range of a linear one."""
    whole = small({CHANNELS: (8, 16, 64), DROPOUT: (0.05, 0.1, 0.45), HEAD: ("gap", "mean")}, seed)
    kept = np.random.default_rng(seed).permutation(whole.n_trials)[n_missing:]
    predictions = whole.of_trials(kept)
    effects = claims(predictions)
    assert effects["channels"].effect == pytest.approx(regression(predictions, CHANNELS, np.log2), abs=1e-10)
    by_unit = regression(predictions, DROPOUT, float)
    assert effects["model.dropout"].effect == pytest.approx(by_unit * (0.45 - 0.05), abs=1e-10)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**16), n_missing=st.integers(0, 6))
def test_contrasts_are_mean_differences_between_trials_that_differ_in_the_level_alone(seed, n_missing):
    whole = small({CHANNELS: (8, 16), HEAD: ("gap", "mean", "attention")}, seed)
    predictions = whole.of_trials(np.random.default_rng(seed).permutation(whole.n_trials)[n_missing:])
    keys = [(t["channels"], t["model.head"], t["seed"]) for t in predictions.trials]
    value = dict(zip(keys, macro_auroc(predictions).value, strict=True))
    for contrast in contrasts(predictions, macro_model(predictions))["model.head"]:
        differences = [
            value[c, contrast.level, s] - value[c, contrast.reference, s]
            for c, s in itertools.product((8, 16), (0, 1))
            if (c, contrast.level, s) in value and (c, contrast.reference, s) in value
        ]
        if differences:
            assert contrast.effect == pytest.approx(np.mean(differences), abs=1e-12)
        else:
            assert (contrast.effect, contrast.p_holm, contrast.differs) == (None, None, False)


def test_contrasts_are_all_pairs_of_levels_with_the_first_level_first():
    heads = Axis("model.head", ("mean", "gap", "attention"), "categorical")
    predictions = small({heads: heads.levels, DEPTH: (1, 2)})
    pairs = [(c.level, c.reference) for c in contrasts(predictions, macro_model(predictions))["model.head"]]
    assert pairs == [("gap", "mean"), ("attention", "mean"), ("attention", "gap")]


def test_contrasts_are_corrected_for_all_pairs_of_their_axis_alone():
    feeds = Axis("data.lead_set", kind="categorical")
    heads = ("gap", "mean", "attention")
    predictions = small({HEAD: heads, feeds: ("all", "limb")}, seeds=3, effects=(0.03, 0.03), records=400)
    by_axis = contrasts(predictions, macro_model(predictions))
    for of_axis in by_axis.values():
        assert [c.p_holm for c in of_axis] == holm([c.p for c in of_axis])
        assert [c.differs for c in of_axis] == [c.p_holm < 0.05 for c in of_axis]
        assert [c.p < 0.05 for c in of_axis] == [c.low > 0 or c.high < 0 for c in of_axis]
    assert len(by_axis["model.head"]) == 3
    assert len(by_axis["data.lead_set"]) == 1


def test_the_same_numbers_as_categories_differ_by_the_effects_of_their_steps():
    """Two levels: the contrast is the effect of a doubling, here of one from 8 to 32, half of it."""
    study = small({CHANNELS: (8, 32), DEPTH: (1, 2)}, effects=(0.02, 0))
    categories = study.replace(axes=[replace(CHANNELS, kind="categorical", claim=0), DEPTH])
    (contrast,) = contrasts(categories, macro_model(categories))["channels"]
    claim = claims(study)["channels"]
    as_doubling = (contrast.effect / 2, contrast.low / 2, contrast.high / 2)
    assert as_doubling[0] == pytest.approx(claim.effect)
    # with two seeds the variances of the scales are drawn, along an axis or between categories
    assert as_doubling == pytest.approx((claim.effect, claim.low, claim.high), rel=0.02)


def test_an_axis_without_a_claim_has_an_effect_or_none():
    study = drawn({DROPOUT: (0.0, 0.1, 0.4), DECAY: (0.01, 0.1)}, effects=(0.05, 0.0), seeds=5, ratio=0.3)
    assert claims(study)["model.dropout"].verdict == "effect"
    unclaimed = study.replace(axes=[DROPOUT, replace(DECAY, claim=0)])
    assert claims(unclaimed, margin=0.1)["train.weight_decay"].verdict == "no effect"
    assert claims(study, margin=0.1)["train.weight_decay"].verdict == "does not hold"
    assert claims(unclaimed, margin=1e-6)["train.weight_decay"].verdict == "not decided"


# --- interactions -------------------------------------------------------------------------------------------------


def test_with_a_categorical_axis_an_interaction_has_only_the_effects_at_its_levels():
    predictions = small({DEPTH: (1, 2), HEAD: ("gap", "mean", "attention")})
    pair = interactions(predictions, macro_model(predictions))["depth:model.head"]
    assert (pair.effect, pair.low, pair.high) == (None, None, None)
    assert [(s.axis, s.at, s.level) for s in pair.slopes] == [
        ("depth", "model.head", level) for level in ("gap", "mean", "attention")
    ]
    for slope_at in pair.slopes:
        kept = [r for r, trial in enumerate(predictions.trials) if trial["model.head"] == slope_at.level]
        assert slope_at.effect == pytest.approx(claims(predictions.of_trials(kept))["depth"].effect)


def test_two_categorical_axes_have_no_interaction():
    predictions = small({HEAD: ("gap", "mean"), Axis("data.lead_set", kind="categorical"): ("all", "limb")})
    assert interactions(predictions, macro_model(predictions)) == {}


def test_the_interaction_of_two_levels_each_is_the_difference_of_the_effects():
    """Over the whole range of the linear axis, so from its first to its last level."""
    predictions = small({CHANNELS: (16, 32), DROPOUT: (0.1, 0.3), HEAD: ("gap", "mean")})
    pair = interactions(predictions, macro_model(predictions))["channels:model.dropout"]
    of_channels = {slope_at.level: slope_at.effect for slope_at in pair.slopes if slope_at.axis == "channels"}
    assert pair.effect == pytest.approx(of_channels[0.3] - of_channels[0.1])


def test_an_interaction_among_four_axes_is_not_affected_by_any_main_effect():
    predictions = small({axis: SIX[axis] for axis in (DEPTH, CHANNELS, DROPOUT, HEAD)})
    trials = predictions.trials
    depth, channels = (np.log2([t[name] for t in trials]) for name in ("depth", "channels"))
    dropout = np.array([t["model.dropout"] for t in trials])
    head = np.array([t["model.head"] == "gap" for t in trials], float)
    weights = interaction(predictions, "depth", "model.dropout")
    assert weights @ (depth * dropout) == pytest.approx(0.3)  # its range
    for main_effect in (depth, dropout * channels, dropout * head, depth * channels * head, channels, head):
        assert weights @ main_effect == pytest.approx(0, abs=1e-9)


# --- unions of grids ----------------------------------------------------------------------------------------------


def test_in_a_union_of_two_grids_each_effect_comes_from_the_grid_that_varies_its_axis():
    """Depth varies with the head gap alone, the head at depth 1 alone."""
    whole = small({DEPTH: (1, 2), HEAD: ("gap", "mean")}, seeds=3)
    kept = [r for r, t in enumerate(whole.trials) if t["depth"] == 1 or t["model.head"] == "gap"]
    union = whole.of_trials(kept)
    assert len(union.scales) == 3
    of_gap = union.of_trials(r for r, t in enumerate(union.trials) if t["model.head"] == "gap")
    assert claims(union)["depth"].effect == pytest.approx(claims(of_gap)["depth"].effect)
    of_depth_1 = union.of_trials(r for r, t in enumerate(union.trials) if t["depth"] == 1)
    (contrast,) = contrasts(union, macro_model(union))["model.head"]
    (expected,) = contrasts(of_depth_1, macro_model(of_depth_1))["model.head"]
    assert contrast.effect == pytest.approx(expected.effect)
    by_head = {s.level: s.effect for s in interactions(union, macro_model(union))["depth:model.head"].slopes}
    assert by_head["mean"] is None
    assert by_head["gap"] is not None


def test_an_interaction_that_a_union_of_grids_cannot_show_is_none():
    whole = small({DEPTH: (1, 2), CHANNELS: (16, 32)})
    union = whole.of_trials(r for r, t in enumerate(whole.trials) if t["depth"] == 1 or t["channels"] == 16)
    assert interactions(union, macro_model(union))["depth:channels"].effect is None
    assert analyse(union).claims["depth"].low is not None


def test_a_study_of_networks_alone_has_contrasts_and_no_claims():
    presets = Axis("model.preset", ("resnet18_1d", "xresnet1d101", "lightx3"), "categorical")
    analysis = analyse(small({presets: presets.levels}))
    assert (analysis.claims, analysis.interactions) == ({}, {})
    assert [c.reference for c in analysis.contrasts["model.preset"]] == ["resnet18_1d", "resnet18_1d", "xresnet1d101"]
    assert analysis.metrics["macro_f1"] == {}
