"""A run on its own split and on other sets: whose records, which labels, at which thresholds, and how much is lost."""

import json
import shlex
import shutil
from dataclasses import replace

import numpy as np
import pytest
from assessed import QUIET, called
from sklearn.metrics import f1_score, recall_score, roc_auc_score

from ecg_jax.assessment.external import NO_SINGLE_LABEL, TRAINED_ON, evaluate_external, is_external
from ecg_jax.assessment.flags import AssessmentFlags
from ecg_jax.assessment.split import evaluate
from ecg_jax.dataset.pairing import is_same_source, known_pairs, relabelled
from ecg_jax.dataset.prepare import prepare
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import ConfigError, DataError, RunError
from ecg_jax.sources import Synthetic, WfdbFolder
from ecg_jax.target import Target
from ecg_jax.training.result import read_predictions, read_result


def result_of(run, name):
    return json.loads((run / f"result_{name}.json").read_text())


def test_evaluate_adds_groups_operating_points_and_calibration_beside_the_metrics(evaluated):
    found = result_of(evaluated, "test")
    names = list(found["per_label"])
    for part in (found["operating_points"], found["calibration"], found["calibration"]["scaled"]):
        assert list(part["per_label"]) == names
    for name, (first, *_) in found["operating_points"]["per_label"].items():
        assert first["threshold"] == found["per_label"][name]["threshold"]
        assert first["tp"] + first["fn"] == found["per_label"][name]["positives"]
    assert found["calibration"]["brier"]["value"] == found["metrics"]["brier"]["value"]
    assert read_result(evaluated, "test") is not None


def test_a_wanted_sensitivity_is_reached_on_validation_and_read_on_the_test_fold(evaluated):
    found, names = result_of(evaluated, "test"), list(result_of(evaluated, "test")["per_label"])
    _, p, y = read_predictions(evaluated / "predictions_validation.csv")
    _, p_test, y_test = read_predictions(evaluated / "predictions_test.csv")
    for k, name in enumerate(names):
        points = {point["at"]: point for point in found["operating_points"]["per_label"][name]}
        if "sensitivity 0.9" not in points:
            assert not y[:, k].any()
            continue
        point = points["sensitivity 0.9"]
        assert recall_score(y[:, k], p[:, k] >= point["threshold"]) >= 0.9
        if y_test[:, k].any():
            reached = recall_score(y_test[:, k], p_test[:, k] >= point["threshold"])
            assert point["sensitivity"]["value"] == pytest.approx(reached)


def test_another_set_is_predicted_as_a_whole_at_the_thresholds_of_the_run(evaluated, elsewhere, external):
    prepared, own = open_prepared(elsewhere), json.loads((evaluated / "result.json").read_text())
    found = result_of(evaluated, "external_elsewhere")
    ids, p, y = read_predictions(evaluated / "predictions_external_elsewhere.csv")
    assert ids.tolist() == prepared.record_ids.tolist()
    assert np.array_equal(y, prepared.label)
    assert found["data_fingerprint"] == prepared.fingerprint
    for k, (name, figures) in enumerate(found["per_label"].items()):
        assert figures["threshold"] == own["per_label"][name]["threshold"]
        if 0 < y[:, k].sum() < len(y):
            assert figures["auroc"]["value"] == pytest.approx(roc_auc_score(y[:, k], p[:, k]), abs=1e-6)
            assert figures["f1"]["value"] == pytest.approx(f1_score(y[:, k], p[:, k] >= figures["threshold"]), abs=1e-9)
            refitted = found["external"]["refitted"][name]
            assert refitted["f1"]["value"] >= figures["f1"]["value"]
    assert external.split == "external_elsewhere"
    assert (evaluated / "roc_external_elsewhere.png").is_file()


