"""Runs that are trained together, as one program: each is the run that it would have been alone."""

import json
import sys
from types import ModuleType

import jax
import numpy as np
import pytest
from rich.console import Console

from ecg_jax.config import AugmentConfig, DataConfig, EvaluateConfig, ModelConfig, RunConfig, TrainConfig, with_fields
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import RunError
from ecg_jax.training.loop import run_together
from ecg_jax.training.losses import bce
from ecg_jax.training.result import read_predictions
from ecg_jax.training.saving import BackgroundSaves
from ecg_jax.training.setup import TrainingSetup, make_plan
from ecg_jax.training.workdir import read_metrics
from ecg_jax.training.writer import RunWriter

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def configs(synthetic_set) -> list[RunConfig]:
    """Runs of one network that differ in seed, learning rate, folds, training share, and in their numbers of steps."""
    base = RunConfig(
        data=DataConfig(path=synthetic_set, window_seconds=2.0),
        model=ModelConfig(depth=1, channels=4, kernel=3, strides=(1, 2), dropout=0.1, shortcut="pool"),
        train=TrainConfig(epochs=2, batch_size=16, loss="weighted"),
        augment=AugmentConfig(gain=0.1, lead_drop=0.1, mixup=0.3),
        evaluate=EvaluateConfig(resamples=50),
    )
    others = [
        {"train.seed": 1, "data.test_folds": (3,), "data.validation_folds": (2,)},
        {"train.seed": 1, "train.learning_rate": 1e-3, "train.epochs": 3},
        {"data.training_share": 0.5, "train.epochs": 4},
    ]
    return [base, *(with_fields(base, values) for values in others)]


