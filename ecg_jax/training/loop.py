"""The only training loop: `run` and `run_together`. Reads the clock; files are written by `writer.py`."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from ecg_jax.config import RunConfig, from_dict, to_dict
from ecg_jax.dataset.prepared import PreparedSet, open_prepared
from ecg_jax.dataset.splits import Splits
from ecg_jax.errors import ConfigError, RunError, UserError
from ecg_jax.evaluation.scores import SCORES
from ecg_jax.evaluation.summary import point_values
from ecg_jax.evaluation.thresholds import fit_thresholds
from ecg_jax.import_path import name_of
from ecg_jax.models.cost import cost_of
from ecg_jax.models.resnet import Network
from ecg_jax.terminal import PlainConsole, tell
from ecg_jax.training.augment import Augment
from ecg_jax.training.checkpoint import Course, check_fingerprint, read_checkpoint
from ecg_jax.training.evaluator import stacked
from ecg_jax.training.losses import Loss
from ecg_jax.training.progress import EpochProgress
from ecg_jax.training.result import RunResult, SplitPredictions, TrainStats, make_result, read_result
from ecg_jax.training.setup import RunPlan, TrainingSetup, make_plan
from ecg_jax.training.step import TrainState
from ecg_jax.training.workdir import CHECKPOINTS, CONFIG, METRICS, check_config, read_config, read_metrics
from ecg_jax.training.writer import RunWriter, SilentWriter


@dataclasses.dataclass
class _Training:
    """One of the runs that are trained together."""

    plan: RunPlan
    writer: RunWriter
    course: Course = dataclasses.field(default_factory=Course)
    best: Any = None
    """The best variables as NumPy arrays."""
    failure: RunError | None = None
    losses: list[float] = dataclasses.field(default_factory=list)
    """Of the steps since the last epoch ended."""
    epoch_seconds: float = 0.0

    @property
    def step(self) -> int:
        """The number of steps taken."""
        return self.course.step + len(self.losses)

    @property
    def is_going(self) -> bool:
        """Whether epochs are left to train."""
        return self.failure is None and self.course.epoch < self.plan.config.train.epochs

    @property
    def steps_to_epoch(self) -> int:
        """The number of steps until the epoch ends."""
        return self.plan.steps_until(self.course.epoch + 1) - self.step


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
        InUseError: another process is training in the workdir.
        RunError: the workdir holds another run, no checkpoint in it is whole, or the loss is not finite.
    """
    config = _with_functions(config, network=network, loss=loss, augment=augment)
    result = run_together({workdir: config}, console=console, plots=plots)[workdir]
    if isinstance(result, UserError):
        raise result
    return result


def run_together(
    runs: Mapping[Path, RunConfig], *, console: Console | None = None, plots: bool = True
) -> dict[Path, RunResult | UserError]:
    """Trains several runs of one network as one program, each in its workdir as by `run`.

    Each run gets the result that it would have alone, up to rounding. The seconds of a step are divided among the runs
    that take it.

    Args:
        runs: workdir -> config; they differ in seed, learning rate, epochs, folds and training share alone.
        console: where progress is shown; by default standard error.
        plots: whether curves are drawn.

    Returns:
        The result of each run, or why it failed: its folds cannot be used, its workdir holds another run, or its loss
        is not finite. The others go on.

    Raises:
        DataError: the prepared set cannot be read.
        InUseError: another process is training in one of the workdirs.
        RunError: the runs differ in more than that.
    """
    console = console or PlainConsole(stderr=True)
    results: dict[Path, RunResult | UserError] = {}
    trainings: list[_Training] = []
    prepared: PreparedSet | None = None
    with ExitStack() as workdirs:
        for workdir, config in runs.items():
            config = dataclasses.replace(config, data=dataclasses.replace(config.data, path=config.data.path.resolve()))
            if prepared is None or prepared.path != config.data.path:
                prepared = open_prepared(config.data.path)
            writer = RunWriter(workdir, plots=plots) if jax.process_index() == 0 else SilentWriter(workdir)
            try:
                opened = _opened(make_plan(config, prepared), writer, workdirs, console)
            except (ConfigError, RunError) as error:
                results[workdir] = error
                continue
            if isinstance(opened, _Training):
                trainings.append(opened)
            else:
                results[workdir] = opened
        if trainings:
            results |= _run_all(trainings, console)
    return {workdir: results[workdir] for workdir in runs}