def test_the_drop_is_that_of_the_own_test_fold_over_labels_that_both_have(evaluated, external):
    found = result_of(evaluated, "external_elsewhere")["external"]["drop"]
    names = list(result_of(evaluated, "test")["per_label"])
    (_, p, y), (_, p_other, y_other) = (
        read_predictions(evaluated / f"predictions_{name}.csv") for name in ("test", "external_elsewhere")
    )
    k = [names.index(name) for name in found["labels"]]
    own, other = (
        np.mean([roc_auc_score(label[:, n], probability[:, n]) for n in k])
        for label, probability in ((y, p), (y_other, p_other))
    )
    loss = found["metrics"]["macro_auroc"]
    assert (loss["own"], loss["other"]) == (pytest.approx(own, abs=1e-6), pytest.approx(other, abs=1e-6))
    assert loss["value"] == pytest.approx(own - other, abs=1e-6)
    assert loss["low"] < loss["value"] < loss["high"]
    assert found["records"] == len(y)


def test_groups_are_those_of_the_other_set(external, elsewhere):
    groups = external.groups
    assert list(groups) == ["age", "sex"]
    assert {name: group["records"] for name, group in groups["age"]["groups"].items()} == {
        "under 50": 30, "50 and over": 50,
    }  # fmt: skip
    label, sexes = open_prepared(elsewhere).label, open_prepared(elsewhere).sexes
    for name, group in groups["sex"]["groups"].items():
        positives = [figures["positives"] for figures in group["per_label"].values()]
        assert positives == label[sexes == name].sum(axis=0).tolist()
    assert all(figures["too_small"] for figures in groups["sex"]["groups"]["male"]["per_label"].values())


def test_the_own_set_elsewhere_is_no_other_set(evaluated, synthetic_set, tmp_path):
    moved = shutil.copytree(synthetic_set, tmp_path / "moved")
    assert not is_external(evaluated, moved)
    before = (evaluated / "predictions_test.csv").read_bytes()
    assert called("evaluate", "--workdir", evaluated, "--data", moved)[0] == 0
    assert (evaluated / "predictions_test.csv").read_bytes() == before
    status, error = called("evaluate", "--workdir", evaluated, "--data", moved, "--folds", "1")
    assert status == 1
    assert "--folds is for another set than the run's own" in error


@pytest.mark.parametrize(("flags", "fault"), [
    ({"rate_hz": 50.0}, "has 50 Hz, the run expects 100 Hz; prepare it so: ecg-jax prepare wfdb"),
    ({"leads": ("II", "I", "V1")}, "has the leads II, I, V1, the run expects I, II, III, "),
])  # fmt: skip
def test_a_set_that_does_not_fit_is_refused_with_the_command_that_makes_it_fit(
    evaluated, recordings, external, tmp_path, flags, fault
):
    source = WfdbFolder(recordings, recordings / "labels.csv")
    prepare(PrepareConfig(source, tmp_path / "odd", workers=1, folds=7, **flags), QUIET)
    status, error = called("evaluate", "--workdir", evaluated, "--data", tmp_path / "odd")
    assert status == 1
    assert fault in error
    (line,) = [line for line in error.splitlines() if "prepare it so" in line]
    program, *words = shlex.split(line.partition("prepare it so: ")[2])
    assert program == "ecg-jax"
    assert called(*words)[0] == 0
    found = evaluate_external(evaluated, tmp_path / "odd_100hz")
    assert found.metrics == external.metrics


def test_a_map_pairs_one_label_with_several_and_says_what_the_set_does_not_have(evaluated, elsewhere, tmp_path):
    table = tmp_path / "map.csv"
    table.write_text("run,data\nAFIB,AFIB\nAFIB,SARRH\nNORM,nothing\n")
    found = evaluate_external(evaluated, elsewhere, map_path=table, folds=(1, 2))
    prepared = open_prepared(elsewhere)
    mine = np.isin(prepared.folds, (1, 2))
    either = prepared.label[:, [prepared.labels.index("AFIB"), prepared.labels.index("SARRH")]].any(axis=1)
    assert list(found.per_label) == ["AFIB"]
    assert found.per_label["AFIB"]["positives"] == (either & mine).sum()
    about = found.external
    assert about["map_labels_not_in_data"] == ["nothing"]
    assert about["records_left_out"] == {"in another fold": (~mine).sum()}
    assert "NORM" in about["run_labels_without_pair"]
    evaluate_external(evaluated, elsewhere, flags=AssessmentFlags(age_bins=(50,)))  # the other tests read this file