@pytest.fixture(scope="module")
def together(configs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("together")
    return folder, run_together(runs_in(folder, configs), console=QUIET)


def runs_in(folder, configs):
    return {folder / str(number): config for number, config in enumerate(configs)}


def state_after_ten_steps(configs):
    prepared = open_prepared(configs[0].data.path)
    setup = TrainingSetup([make_plan(config, prepared) for config in configs])
    state, losses = setup.train(setup.initial_state(), [0] * len(configs), 10, lambda steps: None)
    return jax.device_get(state), losses


def validated(configs):
    prepared = open_prepared(configs[0].data.path)
    setup = TrainingSetup([make_plan(config, prepared) for config in configs])
    return setup.validate(setup.initial_state().variables)


def test_after_ten_steps_every_array_is_that_of_a_run_alone(configs):
    states, losses = state_after_ten_steps(configs)
    for number, config in enumerate(configs):
        state, own_losses = state_after_ten_steps([config])
        np.testing.assert_allclose(losses[:, number], own_losses[:, 0], rtol=1e-4)
        own = jax.tree.map(lambda x: x[0], state)
        of_run = jax.tree.map(lambda x, number=number: x[number], states)
        jax.tree_util.tree_map_with_path(assert_close, own, of_run)


def test_a_validation_that_needs_fewer_steps_than_another_one_is_that_of_a_run_alone(configs):
    few, many = ({"data.validation_folds": folds, "train.batch_size": 2} for folds in ((1,), (1, 2, 3)))
    runs = [with_fields(configs[0], values) for values in (few, many)]
    together, alone = (validated(some) for some in (runs, runs[:1]))
    np.testing.assert_allclose(together[0][0], alone[0][0], rtol=1e-5)
    np.testing.assert_allclose(together[0][1], alone[0][1], rtol=1e-5)


def test_runs_whose_windows_are_normalised_by_themselves_are_those_of_runs_alone(configs):
    fields = {"data.normalise": "record", "train.label_smoothing": 0.1, "augment.stretch": 0.2}
    changed = [with_fields(config, fields) for config in configs[:2]]
    together, losses = state_after_ten_steps(changed)
    alone, own_losses = state_after_ten_steps(changed[1:])
    np.testing.assert_allclose(losses[:, 1], own_losses[:, 0], rtol=1e-4)
    of_run, own = jax.tree.map(lambda x: x[1], together), jax.tree.map(lambda x: x[0], alone)
    jax.tree_util.tree_map_with_path(assert_close, own, of_run)


@pytest.mark.parametrize(
    "field", [{"data.normalise": "record"}, {"train.label_smoothing": 0.1}, {"augment.stretch": 0.2}]
)
def test_runs_that_see_other_inputs_or_labels_are_not_trained_together(field, configs):
    with pytest.raises(RunError, match="alone"):
        state_after_ten_steps([configs[0], with_fields(configs[1], field)])


def assert_close(path, expected, actual):
    difference = np.linalg.norm(np.float64(actual) - np.float64(expected))
    assert difference <= 1e-4 * max(np.linalg.norm(np.float64(expected)), 1e-2), jax.tree_util.keystr(path)


def test_each_run_has_its_own_files_and_the_result_of_a_run_alone(configs, together, tmp_path):
    folder, results = together
    alone = run_together({tmp_path / "1": configs[1]}, console=QUIET)[tmp_path / "1"]
    result = results[folder / "1"]
    assert result.config == alone.config
    assert result.train.steps == alone.train.steps
    for number in range(len(configs)):
        assert json.loads((folder / str(number) / "result.json").read_text())["split"] == "validation"
    ids, probability, label = read_predictions(folder / "1" / "predictions_validation.csv")
    ids_alone, probability_alone, label_alone = read_predictions(tmp_path / "1" / "predictions_validation.csv")
    np.testing.assert_array_equal(ids, ids_alone)
    np.testing.assert_array_equal(label, label_alone)
    np.testing.assert_allclose(probability, probability_alone, atol=1e-3)


def test_every_epoch_of_every_run_has_its_line(configs, together):
    folder, _ = together
    for number, config in enumerate(configs):
        lines = read_metrics(folder / str(number))
        assert [line["epoch"] for line in lines] == list(range(1, config.train.epochs + 1))


def test_runs_that_are_stopped_in_the_middle_go_on_to_the_same_end(configs, together, tmp_path, monkeypatch):
    folder, _ = together
    calls = []

    def end_epoch(writer, line):
        calls.append(line)
        if len(calls) == 4:  # some runs have ended their first epoch more often than others
            raise KeyboardInterrupt
        original(writer, line)

    original = RunWriter.end_epoch
    monkeypatch.setattr(RunWriter, "end_epoch", end_epoch)
    monkeypatch.setattr(BackgroundSaves, "is_due", lambda saves, run: run == 0)  # the others begin again
    with pytest.raises(KeyboardInterrupt):
        run_together(runs_in(tmp_path, configs), console=QUIET)
    monkeypatch.undo()
    run_together(runs_in(tmp_path, configs), console=QUIET)
    for number in range(len(configs)):
        name = f"{number}/predictions_validation.csv"
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_loss_that_is_not_finite_ends_its_own_run_alone(configs, tmp_path):
    good = with_fields(configs[0], {"train.clip_norm": 0.0, "train.weight_decay": 100.0})
    diverging = with_fields(good, {"train.learning_rate": 1000.0})
    results = run_together({tmp_path / "good": good, tmp_path / "bad": diverging}, console=QUIET)
    assert results[tmp_path / "good"].train.best_epoch > 0
    assert "the loss is nan" in str(results[tmp_path / "bad"])
    assert not (tmp_path / "bad" / "result.json").exists()


def test_a_function_that_is_defined_again_is_not_taken_from_the_compiled_programs(configs, monkeypatch):
    module = ModuleType("defined_again")
    monkeypatch.setitem(sys.modules, "defined_again", module)
    named = with_fields(configs[0], {"functions.loss": "defined_again:loss", "train.loss": "auto"})
    losses = []
    for factor in (1.0, 2.0):
        module.loss = lambda logits, label, factor=factor: factor * bce(logits, label)
        losses.append(state_after_ten_steps([named])[1][0, 0])
    assert losses[1] == pytest.approx(2 * losses[0])


@pytest.mark.parametrize("difference", [{"model.channels": 8}, {"evaluate.pool": "max"}, {"evaluate.overlap": 0.0}])
def test_runs_that_compute_in_different_ways_are_refused(difference, configs, tmp_path):
    other = with_fields(configs[0], difference)
    with pytest.raises(RunError, match="trained together may differ in"):
        run_together({tmp_path / "a": configs[0], tmp_path / "b": other}, console=QUIET)
    assert not (tmp_path / "a").exists()
