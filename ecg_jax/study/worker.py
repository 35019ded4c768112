"""A worker of a study: it claims one trial after the other, or several of one scale, trains and releases them.

Any number of workers share the folder of a study. A worker that is killed leaves its attempt without a heartbeat; after
the lease another worker continues the trial from its last checkpoint.
"""

import math
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import psutil
from optuna.exceptions import UpdateFinishedTrialError
from rich.console import Console

from ecg_jax.analysis.axes import Scale
from ecg_jax.config import RunConfig
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import ConfigError, DataError, InUseError, RunError, UserError
from ecg_jax.study.design import Trial
from ecg_jax.study.runner import Runner
from ecg_jax.study.storage import StorageAway
from ecg_jax.study.tasks import LEASE_SECONDS, Attempt, ProgressOf, Retried, Stage, Task, is_finished, next_task, tasks
from ecg_jax.study.trial_queue import TrialQueue, open_trial_queue
from ecg_jax.study.workdir import TRIAL, StudyFolder, cached_progress, mean_macro_auroc
from ecg_jax.terminal import PlainConsole, say, tell
from ecg_jax.training.compiled import compiled_folder
from ecg_jax.training.result import RunResult

Conclude = Callable[[StudyFolder, Console], None]
"""`conclude(folder, console)` is called once nothing is left to train: it writes the report."""
REPORT = "report.html"  # the last file that `conclude` writes
MOST_TOGETHER = 32  # runs that are measured as one program
NEVER_DEFINED = (
    "macro AUROC is not defined: no label has both classes in the validation folds; "
    "choose other --data.validation-folds or --folds in a new --workdir"
)


def work(
    folder: StudyFolder,
    *,
    conclude: Conclude,
    runner: Runner | None = None,
    storage: str = "",
    lease_seconds: float = LEASE_SECONDS,
    retry_failed: bool = False,
    together: int | None = None,
    stop_at: float = math.inf,
    console: Console | None = None,
) -> None:
    """Trains the unfinished trials of a study until all are finished, by this worker or by others.

    Args:
        folder: of the study, with this machine's path of the data.
        conclude: called once nothing is left to train.
        runner: trains and predicts.
        storage: the URL of the storage if it has a password; by default that of the study.
        lease_seconds: time without a heartbeat after which this worker counts as dead and others take over its trial.
        retry_failed: try trials again that have failed until now.
        together: number of runs of a scale that are trained as one program; by default the number
            with which they end soonest on this machine.
        stop_at: the time of `time.monotonic` from which on no trial is begun.
        console: where progress is shown; by default standard error.

    Raises:
        DataError: the prepared set cannot be read, which is not a failure of a trial.
        RunError: the storage does not answer, or a file of the study cannot be read.
    """
    console, runner = console or PlainConsole(stderr=True), runner or Runner()
    runner.keep_compiled(compiled_folder())
    progress_of = cached_progress(folder)
    retried = {}
    if retry_failed:
        before = tasks(folder.plan(), [], progress_of)
        retried = {task.name: task.progress.failed_at for task in before if task.state == "failed"}
    settings = {"create": True, "begun": folder.begun, "patience_seconds": lease_seconds}
    queue = open_trial_queue(folder.path, folder.name, storage or folder.storage, **settings)
    worker = _Worker(folder, queue, runner, progress_of, retried, lease_seconds, together, stop_at, console)
    was_busy = worker.work_until_done()
    failed = [task for task in worker.tasks() if task.state == "failed"]
    if not was_busy:
        worker.print(f"{folder.path} is finished: nothing to do")
    for task in failed:
        worker.print(f"failed: {task.name}: {task.failure}")
    if failed:
        worker.print("the same command with --retry-failed tries again what has failed")
    if was_busy or not (folder.path / REPORT).is_file():
        conclude(folder, console)