@pytest.mark.parametrize(("content", "fault"), [
    ("run,data\nAF,AFIB\n", r"map\.csv line 2: the run has no label AF; it has 1AVB, AFIB"),
    ("run,data\nAFIB,nothing\n", "no label of .* is paired with one of the run; give --map a CSV with the columns run"),
    ("label,class\nAFIB,AFIB\n", "has no column run, data"),
])  # fmt: skip
def test_a_wrong_map_is_one_line(evaluated, elsewhere, tmp_path, content, fault):
    (tmp_path / "map.csv").write_text(content)
    with pytest.raises(DataError, match=fault):
        evaluate_external(evaluated, elsewhere, map_path=tmp_path / "map.csv")


def test_a_fold_that_the_set_does_not_have_is_named(evaluated, elsewhere):
    with pytest.raises(ConfigError, match=r"--folds 77: .* has folds 1, 2, 3"):
        evaluate_external(evaluated, elsewhere, folds=(77,))


def test_records_that_the_run_was_trained_on_are_left_out_of_the_same_source(evaluated, config, tmp_path):
    """The same recordings in other folds are another set."""
    prepare(PrepareConfig(Synthetic(records=120), tmp_path / "again", folds=4, workers=1), QUIET)
    found = evaluate_external(evaluated, tmp_path / "again")
    tested, _, _ = read_predictions(evaluated / "predictions_test.csv")
    predicted, _, _ = read_predictions(evaluated / "predictions_external_again.csv")
    assert predicted.tolist() == tested.tolist()
    assert found.external["records_left_out"] == {TRAINED_ON: 120 - len(tested)}


def test_two_sets_that_cinc_2021_holds_are_the_same_source_as_it():
    chapman, cpsc, joined, other = ({"source": name} for name in ("chapman", "cpsc2018", "cinc2021", "ptb_xl"))
    assert is_same_source(chapman, joined)
    assert is_same_source(joined, cpsc)
    assert not is_same_source(chapman, cpsc)
    assert not is_same_source(joined, other)


def test_a_run_without_its_own_set_has_no_drop_and_says_why(evaluated, elsewhere, tmp_path):
    alone = shutil.copytree(evaluated, tmp_path / "alone")
    for name in ("config.json", "result.json"):
        values = json.loads((alone / name).read_text())
        (values if name == "config.json" else values["config"])["data"]["path"] = "/nowhere"
        (alone / name).write_text(json.dumps(values))
    found = evaluate_external(alone, elsewhere)
    assert found.external["drop"] is None
    assert "/nowhere is not a prepared set" in found.external["no_drop_because"]
    assert found.metrics == evaluate_external(evaluated, elsewhere).metrics


def test_a_split_of_another_set_is_refused(evaluated, elsewhere):
    status, error = called("evaluate", "--workdir", evaluated, "--data", elsewhere, "--split", "validation")
    assert status == 1
    assert "--split is of the run's own set" in error


@pytest.mark.parametrize(("flags", "fault"), [
    (["--at-sensitivity", "95"], "--at-sensitivity is 95; give more than 0 and less than 1"),
    (["--age-bins", "60", "40"], "--age-bins is 60 40; give ascending ages"),
])  # fmt: skip
def test_an_impossible_value_of_a_flag_is_one_line(evaluated, flags, fault):
    status, error = called("evaluate", "--workdir", evaluated, *flags)
    assert status == 1
    assert fault in error


def test_without_validation_predictions_a_flag_names_the_command_that_writes_them(evaluated, tmp_path):
    alone = shutil.copytree(evaluated, tmp_path / "alone")
    (alone / "predictions_validation.csv").unlink()
    with pytest.raises(RunError, match=r"predictions_validation\.csv is missing, .* --split validation"):
        evaluate(alone, flags=AssessmentFlags(at_sensitivity=0.9))
    evaluate(alone)  # nothing is chosen


