"""The tasks of a study and their states. Pure: computed from the plan, the files' progress and the attempts.

A trial is trained in one of two stages: `rate` (pilot seed, first fold only, where a scale has several learning rates
to choose from) and `whole` (all folds, and predictions of the test folds). Its files say what is done and what failed;
an attempt, an entry of the storage, says only which worker is training it now.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ecg_jax.analysis.axes import Scale
from ecg_jax.study.cost import fit_seconds
from ecg_jax.study.design import PILOT_SEED, Plan, Trial, chosen_rate, rate_beyond

LEASE_SECONDS = 60.0
PAUSES, FEWEST_EPOCHS = (0.25, 0.5), 8  # shares of the epochs after which the rates of a scale are compared
PLAINLY = 0.05  # by so much of macro AUROC a rate is plainly worse than the best, which a schedule does not make up
Stage = Literal["rate", "whole"]
State = Literal["done", "running", "failed", "free", "blocked"]


@dataclass(frozen=True)
class Attempt:
    """One worker's attempt at a trial; attempts are numbered in the order in which they began."""

    number: int
    trial: str
    stage: Stage
    running: bool
    worker: str = ""
    began: float = 0.0
    heartbeat: float = 0.0
    """Time of the last report of its worker, by the worker's clock."""
    lease_seconds: float = LEASE_SECONDS
    """A worker without a heartbeat for this time counts as dead; each worker sets it for its own attempts."""


@dataclass(frozen=True)
class Progress:
    """What the files of a trial say about one stage of it."""

    done: bool = False
    value: float | None = None
    """Validation macro AUROC, averaged over the folds."""
    seconds: float = 0.0
    """Seconds of training, summed over the runs of the stage."""
    failure: str | None = None
    """Why the last attempt failed; None if it did not."""
    failed_at: int = 0
    """Time at which the failure was written, in ns."""
    course: tuple[float, ...] = ()
    """Of a rate: its validation macro AUROC after each epoch."""
    epochs: int = 0
    """Of a rate: the number of epochs in all."""


ProgressOf = Callable[[Trial, Stage], Progress]
Retried = Mapping[str, int]
"""Failures that are tried again: name of a trial -> its `failed_at`. A later failure of the trial is not among them."""


@dataclass(frozen=True)
class Task:
    """A trial in one stage. `rate` is None as long as none is chosen for its scale, or if all rates failed."""

    scale: Scale
    rate: float | None
    seed: int
    stage: Stage
    state: State
    progress: Progress = Progress()
    attempt: Attempt | None = None
    until: int | None = None
    """The epoch after which the training of a rate pauses, to be compared with the others; None: it ends."""

    @property
    def trial(self) -> Trial:
        """The trial, once its rate is known."""
        if self.rate is None:
            raise ValueError(f"no rate is chosen for {self.scale.name}")
        return Trial(self.scale, self.rate, self.seed)

    @property
    def name(self) -> str:
        """The name of the trial, without the rate as long as that is not known."""
        return f"{self.scale.name}_s{self.seed}" if self.rate is None else self.trial.name

    @property
    def failure(self) -> str:
        """Why a failed task failed."""
        return self.progress.failure or "every learning rate failed"


def is_valid(attempt: Attempt, attempts: Iterable[Attempt]) -> bool:
    """Whether a new attempt may continue: no older attempt at the trial is running, in either stage."""
    return not any(
        other.running and other.trial == attempt.trial and other.number < attempt.number for other in attempts
    )


def tasks(
    plan: Plan, attempts: Iterable[Attempt], progress_of: ProgressOf, retried: Retried | None = None
) -> list[Task]:
    """All tasks in the order in which they are trained: the rates of every scale, then all scales seed by seed.

    As long as the best rate of a scale is at an edge of those tried by the pilot, one step beyond it is a task, too. In
    a study with a pilot, rates that are plainly worse are stopped early (successive halving, of rates alone).
    """
    running = {attempt.trial: attempt for attempt in attempts if attempt.running}

    def task_of(trial: Trial, stage: Stage) -> Task:
        progress, attempt = progress_of(trial, stage), running.get(trial.name)
        state = _state(trial, progress, attempt, retried or {})
        return Task(trial.scale, trial.learning_rate, trial.seed, stage, state, progress, attempt)

    listed: list[Task] = []
    chosen: dict[Scale, float | None] = {}  # without the scales whose rate is not decided yet
    for scale, rates in plan.rates.items():
        if len(rates) == 1:
            chosen[scale] = rates[0]
            continue
        tried = {rate: task_of(Trial(scale, rate, plan.rate_seed), "rate") for rate in rates}
        has_pilot = plan.rate_seed == PILOT_SEED
        while is_finished((tried := with_pauses(tried) if has_pilot else tried).values()):
            values = {rate: task.progress.value for rate, task in tried.items()}
            beyond = rate_beyond(values, rates) if has_pilot else None
            if beyond is None:
                chosen[scale] = chosen_rate(values)
                break
            tried[beyond] = task_of(Trial(scale, beyond, plan.rate_seed), "rate")
        listed += tried.values()
    for seed in range(max(plan.seeds.values(), default=0)):
        for scale, seeds in plan.seeds.items():
            rate = chosen.get(scale)
            if seed >= seeds:
                continue
            if rate is not None:
                listed.append(task_of(Trial(scale, rate, seed), "whole"))
            else:
                listed.append(Task(scale, None, seed, "whole", "failed" if scale in chosen else "blocked"))
    return listed


