"""What must not change a finding, and what must change it in a known way, on drawn studies."""

import numpy as np
import pytest
from analysis_samples import macro_model
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ecg_jax.analysis import analyse, claims
from ecg_jax.analysis.axes import READY_MADE, Axis
from ecg_jax.analysis.effects import contrasts, interactions
from ecg_jax.analysis.findings import to_dict
from ecg_jax.analysis.influence import aurocs, macro_auroc, other_metrics
from ecg_jax.analysis.selection import scale_means
from ecg_jax.analysis.simulation import Setting, simulate

few_examples = settings(max_examples=20)
number = st.integers(0, 2**16)
GRIDS = [
    (READY_MADE, ((1, 2), (16, 32), (3, 7))),
    ((READY_MADE[1], Axis("model.dropout", kind="linear")), ((8, 16, 32), (0.0, 0.1, 0.3))),
    ((READY_MADE[0], Axis("model.head", kind="categorical")), ((1, 4), ("gap", "mean", "attention"))),
]


@st.composite
def studies(draw, **fixed):
    """Small studies of all kinds, with few or many ties between the scores."""
    axes, levels = draw(st.sampled_from(GRIDS))
    settings = {
        "seeds": draw(st.integers(1, 3)),
        "records": draw(st.sampled_from([90, 120])),
        "prevalence": 0.4,
        "records_of_a_patient": draw(st.sampled_from([1, 3])),
        "folds": draw(st.integers(1, 3)),
        "effects": tuple(draw(st.floats(-0.03, 0.03)) for _ in axes),
    }
    setting = Setting(axes=axes, levels=levels, base=(0.75, 0.85), **{**settings, **fixed})
    predictions = simulate(setting, seed=draw(number))
    assume(predictions.defined.all())  # else every record twice defines more labels
    return predictions.replace(probabilities=np.round(predictions.probabilities, draw(st.sampled_from([1, 4]))))


def all_effects(predictions):
    """Every effect, interaction, contrast and mean of macro AUROC, with their intervals."""
    model = macro_model(predictions)
    parts = claims(predictions), interactions(predictions, model), contrasts(predictions, model), scale_means(model)
    return to_dict(parts)


def assert_close(one, other):
    """Equal in structure and text, and in numbers but for rounding."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list):
        for left, right in zip(one, other, strict=True):
            assert_close(left, right)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-9)
    else:
        assert one == other


@few_examples
@given(study=studies(), seed=number)
def test_the_order_of_the_trials_changes_no_effect(study, seed):
    shuffled = study.of_trials(np.random.default_rng(seed).permutation(study.n_trials))
    assert_close(all_effects(shuffled), all_effects(study))


@few_examples
@given(study=studies(), seed=number)
def test_the_order_of_the_records_changes_no_effect(study, seed):
    order = np.random.default_rng(seed).permutation(study.n_records)
    shuffled = study.replace(
        labels=study.labels[order],
        probabilities=study.probabilities[:, order],
        folds=study.folds[order],
        patients=study.patients[order],
    )
    assert_close(all_effects(shuffled), all_effects(study))


@few_examples
@given(study=studies(), names=st.permutations(["a", "b", "c"]))
def test_other_names_of_the_folds_change_no_effect(study, names):
    assert_close(all_effects(study.replace(folds=np.array(names)[study.folds])), all_effects(study))


@settings(max_examples=8)
@given(study=studies(records=90), seed=number)
def test_other_names_of_the_patients_change_nothing_in_the_whole_analysis(study, seed):
    names = np.random.default_rng(seed).permutation(study.n_patients)[study.patients]
    renamed = study.replace(patients=[f"patient {name}" for name in names])
    assert analyse(renamed) == analyse(study)


@settings(max_examples=8)
@given(study=studies(records=90), power=st.floats(0.5, 3), shift=st.floats(-5, 5))
def test_an_increasing_function_of_the_scores_changes_nothing_that_uses_auroc(study, power, shift):
    mapped = study.replace(probabilities=study.probabilities**power + shift)
    for name in ("claims", "contrasts", "interactions", "best", "per_label", "scales"):
        assert getattr(analyse(mapped), name) == getattr(analyse(study), name)


@few_examples
@given(study=studies())
def test_reversed_scores_have_the_opposite_aurocs(study):
    reversed_ = study.replace(probabilities=1 - study.probabilities)
    for one, other in zip(aurocs(reversed_), aurocs(study), strict=True):
        np.testing.assert_allclose(one.value, 1 - other.value, atol=1e-12)
        np.testing.assert_allclose(one.influence, -other.influence, atol=1e-12)


@few_examples
@given(study=studies())
def test_reversed_scores_have_the_opposite_effects_and_intervals(study):
    reversed_ = claims(study.replace(probabilities=1 - study.probabilities))
    for axis, claim in claims(study).items():
        if claim.low is None:
            assert reversed_[axis].effect == pytest.approx(-claim.effect, abs=1e-12)
            continue
        opposite = reversed_[axis].effect, reversed_[axis].low, reversed_[axis].high
        assert opposite == pytest.approx((-claim.effect, -claim.high, -claim.low), abs=1e-9)


def doubled(study, patients):
    twice = np.tile(np.arange(study.n_records), 2)
    return study.replace(
        labels=study.labels[twice],
        probabilities=study.probabilities[:, twice],
        folds=study.folds[twice],
        patients=None if patients is None else patients[twice],
    )


@few_examples
@given(study=studies(folds=1))
def test_every_record_twice_changes_no_effect_and_no_interval_if_both_belong_to_the_same_patient(study):
    once, twice = all_effects(study), all_effects(doubled(study, study.patient_of))
    for claim in (*once[0].values(), *twice[0].values()):
        del claim["records_needed"]  # counts records, of which there are twice as many
    assert_close(twice, once)


@few_examples
@given(study=studies())
def test_every_record_twice_changes_no_metric(study):
    one, other = other_metrics(study), other_metrics(doubled(study, None))
    for name in ("macro_auprc", "macro_f1"):
        np.testing.assert_allclose(other[name].value, one[name].value, atol=1e-12)
    np.testing.assert_allclose(macro_auroc(doubled(study, None)).value, macro_auroc(study).value, atol=1e-12)


@few_examples
@given(study=studies(folds=1))
def test_every_record_twice_as_another_patient_has_half_the_variance_over_records(study):
    """Nearly: the unbiased variance of the mean of m records, each of them twice, falls by (m - 1) / (2 m - 1)."""
    study = study.replace(patients=None)
    for label, one, other in zip(study.labels.T, aurocs(study), aurocs(doubled(study, None)), strict=True):
        for members in (label, ~label):
            m = members.sum()
            once = (one.influence[:, members] ** 2).sum(axis=1)
            twice = (other.influence[:, np.tile(members, 2)] ** 2).sum(axis=1)
            np.testing.assert_allclose(twice, once * (m - 1) / (2 * m - 1), atol=1e-12)


@few_examples
@given(study=studies())
def test_the_effect_on_macro_auroc_is_the_mean_of_the_effects_on_the_labels(study):
    of_labels = [claims(study.of_label(name)) for name in study.label_names]
    for axis, claim in claims(study).items():
        assert claim.effect == pytest.approx(np.mean([effects[axis].effect for effects in of_labels]), abs=1e-12)