def test_a_run_with_exclusive_labels_predicts_the_records_that_have_exactly_one_of_the_paired(
    exclusive, elsewhere, tmp_path
):
    (tmp_path / "map.csv").write_text("run,data\nNORM,NORM\nSTACH,STACH\n")
    found = evaluate_external(exclusive, elsewhere, map_path=tmp_path / "map.csv")
    prepared = open_prepared(elsewhere)
    paired = prepared.label[:, [prepared.labels.index(name) for name in ("NORM", "STACH")]]
    assert found.external["records_left_out"] == {NO_SINGLE_LABEL: int((paired.sum(axis=1) != 1).sum())}
    assert list(found.per_label) == ["CLBBB", "NORM", "STACH"]
    assert [figures["positives"] for figures in found.per_label.values()] == [
        0, *paired[paired.sum(axis=1) == 1].sum(axis=0),
    ]  # fmt: skip
    square = np.array(found.operating_points["confusion"])
    assert square.sum(axis=1).tolist() == [figures["positives"] for figures in found.per_label.values()]
    assert found.external["drop"]["labels"] == ["NORM", "STACH"]
    own = open_prepared(exclusive.parent / "set")
    test = own.label[own.folds == own.folds.max()]
    assert found.external["drop"]["records"] == test[:, 1:].any(axis=1).sum()


def test_exclusive_labels_are_not_scaled_one_by_one(exclusive):
    with pytest.raises(ConfigError, match="give --calibrate temperature"):
        evaluate(exclusive, flags=AssessmentFlags(calibrate="platt"))
    scaled = evaluate(exclusive, flags=AssessmentFlags(calibrate="temperature")).calibration["scaled"]
    assert scaled["scaling"]["temperature"] > 0


def as_of(prepared, source, names, **request):
    """A set as if it came from another source and had other labels."""
    about = prepared.about | {"request": {"source": source, **request}}
    label = np.zeros((len(prepared), len(names)), np.uint8)
    return replace(prepared, about=about, target=Target("multilabel", names), label=label)


def test_labels_of_known_sources_are_paired_by_class_and_others_by_name(synthetic_set):
    prepared = open_prepared(synthetic_set)
    statements = as_of(prepared, "ptb_xl", ("AFIB", "CLBBB", "SR", "XYZ"))
    codes = as_of(prepared, "cinc2021", ("AF", "CLBBB", "LBBB", "NSR", "XYZ"))
    pairs = {"AFIB": ("AF",), "CLBBB": ("CLBBB", "LBBB"), "SR": ("NSR",)}
    assert known_pairs(statements.labels, statements, codes) == pairs
    superclasses = as_of(prepared, "ptb_xl", ("CD", "MI"))
    cardiac_dysrhythmia = as_of(prepared, "cinc2021", ("CD", "MI"))
    assert known_pairs(superclasses.labels, superclasses, cardiac_dysrhythmia) == {}
    unknown = as_of(prepared, "wfdb", ("AF", "SR"))
    assert known_pairs(statements.labels, statements, unknown) == {"SR": ("SR",)}
    beats = as_of(prepared, "mitdb", ("N", "V"), beats=True)
    assert known_pairs(("N", "A"), as_of(prepared, "cinc2017", ("A", "N")), beats) == {"N": ("N",)}
    rhythms = as_of(prepared, "mitdb", ("AFIB", "N"), beats=False)
    assert known_pairs(("A", "N", "O"), as_of(prepared, "cinc2017", ("A", "N", "O")), rhythms) == {
        "A": ("AFIB",), "N": ("N",),
    }  # fmt: skip


def test_a_relabelled_set_has_a_label_where_one_of_its_pair_applies(synthetic_set):
    prepared = open_prepared(synthetic_set)
    names = prepared.labels
    pairs = {"x": (names[0], names[1]), "y": (names[2],)}
    found = relabelled(prepared, pairs, Target("multilabel", ("y", "x", "z")))
    expected = [prepared.label[:, 2], prepared.label[:, :2].max(axis=1), np.zeros(len(prepared))]
    assert np.array_equal(found.label, np.stack(expected, axis=1))
    assert found.labels == ("y", "x", "z")
