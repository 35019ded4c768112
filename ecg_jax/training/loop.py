"""The only training loop: `run` and `run_together`. Reads the clock; files are written by `writer.py`."""

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import jax
import numpy as np
from rich.console import Console

from ecg_jax.config import RunConfig, to_dict
from ecg_jax.dataset.prepared import PreparedSet, open_prepared
from ecg_jax.errors import ConfigError, RunError, UserError
from ecg_jax.evaluation.summary import metric_value
from ecg_jax.evaluation.thresholds import fit_thresholds
from ecg_jax.import_path import name_of
from ecg_jax.models.cost import cost_of
from ecg_jax.models.resnet import Network
from ecg_jax.terminal import PlainConsole
from ecg_jax.training.augment import Augment
from ecg_jax.training.evaluator import stacked
from ecg_jax.training.losses import Loss
from ecg_jax.training.processes import agreed
from ecg_jax.training.progress import EpochProgress
from ecg_jax.training.result import RunResult, SplitPredictions, TrainStats, make_result
from ecg_jax.training.resume import Training, of_run, opened, restored_state
from ecg_jax.training.saving import BackgroundSaves
from ecg_jax.training.setup import RunPlan, TrainingSetup, make_plan
from ecg_jax.training.start import with_start
from ecg_jax.training.step import TrainState
from ecg_jax.training.writer import RunWriter, SilentWriter


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
    finished run is read and not repeated. A checkpoint is saved after an epoch if saving has taken less than 5 % of the
    time so far or if the last one began 10 s ago, and at the end. The test folds are not read.

    Args:
        config: everything that decides the run.
        workdir: a folder for this run alone.
        network: `network(config, n_classes, axis_name) -> nn.Module` instead of `ResNet1D`.
        loss: `loss(logits [B, K], label [B, K]) -> [B]` instead of the config's.
        augment: `augment(key, signal [T, L]) -> [T, L]` instead of the config's (but its mixup and stretch stay).
        console: where progress is shown; by default standard error.
        plots: whether curves are drawn.

    Raises:
        DataError, ConfigError: the prepared set or its folds cannot be used.
        InUseError: another process is training in the workdir.
        RunError: the workdir holds another run, no checkpoint in it is whole, or the loss is not finite.
    """
    config = _with_functions(config, network=network, loss=loss, augment=augment)
    result = run_together({workdir: config}, console=console, plots=plots)[workdir]
    if isinstance(result, UserError):
        raise result
    return result


def run_together(
    runs: Mapping[Path, RunConfig], *, console: Console | None = None, plots: bool = True, until: int | None = None
) -> dict[Path, RunResult | UserError]:
    """Trains several runs of one network as one program, each in its workdir as by `run`.

    Each run gets the result that it would have alone, up to rounding. The seconds of a step are divided among the runs
    that take it.

    Args:
        runs: workdir -> config; they differ in seed, learning rate, epochs, folds and training share alone.
        console: where progress is shown; by default standard error.
        plots: whether curves are drawn.
        until: an epoch after which all pause, each with a checkpoint from which it goes on when it is started again.

    Returns:
        The result of each run that has ended, or why it failed: its folds cannot be used, its workdir holds another
        run, or its loss is not finite. The others go on. A run that has paused is not among them.

    Raises:
        DataError: the prepared set cannot be read.
        InUseError: another process is training in one of the workdirs.
        RunError: the runs differ in more than that.
    """
    is_first = jax.process_index() == 0
    console = console or PlainConsole(stderr=True, quiet=not is_first)
    results: dict[Path, RunResult | UserError] = {}
    trainings: list[Training] = []
    prepared: PreparedSet | None = None
    with ExitStack() as workdirs:
        for workdir, config in runs.items():
            config = dataclasses.replace(config, data=dataclasses.replace(config.data, path=config.data.path.resolve()))
            if prepared is None or prepared.path != config.data.path:
                prepared = open_prepared(config.data.path)
            writer = RunWriter(workdir, plots=plots) if is_first else SilentWriter(workdir)
            try:
                config = agreed(partial(with_start, config))
                found = opened(make_plan(config, prepared), writer, workdirs, console)
            except (ConfigError, RunError) as error:
                results[workdir] = error
                continue
            if isinstance(found, Training):
                found.until = until
                trainings.append(found)
            else:
                results[workdir] = found
        if trainings:
            results |= _run_all(trainings, console)
    return {workdir: results[workdir] for workdir in runs if workdir in results}


def _run_all(trainings: Sequence[Training], console: Console) -> dict[Path, RunResult | UserError]:
    setup = TrainingSetup([training.plan for training in trainings])
    state = restored_state(setup, trainings, console)
    for training in trainings:  # only now: a run that cannot be built must not take the folder
        if training.failure is None:
            training.writer.begin(training.plan.config, training.course)
    with BackgroundSaves(monotonic) as saves:
        _train(setup, state, trainings, saves, console)
        ends = _ends(setup, trainings)
    results: dict[Path, RunResult | UserError] = {}
    for training, end in zip(trainings, ends, strict=True):  # only now: all checkpoints are on disk
        if isinstance(end, RunError):
            results[training.writer.workdir] = end
        elif end is not None:
            training.writer.write_result(*end)
            results[training.writer.workdir] = end[1]
    return results


def _with_functions(config: RunConfig, **functions: Any) -> RunConfig:
    names = {what: name_of(function, what) for what, function in functions.items() if function is not None}
    return dataclasses.replace(config, functions=dataclasses.replace(config.functions, **names))


def _train(
    setup: TrainingSetup, state: TrainState, trainings: Sequence[Training], saves: BackgroundSaves, console: Console
) -> None:
    """Trains the remaining epochs of all runs; a run whose loss is not finite gets a `failure`."""
    total = sum(training.plan.steps_until(training.last_epoch) for training in trainings)
    done = min(sum(training.step for training in trainings), total)
    with EpochProgress(console, total, done, setup.batch_size) as progress:
        while going := [number for number, training in enumerate(trainings) if training.is_going]:
            began = monotonic()
            number_of_steps = min(trainings[number].steps_to_epoch for number in going)
            steps = [training.step for training in trainings]
            state, losses = setup.train(state, steps, number_of_steps, lambda taken: progress.count(taken * len(going)))
            trained = monotonic()
            for number in going:
                training = trainings[number]
                training.losses += losses[:, number].tolist()
                training.course.step_seconds += (trained - began) / len(going)
            ended = [number for number in going if not trainings[number].steps_to_epoch]
            validated, variables = setup.validate(state.variables), jax.device_get(state.variables)
            share = (monotonic() - began) / len(going)
            for number in going:
                trainings[number].epoch_seconds += share
            for number in ended:
                try:
                    line = _end_epoch(trainings[number], variables, number, *validated[number])
                except RunError as failure:
                    trainings[number].failure = failure
                else:
                    progress.describe(line)
            whole = [number for number in ended if trainings[number].failure is None]
            due = [number for number in whole if not trainings[number].is_going or saves.is_due(number)]
            latest = jax.device_get(state) if due else None
            for number in due:
                _save(trainings[number], of_run(latest, number), saves, number)


def _end_epoch(
    training: Training, variables: Any, number: int, probability: np.ndarray, validation_loss: float
) -> dict[str, Any]:
    """Ends an epoch of the run `number`, of which the variables are kept if they are the best, and returns its line."""
    plan, course, writer = training.plan, training.course, training.writer
    for first, losses in ((course.step, training.losses), (training.step, [validation_loss])):
        _check_finite(np.array(losses), first, training.saved_epoch, writer.workdir)
    label, target, metric = plan.validation_label, plan.contract.target, plan.config.train.best_metric
    auroc = metric_value("macro_auroc", label, probability, target)
    known = {"loss": validation_loss, "macro_auroc": auroc}
    value = known[metric] if metric in known else metric_value(metric, label, probability, target)
    epoch, stop, train_loss = course.epoch + 1, training.step, float(np.mean(np.array(training.losses, np.float32)))
    if course.best_value is None or _is_better(value, course.best_value, metric):
        course.best_value, course.best_epoch = value, epoch
        training.best = of_run(variables, number)
    course.epoch, course.step, course.seconds = epoch, stop, course.seconds + training.epoch_seconds
    line = {
        "epoch": epoch,
        "step": stop,
        "train_loss": train_loss,
        "validation_loss": validation_loss,
        "validation_macro_auroc": None if np.isnan(auroc) else auroc,
        "learning_rate": plan.learning_rates[stop - 1].item(),
        "seconds": round(training.epoch_seconds, 3),
    }
    writer.end_epoch(line)
    training.losses, training.epoch_seconds = [], 0.0
    return line


def _save(training: Training, latest: TrainState, saves: BackgroundSaves, number: int) -> None:
    """Starts a checkpoint of what the run `number` is now."""
    course = training.course
    meta = _fixed_meta(training.plan) | {"course": dataclasses.asdict(course)}
    saves.start(number, partial(training.writer.save, course.step, latest=latest, best=training.best, meta=meta))
    training.saved_epoch = course.epoch


def _fixed_meta(plan: RunPlan) -> dict[str, Any]:
    return {
        "config": to_dict(plan.config),
        "contract": to_dict(plan.contract),
        "fingerprint": plan.prepared.fingerprint,
        "folds": {name: list(folds) for name, folds in plan.splits.folds.items()},
    }


def _check_finite(losses: np.ndarray, first: int, saved_epoch: int, workdir: Path) -> None:
    wrong = np.flatnonzero(~np.isfinite(losses))
    if len(wrong):
        kept = f"the checkpoint after epoch {saved_epoch} is kept in {workdir}" if saved_epoch else "none was saved yet"
        raise RunError(
            f"the loss is {losses[wrong[0]]} at step {first + int(wrong[0])}; {kept}; "
            "try a smaller --train.learning-rate in a new --workdir"
        )


def _is_better(value: float, best: float, metric: str) -> bool:
    return value < best if metric == "loss" else value > best


def _ends(
    setup: TrainingSetup, trainings: Sequence[Training]
) -> list[tuple[SplitPredictions, RunResult] | RunError | None]:
    """What the best variables predict for the validation splits, and the results; or why a run failed.

    None for runs that have paused.
    """
    if all(training.failure is None and training.is_paused for training in trainings):
        return [None] * len(trainings)
    some = next((training.best for training in trainings if training.best is not None), None)
    if some is not None:
        best = [some if training.best is None else training.best for training in trainings]
        validated = setup.validate(setup.place(stacked(best)))
    return [
        training.failure or (None if training.is_paused else _end(training, validated[run][0]))
        for run, training in enumerate(trainings)
    ]


def _end(training: Training, probability: np.ndarray) -> tuple[SplitPredictions, RunResult]:
    plan, course = training.plan, training.course
    config, contract, target = plan.config, plan.contract, plan.contract.target
    shape = {"leads": len(contract.leads), "labels": len(target.names), "window_samples": contract.window_samples}
    predictions = SplitPredictions("validation", plan.prepared, plan.splits.validation, probability)
    result = make_result(
        training.writer.workdir,
        predictions,
        fit_thresholds(predictions.label, probability, target),
        config=config,
        cost=cost_of(config, **shape, rate_hz=contract.rate_hz),
        train=TrainStats(
            steps=course.step,
            seconds=round(course.seconds, 3),
            examples_per_second=round(course.step * plan.batch_size / course.step_seconds, 1),
            best_epoch=course.best_epoch,
        ),
    )
    return predictions, result
