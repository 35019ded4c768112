"""Metrics of all trials, and the influence of each record or patient on them."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from ecg_jax.analysis import StudyPredictions
from ecg_jax.analysis.influence import aurocs, macro_auroc, other_metrics
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.evaluation import metrics

TRIALS = [{"depth": d, "channels": 8, "kernel": k, "seed": s} for d, k, s in itertools.product((1, 2), (3, 7), (0, 1))]


def made(**changes):
    rng = np.random.default_rng(0)
    labels = rng.random((60, 3)) < 0.4
    probabilities = np.round(rng.random((len(TRIALS), 60, 3)) * 0.6 + 0.4 * labels, 1)  # many ties
    return StudyPredictions(**{"trials": TRIALS, "labels": labels, "probabilities": probabilities, **changes})


def by_fold(metric, predictions, trial, k):
    """A metric of scikit-learn, averaged over the two folds of even and odd records."""
    labels, scores = predictions.labels[:, k], predictions.probabilities[trial, :, k]
    return np.mean([metric(labels[fold::2], scores[fold::2]) for fold in (0, 1)])


def test_auroc_is_that_of_scikit_learn_averaged_over_folds_and_labels():
    predictions = made(folds=np.arange(60) % 2)
    expected = [[by_fold(roc_auc_score, predictions, r, k) for r in range(8)] for k in range(3)]
    np.testing.assert_allclose([estimate.value for estimate in aurocs(predictions)], expected, atol=1e-12)
    np.testing.assert_allclose(macro_auroc(predictions).value, np.mean(expected, axis=0), atol=1e-12)


def test_auprc_and_f1_are_those_of_scikit_learn_averaged_over_folds_and_labels():
    predictions = made(folds=np.arange(60) % 2, thresholds=np.full((8, 3), 0.6))
    others = other_metrics(predictions)
    for metric, name in ((average_precision_score, "macro_auprc"), (lambda y, p: f1_score(y, p >= 0.6), "macro_f1")):
        expected = [np.mean([by_fold(metric, predictions, r, k) for k in range(3)]) for r in range(8)]
        np.testing.assert_allclose(others[name].value, expected, atol=1e-12)


def test_exclusive_labels_are_decided_by_the_largest_probability():
    labels = np.eye(3)[np.arange(60) % 3]
    largest = np.where(labels == 1, 0.4, 0.3)[None].repeat(8, 0)  # below one half
    assert other_metrics(made(labels=labels, probabilities=largest))["macro_f1"].value == pytest.approx(1)
    multilabel = made(labels=labels, probabilities=largest, exclusive=False)
    assert other_metrics(multilabel)["macro_f1"].value == pytest.approx(0)


def test_thresholds_may_differ_between_folds():
    labels = (np.arange(60) % 4 < 2)[:, None]
    folds = np.arange(60) % 2
    probabilities = np.where(labels, 0.6, 0.4)[None].repeat(8, 0) + 0.3 * folds[None, :, None]
    thresholds = np.tile([[0.5], [0.8]], (8, 1, 1))
    predictions = made(labels=labels, probabilities=probabilities, folds=folds, thresholds=thresholds)
    assert other_metrics(predictions)["macro_f1"].value == pytest.approx(1)


def test_the_score_is_the_mean_over_folds_of_the_data_sets_own_function():
    predictions = made(folds=np.arange(60) % 3, score=lambda y, p: float(np.abs(y - p).mean()))
    expected = np.abs(predictions.labels - predictions.probabilities).mean(axis=(1, 2))  # folds of equal size
    assert other_metrics(predictions)["score"].value == pytest.approx(expected)


def test_a_score_of_decisions_follows_the_thresholds_of_each_trial():
    thresholds = np.linspace(0.2, 0.9, 8 * 3).reshape(8, 3)
    predictions = made(thresholds=thresholds, score=lambda y, d: float((y == d).mean()), score_of="decisions")
    decided = predictions.probabilities >= thresholds[:, None]
    assert other_metrics(predictions)["score"].value == pytest.approx((decided == predictions.labels).mean(axis=(1, 2)))
    assert predictions.of_trials(range(4)).score_of == "decisions"


def test_a_label_with_one_record_of_a_class_in_a_fold_is_left_out_of_that_fold():
    labels = made().labels.copy()
    labels[::2, 0] = False
    labels[0, 0] = True  # one record in fold 0
    predictions = made(labels=labels, folds=np.arange(60) % 2)
    of_fold_1 = roc_auc_score(labels[1::2, 0], predictions.probabilities[3, 1::2, 0])
    assert aurocs(predictions)[0].value[3] == pytest.approx(of_fold_1)


def test_a_label_defined_in_no_fold_does_not_count_in_the_macro_mean():
    labels = made().labels.copy()
    labels[:, 2] = True
    predictions = made(labels=labels)
    assert aurocs(predictions)[2] is None
    two = [roc_auc_score(labels[:, k], predictions.probabilities[5, :, k]) for k in (0, 1)]
    assert macro_auroc(predictions).value[5] == pytest.approx(np.mean(two))


def test_the_variance_by_influences_is_that_of_a_bootstrap_of_patients():
    rng = np.random.default_rng(1)
    patients = np.arange(300) // 3
    labels = (rng.random((100, 1)) < 0.4)[patients]
    noise = rng.normal(size=(2, 300, 1)) + rng.normal(size=(2, 100, 1))[:, patients]  # a patient's records are alike
    trials = [{"depth": 1, "channels": 8, "kernel": 3, "seed": s} for s in (0, 1)]
    predictions = StudyPredictions(trials, labels, labels + noise, patients=patients)
    (estimate,) = aurocs(predictions)
    weights = rng.multinomial(100, np.full(100, 0.01), size=4000)[:, patients].astype(float)
    resampled = metrics.auroc(labels[:, 0].astype(float), predictions.probabilities[0, :, 0], weights)
    variance = (estimate.influence[0] ** 2).sum()
    assert np.sqrt(variance) == pytest.approx(resampled.std(), rel=0.1)
    of_records = (aurocs(predictions.replace(patients=None))[0].influence[0] ** 2).sum()
    assert of_records < 0.7 * variance


def test_the_variance_of_one_auroc_is_that_of_delong():
    """DeLong et al. 1988: S10 / m + S01 / n, from the placement values of positives and negatives."""
    predictions = made()
    positive, score = predictions.labels[:, 0], predictions.probabilities[0, :, 0]
    above = score[positive][:, None] > score[~positive]
    order = above + 0.5 * (score[positive][:, None] == score[~positive])  # [m, n]
    expected = order.mean(axis=1).var(ddof=1) / positive.sum() + order.mean(axis=0).var(ddof=1) / (~positive).sum()
    assert (aurocs(predictions)[0].influence[0] ** 2).sum() == pytest.approx(expected)


def test_where_one_patient_makes_up_a_class_the_variance_is_that_of_records():
    predictions = simulate(Setting(seeds=1, levels=((1,), (16,), (3,)), records=200, base=(0.8,)), seed=0)
    positive = predictions.labels[:, 0]
    lone = predictions.replace(patients=np.where(positive, 0, 1 + np.arange(200)))
    for left, right in zip(aurocs(lone), aurocs(predictions), strict=True):
        assert (left.influence**2).sum() == pytest.approx((right.influence**2).sum())


def test_a_patient_in_every_fold_alone_leaves_finite_influences():
    predictions = simulate(Setting(seeds=1, levels=((1,), (16,), (3,)), records=200, base=(0.8,)), seed=0)

    def score(label, probability):
        return float(probability.mean())

    own_fold = predictions.replace(folds=np.arange(200) % 4, patients=np.arange(200) % 4, score=score)
    assert (aurocs(own_fold)[0].influence ** 2).sum() > 0
    assert np.isfinite(other_metrics(own_fold)["score"].influence).all()


def test_jackknife_and_placement_values_agree_on_the_variance():
    def macro(labels, probabilities):
        return roc_auc_score(labels, probabilities, average="macro")

    rng = np.random.default_rng(2)
    labels = rng.random((400, 2)) < 0.4
    predictions = made(labels=labels, probabilities=rng.random((8, 400, 2)) + 0.3 * labels, score=macro)
    exact, jackknife = macro_auroc(predictions), other_metrics(predictions)["score"]
    assert jackknife.value == pytest.approx(exact.value)
    of_exact, of_jackknife = ((estimate.influence**2).sum(axis=1) for estimate in (exact, jackknife))
    assert of_jackknife.mean() == pytest.approx(of_exact.mean(), rel=0.15)  # a hundred groups of four records
