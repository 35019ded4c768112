"""The best scale: its value is read where it was not selected, so it has no selection bias."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from analysis_samples import macro_model
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ecg_jax.analysis import StudyPredictions
from ecg_jax.analysis.axes import Scale
from ecg_jax.analysis.influence import aurocs
from ecg_jax.analysis.selection import (
    SPLITS,
    SplitSelection,
    _half_aurocs,
    _patient_halves,
    best_scale,
    label_findings,
)
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.analysis.summary import analyse
from ecg_jax.analysis.variance import VarianceModel

SMALL = Setting(seeds=2, levels=((1, 2), (16, 32), (3, 7)), records=150, base=(0.8, 0.85))


def best_of(predictions):
    model = macro_model(predictions)
    return best_scale(model, SplitSelection(predictions, seed=0), [True] * len(predictions.scales))


def labels_of(predictions):
    models = [None if estimate is None else VarianceModel(predictions, estimate) for estimate in aurocs(predictions)]
    return label_findings(predictions, models, SplitSelection(predictions, seed=0), margin=0.002)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**16), folds=st.integers(1, 3), digits=st.sampled_from([0, 1, 3]))
def test_aurocs_on_halves_are_those_of_scikit_learn_with_ties(seed, folds, digits):
    predictions = simulate(replace(SMALL, folds=folds, records=90), seed=seed)
    predictions = predictions.replace(probabilities=np.round(predictions.probabilities, digits))
    halves = _patient_halves(predictions, np.random.default_rng(seed))[:3]
    areas = _half_aurocs(predictions, halves)
    for r, k, half in itertools.product((0, 9), (0, 1), range(6)):
        inside = np.vstack([halves, ~halves])[half]
        of_folds = []
        for fold in range(folds):
            rows = inside & (predictions.fold_of == fold)
            label = predictions.labels[rows, k]
            if predictions.defined[k, fold] and 0 < label.sum() < len(label):
                of_folds.append(roc_auc_score(label, predictions.probabilities[r, rows, k]))
        expected = np.mean(of_folds) if of_folds else np.nan
        assert areas[k, r, half] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_a_label_counts_in_every_half_that_has_both_classes():
    predictions = simulate(SMALL, seed=0)
    labels = predictions.labels.copy()
    labels[:, 0] = np.arange(150) < 5
    halves = np.stack([np.arange(150) % 2 == 0, np.arange(150) % 5 > 0, np.arange(150) > 4])
    areas = _half_aurocs(predictions.replace(labels=labels), halves)
    defined = [bool(0 < labels[half, 0].sum() < half.sum()) for half in (*halves, *~halves)]
    assert defined == [True, True, False, True, True, False]
    assert (~np.isnan(areas[0])).tolist() == [defined] * predictions.n_trials


def test_a_rare_label_counts_as_much_as_the_others_although_it_is_missing_in_some_halves():
    """One scale, so nothing is selected: the value is the macro AUROC, apart from the luck of the halves."""
    errors = []
    for seed in range(30):
        predictions = simulate(replace(SMALL, seeds=3, levels=((1,), (16,), (3,)), base=(0.6, 0.95)), seed=seed)
        labels = predictions.labels.copy()
        rare = np.flatnonzero(labels[:, 0])[:5]
        labels[:, 0] = np.isin(np.arange(150), rare)
        predictions = predictions.replace(labels=labels)
        errors.append(best_of(predictions).value - macro_model(predictions).estimate.value.mean())
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(30) + 0.002


def test_the_records_of_a_patient_stay_in_one_half_and_every_fold_is_halved():
    predictions = simulate(replace(SMALL, records_of_a_patient=3, folds=5), seed=0)
    halves = _patient_halves(predictions, np.random.default_rng(0))
    of_patients = halves.reshape(SPLITS, 50, 3)
    assert (of_patients == of_patients[:, :, :1]).all()
    for fold in range(5):
        assert (halves[:, predictions.fold_of == fold].sum(axis=1) == 15).all()


def test_a_clear_winner_is_nearly_always_selected():
    best = best_of(simulate(replace(SMALL, effects=(-0.1, 0.08, -0.05), ratio=0.3), seed=0))
    assert best.scale == Scale(("depth", "channels", "kernel"), (1, 32, 3))
    share = {entry.scale: entry.share for entry in best.chosen}
    assert share[best.scale] > 0.9
    assert sum(share.values()) == pytest.approx(1)
    assert best.low < best.value < best.high


@pytest.mark.parametrize("ratio", [0.3, 3.0])
def test_the_value_of_the_best_scale_has_no_selection_bias_by_records_or_seeds(ratio):
    errors, errors_of_maximum = [], []
    for number in range(40):
        predictions = simulate(replace(SMALL, ratio=ratio), seed=number)  # all scales are equally good
        errors.append(best_of(predictions).value - 0.825)
        model = macro_model(predictions)
        errors_of_maximum.append(max(predictions.mean_weights() @ model.estimate.value) - 0.825)
    standard_error = np.std(errors) / np.sqrt(len(errors))
    assert np.mean(errors) == pytest.approx(0, abs=3 * standard_error)
    assert np.mean(errors_of_maximum) > np.mean(errors) + 3 * standard_error


def with_validation(setting, seed, noise=0.01):
    """A simulated study with validation metrics that have the true values and noise of their own."""
    predictions = simulate(setting, seed=seed)
    truth = setting.truth.mean(axis=1)[predictions.scale_of]
    return predictions.replace(validation=truth + np.random.default_rng(seed).normal(scale=noise, size=len(truth)))


def test_where_there_is_a_validation_metric_it_alone_selects():
    predictions = simulate(replace(SMALL, effects=(-0.1, 0.08, -0.05), ratio=0.3), seed=0)
    worst = np.array([t["depth"] == 2 and t["channels"] == 16 and t["kernel"] == 7 for t in predictions.trials])
    best = best_of(predictions.replace(validation=worst))
    assert best.scale == Scale(("depth", "channels", "kernel"), (2, 16, 7))
    assert {entry.scale: entry.share for entry in best.chosen}[best.scale] == 1
    model = macro_model(predictions)
    assert best.value == pytest.approx(model.estimate.value[worst].mean())


def test_a_value_selected_on_validation_has_no_bias_although_a_seed_that_is_lucky_there_is_lucky_on_test():
    errors, errors_of_named = [], []
    for number in range(60):
        predictions = simulate(replace(SMALL, ratio=3.0, seeds=3), seed=number)  # all scales are equally good
        model = macro_model(predictions)
        best = best_of(predictions.replace(validation=model.estimate.value))  # as lucky as can be
        errors.append(best.value - 0.825)
        place = predictions.scales.index(best.scale)
        errors_of_named.append(model.value(predictions.mean_weights()[place]) - 0.825)
    standard_error = np.std(errors) / np.sqrt(len(errors))
    assert np.mean(errors) == pytest.approx(0, abs=3 * standard_error)
    assert np.mean(errors_of_named) > np.mean(errors) + 3 * standard_error


def test_selecting_on_validation_covers_the_value_of_selecting_so():
    setting, covered = replace(SMALL, effects=(-0.01, 0.01, 0.0), seeds=3), 0
    truth = setting.truth.mean(axis=1)
    for number in range(60):
        best = best_of(with_validation(setting, number))
        target = sum(entry.share * truth[c] for c, entry in enumerate(best.chosen))
        covered += best.low <= target <= best.high
    assert covered >= 52  # 95 % of 60 is 57


def test_without_a_known_noise_of_seeds_no_scale_is_ruled_out_and_no_interval_given():
    single = simulate(replace(SMALL, seeds=1, levels=((1,), (16, 32), (3, 7)), effects=(0, 0.1, 0)), seed=0)
    best = analyse(single).best
    assert len(best.indistinguishable) == 4
    assert (best.low, best.high) == (None, None)


def test_a_label_with_an_optimum_of_its_own_differs_and_the_others_do_not():
    rng = np.random.default_rng(0)
    axes = itertools.product((1, 2), (3, 15), (0, 1, 2))
    trials = [{"depth": d, "channels": 8, "kernel": k, "seed": s} for d, k, s in axes]
    labels = np.column_stack([rng.random((600, 3)) < 0.3, np.zeros(600)])
    shift = np.array([[1.5, 1.5, 0.5, 0] if t["kernel"] == 3 else [0.8, 0.8, 1.5, 0] for t in trials])  # [R, K]
    scores = shift[:, None] * labels + rng.normal(size=(600, 4)) + 0.3 * rng.normal(size=(12, 600, 4))
    by_label = labels_of(StudyPredictions(trials, labels, scores))
    assert [entry and entry.differs for entry in by_label] == [False, False, True, None]
    assert by_label[2].scale["kernel"] == 15
    assert 0 < by_label[2].low < by_label[2].advantage < by_label[2].high


def test_equal_labels_seldom_differ():
    findings = [entry for number in range(30) for entry in labels_of(simulate(SMALL, seed=number))]
    assert len(findings) == 60
    assert sum(entry.differs for entry in findings) <= 2


def test_the_same_seed_gives_the_same_splits_and_another_seed_others():
    predictions = simulate(SMALL, seed=0)
    overall = [SplitSelection(predictions, seed=seed).overall() for seed in (3, 3, 4)]
    assert overall[0][1] == overall[1][1]
    assert overall[0][1] != overall[2][1]
