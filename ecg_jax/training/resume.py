"""What a workdir holds before a run trains in it: a result, a checkpoint to continue from, another run, or nothing."""

import dataclasses
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from ecg_jax.config import RunConfig, from_dict, same_run
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.dataset.splits import Splits
from ecg_jax.errors import RunError
from ecg_jax.evaluation.scores import SCORES
from ecg_jax.evaluation.summary import metric_value
from ecg_jax.terminal import tell
from ecg_jax.training.checkpoint import Checkpoint, Course, check_fingerprint, read_checkpoint
from ecg_jax.training.evaluator import stacked
from ecg_jax.training.processes import agreed
from ecg_jax.training.result import RunResult, read_result
from ecg_jax.training.setup import RunPlan, TrainingSetup
from ecg_jax.training.step import TrainState
from ecg_jax.training.workdir import CHECKPOINTS, CONFIG, METRICS, check_config, read_config, read_metrics
from ecg_jax.training.writer import RunWriter


@dataclasses.dataclass
class Training:
    """One of the runs that are trained together."""

    plan: RunPlan
    writer: RunWriter
    course: Course = dataclasses.field(default_factory=Course)
    best: Any = None
    """The best variables as NumPy arrays."""
    saved_epoch: int = 0
    """The epoch of the last checkpoint."""
    failure: RunError | None = None
    losses: list[float] = dataclasses.field(default_factory=list)
    """Of the steps since the last epoch ended."""
    epoch_seconds: float = 0.0
    until: int | None = None
    """The epoch after which the training pauses; None: it goes on to its end."""

    @property
    def last_epoch(self) -> int:
        """The epoch after which this training ends or pauses."""
        epochs = self.plan.config.train.epochs
        return epochs if self.until is None else min(epochs, self.until)

    @property
    def step(self) -> int:
        """The number of steps taken."""
        return self.course.step + len(self.losses)

    @property
    def is_going(self) -> bool:
        """Whether epochs are left to train."""
        return self.failure is None and self.course.epoch < self.last_epoch

    @property
    def is_paused(self) -> bool:
        """Whether it waits for its last epochs until it is started again."""
        return self.course.epoch < self.plan.config.train.epochs

    @property
    def steps_to_epoch(self) -> int:
        """The number of steps until the epoch ends."""
        return self.plan.steps_until(self.course.epoch + 1) - self.step


def opened(plan: RunPlan, writer: RunWriter, workdirs: ExitStack, console: Console) -> RunResult | Training:
    """The result of a finished run, or else its training, in a workdir that is kept for this process.

    Of several processes, only the first one reads the workdir.
    """
    return agreed(lambda: _finished_or_kept(plan, writer, workdirs, console)) or Training(plan, writer)


def _finished_or_kept(plan: RunPlan, writer: RunWriter, workdirs: ExitStack, console: Console) -> RunResult | None:
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
    return None


def _finished(plan: RunPlan, workdir: Path, console: Console) -> RunResult | None:
    """The result of a workdir, if its run is finished and its config is there; another run in it is refused."""
    has_config, result = (workdir / CONFIG).is_file(), read_result(workdir)
    if has_config:
        check_config(workdir, read_config(workdir), plan.config)
    if result is None:
        return None
    of_result = from_dict(RunConfig, result.config)
    check_config(workdir, of_result, plan.config)
    check_fingerprint(workdir, plan.prepared.fingerprint)
    if not has_config or same_run(of_result) != same_run(plan.config):
        return None
    tell(console, f"{workdir} is finished: nothing to do")
    return result


def _check_best_metric(metric: str, prepared: PreparedSet, splits: Splits) -> None:
    if metric in SCORES and prepared.score != metric:
        raise RunError(f"--train.best-metric {metric} is not the score of this set; choose another metric")
    label = prepared.label[splits.validation].astype(float)
    if metric != "loss" and np.isnan(metric_value(metric, label, label, prepared.target)):
        raise RunError(
            f"--train.best-metric {metric} is not defined: validation folds {list(splits.folds['validation'])} lack "
            "records with, or without, the labels; choose other --data.validation-folds or --train.best-metric loss"
        )


def restored_state(setup: TrainingSetup, trainings: Sequence[Training], console: Console) -> TrainState:
    """The states of the last whole checkpoints, or those before the first step; also best variables and courses."""
    host = jax.device_get(setup.initial_state())
    states = [of_run(host, number) for number in range(len(trainings))]
    for number, training in enumerate(trainings):
        try:
            checkpoint = agreed(partial(_read, training, states[number], console))
        except RunError as failure:
            training.failure = failure
            continue
        if checkpoint is None:
            tell(console, *(start.sentences if (start := setup.starts[number]) else ()))
        else:
            states[number], training.best = checkpoint.latest, checkpoint.best
            training.course, training.saved_epoch = checkpoint.course, checkpoint.course.epoch
    return setup.place(stacked(states))


def _read(training: Training, like: TrainState, console: Console) -> Checkpoint | None:
    workdir, epochs = training.writer.workdir, training.plan.config.train.epochs
    checkpoint = read_checkpoint(workdir / CHECKPOINTS, latest=like, best=like.variables)
    if checkpoint is None:
        return None
    epoch = checkpoint.course.epoch
    tell(console, *(f"{note}; the one before is used" for note in checkpoint.damaged))
    known = {line["epoch"] for line in read_metrics(workdir)}
    if lost := len(set(range(1, epoch + 1)) - known):
        tell(console, f"{workdir / METRICS} lacks {lost} of {epoch} epochs, and so will the training curves")
    tell(console, f"continuing after epoch {epoch} of {epochs}")
    return checkpoint


def of_run(tree: Any, number: int) -> Any:
    """Copies of one run's arrays [R, ...] as NumPy arrays; the next step overwrites what was donated to it."""
    return jax.tree.map(lambda x: np.array(x[number]), tree)
