"""Operating points, calibration, groups and drops against scikit-learn, and against figures counted by hand."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from ecg_jax.evaluation import calibration as cal
from ecg_jax.evaluation import metrics
from ecg_jax.evaluation.drop import drop
from ecg_jax.evaluation.groups import FEWEST, by_group, groups_of
from ecg_jax.evaluation.operating import (
    confusion,
    confusion_square,
    operating_points,
    rates,
    threshold_for_sensitivity,
    threshold_for_specificity,
)
from ecg_jax.evaluation.predicted import predicted
from ecg_jax.evaluation.summary import patient_resamples
from ecg_jax.target import Target

EXACT = {"rel": 1e-9, "abs": 1e-9}
LABELS = ("a", "b", "c")


def made(n=400, seed=0, kind="multilabel"):
    """Predictions of three labels for records of patients with two records each."""
    random = np.random.default_rng(seed)
    target, thresholds = Target(kind, LABELS), None if kind == "exclusive" else np.array([0.5, 0.3, 0.7])
    if kind == "exclusive":
        label = np.eye(3)[random.integers(0, 3, n)]
        probability = random.dirichlet(np.ones(3), n) + 0.3 * label
        probability /= probability.sum(axis=1, keepdims=True)
    else:
        label = (random.random((n, 3)) < [0.5, 0.3, 0.2]).astype(float)
        probability = cal.sigmoid(random.normal(size=(n, 3)) + 2 * label - 1)
    patients = np.array([f"p{i // 2}" for i in range(n)])
    return predicted(label, probability, thresholds, patients, target)


def weights(of, resamples=200):
    return patient_resamples(of.patients, resamples=resamples)


@pytest.mark.parametrize("kind", ["multilabel", "exclusive"])
def test_the_four_rates_and_the_confusion_equal_scikit_learn(kind):
    of = made(kind=kind)
    points = operating_points(of, weights(of))
    for k, name in enumerate(LABELS):
        y, said = of.label[:, k], of.decision[:, k]
        (point,) = points["per_label"][name]
        tn, fp, fn, tp = sk.confusion_matrix(y, said).ravel()
        assert (point["tp"], point["fp"], point["fn"], point["tn"]) == (tp, fp, fn, tn)
        expected = {
            "sensitivity": sk.recall_score(y, said),
            "specificity": sk.recall_score(1 - y, ~said),
            "ppv": sk.precision_score(y, said),
            "npv": sk.precision_score(1 - y, ~said),
        }
        for rate, value in expected.items():
            assert point[rate]["value"] == pytest.approx(value, **EXACT)
            assert point[rate]["low"] < value < point[rate]["high"]
    assert points["per_label"]["a"][0]["at"] == ("threshold" if kind == "multilabel" else "decision")


def test_the_square_of_exclusive_labels_equals_scikit_learn():
    of = made(kind="exclusive")
    expected = sk.confusion_matrix(of.label.argmax(axis=1), of.decision.argmax(axis=1))
    assert operating_points(of, weights(of))["confusion"] == expected.tolist()
    assert confusion_square(of.label, of.decision) == expected.tolist()


def test_a_rate_of_no_record_is_null():
    label, decision = np.zeros((4, 1)), np.zeros((4, 1), bool)
    found = rates(label, decision, np.ones((1, 4)))
    assert np.isnan([found["sensitivity"], found["ppv"]]).all()
    assert found["specificity"] == found["npv"] == 1
    assert confusion(label, decision) == [{"tp": 0, "fp": 0, "fn": 0, "tn": 4}]


ONE_LABEL = st.integers(2, 40).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, n, elements=st.sampled_from([0.0, 1.0])),
        arrays(np.float64, n, elements=st.integers(0, 8).map(lambda x: x / 8)),
        st.sampled_from([0.05, 0.5, 0.8, 0.95, 0.99]),
    )
)


@given(ONE_LABEL)
def test_the_threshold_for_a_sensitivity_is_the_largest_that_reaches_it(drawn):
    label, probability, wanted = drawn
    assume(label.sum() > 0)
    threshold = threshold_for_sensitivity(label, probability, wanted)
    reached = (probability[label > 0] >= threshold).mean()
    assert reached >= wanted - 1e-9
    higher = [p for p in np.unique(probability) if p > threshold]
    for other in higher[1:]:  # decisions at the next higher probability are the same as at the threshold
        assert (probability[label > 0] >= other).mean() < wanted


@given(ONE_LABEL)
def test_the_threshold_for_a_specificity_is_the_smallest_that_reaches_it(drawn):
    label, probability, wanted = drawn
    assume((label == 0).any())
    threshold = threshold_for_specificity(label, probability, wanted)
    assert (probability[label == 0] < threshold).mean() >= wanted - 1e-9
    for other in (p for p in np.unique(probability) if p < threshold):
        assert (probability[label == 0] < other).mean() < wanted


def test_wanted_operating_points_are_chosen_on_validation_and_read_on_the_test_records():
    validation, test = made(seed=1), made(seed=2)
    found = operating_points(
        test, weights(test), validation=(validation.label, validation.probability), at_sensitivity=0.95
    )
    for k, name in enumerate(LABELS):
        point = found["per_label"][name][1]
        assert point["at"] == "sensitivity 0.95"
        on_validation = validation.probability[validation.label[:, k] > 0, k] >= point["threshold"]
        assert on_validation.mean() >= 0.95
        on_test = test.probability[:, k] >= point["threshold"]
        assert point["sensitivity"]["value"] == pytest.approx(sk.recall_score(test.label[:, k], on_test), **EXACT)


def test_slope_and_intercept_equal_an_unpenalised_logistic_regression():
    of = made()
    found = cal.calibration(of, weights(of, 50))
    for k, name in enumerate(LABELS):
        x, y = cal.logit(of.probability[:, k]), of.label[:, k]
        fit = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-14, max_iter=1000).fit(x[:, None], y)
        intercept, slope = cal.recalibration(y, of.probability[:, k], np.ones((1, len(y))))
        assert slope[0] == pytest.approx(fit.coef_[0, 0], **EXACT)
        assert intercept[0] == pytest.approx(fit.intercept_[0], **EXACT)
        assert found["per_label"][name]["slope"]["value"] == pytest.approx(fit.coef_[0, 0], **EXACT)
        shift = found["per_label"][name]["intercept"]["value"]
        assert cal.sigmoid(x + shift).mean() == pytest.approx(y.mean(), **EXACT)  # which defines it


@given(st.integers(0, 1000))
def test_a_weight_is_a_number_of_records_in_a_regression_too(seed):
    random = np.random.default_rng(seed)
    y, p = (random.random(60) < 0.4).astype(float), random.random(60)
    times = random.integers(0, 4, 60)
    weighted = cal.recalibration(y, p, times[None].astype(float))
    repeated = cal.recalibration(np.repeat(y, times), np.repeat(p, times), np.ones((1, times.sum())))
    np.testing.assert_allclose(weighted, repeated, atol=1e-9)


def test_separated_classes_have_no_slope():
    p = np.array([0.1, 0.2, 0.8, 0.9])
    assert np.isnan(cal.recalibration((p > 0.5).astype(float), p, np.ones((1, 4)))).all()


def test_a_calibrated_network_has_slope_one_and_intercept_zero():
    random = np.random.default_rng(0)
    p = random.random(200_000)
    y = (random.random(200_000) < p).astype(float)
    intercept, slope = cal.recalibration(y, p, np.ones((1, len(y))))
    assert (intercept[0], slope[0]) == pytest.approx((0, 1), abs=0.02)


def test_reliability_equals_scikit_learn_and_sums_to_the_calibration_error():
    of = made()
    found = cal.calibration(of, weights(of, 50))
    gaps = []
    for k, name in enumerate(LABELS):
        bins = found["per_label"][name]["bins"]
        observed, mean = calibration_curve(of.label[:, k], of.probability[:, k], n_bins=metrics.ECE_BINS)
        assert [b["observed"]["value"] for b in bins] == pytest.approx(observed.tolist(), **EXACT)
        assert [b["probability"] for b in bins] == pytest.approx(mean.tolist(), **EXACT)
        gaps.append(sum(b["records"] * abs(b["probability"] - b["observed"]["value"]) for b in bins) / len(of.label))
    assert found["ece"]["value"] == pytest.approx(np.mean(gaps), **EXACT)


@pytest.mark.parametrize("kind", ["multilabel", "exclusive"])
def test_the_temperature_minimises_the_log_loss(kind):
    of = made(kind=kind)
    fit = cal.fit_scaling(of.label, of.probability, of.target, "temperature")

    def loss(temperature):
        p = cal.scaled(of.probability, of.target, {"method": "temperature", "temperature": temperature})
        if kind == "exclusive":
            return sk.log_loss(of.label.argmax(axis=1), p)
        return np.mean([sk.log_loss(of.label[:, k], p[:, k]) for k in range(3)])

    best = loss(fit["temperature"])
    for factor in (0.999, 1.001):
        assert loss(factor * fit["temperature"]) > best


def test_platt_scaling_makes_slope_one_and_intercept_zero_where_it_was_fitted():
    of = made()
    fit = cal.fit_scaling(of.label, of.probability, of.target, "platt")
    after = cal.scaled(of.probability, of.target, fit)
    for k in range(3):
        intercept, slope = cal.recalibration(of.label[:, k], after[:, k], np.ones((1, len(after))))
        assert (intercept[0], slope[0]) == pytest.approx((0, 1), abs=1e-9)


def test_exclusive_labels_have_a_temperature_alone():
    of = made(kind="exclusive")
    with pytest.raises(ValueError, match="a temperature alone"):
        cal.fit_scaling(of.label, of.probability, of.target, "platt")
    scaling = cal.fit_scaling(of.label, of.probability, of.target, "temperature")
    np.testing.assert_allclose(cal.scaled(of.probability, of.target, scaling).sum(axis=1), 1)


def people(n, seed=0):
    random = np.random.default_rng(seed)
    ages = random.integers(20, 90, n).astype(float)
    ages[::17] = np.nan
    return ages, random.choice(["female", "male", ""], n), random.choice(["x", "y"], n)


def test_groups_are_tertiles_or_bins_of_age_sexes_and_sources_and_each_record_is_in_one():
    ages, sexes, sources = people(300)
    groups = groups_of(ages, sexes, sources)
    assert list(groups) == ["age", "sex", "source"]
    for members in groups.values():
        assert (np.sum(list(members.values()), axis=0) == 1).all()
    young, middle, old, unknown = groups["age"].values()
    assert abs(young.sum() - old.sum()) < 15
    assert np.isnan(ages[unknown]).all()
    assert ages[young].max() < ages[middle].min() <= ages[middle].max() < ages[old].min()
    assert list(groups_of(ages, sexes, sources, (40, 65))["age"]) == [
        "under 40", "40 to under 65", "65 and over", "unknown",
    ]  # fmt: skip
    assert groups_of(np.full(300, np.nan), np.full(300, ""), np.full(300, "x")) == {}


def test_figures_of_a_group_are_those_of_its_records_alone():
    of = made()
    ages, sexes, sources = people(len(of.label))
    found = by_group([of], groups_of(ages, sexes, sources), resamples=100)["sex"]
    assert found["labels_in_means"] == list(LABELS)
    group = found["groups"]["female"]
    mine = sexes == "female"
    assert group["records"] == mine.sum()
    by_label = [sk.roc_auc_score(of.label[mine, k], of.probability[mine, k]) for k in range(3)]
    assert group["metrics"]["macro_auroc"]["value"] == pytest.approx(np.mean(by_label), **EXACT)
    for k, name in enumerate(LABELS):
        figures = group["per_label"][name]
        assert figures["positives"] == of.label[mine, k].sum()
        assert figures["auroc"]["value"] == pytest.approx(by_label[k], **EXACT)
        assert figures["f1"]["value"] == pytest.approx(sk.f1_score(of.label[mine, k], of.decision[mine, k]), **EXACT)
        assert figures["auroc"]["low"] < by_label[k] < figures["auroc"]["high"]


def test_a_group_with_fewer_positives_than_twenty_is_too_small_for_that_label():
    of = made()
    few = np.zeros(len(of.label), bool)
    few[np.flatnonzero(of.label[:, 2])[: FEWEST - 1]] = True
    few[np.flatnonzero(of.label[:, 2] == 0)[:100]] = True
    found = by_group([of], {"sex": {"female": few, "male": ~few}}, resamples=50)["sex"]
    rare = found["groups"]["female"]["per_label"]["c"]
    assert rare["too_small"]
    assert rare["positives"] == FEWEST - 1
    assert rare["auroc"]["value"] is None
    assert found["labels_in_means"] == ["a", "b"]
    assert not found["groups"]["male"]["per_label"]["c"]["too_small"]


def test_a_group_without_any_large_label_does_not_decide_what_the_others_are_compared_on():
    of = made()
    tiny = np.arange(len(of.label)) < 6
    found = by_group([of], {"source": {"tiny": tiny, "rest": ~tiny}}, resamples=50)["source"]
    assert found["groups"]["tiny"]["metrics"] == {}
    assert found["labels_in_means"] == list(LABELS)


def test_metrics_of_several_networks_are_their_means():
    networks = [made(seed=0), made(seed=0)]
    networks[1] = predicted(networks[0].label, made(seed=5).probability, np.full(3, 0.4), networks[0].patients,
                            networks[0].target)  # fmt: skip
    every = {"sex": {"all": np.ones(400, bool)}}
    each = [by_group([of], every, resamples=50)["sex"]["groups"]["all"]["metrics"] for of in networks]
    both = by_group(networks, every, resamples=50)["sex"]["groups"]["all"]["metrics"]
    for name, figure in both.items():
        assert figure["value"] == pytest.approx(np.mean([of[name]["value"] for of in each]), **EXACT)


def test_the_drop_is_the_difference_of_the_metrics_over_the_labels_that_both_sets_have():
    own, other = made(seed=0), made(seed=1, n=200)
    other.label[:, 2] = 0
    found = drop(own, other, resamples=200)
    assert found["labels"] == ["a", "b"]

    def mean_auroc(of):
        return np.mean([sk.roc_auc_score(of.label[:, k], of.probability[:, k]) for k in range(2)])

    loss = found["metrics"]["macro_auroc"]
    assert loss["value"] == pytest.approx(mean_auroc(own) - mean_auroc(other), **EXACT)
    assert loss["low"] < loss["value"] < loss["high"]
    assert found["per_label"]["a"]["f1"]["own"] == pytest.approx(sk.f1_score(own.label[:, 0], own.decision[:, 0]))


def test_the_interval_of_a_drop_has_the_noise_of_both_sets():
    """The variance of a difference of independent figures is the sum of both."""
    own, other = made(seed=0), made(seed=1)
    found = drop(own, other, resamples=1000)["metrics"]["macro_auroc"]
    width = found["high"] - found["low"]
    parts = []
    for of in (own, other):
        group = by_group([of], {"sex": {"all": np.ones(400, bool)}}, resamples=1000)["sex"]["groups"]["all"]
        parts.append(group["metrics"]["macro_auroc"]["high"] - group["metrics"]["macro_auroc"]["low"])
    assert width == pytest.approx(np.hypot(*parts), rel=0.1)


def test_a_share_of_all_has_the_exact_interval_of_its_patients():
    """Of 20 patients who all have it, 1 - .025 ** (1 / 20) may lack it; resamples show nothing."""
    label = np.repeat([1.0, 0.0], 40)[:, None]
    patients = np.array([f"p{n // 2}" for n in range(80)])
    of = predicted(label, 0.6 * label + 0.1, np.array([0.5]), patients, Target("multilabel", ("a",)))
    (point,) = operating_points(of, patient_resamples(patients, resamples=50))["per_label"]["a"]
    assert point["sensitivity"] == {"value": 1.0, "low": pytest.approx(0.025 ** (1 / 20)), "high": 1.0}
    bins = cal.calibration(of, patient_resamples(patients, resamples=50))["per_label"]["a"]["bins"]
    assert bins[0]["observed"] == {"value": 0.0, "low": 0.0, "high": pytest.approx(1 - 0.025 ** (1 / 20))}


def test_the_patients_of_the_two_sets_of_a_drop_are_drawn_independently():
    of = made()
    found = drop(of, of, resamples=200)["metrics"]["macro_auroc"]
    assert found["value"] == 0
    assert found["low"] < -0.01 < 0.01 < found["high"]
