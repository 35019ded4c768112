"""The progress of a study as a table: updated continuously in a terminal, otherwise printed once."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from ecg_jax.analysis.axes import Scale
from ecg_jax.formatting import duration
from ecg_jax.study.cost import cost_of
from ecg_jax.study.storage import is_url
from ecg_jax.study.tasks import State, Task, is_finished, lease_expired, seconds_left, tasks
from ecg_jax.study.workdir import cached_progress, open_study
from ecg_jax.terminal import PlainConsole

REFRESH_SECONDS = 2.0


def render(listed: Sequence[Task], seconds: float | None, now: float) -> RenderableType:
    """The tasks of a study as tables.

    Args:
        listed: all tasks.
        seconds: until all are done; None if that is not known.
        now: time of the heartbeats' clock.
    """
    by_state = {state: [task for task in listed if task.state == state] for state in get_args(State)}
    attempts = {task.attempt.number: task.attempt for task in by_state["running"] if task.attempt}.values()
    silent = sum(lease_expired(attempt, now) for attempt in attempts)
    left = "not known before the first trial is done" if seconds is None else duration(seconds)
    numbers = Table.grid(padding=(0, 2))
    numbers.add_row("done", f"{len(by_state['done'])} of {len(listed)}")
    numbers.add_row("running", str(len(attempts) - silent))
    if silent:
        numbers.add_row("silent", f"{silent}: its worker is dead; start the study's command again")
    numbers.add_row("failed", str(len(by_state["failed"])))
    numbers.add_row("best so far", _best(by_state["done"]))
    numbers.add_row("time left", "none: the study is finished" if is_finished(listed) else left)
    parts: list[RenderableType] = [numbers]
    if attempts:
        running = Table("running", "worker", "for", "last report")
        for attempt in attempts:
            times = duration(now - attempt.began), f"{duration(now - attempt.heartbeat)} ago"
            running.add_row(attempt.trial, attempt.worker, *times)
        parts.append(running)
    if by_state["failed"]:
        failed = Table("failed", "why")
        for task in by_state["failed"]:
            failed.add_row(task.name, task.failure)
        parts.append(failed)
    return Group(*parts)


def _best(done: Sequence[Task]) -> str:
    """The trial with the best validation macro AUROC; whole trials come before learning rates that were tried."""
    if not done:
        return "none yet"
    best = max(done, key=lambda task: (task.stage == "whole", task.progress.value or 0.0, task.name))
    of = ", of the first fold" if best.stage == "rate" else ""
    return f"{best.progress.value:.4f}  {best.name} (validation macro AUROC{of})"


def show(path: Path, *, storage: str = "", allow_code: bool = False, console: Console | None = None) -> None:
    """Shows the progress of a study until it is finished, or once if there is no terminal.

    Raises:
        RunError: there is no study in this folder, it names code that is not allowed, or its storage does not answer.
    """
    from ecg_jax.study.trial_queue import open_trial_queue  # Optuna

    console = console or PlainConsole()
    folder = open_study(path, allow_code=allow_code)
    study, progress_of, place = folder.study, cached_progress(folder), storage or folder.storage
    queue = open_trial_queue(path, folder.name, place) if is_url(place) or (path / place).exists() else None

    def macs_of(scale: Scale) -> float:
        return float(cost_of(study, scale).macs * study.config(scale).train.epochs)

    def present() -> tuple[list[Task], RenderableType]:
        plan, now = folder.plan(), time.time()
        listed = tasks(plan, queue.attempts() if queue else [], progress_of)
        left = seconds_left(listed, plan, len(study.folds), macs_of, now)
        return listed, render(listed, left, now)

    listed, shown = present()
    if not console.is_terminal:
        console.print(shown, soft_wrap=True)
        return
    with Live(shown, console=console, auto_refresh=False) as live:
        while not is_finished(listed):
            time.sleep(REFRESH_SECONDS)
            listed, shown = present()
            live.update(shown, refresh=True)