@dataclass(frozen=True)
class _Worker:
    folder: StudyFolder
    queue: TrialQueue
    runner: Runner
    progress_of: ProgressOf
    retried: Retried
    lease_seconds: float
    together: int | None
    stop_at: float
    console: Console
    fastest: dict[tuple[Scale, Stage], int] = field(default_factory=dict)
    """The measured number of runs that are trained as one program, for each scale and stage."""
    compiled: set[Scale] = field(default_factory=set)
    """The scales that this worker has trained."""
    in_use: set[Task] = field(default_factory=set)
    """Free tasks in whose folder another process is still training, such as a worker that was stopped for a while."""

    def tasks(self) -> list[Task]:
        """All tasks with their present states."""
        return tasks(self.folder.plan(), self.queue.attempts(), self.progress_of, self.retried)

    def work_until_done(self) -> bool:
        """Trains free tasks and waits for those of other workers; False if there was nothing to do."""
        was_busy, is_waiting = False, False
        watch, outages = LeaseWatch(process_is_dead), 0
        while True:
            attempts = self.queue.attempts()
            if outages != self.queue.outages:  # meanwhile no worker could renew its lease
                watch, outages = LeaseWatch(process_is_dead), self.queue.outages
            for attempt in watch.expired(attempts, time.monotonic()):
                if self.queue.release(attempt):
                    self.print(f"{attempt.trial} was given up by {attempt.worker}, which no longer reports")
            listed = self.tasks()
            if is_finished(listed):
                return was_busy
            was_busy = True
            if time.monotonic() >= self.stop_at:
                self.print("the time is over: no other trial is begun")
                return was_busy
            free = [task for task in listed if task.state == "free" and task not in self.in_use]
            if free:
                is_waiting = False
                done = sum(task.state == "done" for task in listed)
                in_training = {task.scale for task in listed if task.state == "running"}
                group = self.group(free, next_task(free, self.compiled, in_training))
                self.attempt(group, f"{done} of {len(listed)} done")
                continue
            if not is_waiting:
                self.print("no trial is free: waiting for those of other workers")
            is_waiting = True
            time.sleep(min(self.lease_seconds / 6, 5.0))
            self.in_use.clear()

    def group(self, free: Sequence[Task], first: Task) -> list[Task]:
        """A free task, and others of its scale as far as their runs are trained together with its own."""
        scale, stage, until = first.scale, first.stage, first.until
        group = [task for task in free if (task.scale, task.stage, task.until) == (scale, stage, until)]
        runs = [len(self.runs(task)) for task in group]
        together = self.together or self.fastest.get((scale, stage))
        if together is None:
            configs = [config for task in group for config in self.runs(task).values()]
            together = self.fastest[scale, stage] = self.runner.measure_together(configs[:MOST_TOGETHER])
        return [task for task, before in zip(group, accumulate(runs), strict=True) if before <= max(together, runs[0])]

    def runs(self, task: Task) -> dict[Path, RunConfig]:
        """The workdirs and configs of the runs of a task."""
        configs = self.folder.study.runs(task.trial).values()
        runs = dict(zip(self.folder.run_folders(task.trial), configs, strict=True))
        return dict(list(runs.items())[:1]) if task.stage == "rate" else runs

    def attempt(self, group: Sequence[Task], progress: str) -> None:
        """Claims tasks of one scale, trains them and ends the attempts, unless the process is killed.

        The reason of an earlier failure stays in the trial's folder until the trial is done or fails for another one:
        an attempt that is stopped has not repaired anything.
        """
        claimed: dict[Task, Attempt] = {}

        def heartbeat() -> None:
            for attempt in claimed.values():
                self.queue.heartbeat(attempt)

        try:
            for task in group:
                if (attempt := self.claim(task)) is not None:
                    claimed[task] = attempt
            if not claimed:
                return
            self.compiled.update(task.scale for task in claimed)
            names = ", ".join(
                f"{task.name}{' (to choose the learning rate)' if task.stage == 'rate' else ''}" for task in claimed
            )
            self.print("", f"{names}: {progress}")
            began = time.monotonic()
            with heartbeats(heartbeat, self.lease_seconds / 6, self.lease_seconds):
                ended = self.train_or_fail(list(claimed))
            taken = round((time.monotonic() - began) / len(ended), 3)
            for task, (_, failure) in ended.items():
                self.folder.write_trial(task.trial, failure, seconds=taken)
        except BaseException as error:  # whatever it is: a trial that nobody trains must not look as if somebody did
            for attempt in claimed.values():
                with suppress(StorageAway):
                    self.queue.release(attempt, patiently=False)
            if not isinstance(error, InUseError):
                raise
            self.print(f"{str(error).partition(';')[0]}; it is tried again when no other trial is free")
            self.in_use.update(task for task in claimed if error.folder in self.runs(task))
            return
        for task, (value, _) in ended.items():
            if value is None:
                self.queue.release(claimed[task])
            else:
                self.queue.complete(claimed[task], value)

    def claim(self, task: Task) -> Attempt | None:
        """Claims a task; None if another worker has it or finished it before the claim."""
        key, worker = self.folder.study.trial_key(task.trial), f"{platform.node()}:{os.getpid()}"
        attempt = self.queue.claim(task, key=key, worker=worker, lease_seconds=self.lease_seconds)
        if attempt is not None and self.progress_of(task.trial, task.stage).done:
            self.queue.release(attempt)
            return None
        return attempt

    def train_or_fail(self, group: Sequence[Task]) -> Mapping[Task, tuple[float | None, str | None]]:
        """Trains tasks; returns for each its validation macro AUROC, or the reason of its failure."""
        from jax.errors import JaxRuntimeError  # a scale that does not fit into memory

        self.check_data()
        for task in group:
            self.make_room(task.trial)
        ended: Mapping[Task, tuple[float | None, str | None]]
        try:
            ended = self.train(group)
        except (ConfigError, RunError, JaxRuntimeError) as error:
            ended = dict.fromkeys(group, (None, str(error).strip().partition("\n")[0] or type(error).__name__))
        if any(failure for _, failure in ended.values()) or any(self.folder.foreign(task.trial) for task in group):
            self.check_data()  # the cause may be a set that was exchanged meanwhile
        for task, (_, failure) in ended.items():
            if failure is not None:
                self.print(f"{task.name} failed: {failure}")
        return ended

    def check_data(self) -> None:
        """Refuses another set at the place of the data, on which all further trials would be trained.

        Raises:
            DataError: the set is another one than that of the study, or cannot be read.
        """
        path, fingerprint = self.folder.study.base.data.path, self.folder.study.fingerprint
        there = open_prepared(path).fingerprint
        if there != fingerprint:
            raise DataError(
                f"{path} is now the set {there}, the study is of {fingerprint}; put that set back and start the same "
                "command again"
            )

    def make_room(self, trial: Trial) -> None:
        """Sets the folder of a trial aside if this study did not train what is in it, and describes the trial."""
        from ecg_jax.training.checkpoint import check_fingerprint

        why = self.folder.foreign(trial)
        try:
            for workdir in () if why else self.folder.run_folders(trial):
                check_fingerprint(workdir, self.folder.study.fingerprint)  # of a run that is not finished
        except RunError as error:
            why = str(error)
        if why:
            self.print(f"{why}; it is trained again, and its old files are in {self.folder.set_aside(trial)}")
        if not (self.folder.trial_folder(trial) / TRIAL).is_file():
            self.folder.write_trial(trial)

    def train(self, group: Sequence[Task]) -> dict[Task, tuple[float | None, str | None]]:
        """Trains the runs of tasks and, at the rate of their scale, predicts the test folds.

        Returns:
            The validation macro AUROC of each task, averaged over its runs, or why it failed.
        """
        runs = {workdir: config for task in group for workdir, config in self.runs(task).items()}
        together = max(self.together or self.fastest[group[0].scale, group[0].stage], 1)
        whole = group[0].stage == "whole"
        until = group[0].until
        results = self.runner.finish(runs, predict=whole, console=self.console, together=together, until=until)
        ended: dict[Task, tuple[float | None, str | None]] = {}
        for task in group:
            own = [results[workdir] for workdir in self.runs(task) if workdir in results]
            failed = [result for result in own if isinstance(result, UserError)]
            value = None if failed else mean_macro_auroc([result for result in own if isinstance(result, RunResult)])
            if not own:  # it has paused
                value = max(self.folder.progress(task.trial, task.stage).course, default=0.0)
            failure = str(failed[0]) if failed else NEVER_DEFINED if value is None else None
            ended[task] = (value, failure)
        return ended

    def print(self, *lines: str) -> None:
        """Prints lines for the user."""
        tell(self.console, *lines)


