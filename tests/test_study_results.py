"""From finished trials on disk to rows and StudyPredictions."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from study_fakes import GRID, Fakes, begun, is_trial, with_levels, worked

from ecg_jax.analysis.axes import READY_MADE, Axis
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import RunError
from ecg_jax.evaluation.scores import cinc2021
from ecg_jax.evaluation.thresholds import fit_thresholds
from ecg_jax.study.design import make_grid
from ecg_jax.study.results import _score, last_quarter_gain, load_results
from ecg_jax.study.workdir import open_study
from ecg_jax.target import Target
from ecg_jax.training.result import read_predictions

COLUMNS = ["depth", "channels", "kernel", "seed", "learning_rate", "chosen", "parameters", "macs"]
COLUMNS += ["receptive_field_samples", "receptive_field_ms", "seconds", "rate_edge", "epochs", "best_epoch"]
COLUMNS += ["last_quarter_gain", "validation_macro_auroc"]
RATES = with_levels(GRID, learning_rates=(1e-3, 3e-3, 9e-3))


@pytest.fixture(scope="module")
def cross_fitted(synthetic_set, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("study")
    worked(begun(workdir, synthetic_set, RATES, folds=(5, 2)), Fakes())
    return workdir


def test_trials_csv_has_a_row_a_trial_and_no_figure_of_the_test_folds(cross_fitted):
    rows = list(csv.DictReader((cross_fitted / "trials.csv").read_text().splitlines()))
    assert list(rows[0])[: len(COLUMNS)] == COLUMNS
    assert not any(name.startswith("test") for name in rows[0])
    names = [(row["channels"], row["seed"], row["learning_rate"]) for row in rows]
    assert sorted(names) == sorted((channels, seed, "0.003") for channels in "48" for seed in "01")
    for row in rows:
        assert row["chosen"] == "1"
        assert float(row["seconds"]) == 1.5 * int(row["channels"]) * 2
        assert int(row["macs"]) > 0


def test_predictions_are_the_predictions_on_disk_of_the_trials_at_their_scales_rate(cross_fitted, synthetic_set):
    found = load_results(open_study(cross_fitted))
    predictions, prepared = found.predictions, open_prepared(synthetic_set)
    assert predictions is not None
    assert found.seeds == (0, 1)
    assert [trial["learning_rate"] for trial in predictions.trials] == [3e-3] * 4
    assert found.notes == ()
    assert [(t["channels"], t["seed"]) for t in predictions.trials] == [(4, 0), (4, 1), (8, 0), (8, 1)]
    indices = np.concatenate([np.flatnonzero(prepared.folds == fold) for fold in (2, 5)])
    assert predictions.folds is not None
    assert predictions.patients is not None
    np.testing.assert_array_equal(predictions.folds, prepared.folds[indices])
    np.testing.assert_array_equal(predictions.labels, prepared.label[indices])
    np.testing.assert_array_equal(predictions.patients, prepared.patients[indices])
    assert predictions.label_names == prepared.labels
    folder = cross_fitted / "trials" / "d1_c8_k3_lr0.003_s1"
    for place, fold in enumerate((2, 5)):
        _, probability, _ = read_predictions(folder / f"fold_{fold}" / "predictions_test.csv")
        np.testing.assert_array_equal(predictions.probabilities[3][predictions.folds == fold], probability)
        _, probability, label = read_predictions(folder / f"fold_{fold}" / "predictions_validation.csv")
        assert predictions.thresholds is not None
        expected = fit_thresholds(label, probability, prepared.target)
        assert expected is not None
        np.testing.assert_allclose(predictions.thresholds[3, place], expected, atol=1e-6)  # nine digits in the file


def test_the_validation_of_the_trials_goes_with_their_predictions(cross_fitted):
    rows = csv.DictReader((cross_fitted / "trials.csv").read_text().splitlines())
    by_trial = {(row["channels"], row["seed"]): row["validation_macro_auroc"] for row in rows if row["chosen"] == "1"}
    predictions = load_results(open_study(cross_fitted)).predictions
    expected = [float(by_trial[str(trial["channels"]), str(trial["seed"])]) for trial in predictions.trials]
    assert predictions.validation.tolist() == expected


def test_one_split_is_one_fold(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    worked(folder, Fakes())
    predictions = load_results(folder).predictions
    assert predictions is not None
    assert predictions.n_folds == 1
    assert predictions.thresholds is not None
    assert predictions.thresholds.shape == (4, 1, predictions.n_labels)


def stopped_after(folder, trials):
    """Works until so many trainings are done."""
    fakes = Fakes()

    def stop(config):
        if len(fakes.trained) == trials:
            raise KeyboardInterrupt

    fakes.before = stop
    with pytest.raises(KeyboardInterrupt):
        worked(folder, fakes)
    return load_results(folder)


def test_only_seeds_that_every_scale_has_finished_are_in_the_predictions(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    found = stopped_after(folder, 1)
    assert found.predictions is None
    assert len(found.rows) == 1
    assert found.notes == ("the study is not finished: 0 of 2 seeds are finished at every scale",)
    found = stopped_after(folder, 2)
    assert found.predictions is not None
    assert found.predictions.n_trials == 2
    assert found.seeds == (0,)
    assert found.notes == ("the study is not finished: 1 of 2 seeds are finished at every scale",)


def test_a_half_trained_trial_has_no_row(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set, folds=(1, 2, 3))
    assert [row["channels"] for row in stopped_after(folder, 5).rows] == [4]


def test_a_trial_that_only_tried_its_rate_is_not_its_scales_yet(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set, RATES, folds=(1, 2, 3))
    found = stopped_after(folder, 2 * 3 + 3)  # all rates, and one scale's three folds
    assert [(row["channels"], row["learning_rate"]) for row in found.rows] == [(4, 3e-3)]
    assert len(found.pilot) == 6


@pytest.mark.parametrize(
    ("values", "gain"),
    [
        ([0.5] * 12 + [0.5, 0.6, 0.7, 0.8], 0.75 - 0.5),
        ([0.9, 0.5, 0.5, 0.6], 0.1),
        ([0.5, 0.6, 0.7], None),
        ([0.5, 0.6, None, 0.7], None),
    ],
)
def test_the_gain_over_the_last_quarter_is_between_means_of_an_eighth_of_the_epochs(values, gain):
    found = last_quarter_gain([{"epoch": n, "validation_macro_auroc": value} for n, value in enumerate(values)])
    assert found == (None if gain is None else pytest.approx(gain))


def test_scales_with_unlike_numbers_of_seeds_are_compared_over_those_that_all_have(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    folder.add_grid(with_levels(GRID, channels=(16,), seeds=1))
    worked(folder, Fakes())
    found = load_results(folder)
    assert found.seeds == (0,)
    assert found.notes == ("some scales have more seeds; all are compared over the 1 that every scale has",)


def test_files_that_cannot_be_read_are_named(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    worked(folder, Fakes())
    trial = tmp_path / "trials" / "d1_c8_k3_lr0.003_s1"
    (trial / "predictions_test.csv").unlink()  # else the trial is done, and an earlier failure is not looked at
    for path in (trial / "result.json", trial / "trial.json", next((tmp_path / "grids").iterdir())):
        whole = path.read_text()
        path.write_text(whole[:20])
        with pytest.raises(RunError, match=rf"{path.name} cannot be read .*delete it"):
            load_results(folder)
        path.write_text(whole)


def test_a_wider_grid_holds_the_predictions_back_until_it_is_trained(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    worked(folder, Fakes())
    folder.add_grid(with_levels(GRID, channels=(16,)))
    assert load_results(folder).predictions is None


def test_a_failed_scale_is_named_and_left_out_and_the_others_go_on(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    worked(folder, Fakes(fails=is_trial(folder, 8, 1)))
    found = load_results(folder)
    assert found.predictions is not None
    assert {trial["channels"] for trial in found.predictions.trials} == {4}
    assert found.seeds == (0, 1)
    assert list(found.left_out) == ["d1_c8_k3"]
    assert found.notes == ("left out: d1_c8_k3 failed (the loss is nan at step 3; no epoch was whole)",)
    worked(folder, Fakes(), retry_failed=True)
    assert load_results(folder).left_out == {}


def test_a_scale_at_which_every_rate_failed_is_left_out(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set, RATES)
    worked(folder, Fakes(fails=lambda config: config.model.channels == 8))
    found = load_results(folder)
    assert found.seeds == (0, 1)
    assert found.left_out["d1_c8_k3"].startswith("every learning rate failed: the loss is nan")


def test_a_study_over_heads_has_them_as_categories_in_the_order_given(larger_set, tmp_path):
    """The whole way: grid, trial folders, rows, predictions and contrasts."""
    from ecg_jax.analysis import analyse

    head = Axis("model.head", ("gap", "flatten", "attention"), "categorical")
    dropout = Axis("model.dropout", (0.1, 0.0), "linear")
    folder = begun(tmp_path, larger_set, make_grid([head, dropout], 3, (3e-3,)), paired_seeds=True)
    fakes = worked(folder, Fakes())
    assert fakes.trained[0] == "model.head=attention_model.dropout=0.0_lr0.003_s0"
    found = load_results(open_study(tmp_path))
    assert list(found.rows[0])[:4] == ["model.head", "model.dropout", "seed", "learning_rate"]
    assert found.predictions is not None
    assert [axis.levels for axis in found.predictions.axes] == [("gap", "flatten", "attention"), (0.0, 0.1)]
    analysis = analyse(found.predictions)
    contrasts = {(c.level, c.reference): c for c in analysis.contrasts["model.head"]}
    assert (contrasts["flatten", "gap"].effect or 0) < 0, "the invented predictions of this head are worse"
    assert contrasts["flatten", "gap"].differs
    assert contrasts["attention", "gap"].effect == pytest.approx(0, abs=1e-12), "those of this one are equal"
    assert set(analysis.claims) == {"model.dropout"}


def test_an_axis_that_changes_no_prediction_has_no_effect(larger_set, tmp_path):
    from ecg_jax.analysis import analyse

    axes = [*(replace(axis, levels=levels) for axis, levels in zip(READY_MADE, ((1, 2), (4,), (3,)), strict=True))]
    grid = make_grid([*axes, Axis("evaluate.overlap", (0.25, 0.5))], 2, (3e-3,))
    folder = begun(tmp_path, larger_set, grid, paired_seeds=True)
    worked(folder, Fakes())
    predictions = load_results(folder).predictions
    assert predictions is not None
    analysis = analyse(predictions)
    assert analysis.claims["evaluate.overlap"].effect == pytest.approx(0, abs=1e-12)
    assert all(scale.low is not None and np.isfinite(scale.low) for scale in analysis.scales)


def test_predictions_of_other_records_are_refused(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    worked(folder, Fakes())
    path = tmp_path / "trials" / "d1_c8_k3_lr0.003_s1" / "predictions_test.csv"
    path.write_text(path.read_text().rpartition("\n")[0].rpartition("\n")[0] + "\n")
    with pytest.raises(RunError, match="has other records or labels than the test folds of the set; delete it"):
        load_results(folder)


def test_the_score_of_cinc2017_is_the_mean_f1_of_its_three_rhythms(synthetic_set):
    from sklearn.metrics import f1_score

    prepared = open_prepared(synthetic_set)
    prepared = replace(prepared, target=Target("exclusive", ("A", "N", "O", "~")), score="cinc2017")
    score = _score(prepared)
    assert score is not None
    assert score.__name__ == "cinc2017"  # its column in trials.csv
    random = np.random.default_rng(0)
    truth, probability = random.integers(0, 4, 200), random.random((200, 4))
    expected = np.mean([f1_score(truth == k, probability.argmax(axis=1) == k) for k in range(3)])
    assert score(np.eye(4)[truth], probability) == pytest.approx(expected)
    assert score(np.eye(4)[truth], probability == probability.max(axis=1, keepdims=True)) == pytest.approx(expected)
    assert _score(open_prepared(synthetic_set)) is None


def test_the_score_of_cinc2021_is_that_of_the_decisions(synthetic_set):
    rng = np.random.default_rng(0)
    label, decision = (rng.random((2, 50, 26)) < 0.2).astype(bool)
    target = Target("multilabel", tuple(f"class {k}" for k in range(26)))
    score = _score(replace(open_prepared(synthetic_set), target=target, score="cinc2021"))
    assert score is not None
    assert score(label, decision) == pytest.approx(cinc2021(label, decision))
