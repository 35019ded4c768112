"""How a study stands, as a table: live in a terminal, once where the output goes elsewhere."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from ecg_jax.study.design import Plan, Scale
from ecg_jax.study.tasks import Claim, Task, seconds_left, silent, tasks

REFRESH_SECONDS = 2.0


@dataclass(frozen=True)
class Status:
    """How a study stands at a moment.

    Attributes:
        total, done, to_come: numbers of tasks: trials, and rates tried before them.
        running: what runs now, with worker, seconds since its start and seconds since its last beat.
        silent: the numbers among `running` whose workers were not heard of for their lease: they are dead.
        failed: what failed, and why.
        best: the trial with the best validation macro AUROC, and that; None before the first.
        best_is_of_rates: no whole trial is done, so the best is that of a first fold.
        seconds_left: with as many workers as now; None before the first trial is done.
    """

    total: int
    done: int
    to_come: int
    running: tuple[tuple[str, str, float, float], ...]
    silent: int
    failed: tuple[tuple[str, str], ...]
    best: tuple[str, float] | None
    best_is_of_rates: bool
    seconds_left: float | None

    @property
    def finished(self) -> bool:
        """Nothing runs and nothing is to come."""
        return not self.running and not self.to_come


def status(plan: Plan, claims: list[Claim], *, folds: int, macs_of: Callable[[Scale], float], now: float) -> Status:
    """How a study stands at the time `now`, from its plan and the claims in its storage. Pure."""
    listed = tasks(plan, claims)
    running = {task.claim.number: task.claim for task in listed if task.state == "running" and task.claim}
    best = max((_figure(task) for task in listed if task.state == "done"), default=None)
    return Status(
        total=len(listed),
        done=sum(task.state == "done" for task in listed),
        to_come=sum(task.state in ("free", "blocked") for task in listed),
        running=tuple((c.trial, c.worker, now - c.began, now - c.beat) for c in running.values()),
        silent=sum(silent(claim, now) for claim in running.values()),
        failed=tuple(
            (task.name, task.claim.reason if task.claim else "every learning rate failed")
            for task in listed
            if task.state == "failed"
        ),
        best=None if best is None else (best[2], best[1]),
        best_is_of_rates=best is not None and not best[0],
        seconds_left=seconds_left(listed, plan, folds, macs_of, now),
    )


def _figure(task: Task) -> tuple[bool, float, str]:
    """Whole trials before rates that were tried, then by value."""
    return task.stage == "whole", (task.claim.value or 0.0) if task.claim else 0.0, task.name


def render(found: Status) -> RenderableType:
    """A status as tables."""
    left = "not known before the first trial is done" if found.seconds_left is None else duration(found.seconds_left)
    best = "none yet"
    if found.best is not None:
        of = ", of the first fold" if found.best_is_of_rates else ""
        best = f"{found.best[1]:.4f}  {found.best[0]} (validation macro AUROC{of})"
    figures = Table.grid(padding=(0, 2))
    figures.add_row("done", f"{found.done} of {found.total}")
    figures.add_row("running", str(len(found.running) - found.silent))
    if found.silent:
        figures.add_row("silent", f"{found.silent}: its worker is dead; start the study's command again")
    figures.add_row("failed", str(len(found.failed)))
    figures.add_row("best so far", best)
    figures.add_row("time left", "none: the study is finished" if found.finished else left)
    parts: list[RenderableType] = [figures]
    if found.running:
        table = Table("running", "worker", "for", "last heard of")
        for name, worker, since, silent in found.running:
            table.add_row(name, worker, duration(since), f"{duration(silent)} ago")
        parts.append(table)
    if found.failed:
        table = Table("failed", "why")
        for name, reason in found.failed:
            table.add_row(name, reason)
        parts.append(table)
    return Group(*parts)


def duration(seconds: float) -> str:
    """Seconds as a reader likes them."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def show(workdir: Path, *, storage: str = "", console: Console | None = None) -> None:
    """Shows a study until it is finished, or once where there is no terminal.

    Raises:
        RunError: there is no study in this workdir, or its storage does not answer.
    """
    from ecg_jax.study.design import cost_of
    from ecg_jax.study.trial_queue import open_trial_queue
    from ecg_jax.study.workdir import read_founded, read_plan

    console = console or Console()
    founded = read_founded(workdir)
    study = founded.study
    with open_trial_queue(workdir, founded.name, storage or founded.storage) as desk:

        def now() -> Status:
            settings = {"folds": len(study.folds), "macs_of": lambda scale: cost_of(study, scale).macs}
            return status(read_plan(workdir), desk.claims(), now=time.time(), **settings)

        if not console.is_terminal:
            console.print(render(now()), soft_wrap=True)
            return
        with Live(render(found := now()), console=console, auto_refresh=False) as live:
            while not found.finished:
                time.sleep(REFRESH_SECONDS)
                live.update(render(found := now()), refresh=True)
