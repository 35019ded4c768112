"""The only training loop: `run(config, workdir) -> RunResult`. Reads the clock; files are written by `writer.py`."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from ecg_jax.config import RunConfig, to_dict
from ecg_jax.dataset.prepared import PreparedSet, open_prepared
from ecg_jax.dataset.splits import Splits, split_records
from ecg_jax.errors import RunError
from ecg_jax.evaluation.scores import SCORES
from ecg_jax.evaluation.summary import point_values
from ecg_jax.evaluation.thresholds import fit_thresholds
from ecg_jax.import_path import name_of
from ecg_jax.models.cost import cost_of
from ecg_jax.models.resnet import Network
from ecg_jax.terminal import PlainConsole, tell
from ecg_jax.training.augment import Augment
from ecg_jax.training.checkpoint import check_fingerprint, read_checkpoint
from ecg_jax.training.losses import Loss
from ecg_jax.training.progress import EpochProgress
from ecg_jax.training.result import RunResult, SplitPredictions, TrainStats, make_result, read_result
from ecg_jax.training.setup import TrainingSetup
from ecg_jax.training.step import TrainState
from ecg_jax.training.workdir import CHECKPOINTS, check_config
from ecg_jax.training.writer import RunWriter, SilentWriter


@dataclasses.dataclass
class _Course:
    """How far a run has come, apart from its arrays; part of each checkpoint."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    best_epoch: int = 0
    best_value: float | None = None


def run(
    config: RunConfig,
    workdir: Path,
    *,
    network: Network | None = None,
    loss: Loss | None = None,
    augment: Augment | None = None,
    console: Console | None = None,
    plots: bool = True,
) -> RunResult:
    """Trains on the training folds, chooses the epoch on the validation folds, and writes everything to `workdir`.

    A run that is started again in its workdir continues from its last checkpoint and ends with the same result; a
    finished run is read and not repeated. The test folds are not read.

    Args:
        config: everything that decides the run.
        workdir: a folder for this run alone.
        network: `network(config, n_classes, axis_name) -> nn.Module` instead of `ResNet1D`.
        loss: `loss(logits [B, K], label [B, K]) -> [B]` instead of the config's.
        augment: `augment(key, signal [T, L]) -> [T, L]` instead of the config's (but its mixup stays).
        console: where progress is shown; by default standard error.
        plots: whether curves are drawn.

    Raises:
        DataError, ConfigError: the prepared set or its folds cannot be used.
        RunError: the workdir holds another run, or the loss is not finite.
    """
    console = console or PlainConsole(stderr=True)
    config = _with_functions(config, network=network, loss=loss, augment=augment)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, path=config.data.path.resolve()))
    prepared = open_prepared(config.data.path)
    splits = split_records(prepared, config.data)
    check_config(workdir, config)
    check_fingerprint(workdir, prepared.fingerprint)
    finished = read_result(workdir)
    if finished is not None:
        tell(console, f"{workdir} is finished: nothing to do")
        return finished
    _check_best_metric(config.train.best_metric, prepared, splits)
    tell(console, splits.describe())

    setup = TrainingSetup(config, prepared, splits)
    state, best, course = _restored(setup, workdir, console)
    writer = RunWriter(workdir, plots=plots) if jax.process_index() == 0 else SilentWriter(workdir)
    writer.begin(config, epoch=course.epoch)  # only now: a run that cannot be built must not take the folder
    try:
        best = _train(setup, state, best, course, writer, console)
    finally:
        writer.close()
    return _finish(setup, best, course, writer)


def _with_functions(config: RunConfig, **functions: Any) -> RunConfig:
    names = {what: name_of(function, what) for what, function in functions.items() if function is not None}
    return dataclasses.replace(config, functions=dataclasses.replace(config.functions, **names))


def _check_best_metric(metric: str, prepared: PreparedSet, splits: Splits) -> None:
    if metric in SCORES and prepared.score != metric:
        raise RunError(f"--train.best-metric {metric} is not the score of this set; choose another metric")
    label = prepared.label[splits.validation].astype(float)
    perfect = point_values(label, label, None, target=prepared.target, score=prepared.score)
    if metric != "loss" and np.isnan(perfect[metric]):
        raise RunError(
            f"--train.best-metric {metric} is not defined: validation folds {list(splits.folds['validation'])} lack "
            "records with, or without, the labels; choose other --data.validation-folds or --train.best-metric loss"
        )