def _opened(plan: RunPlan, writer: RunWriter, workdirs: ExitStack, console: Console) -> RunResult | _Training:
    """The result of a finished run, or else its training, in a workdir that is kept for this process."""
    workdir = writer.workdir
    if (finished := _finished(plan, workdir, console)) is not None:  # perhaps in a read-only folder
        return finished
    _check_best_metric(plan.config.train.best_metric, plan.prepared, plan.splits)
    workdirs.enter_context(writer.alone(console))
    if (finished := _finished(plan, workdir, console)) is not None:  # another process may just have ended
        return finished
    if (before := read_checkpoint(workdir / CHECKPOINTS)) is not None:
        check_config(workdir, before.config, plan.config)
        check_fingerprint(workdir, plan.prepared.fingerprint)
    tell(console, plan.splits.describe())
    return _Training(plan, writer)


def _finished(plan: RunPlan, workdir: Path, console: Console) -> RunResult | None:
    """The result of a workdir, if its run is finished and its config is there; another run in it is refused."""
    has_config, result = (workdir / CONFIG).is_file(), read_result(workdir)
    if has_config:
        check_config(workdir, read_config(workdir), plan.config)
    if result is None:
        return None
    check_config(workdir, from_dict(RunConfig, result.config), plan.config)
    check_fingerprint(workdir, plan.prepared.fingerprint)
    if not has_config:
        return None
    tell(console, f"{workdir} is finished: nothing to do")
    return result


def _run_all(trainings: Sequence[_Training], console: Console) -> dict[Path, RunResult | UserError]:
    setup = TrainingSetup([training.plan for training in trainings])
    state = _restored(setup, trainings, console)
    with ExitStack() as writers:
        for training in trainings:  # only now: a run that cannot be built must not take the folder
            if training.failure is not None:
                continue
            training.writer.begin(training.plan.config, training.course)
            writers.callback(training.writer.close)
        _train(setup, state, trainings, console)
    return _finish(setup, trainings)


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


def _restored(setup: TrainingSetup, trainings: Sequence[_Training], console: Console) -> TrainState:
    """The states of the last whole checkpoints, or those before the first step; also best variables and courses."""
    state = setup.initial_state()
    states = [_of_run(_copied(state), number) for number in range(len(trainings))]
    for number, training in enumerate(trainings):
        like = states[number]
        workdir = training.writer.workdir
        try:
            checkpoint = read_checkpoint(workdir / CHECKPOINTS, latest=like, best=like.variables)
        except RunError as failure:
            training.failure = failure
            continue
        if checkpoint is None:
            continue
        states[number], training.best = checkpoint.latest, checkpoint.best
        training.course = course = checkpoint.course
        tell(console, *(f"{note}; the one before is used" for note in checkpoint.damaged))
        known = {line["epoch"] for line in read_metrics(workdir)}
        if lost := len(set(range(1, course.epoch + 1)) - known):
            tell(console, f"{workdir / METRICS} lacks {lost} of {course.epoch} epochs, and so will the training curves")
        tell(console, f"continuing after epoch {course.epoch} of {training.plan.config.train.epochs}")
    return setup.place(stacked(states))


def _train(setup: TrainingSetup, state: TrainState, trainings: Sequence[_Training], console: Console) -> None:
    """Trains the remaining epochs of all runs; a run whose loss is not finite gets a `failure`."""
    total = sum(plan.steps_until(plan.config.train.epochs) for plan in setup.plans)
    done = sum(training.step for training in trainings)
    with EpochProgress(console, total, done, setup.batch_size) as progress:
        while going := [number for number, training in enumerate(trainings) if training.is_going]:
            began = time.monotonic()
            number_of_steps = min(trainings[number].steps_to_epoch for number in going)
            steps = [training.step for training in trainings]
            state, losses = setup.train(state, steps, number_of_steps, lambda taken: progress.count(taken * len(going)))
            trained = time.monotonic()
            for number in going:
                training = trainings[number]
                training.losses += losses[:, number].tolist()
                training.course.step_seconds += (trained - began) / len(going)
            ended = [number for number in going if not trainings[number].steps_to_epoch]
            validated, latest = setup.validate(state.variables), _copied(state)
            share = (time.monotonic() - began) / len(going)
            for number in going:
                trainings[number].epoch_seconds += share
            for number in ended:
                try:
                    line = _end_epoch(trainings[number], _of_run(latest, number), *validated[number])
                except RunError as failure:
                    trainings[number].failure = failure
                else:
                    progress.describe(line)


