"""The progress of a study as a table: updated continuously in a terminal, otherwise printed once."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from ecg_jax.analysis.axes import Scale
from ecg_jax.formatting import duration
from ecg_jax.study.cost import cost_of
from ecg_jax.study.design import Plan
from ecg_jax.study.tasks import Attempt, ProgressOf, Task, lease_expired, seconds_left, tasks
from ecg_jax.study.workdir import ProgressCache, open_study

REFRESH_SECONDS = 2.0


@dataclass(frozen=True)
class RunningTrial:
    """A trial that is being trained: its worker, its duration so far and the time since the worker last reported."""

    name: str
    worker: str
    seconds: float
    since_heartbeat_seconds: float


@dataclass(frozen=True)
class Status:
    """The progress of a study at one moment.

    Attributes:
        total, done, to_come: numbers of tasks: trials, and learning rates that are tried before them.
        running: the trials that are being trained.
        silent: number of running trials whose worker has not reported for its whole lease: it is dead.
        failed: the tasks that failed, with the reason.
        best: the trial with the best validation macro AUROC, and that; None before the first.
        best_is_of_rates: no whole trial is done, so the best is that of a first fold.
        seconds_left: with as many workers as now; None before the first task is done.
    """

    total: int
    done: int
    to_come: int
    running: tuple[RunningTrial, ...]
    silent: int
    failed: tuple[tuple[str, str], ...]
    best: tuple[str, float] | None
    best_is_of_rates: bool
    seconds_left: float | None

    @property
    def finished(self) -> bool:
        """Nothing is running and nothing is to come."""
        return not self.running and not self.to_come


def status(
    plan: Plan,
    attempts: list[Attempt],
    progress_of: ProgressOf,
    *,
    folds: int,
    macs_of: Callable[[Scale], float],
    now: float,
) -> Status:
    """The progress of a study at the time `now`, from its plan, the attempts in its storage and its files. Pure."""
    listed = tasks(plan, attempts, progress_of)
    running = {task.attempt.number: task.attempt for task in listed if task.state == "running" and task.attempt}
    best = max((task for task in listed if task.state == "done"), key=_rank, default=None)
    return Status(
        total=len(listed),
        done=sum(task.state == "done" for task in listed),
        to_come=sum(task.state in ("free", "blocked") for task in listed),
        running=tuple(RunningTrial(a.trial, a.worker, now - a.began, now - a.heartbeat) for a in running.values()),
        silent=sum(lease_expired(attempt, now) for attempt in running.values()),
        failed=tuple((task.name, task.failure) for task in listed if task.state == "failed"),
        best=None if best is None else (best.name, best.progress.value or 0.0),
        best_is_of_rates=best is not None and best.stage == "rate",
        seconds_left=seconds_left(listed, plan, folds, macs_of, now),
    )


def _rank(task: Task) -> tuple[bool, float, str]:
    """Whole trials are better than rates that were tried, then the value decides."""
    return task.stage == "whole", task.progress.value or 0.0, task.name


def render(status: Status) -> RenderableType:
    """A status as tables."""
    left = "not known before the first trial is done"
    if status.finished:
        left = "none: the study is finished"
    elif status.seconds_left is not None:
        left = duration(status.seconds_left)
    best = "none yet"
    if status.best is not None:
        of = ", of the first fold" if status.best_is_of_rates else ""
        best = f"{status.best[1]:.4f}  {status.best[0]} (validation macro AUROC{of})"
    numbers = Table.grid(padding=(0, 2))
    numbers.add_row("done", f"{status.done} of {status.total}")
    numbers.add_row("running", str(len(status.running) - status.silent))
    if status.silent:
        numbers.add_row("silent", f"{status.silent}: its worker is dead; start the study's command again")
    numbers.add_row("failed", str(len(status.failed)))
    numbers.add_row("best so far", best)
    numbers.add_row("time left", left)
    parts: list[RenderableType] = [numbers]
    if status.running:
        table = Table("running", "worker", "for", "last report")
        for trial in status.running:
            since = f"{duration(trial.since_heartbeat_seconds)} ago"
            table.add_row(trial.name, trial.worker, duration(trial.seconds), since)
        parts.append(table)
    if status.failed:
        table = Table("failed", "why")
        for name, reason in status.failed:
            table.add_row(name, reason)
        parts.append(table)
    return Group(*parts)


def show(path: Path, *, storage: str = "", console: Console | None = None) -> None:
    """Shows the progress of a study until it is finished, or once if there is no terminal.

    Raises:
        RunError: there is no study in this folder, or its storage does not answer.
    """
    from ecg_jax.study.trial_queue import open_trial_queue  # Optuna

    console = console or Console()
    folder = open_study(path)
    study, progress_of = folder.study, ProgressCache(folder)
    with open_trial_queue(path, folder.name, storage or folder.storage) as queue:

        def now() -> Status:
            settings = {"folds": len(study.folds), "macs_of": lambda scale: cost_of(study, scale).macs}
            return status(folder.plan(), queue.attempts(), progress_of, now=time.time(), **settings)

        if not console.is_terminal:
            console.print(render(now()), soft_wrap=True)
            return
        with Live(render(shown := now()), console=console, auto_refresh=False) as live:
            while not shown.finished:
                time.sleep(REFRESH_SECONDS)
                live.update(render(shown := now()), refresh=True)