class LeaseWatch:
    """Finds attempts whose workers have died: the heartbeat has not changed for a whole lease, or `is_dead` says so.

    The time is that of this process, because the clocks of machines differ.
    """

    def __init__(self, is_dead: Callable[[Attempt], bool] = lambda attempt: False):
        self._is_dead = is_dead
        self._seen: dict[int, tuple[float, float]] = {}  # number -> heartbeat, and when it was first seen

    def expired(self, attempts: list[Attempt], now: float) -> list[Attempt]:
        """The running attempts whose worker is dead at the time `now`."""
        running, before = [attempt for attempt in attempts if attempt.running], self._seen
        self._seen = {}
        for attempt in running:
            heartbeat, seen_at = before.get(attempt.number, (None, now))
            self._seen[attempt.number] = (attempt.heartbeat, seen_at if heartbeat == attempt.heartbeat else now)
        return [
            attempt
            for attempt in running
            if now - self._seen[attempt.number][1] > attempt.lease_seconds or self._is_dead(attempt)
        ]


def process_is_dead(attempt: Attempt) -> bool:
    """Whether the worker of an attempt was a process of this machine that has ended; it need not be watched then."""
    machine, _, process = attempt.worker.rpartition(":")
    silent = machine == platform.node() and time.time() - attempt.heartbeat > attempt.lease_seconds
    is_number = process.isascii() and process.isdigit() and len(process) < 10
    return silent and is_number and not psutil.pid_exists(int(process))


@contextmanager
def heartbeats(
    heartbeat: Callable[[], None],
    every_seconds: float,
    lease_seconds: float,
    on_loss: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Calls `heartbeat` at regular intervals, from a thread, until the block is left.

    If the attempt was taken from this worker, or may be taken because no heartbeat succeeded for the whole lease,
    `on_loss` is called with the reason, by default the end of this process: it must be as sudden as a kill, since
    another worker may use the trial's folder.
    """
    stop = threading.Event()

    def beat() -> None:
        renewed, waiting = time.monotonic(), False
        while not stop.wait(every_seconds):
            try:
                heartbeat()
                renewed, waiting = time.monotonic(), False
                continue
            except UpdateFinishedTrialError:
                why = "this worker did not report for too long, and its trial was taken over; start it again"
            except Exception as error:  # a short failure of the storage must not end a training
                why = str(error).partition("\n")[0]
                if time.monotonic() - renewed < lease_seconds:
                    if not waiting:
                        what = error.what if isinstance(error, StorageAway) else why
                        say(f"the lease could not be renewed: {what}; trying again", file=sys.stderr)
                    waiting = True
                    continue
            if not stop.is_set():
                (on_loss or _exit)(why)
            return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _exit(why: str) -> None:
    say(why, file=sys.stderr)
    os._exit(3)