def _end_epoch(
    training: _Training, latest: TrainState, probability: np.ndarray, validation_loss: float
) -> dict[str, Any]:
    """Ends an epoch of a run and writes a checkpoint; returns its line of `metrics.jsonl`."""
    plan, course, writer = training.plan, training.course, training.writer
    _check_finite(np.array(training.losses), course.step, course.epoch, writer.workdir)
    _check_finite(np.array([validation_loss]), training.step, course.epoch, writer.workdir)
    values, metric = _validation_values(plan, probability) | {"loss": validation_loss}, plan.config.train.best_metric
    epoch, stop, train_loss = course.epoch + 1, training.step, float(np.mean(np.array(training.losses, np.float32)))
    if course.best_value is None or _is_better(values[metric], course.best_value, metric):
        course.best_value, course.best_epoch = values[metric], epoch
        training.best = latest.variables
    course.epoch, course.step, course.seconds = epoch, stop, course.seconds + training.epoch_seconds
    auroc = values["macro_auroc"]
    line = {
        "epoch": epoch,
        "step": stop,
        "train_loss": train_loss,
        "validation_loss": validation_loss,
        "validation_macro_auroc": None if np.isnan(auroc) else auroc,
        "learning_rate": plan.learning_rates[stop - 1].item(),
        "seconds": round(training.epoch_seconds, 3),
    }
    meta = _fixed_meta(plan) | {"course": dataclasses.asdict(course)}
    writer.end_epoch(line, latest=latest, best=training.best, meta=meta)
    training.losses, training.epoch_seconds = [], 0.0
    return line


def _fixed_meta(plan: RunPlan) -> dict[str, Any]:
    return {
        "config": to_dict(plan.config),
        "contract": to_dict(plan.contract),
        "fingerprint": plan.prepared.fingerprint,
        "folds": {name: list(folds) for name, folds in plan.splits.folds.items()},
    }


def _copied(tree: Any) -> Any:
    """NumPy copies, because the next step overwrites donated buffers while Orbax still writes."""
    return jax.tree.map(lambda x: np.array(x, copy=True), jax.device_get(tree))


def _of_run(tree: Any, number: int) -> Any:
    """The arrays of one run."""
    return jax.tree.map(lambda x: np.asarray(x[number]), tree)


def _check_finite(losses: np.ndarray, first: int, good_epoch: int, workdir: Path) -> None:
    wrong = np.flatnonzero(~np.isfinite(losses))
    if len(wrong):
        kept = f"the checkpoint after epoch {good_epoch} is kept in {workdir}" if good_epoch else "no epoch ended"
        raise RunError(
            f"the loss is {losses[wrong[0]]} at step {first + int(wrong[0])}; {kept}; "
            "try a smaller --train.learning-rate in a new --workdir"
        )


def _validation_values(plan: RunPlan, probability: np.ndarray) -> dict[str, float]:
    label, target = plan.prepared.label[plan.splits.validation], plan.contract.target
    thresholds = fit_thresholds(label, probability, target)
    return point_values(label, probability, thresholds, target=target, score=plan.prepared.score)


def _is_better(value: float, best: float, metric: str) -> bool:
    return value < best if metric == "loss" else value > best


def _finish(setup: TrainingSetup, trainings: Sequence[_Training]) -> dict[Path, RunResult | UserError]:
    """Predicts the validation splits with the best variables and writes the results of the runs."""
    some = next((training.best for training in trainings if training.best is not None), None)
    results: dict[Path, RunResult | UserError] = {}
    if some is not None:
        best = [some if training.best is None else training.best for training in trainings]
        validated = setup.validate(setup.place(stacked(best)))
    for number, training in enumerate(trainings):
        workdir = training.writer.workdir
        results[workdir] = training.failure or _write_result(training, validated[number][0])
    return results


def _write_result(training: _Training, probability: np.ndarray) -> RunResult:
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
    training.writer.write_result(predictions, result)
    return result
