"""The networks of one study on the records of another, and trials that begin with those of another study."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from study_fakes import GRID, QUIET, Fakes, begun, scale_of, with_levels, worked
from test_experiments import script

from ecg_jax.analysis.axes import Axis, Scale
from ecg_jax.analysis.comparisons import ScaleComparison, as_good_as_any, cross
from ecg_jax.config import RunConfig, with_fields
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.scripts.experiment import finished_predictions
from ecg_jax.scripts.started_study import train_started
from ecg_jax.study.design import Trial, make_study
from ecg_jax.study.results import test_records as records_of_runs
from ecg_jax.study.runner import Runner
from ecg_jax.study.transfer import pairs_of, trained_elsewhere, trained_there
from ecg_jax.study.workdir import create_or_open, open_study
from ecg_jax.study.worker import work
from ecg_jax.training.start import read_start

TWO_FOLDS = (2, 5)


@pytest.fixture(scope="module")
def trained(synthetic_set, tmp_path_factory):
    """A cross-fitted study of two scales, really trained for an epoch."""
    fields = {"data.path": synthetic_set, "data.window_seconds": 2.0, "model.strides": (1, 2), "train.epochs": 1}
    base = with_fields(RunConfig(), {**fields, "evaluate.resamples": 20})
    study = make_study(base, GRID.axes, TWO_FOLDS, open_prepared(synthetic_set))
    folder = create_or_open(tmp_path_factory.mktemp("studies") / "small", study)
    folder.add_grid(GRID)
    work(folder, conclude=lambda *_: None, runner=Runner(), console=QUIET, lease_seconds=60)
    return folder


@pytest.fixture(scope="module")
def other(larger_set, tmp_path_factory):
    """A study of the same scales and one more on another set, with invented predictions."""
    grid = with_levels(GRID, channels=(4, 8, 16))
    folder = begun(tmp_path_factory.mktemp("studies") / "larger", larger_set, grid, folds=(1, 2, 3))
    worked(folder, Fakes())
    return folder


def test_on_its_own_test_records_a_study_predicts_what_it_has_predicted(trained):
    own = finished_predictions(trained)
    again = trained_elsewhere(trained, own, trained, own, {name: (name,) for name in own.label_names})
    np.testing.assert_allclose(again.probabilities, own.probabilities, atol=1e-6)
    assert again.trials == own.trials


def test_each_record_of_another_set_is_predicted_by_one_run_of_each_trial_in_turn(trained, other, monkeypatch):
    contract = SimpleNamespace(rate_hz=100.0, leads=open_prepared(other.study.base.data.path).leads)

    def load(run, *, allow_code):
        del allow_code
        number = TWO_FOLDS.index(int(run.name.removeprefix("fold_")))
        return SimpleNamespace(contract=contract, probabilities=lambda data, rows: np.full((len(rows), K), number / 10))

    own, theirs = finished_predictions(trained), finished_predictions(other)
    K = own.n_labels
    monkeypatch.setattr("ecg_jax.inference.load", load)
    found = trained_elsewhere(trained, own, other, theirs, pairs_of(own, trained, other))
    tests = records_of_runs(other.study, open_prepared(other.study.base.data.path))
    expected = np.concatenate([np.full(len(rows), number / 10) for rows, number in zip(tests, (0, 1, 0), strict=True)])
    assert (found.probabilities == expected[None, :, None]).all()
    np.testing.assert_array_equal(found.labels, theirs.labels)
    np.testing.assert_array_equal(found.patient_of, theirs.patient_of)


def test_transfer_compares_the_scale_that_the_first_set_chose_in_both_trainings(trained, other, capsys):
    module = script("transfer")
    module.main(module.Args(from_study=trained.path, to_study=other.path))
    found = json.loads((other.path / "transfer.json").read_text())
    own, theirs = finished_predictions(trained), finished_predictions(other)
    assert own.validation is not None
    best = own.scales[int((own.mean_weights() @ own.validation).argmax())]
    assert found["chosen"] == best.to_dict()
    assert [part["trained in"] for part in found["parts"]] == ["larger", "small"]
    here, elsewhere = ({row["channels"]: row for row in part["scales"]} for part in found["parts"])
    assert set(here) == set(elsewhere) == {4, 8}, "the scale of one study alone is left out"
    for channels, row in here.items():
        of_scale = [r for r, trial in enumerate(theirs.trials) if trial["channels"] == channels]
        assert row["mean"] == pytest.approx(np.mean([by_hand(theirs, r) for r in of_scale]))
    assert here[best["channels"]]["difference"] == elsewhere[best["channels"]]["difference"] == 0
    assert {part["verdict"] for part in found["parts"]} <= {"holds", "does not hold", "not decided"}
    assert found["changes"]["channels"]["low"] < found["changes"]["channels"]["high"]
    assert "trained in: small. As good as any other scale" in capsys.readouterr().out


def by_hand(predictions, trial):
    """Macro AUROC of a trial: within folds, over the labels with five records of each class, by scikit-learn."""
    by_label = []
    for k in range(predictions.n_labels):
        by_fold = []
        for fold in range(predictions.n_folds):
            rows = predictions.fold_of == fold
            label = predictions.labels[rows, k]
            if min(label.sum(), (~label).sum()) >= 5:
                by_fold.append(roc_auc_score(label, predictions.probabilities[trial, rows, k]))
        if by_fold:
            by_label.append(np.mean(by_fold))
    return np.mean(by_label)


def test_labels_of_the_second_set_that_mean_one_of_the_first_are_one_label(trained):
    own = finished_predictions(trained)
    one, two, three = own.label_names[:3]
    pairs = {"a": (one, two), "b": (three,)}
    several = trained_there(own, pairs)
    np.testing.assert_array_equal(several.labels[:, 0], own.labels[:, 0] | own.labels[:, 1])
    np.testing.assert_array_equal(several.probabilities[..., 0], own.probabilities[..., :2].max(axis=-1))
    exclusive = trained_there(own.replace(exclusive=True, thresholds=None), pairs)
    np.testing.assert_allclose(exclusive.probabilities[..., 0], own.probabilities[..., :2].sum(axis=-1))
    np.testing.assert_array_equal(several.probabilities[..., 1], own.probabilities[..., 2])


def test_studies_that_cannot_be_compared_are_refused_in_one_line(trained, other, larger_set, tmp_path):
    own, theirs = finished_predictions(trained), finished_predictions(other)
    (tmp_path / "map.csv").write_text(f"run,data\n{own.label_names[0]},nothing\n")
    with pytest.raises(RunError, match=r"no label of .* is one of .*; pair them with --map"):
        pairs_of(own, trained, other, tmp_path / "map.csv")
    with pytest.raises(RunError, match="are studies of 120 recordings that are the same"):
        pairs_of(own, trained, trained)
    with pytest.raises(RunError, match="have 1 scales in common"):
        cross({"one": own.of_trials(own.trials_of(0)), "two": own}, Axis("part", kind="categorical"))
    with pytest.raises(RunError, match="predicts other records"):
        cross({"one": own, "two": theirs}, Axis("part", kind="categorical"))
    with pytest.raises(ConfigError, match="are studies of the same set"):
        train_started(trained, trained, start_rate=1.0, freeze=())
    elsewhere = begun(tmp_path, larger_set, with_levels(GRID, channels=(16, 32)))
    worked(elsewhere, Fakes())
    with pytest.raises(RunError, match="have 0 scales in common"):
        train_started(elsewhere, trained, start_rate=1.0, freeze=())


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ([("worse", -0.01), ("equivalent", 0.004)], "holds"),
        ([("worse", -0.01), ("not decided", 0.006)], "not decided"),
        ([("better", 0.02), ("not decided", 0.006)], "does not hold"),
        ([("not decided", None)], "not decided"),
    ],
)
def test_a_scale_is_as_good_as_any_if_no_other_one_can_be_better_by_the_margin(rows, verdict):
    compared = [
        ScaleComparison(scale_of(1, n, 3), 0.9, None, None, 0.0, None, high, outcome)
        for n, (outcome, high) in enumerate([(None, 0.0), *rows], 1)
    ]
    assert as_good_as_any(compared, margin=0.005) == verdict


def test_each_trial_begins_with_the_trial_of_its_scale_and_seed_in_the_other_study(trained, other):
    module, seen = script("start_from"), {}

    def keep(config):
        seen[config.model.channels, config.train.seed] = config.train

    fakes = Fakes(before=keep)
    args = module.Args(study=other.path, from_study=trained.path, start_rate=0.1, freeze=("stem",))
    module.main(args, fakes.runner)
    started = open_study(other.path / "started" / "small-rate_0.1-stem")
    rates = {scale.name: rates for scale, rates in started.plan().rates.items()}
    assert rates == {"d1_c4_k3": (3e-3,), "d1_c8_k3": (3e-3,)}
    own = finished_predictions(trained)
    for scale in own.scales:
        for seed in (0, 1):
            trial = Trial(scale, 3e-3, seed)
            source = trained.run_folders(trial)[0]
            config = started.study.config(scale, 3e-3, seed)
            train = seen[scale["channels"], config.train.seed]
            assert train.start_from == source.resolve()
            assert train.start_sha256 == read_start(source).sha256
            assert (train.start_rate, train.freeze) == (0.1, ("stem",))
            assert started.study.trial_key(trial) != other.study.trial_key(trial)
    found = json.loads((other.path / "start_from.json").read_text())
    assert [part["begins with"] for part in found["parts"]] == ["random values", "small"]
    assert found["parts"][0]["seeds"] == found["parts"][1]["seeds"] == 2
    n_trained = len(fakes.trained)
    module.main(args, fakes.runner)
    assert len(fakes.trained) == n_trained, "nothing is trained twice"
    module.main(module.Args(study=other.path, from_study=trained.path), fakes.runner)
    assert len(fakes.trained) == 2 * n_trained, "other settings are another study"
    with pytest.raises(ConfigError, match="--freeze stme: there is no such part; the network has"):
        train_started(other, trained, start_rate=1, freeze=("stme",))


def test_the_crossed_study_has_the_parts_as_levels_of_one_more_axis(trained):
    own = finished_predictions(trained)
    crossed = cross({"one": own, "two": own}, Axis("part", kind="categorical"))
    assert [axis.name for axis in crossed.axes] == ["depth", "channels", "kernel", "part"]
    assert {Scale.of(trial, crossed.axes)["part"] for trial in crossed.trials} == {"one", "two"}
    assert crossed.n_trials == 2 * own.n_trials
