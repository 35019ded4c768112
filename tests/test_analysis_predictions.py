"""What an analysis is handed: checked in one line, and which labels count where."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from ecg_jax.analysis import StudyPredictions
from ecg_jax.analysis.influence import aurocs, mean_of, others
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.errors import UserError
from ecg_jax.evaluation import metrics
from ecg_jax.evaluation.summary import point_values
from ecg_jax.target import Target

TRIALS = [{"depth": d, "channels": 8, "kernel": k, "seed": s} for d, k, s in itertools.product((1, 2), (3, 7), (0, 1))]


def made(**changes):
    rng = np.random.default_rng(0)
    labels = rng.random((60, 3)) < 0.4
    probabilities = np.round(rng.random((len(TRIALS), 60, 3)) * 0.6 + 0.4 * labels, 1)  # many ties
    return StudyPredictions(**{"trials": TRIALS, "labels": labels, "probabilities": probabilities, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trials": []}, "at least one trial"),
        ({"trials": [*TRIALS[:-1], TRIALS[0]]}, "trials 0 and 7 are the same"),
        ({"trials": [{**TRIALS[0], "depth": 0}, *TRIALS[1:]]}, "trial 0: depth must be a whole number from 1"),
        ({"trials": [{"depth": 1, "channels": 8, "kernel": 3}, *TRIALS[1:]]}, "seed must be"),
        ({"labels": np.full((60, 3), 2)}, "labels must be 0 or 1"),
        ({"labels": np.full((60, 3), np.nan)}, "labels must be 0 or 1"),
        ({"labels": np.zeros(60)}, "labels must have the shape"),
        ({"probabilities": np.zeros((8, 60, 2))}, "probabilities must have the shape"),
        ({"probabilities": np.full((8, 60, 3), np.nan)}, "finite"),
        ({"label_names": ["a", "a", "b"]}, "label_names"),
        ({"folds": np.zeros(59)}, "folds must have the shape"),
        ({"patients": np.zeros((60, 1))}, "patients must have the shape"),
        ({"thresholds": np.zeros((8, 4))}, "thresholds must have the shape"),
        ({"thresholds": np.zeros((8, 2, 3))}, "thresholds must have the shape"),
        ({"score": 3}, "score must be a function"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_that_names_it(changes, said):
    with pytest.raises(UserError, match=said) as refused:
        made(**changes)
    assert "\n" not in str(refused.value)


def test_auroc_is_that_of_the_metrics_within_each_fold_with_ties():
    outcomes = made(folds=np.arange(60) % 2)
    one = np.ones((1, 30))
    for k, measure in enumerate(aurocs(outcomes)):
        for t in range(len(TRIALS)):
            by_fold = [
                metrics.auroc(outcomes.labels[f::2, k].astype(float), outcomes.probabilities[t, f::2, k], one)[0]
                for f in (0, 1)
            ]
            assert measure.value[t] == pytest.approx(np.mean(by_fold), abs=1e-12)


def test_other_figures_are_those_of_the_report():
    outcomes = made(thresholds=np.full((8, 3), 0.6))
    found = others(outcomes)
    for t in range(len(TRIALS)):
        figures = point_values(
            outcomes.labels.astype(float),
            outcomes.probabilities[t],
            np.full(3, 0.6),
            target=Target("multilabel", ("a", "b", "c")),
        )
        assert found["macro_f1"].value[t] == pytest.approx(figures["macro_f1"])
        assert found["macro_auprc"].value[t] == pytest.approx(figures["macro_auprc"])


def test_exclusive_labels_take_the_largest_probability():
    labels = np.eye(3)[np.arange(60) % 3]
    sure = np.where(labels == 1, 0.4, 0.3)[None].repeat(8, 0)  # below one half, and largest
    assert others(made(labels=labels, probabilities=sure))["macro_f1"].value == pytest.approx(1)
    assert others(made(labels=labels, probabilities=sure, exclusive=False))["macro_f1"].value == pytest.approx(0)


def test_thresholds_may_differ_between_trials_and_folds():
    labels = (np.arange(60) % 4 < 2)[:, None]
    folds = np.arange(60) % 2
    probabilities = np.where(labels, 0.6, 0.4)[None].repeat(8, 0) + 0.3 * folds[None, :, None]
    limits = np.tile([[0.5], [0.8]], (8, 1, 1))
    found = others(made(labels=labels, probabilities=probabilities, folds=folds, thresholds=limits))
    assert found["macro_f1"].value == pytest.approx(1)


def test_score_is_the_mean_over_folds_of_the_sets_own_function():
    outcomes = made(folds=np.arange(60) % 3, score=lambda y, p: float(np.abs(y - p).mean()))
    gap = np.abs(outcomes.labels - outcomes.probabilities).mean(axis=(1, 2))  # folds of equal size
    assert others(outcomes)["score"].value == pytest.approx(gap)


def test_a_label_with_one_record_of_a_class_in_a_fold_is_left_out_there_and_only_there():
    outcomes = made(folds=np.arange(60) % 2)
    labels = outcomes.labels.copy()
    labels[::2, 0] = False
    labels[0, 0] = True  # one record in fold 0
    few = made(labels=labels, folds=np.arange(60) % 2)
    assert few.defined.tolist() == [[False, True], [True, True], [True, True]]
    of_fold_1 = metrics.auroc(labels[1::2, 0].astype(float), few.probabilities[3, 1::2, 0], np.ones((1, 30)))
    assert aurocs(few)[0].value[3] == pytest.approx(of_fold_1[0])


def test_macro_is_the_mean_over_labels_of_the_mean_over_their_folds():
    folds = np.arange(60) % 2
    labels = made().labels.copy()
    labels[folds == 0, 0] = False
    labels[:, 2] = True  # defined nowhere
    measures = aurocs(made(labels=labels, folds=folds))
    assert measures[2] is None
    assert mean_of(measures).value == pytest.approx((measures[0].value + measures[1].value) / 2)


def test_the_influences_variance_is_that_of_a_bootstrap_of_patients():
    rng = np.random.default_rng(1)
    patients = np.arange(300) // 3
    labels = (rng.random((100, 1)) < 0.4)[patients]
    noise = rng.normal(size=(2, 300, 1)) + rng.normal(size=(2, 100, 1))[:, patients]  # a patient's records are alike
    trials = [{"depth": 1, "channels": 8, "kernel": 3, "seed": s} for s in (0, 1)]
    outcomes = StudyPredictions(trials, labels, labels + noise, patients=patients)
    (measure,) = aurocs(outcomes)
    weights = rng.multinomial(100, np.full(100, 0.01), size=4000)[:, patients].astype(float)
    drawn = metrics.auroc(labels[:, 0].astype(float), outcomes.probabilities[0, :, 0], weights)
    assert np.sqrt((measure.influence[0] ** 2).sum()) == pytest.approx(drawn.std(), rel=0.1)
    alone = aurocs(replace(outcomes, patients=None))[0]
    assert (alone.influence[0] ** 2).sum() < 0.7 * (measure.influence[0] ** 2).sum()


def test_where_one_patient_alone_makes_up_a_class_its_records_count_singly():
    outcomes = simulate(Setting(seeds=1, levels=((1,), (16,), (3,)), records=200, base=(0.8,)), seed=0)
    positive = outcomes.labels[:, 0]
    by_record = aurocs(outcomes)[0]
    lone = replace(outcomes, patients=np.where(positive, 0, 1 + np.arange(200)))
    assert aurocs(lone)[0].influence.std() == pytest.approx(by_record.influence.std())
    own_fold = replace(lone, folds=np.arange(200) % 4, patients=np.arange(200) % 4, score=lambda y, p: float(p.mean()))
    assert (aurocs(own_fold)[0].influence ** 2).sum() > 0
    assert np.isfinite(others(own_fold)["score"].influence).all()


def test_patients_without_a_name_are_patients_of_their_own():
    names = np.array(["", "a", "", "a", "b"] * 12)
    assert made(patients=names).n_patients == 24 + 2


def test_jackknife_and_placements_agree_on_the_variance():
    rng = np.random.default_rng(2)
    labels = rng.random((400, 2)) < 0.4
    outcomes = made(labels=labels, probabilities=rng.random((8, 400, 2)) + 0.3 * labels, score=_macro_auroc)
    exact, jackknife = mean_of(aurocs(outcomes)), others(outcomes)["score"]
    one, other = ((m.influence**2).sum(axis=1) for m in (exact, jackknife))
    assert jackknife.value == pytest.approx(exact.value)
    assert other.mean() == pytest.approx(one.mean(), rel=0.15)  # a hundred groups of four


def _macro_auroc(labels, probabilities):
    found = metrics.per_label(metrics.auroc, labels.astype(float), probabilities, np.ones((1, len(labels))))
    return float(metrics.macro(found)[0])