def with_pauses(tried: Mapping[float, Task]) -> dict[float, Task]:
    """The rates of a scale, all of which pause at some epochs; there a plainly worse one is done for good.

    None ends before all others have come to the same epoch. A rate that was stopped keeps the best value that it had.
    """
    found = dict(tried)
    epochs = max(task.progress.epochs for task in tried.values())
    for pause in (math.ceil(share * epochs) for share in PAUSES if epochs >= FEWEST_EPOCHS):
        going = {rate: task for rate, task in found.items() if task.state != "failed" and not is_stopped(task)}
        behind = [rate for rate, task in going.items() if len(task.progress.course) < pause and not task.progress.done]
        if behind:
            waiting = {rate: _blocked(task) for rate, task in going.items() if rate not in behind}
            return found | waiting | {rate: replace(going[rate], until=pause) for rate in behind}
        best_of = {rate: max(task.progress.course[:pause], default=0.0) for rate, task in going.items()}
        for rate, task in going.items():
            if best_of[rate] < max(best_of.values()) - PLAINLY and not task.progress.done:
                found[rate] = replace(
                    task, state="done", progress=replace(task.progress, value=max(task.progress.course))
                )
    return found


def _blocked(task: Task) -> Task:
    return replace(task, state="blocked") if task.state == "free" else task


def is_stopped(task: Task) -> bool:
    """Whether a rate is done before its last epoch, because it was plainly worse."""
    return task.state == "done" and not task.progress.done


def _state(trial: Trial, progress: Progress, attempt: Attempt | None, retried: Retried) -> State:
    if progress.done:
        return "done"
    if attempt is not None:
        return "running"
    if progress.failure is not None and retried.get(trial.name) != progress.failed_at:
        return "failed"
    return "free"


def is_finished(listed: Iterable[Task]) -> bool:
    """Whether no task is running or to come."""
    return all(task.state in ("done", "failed") for task in listed)


def next_task(free: Sequence[Task], compiled: Collection[Scale], in_training: Collection[Scale]) -> Task:
    """The free task that a worker begins: the first one, or, beside other workers, one of a scale of its own.

    So that each scale is compiled by few workers, best is one that this worker has `compiled`, then one that is not
    `in_training` by another worker. The stage and seed that come next are finished before later ones begin.
    """

    def rank(task: Task) -> int:
        return 0 if task.scale in compiled else 1 if task.scale not in in_training else 2

    first = free[0]
    now = [task for task in free if (task.stage, task.seed) == (first.stage, first.seed)]
    return min(now, key=rank) if in_training else first


def lease_expired(attempt: Attempt, now: float) -> bool:
    """Whether the last heartbeat of an attempt is older than its lease, if the clocks of both machines agree."""
    return now - attempt.heartbeat > attempt.lease_seconds


def runs_of(task: Task, plan: Plan, folds: int) -> int:
    """How many runs a task adds: without a pilot, the first fold of the chosen rate was trained to choose the rate."""
    if task.stage == "rate":
        return 1
    first_is_there = task.seed == plan.rate_seed and len(plan.rates[task.scale]) > 1
    return max(folds, 1) - int(first_is_there)


def seconds_left(
    listed: Sequence[Task], plan: Plan, folds: int, macs_of: Callable[[Scale], float], now: float
) -> float | None:
    """Time until all tasks are done, with as many workers as are active now; None before the first is done."""
    runs_in = {"rate": 1, "whole": max(folds, 1)}
    done = [(macs_of(task.scale), task.progress.seconds / runs_in[task.stage]) for task in listed if task.progress.done]
    if not done:
        return None
    of_run, left, workers = fit_seconds(done), 0.0, set()
    for task in listed:
        if task.state in ("free", "blocked", "running"):
            spent = task.attempt.heartbeat - task.attempt.began if task.attempt else 0.0
            left += max(runs_of(task, plan, folds) * of_run(macs_of(task.scale)) - spent, 0.0)
        if task.state == "running" and task.attempt and not lease_expired(task.attempt, now):
            workers.add(task.attempt.number)
    return left / max(len(workers), 1)
