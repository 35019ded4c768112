"""Metrics against scikit-learn, weights against repeated records, windows against records."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from ecg_jax.evaluation import metrics
from ecg_jax.evaluation.pooling import decide, pool_windows
from ecg_jax.evaluation.scores import SCORES
from ecg_jax.evaluation.summary import interval, metric_value, patient_resamples, point_values, summarise
from ecg_jax.evaluation.thresholds import fit_thresholds
from ecg_jax.target import Target

FEW_SCORES = st.integers(0, 8).map(lambda n: n / 8)  # few values: ties are common
ONE_LABEL = st.integers(4, 40).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, n, elements=st.sampled_from([0.0, 1.0])),
        arrays(np.float64, n, elements=FEW_SCORES),
        arrays(np.float64, n, elements=st.integers(0, 3).map(float)),
    )
)


@given(ONE_LABEL)
def test_auroc_and_auprc_equal_scikit_learn_with_weights_and_ties(drawn):
    label, score, weight = drawn
    assume((weight * label).sum() > 0)
    assume((weight * (1 - label)).sum() > 0)
    both = (label, score, weight[None])
    assert metrics.auroc(*both)[0] == pytest.approx(sk.roc_auc_score(label, score, sample_weight=weight))
    expected = sk.average_precision_score(label, score, sample_weight=weight)
    assert metrics.auprc(*both)[0] == pytest.approx(expected)


@given(ONE_LABEL)
def test_the_roc_curve_equals_that_of_scikit_learn(drawn):
    label, score, _ = drawn
    assume(0 < label.sum() < len(label))
    false, true, _ = sk.roc_curve(label, score, drop_intermediate=False)
    np.testing.assert_allclose(metrics.roc_points(label, score), (false, true))


@pytest.mark.parametrize("kind", ["multilabel", "exclusive"])
@given(st.data())
def test_a_metric_by_itself_is_the_one_among_all(kind, data):
    target, n = Target(kind, ("a", "b", "c")), data.draw(st.integers(1, 20))
    shape = (n, 3)
    label = data.draw(arrays(np.uint8, shape, elements=st.integers(0, 1)))
    if kind == "exclusive":
        label = np.eye(3, dtype=np.uint8)[data.draw(arrays(int, n, elements=st.integers(0, 2)))]
    probability = data.draw(arrays(np.float64, shape, elements=FEW_SCORES))
    thresholds = fit_thresholds(label, probability, target)
    every = point_values(label, probability, thresholds, target=target, score="cinc2017")
    for name in ("macro_auroc", "macro_auprc", "macro_f1", "cinc2017"):
        np.testing.assert_equal(metric_value(name, label, probability, target), every[name])


@given(ONE_LABEL)
def test_f1_equals_scikit_learn(drawn):
    label, score, weight = drawn
    assume((weight * label).sum() > 0)
    decision = score >= 0.5
    found = metrics.f1(label[:, None], decision[:, None], weight[None])[0, 0]
    assert found == pytest.approx(sk.f1_score(label, decision, sample_weight=weight, zero_division=0))


@given(ONE_LABEL)
def test_a_weight_counts_a_record_that_many_times(drawn):
    label, score, weight = drawn
    assume(weight.sum() > 0)
    times = weight.astype(int)
    repeated_label, repeated_score = np.repeat(label, times)[:, None], np.repeat(score, times)[:, None]
    once = np.ones((1, times.sum()))
    for metric in (metrics.brier, metrics.ece):
        weighted = metric(label[:, None], score[:, None], weight[None])
        np.testing.assert_allclose(weighted, metric(repeated_label, repeated_score, once), atol=1e-12)


def test_brier_equals_scikit_learn():
    random = np.random.default_rng(0)
    label, probability = random.integers(0, 2, (50, 3)).astype(float), random.random((50, 3))
    expected = np.mean([sk.brier_score_loss(label[:, k], probability[:, k]) for k in range(3)])
    assert metrics.brier(label, probability, np.ones((1, 50)))[0] == pytest.approx(expected)


def test_calibration_error_of_one_bin_is_its_gap():
    label = np.array([1.0, 0, 0, 0])[:, None]  # a quarter of the labels is 1 where .31 is predicted
    assert metrics.ece(label, np.full((4, 1), 0.31), np.ones((1, 4)))[0] == pytest.approx(0.06)


def test_a_probability_of_one_is_in_the_last_bin():
    assert metrics.ece(np.ones((2, 1)), np.ones((2, 1)), np.ones((1, 2)))[0] == 0


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=2, max_size=20))
def test_a_resample_counts_all_records_of_a_patient_alike(names):
    patients = np.array(names)
    drawn = patient_resamples(patients, resamples=50, seed=1)
    for name in set(names) - {""}:
        of_patient = drawn[:, patients == name]
        assert (of_patient == of_patient[:, :1]).all()
    assert drawn.shape == (50, len(names))


def test_a_record_without_a_patient_varies_alone():
    drawn = patient_resamples(np.array(["", "", ""]), resamples=200, seed=0)
    assert (drawn[:, 0] != drawn[:, 1]).any()
    assert (drawn.sum(axis=1) == 3).all()


def test_an_interval_of_a_mean_covers_what_theory_says():
    draws = np.random.default_rng(0).normal(size=100_000)
    assert interval(draws) == pytest.approx((-1.96, 1.96), abs=0.03)
    assert interval(np.full(100, np.nan)) is None


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_every_record_counts_once(pool):
    random = np.random.default_rng(0)
    record = np.array([0, 0, 0, 1, 2, 2])
    windows = random.random((6, 4))
    pooled = pool_windows(windows, record, n_records=3, pool=pool, target=Target("multilabel", tuple("abcd")))
    for number in range(3):
        np.testing.assert_allclose(pooled[number], getattr(windows[record == number], pool)(axis=0))


def test_pooled_maxima_of_exclusive_labels_sum_to_one():
    windows = np.array([[0.9, 0.1], [0.2, 0.8]])
    pooled = pool_windows(windows, np.zeros(2, int), n_records=1, pool="max", target=Target("exclusive", ("a", "b")))
    assert pooled.sum() == pytest.approx(1)


def test_the_threshold_has_the_largest_f1_of_all():
    random = np.random.default_rng(3)
    label = random.integers(0, 2, (40, 3))
    probability = np.round(random.random((40, 3)) * 0.7 + label * 0.2, 1)  # ties
    fitted = fit_thresholds(label, probability, Target("multilabel", ("a", "b", "c")))
    assert fitted is not None
    for k in range(3):
        reached = sk.f1_score(label[:, k], probability[:, k] >= fitted[k])
        assert reached == max(sk.f1_score(label[:, k], probability[:, k] >= t) for t in np.linspace(0, 1, 201))


def test_a_label_with_one_class_keeps_the_threshold_of_a_half():
    label, probability = np.zeros((4, 1), int), np.random.default_rng(0).random((4, 1))
    assert fit_thresholds(label, probability, Target("multilabel", ("a",))) == [0.5]


def test_of_exclusive_labels_the_most_probable_is_decided_without_a_threshold():
    target, probability = Target("exclusive", ("a", "b", "c")), np.array([[0.2, 0.5, 0.3]])
    assert fit_thresholds(np.eye(3)[[1]], probability, target) is None
    assert decide(probability, None, target).tolist() == [[False, True, False]]


def summarised(label, probability):
    target = Target("multilabel", ("a", "b"))
    patients = np.full(len(label), "")
    return summarise(label, probability, np.full(2, 0.5), patients, target=target, score=None, resamples=50)


def test_a_label_with_a_single_class_is_null_and_left_out_of_the_mean():
    random = np.random.default_rng(0)
    label, probability = random.integers(0, 2, (60, 2)), random.random((60, 2))
    label[:, 1] = 0
    figures = summarised(label, probability)
    assert figures["labels_defined"] == 1
    assert figures["per_label"]["b"]["auroc"] == {"value": None, "low": None, "high": None}
    assert figures["metrics"]["macro_auroc"]["value"] == pytest.approx(sk.roc_auc_score(label[:, 0], probability[:, 0]))
    assert figures["per_label"]["a"]["positives"] == label[:, 0].sum()


def test_the_challenge_score_is_the_mean_f1_of_three_classes():
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 200)
    probability = random.dirichlet(np.ones(4), 200) + 0.4 * np.eye(4)[truth]
    target = Target("exclusive", ("A", "N", "O", "~"))
    figures = point_values(np.eye(4)[truth], probability, None, target=target, score="cinc2017")
    by_class = sk.f1_score(truth, probability.argmax(axis=1), average=None)
    assert figures["cinc2017"] == pytest.approx(by_class[:3].mean())
    assert figures["macro_f1"] == pytest.approx(by_class.mean())


def test_a_set_without_a_score_of_its_own_has_the_other_metrics_alone():
    target = Target("exclusive", ("A", "N", "O", "~"))
    assert not set(SCORES) & set(point_values(np.eye(4), np.eye(4), None, target=target))


def test_intervals_lie_around_the_value():
    random = np.random.default_rng(1)
    label = random.integers(0, 2, (200, 2))
    figures = summarised(label, 0.5 * random.random((200, 2)) + 0.25 * label)
    for name in ("macro_auroc", "macro_auprc", "macro_f1", "brier"):
        figure = figures["metrics"][name]
        assert figure["low"] < figure["value"] < figure["high"], name
    assert figures["metrics"]["ece"]["low"] is figures["metrics"]["ece"]["high"] is None  # chance raises it