def _restored(setup: TrainingSetup, workdir: Path, console: Console) -> tuple[TrainState, Any, _Course]:
    """State, best variables and course of the last checkpoint, or those before the first step."""
    state = setup.initial_state()
    like = _copied(state)
    checkpoint = read_checkpoint(workdir / CHECKPOINTS, latest=like, best=like.variables)
    if checkpoint is None:
        return state, None, _Course()
    course = _Course(**checkpoint["meta"]["course"])
    tell(console, f"continuing after epoch {course.epoch} of {setup.config.train.epochs}")
    return setup.place(checkpoint["latest"]), checkpoint["best"], course


def _train(
    setup: TrainingSetup, state: TrainState, best: Any, course: _Course, writer: RunWriter, console: Console
) -> Any:
    """Trains the remaining epochs and updates `course`; returns the best variables as NumPy arrays."""
    config, fixed = setup.config, _fixed_meta(setup)
    steps, metric = setup.steps_until(config.train.epochs), config.train.best_metric
    with EpochProgress(console, steps, course.step, setup.batch_size) as progress:
        for epoch in range(course.epoch + 1, config.train.epochs + 1):
            began, first, stop = time.monotonic(), course.step, setup.steps_until(epoch)
            state, losses = setup.train(state, first, stop, progress.count_step)
            _check_finite(losses, first, course.epoch, writer.workdir)
            trained = time.monotonic()
            probability, validation_loss = setup.validate(state.variables)
            _check_finite(np.array([validation_loss]), stop, course.epoch, writer.workdir)
            values = _validation_values(setup, probability) | {"loss": validation_loss}
            if course.best_value is None or _is_better(values[metric], course.best_value, metric):
                course.best_value, course.best_epoch = values[metric], epoch
                best = _copied(state.variables)
            course.epoch, course.step = epoch, stop
            course.step_seconds += trained - began
            course.seconds += time.monotonic() - began
            auroc = values["macro_auroc"]
            line = {
                "epoch": epoch,
                "step": stop,
                "train_loss": float(np.mean(losses)),
                "validation_loss": validation_loss,
                "validation_macro_auroc": None if np.isnan(auroc) else auroc,
                "learning_rate": setup.learning_rates[stop - 1].item(),
                "seconds": round(time.monotonic() - began, 3),
            }
            meta = fixed | {"course": dataclasses.asdict(course)}
            writer.end_epoch(line, latest=_copied(state), best=best, meta=meta)
            progress.describe(line)
    return best


def _fixed_meta(setup: TrainingSetup) -> dict[str, Any]:
    return {
        "config": to_dict(setup.config),
        "contract": to_dict(setup.contract),
        "fingerprint": setup.prepared.fingerprint,
        "folds": {name: list(folds) for name, folds in setup.splits.folds.items()},
    }


def _copied(tree: Any) -> Any:
    """NumPy copies, because the next step overwrites donated buffers while Orbax still writes."""
    return jax.tree.map(lambda x: np.array(x, copy=True), jax.device_get(tree))


def _check_finite(losses: np.ndarray, first: int, good_epoch: int, workdir: Path) -> None:
    wrong = np.flatnonzero(~np.isfinite(losses))
    if len(wrong):
        kept = f"the checkpoint after epoch {good_epoch} is kept in {workdir}" if good_epoch else "no epoch ended"
        raise RunError(
            f"the loss is {losses[wrong[0]]} at step {first + int(wrong[0])}; {kept}; "
            "try a smaller --train.learning-rate in a new --workdir"
        )


def _validation_values(setup: TrainingSetup, probability: np.ndarray) -> dict[str, float]:
    label, target = setup.validation.label, setup.contract.target
    thresholds = fit_thresholds(label, probability, target)
    return point_values(label, probability, thresholds, target=target, score=setup.prepared.score)


def _is_better(value: float, best: float, metric: str) -> bool:
    return value < best if metric == "loss" else value > best


def _finish(setup: TrainingSetup, best: Any, course: _Course, writer: RunWriter) -> RunResult:
    """Predicts the validation split with the best variables and writes the result of the run."""
    config, contract, prepared = setup.config, setup.contract, setup.prepared
    shape = {"leads": len(contract.leads), "labels": len(contract.target.names)}
    shape["window_samples"] = contract.window_samples
    probability, _ = setup.validate(setup.place(best))
    predictions = SplitPredictions("validation", prepared, setup.splits.validation, probability)
    result = make_result(
        writer.workdir,
        predictions,
        fit_thresholds(predictions.label, probability, contract.target),
        config=config,
        cost=cost_of(config, **shape, rate_hz=contract.rate_hz),
        train=TrainStats(
            steps=course.step,
            seconds=round(course.seconds, 3),
            examples_per_second=round(course.step * setup.batch_size / course.step_seconds, 1),
            best_epoch=course.best_epoch,
        ),
    )
    writer.write_result(predictions, result)
    return result
