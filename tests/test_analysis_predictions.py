"""What an analysis starts from: checked in one line, and which labels, records and patients count where."""

import itertools

import numpy as np
import pytest

from ecg_jax.analysis import StudyPredictions
from ecg_jax.analysis.axes import Axis, Scale
from ecg_jax.errors import ConfigError

TRIALS = [{"depth": d, "channels": 8, "kernel": k, "seed": s} for d, k, s in itertools.product((1, 2), (3, 7), (0, 1))]
DROPOUT, HEAD = Axis("model.dropout", kind="linear"), Axis("model.head", kind="categorical")
WEIGHT_DECAY = Axis("train.weight_decay")


def made(**changes):
    rng = np.random.default_rng(0)
    labels = rng.random((60, 3)) < 0.4
    probabilities = np.round(rng.random((len(TRIALS), 60, 3)) * 0.6 + 0.4 * labels, 1)
    return StudyPredictions(**{"trials": TRIALS, "labels": labels, "probabilities": probabilities, **changes})


def with_levels(**levels):
    return [{**trial, **levels} for trial in TRIALS]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": []}, "at least one trial"),
        ({"trials": [*TRIALS[:-1], TRIALS[0]]}, "trials 0 and 7 are the same: depth 1, channels 8, kernel 3, seed 0"),
        ({"trials": [{**TRIALS[0], "depth": 0}, *TRIALS[1:]]}, "trial 0: depth must be a whole number from 1"),
        ({"trials": [{**TRIALS[0], "kernel": 3.5}, *TRIALS[1:]]}, "trial 0: kernel must be a whole number from 1"),
        ({"trials": [{"depth": 1, "channels": 8, "kernel": 3}, *TRIALS[1:]]}, "trial 0: seed must be"),
        ({"axes": [DROPOUT]}, "trial 0: model.dropout must be a number; got None"),
        ({"axes": [DROPOUT], "trials": with_levels(**{"model.dropout": "no"})}, "model.dropout must be a number"),
        ({"axes": [WEIGHT_DECAY], "trials": with_levels(**{"train.weight_decay": 0})}, "must be a number above 0"),
        ({"axes": [HEAD]}, "trial 0: model.head must be a text or a number; got None"),
        ({"axes": []}, "needs one axis or more"),
        ({"axes": [Axis("model.depth"), Axis("model.depth")]}, "one axis or more, each once"),
        ({"labels": np.full((60, 3), 2)}, "labels must be 0 or 1"),
        ({"labels": np.full((60, 3), np.nan)}, "labels must be 0 or 1"),
        ({"labels": np.full((60, 3), "yes")}, "labels must be numbers"),
        ({"labels": np.zeros(60)}, "labels must have the shape"),
        ({"labels": [[1], [1, 0]]}, "labels must be an array; its rows differ in length"),
        ({"probabilities": np.zeros((8, 60, 2))}, "probabilities must have the shape"),
        ({"probabilities": np.full((8, 60, 3), np.nan)}, "finite"),
        ({"label_names": ["a", "a", "b"]}, "label_names must be 3 different names"),
        ({"folds": np.zeros(59)}, "folds must have the shape"),
        ({"patients": np.zeros((60, 1))}, "patients must have the shape"),
        ({"thresholds": np.zeros((8, 4))}, "thresholds must have the shape"),
        ({"thresholds": np.zeros((8, 2, 3))}, "thresholds must have the shape"),
        ({"score": 3}, "score must be a function"),
        ({"validation": np.zeros(7)}, "validation must be 8 finite numbers, one for each trial"),
        ({"validation": [0.8] * 7 + [float("nan")]}, "validation must be 8 finite numbers"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_that_names_it(changes, message):
    with pytest.raises(ConfigError, match=message) as refused:
        made(**changes)
    assert "\n" not in str(refused.value)


def test_lists_are_converted_to_arrays_of_their_types():
    predictions = StudyPredictions(TRIALS[:1], [[0, 1], [1, 0]], [[[0, 1], [1, 0]]], label_names=["a", "b"])
    assert (predictions.labels.dtype, predictions.probabilities.dtype) == (bool, float)
    assert (predictions.n_trials, predictions.n_records, predictions.n_labels) == (1, 2, 2)
    assert predictions.label_names == ("a", "b")


def test_the_validation_of_a_trial_stays_with_it_and_does_not_pass_for_that_of_a_label():
    predictions = made(validation=np.arange(8))
    assert predictions.of_trials([6, 2]).validation.tolist() == [6, 2]
    assert predictions.of_label("label 1").validation is None
    assert made().validation is None


def test_the_trials_that_were_given_are_not_changed():
    trials = [{**trial, "depth": np.int64(trial["depth"])} for trial in TRIALS]
    predictions = made(trials=trials)
    assert type(predictions.trials[0]["depth"]) is int
    assert type(trials[0]["depth"]) is np.int64


def test_labels_exclude_each_other_where_every_record_has_one_and_no_threshold_is_given():
    one_each = np.eye(3)[np.arange(60) % 3]
    assert made(labels=one_each).target.kind == "exclusive"
    assert made(labels=one_each, thresholds=np.full((8, 3), 0.5)).target.kind == "multilabel"
    assert made().target.kind == "multilabel"
    assert made(exclusive=True).target.kind == "exclusive"


def test_axes_are_depth_channels_and_kernel_with_the_levels_of_the_trials_if_none_are_given():
    axes = made().axes
    assert [(axis.name, axis.levels) for axis in axes] == [("depth", (1, 2)), ("channels", (8,)), ("kernel", (3, 7))]
    assert [axis.claim for axis in axes] == [-1, 1, -1]


def test_levels_of_a_categorical_axis_keep_the_given_order_and_only_those_that_occur_count():
    heads = ["gap", "mean", "attention", "gap"]
    trials = [{**trial, "model.head": heads[r % 4], "seed": r} for r, trial in enumerate(TRIALS)]
    order = Axis("model.head", ("mean", "max", "gap", "attention"), "categorical")
    predictions = made(trials=trials, axes=[order])
    assert predictions.axes[0].levels == ("mean", "gap", "attention")
    assert [scale["model.head"] for scale in predictions.scales] == ["mean", "gap", "attention"]
    assert made(trials=trials, axes=[HEAD]).axes[0].levels == ("attention", "gap", "mean")


def test_scales_are_sorted_by_value_and_every_trial_belongs_to_one():
    trials = [{"model.dropout": x, "seed": s} for x in (0.3, 0.05, 0.1, 0) for s in (0, 1)]
    predictions = made(trials=trials, axes=[DROPOUT])
    assert predictions.scales == [Scale(("model.dropout",), (x,)) for x in (0, 0.05, 0.1, 0.3)]
    assert predictions.scale_of.tolist() == [3, 3, 1, 1, 2, 2, 0, 0]
    assert predictions.trials_of(1).tolist() == [2, 3]


def test_mean_weights_give_the_mean_over_the_seeds_of_each_scale():
    predictions = made().of_trials([0, 1, 2, 4, 5, 6, 7])  # the second of four scales has one seed only
    value = np.arange(7.0)
    means = predictions.mean_weights() @ value
    assert means == pytest.approx([np.mean([0, 1]), 2, np.mean([3, 4]), np.mean([5, 6])])


def test_of_trials_keeps_everything_else_and_cuts_the_thresholds_along():
    whole = made(thresholds=np.arange(24.0).reshape(8, 3), folds=np.arange(60) % 2, label_names=["a", "b", "c"])
    some = whole.of_trials(np.array([6, 1]))
    assert some.trials == [whole.trials[6], whole.trials[1]]
    np.testing.assert_array_equal(some.probabilities, whole.probabilities[[6, 1]])
    np.testing.assert_array_equal(some.thresholds, whole.thresholds[[6, 1]])
    assert (some.n_folds, some.label_names) == (2, ("a", "b", "c"))


def test_of_label_has_one_label_and_is_multilabel():
    whole = made(labels=np.eye(3)[np.arange(60) % 3], label_names=["a", "b", "c"])
    one = whole.of_label("b")
    np.testing.assert_array_equal(one.labels[:, 0], whole.labels[:, 1])
    np.testing.assert_array_equal(one.probabilities[..., 0], whole.probabilities[..., 1])
    assert (one.label_names, one.target.kind) == (("b",), "multilabel")
    with pytest.raises(ConfigError, match="no such label; choose from a, b, c"):
        whole.of_label("d")


@pytest.mark.parametrize(("records", "counts"), [(4, False), (5, True)])
@pytest.mark.parametrize("rare", [True, False])
def test_a_label_counts_in_the_folds_with_five_records_of_each_class(records, counts, rare):
    labels = made().labels.copy()
    labels[::2, 0] = not rare
    labels[: 2 * records : 2, 0] = rare  # in fold 0
    assert made(labels=labels, folds=np.arange(60) % 2).defined.tolist() == [[counts, True], [True, True], [True, True]]


def test_patients_without_a_name_are_patients_of_their_own():
    names = np.array(["", "a", "", "a", "b"] * 12)
    assert made(patients=names).n_patients == 24 + 2


@pytest.mark.parametrize("nobody", [None, "", float("nan")])
def test_a_missing_name_is_none_an_empty_text_or_nan(nobody):
    patients = np.array([1, 1, nobody, nobody, *range(2, 58)], object)
    assert made(patients=patients).n_patients == 57 + 2


def test_the_records_of_a_patient_who_alone_makes_up_a_class_are_units_of_their_own():
    labels = np.zeros((60, 1), bool)
    labels[:5] = True
    patients = np.arange(60) // 5  # the first patient has all positives
    units = made(labels=labels, probabilities=np.zeros((8, 60, 1)), patients=patients).unit_of
    assert len(np.unique(units)) == 5 + 11
    assert len(np.unique(units[5:])) == 11
