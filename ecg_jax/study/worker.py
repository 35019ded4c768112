"""A worker of a study: it claims one trial after the other, trains it and releases it.

Any number of workers share the folder of a study. A worker that is killed leaves its attempt without a heartbeat; after
the lease another worker continues the trial from its last checkpoint.
"""

import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from optuna.exceptions import UpdateFinishedTrialError
from rich.console import Console

from ecg_jax.errors import ConfigError, RunError
from ecg_jax.study.runner import Runner
from ecg_jax.study.tasks import LEASE_SECONDS, Attempt, ProgressOf, Retried, Task, is_finished, tasks
from ecg_jax.study.trial_queue import TrialQueue, open_trial_queue
from ecg_jax.study.workdir import StudyFolder, cached_progress, mean_macro_auroc
from ecg_jax.terminal import PlainConsole, say, tell

Conclude = Callable[[StudyFolder, Console], None]
"""`conclude(folder, console)` is called once nothing is left to train: it writes the report."""
REPORT = "report.html"  # the last file that `conclude` writes
NEVER_DEFINED = "macro AUROC is not defined: no label has both classes in the validation folds"


def work(
    folder: StudyFolder,
    *,
    conclude: Conclude,
    runner: Runner | None = None,
    storage: str = "",
    lease_seconds: float = LEASE_SECONDS,
    retry_failed: bool = False,
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
        console: where progress is shown; by default standard error.

    Raises:
        DataError: the prepared set cannot be read, which is not a failure of a trial.
        RunError: the storage does not answer, or a file of the study cannot be read.
    """
    console, runner = console or PlainConsole(stderr=True), runner or Runner()
    runner.keep_compiled(folder.path / "compiled" / platform.node())
    progress_of = cached_progress(folder)
    retried = {}
    if retry_failed:
        before = tasks(folder.plan(), [], progress_of)
        retried = {task.name: task.progress.failed_at for task in before if task.state == "failed"}
    with open_trial_queue(folder.path, folder.name, storage or folder.storage, create=True) as queue:
        worker = _Worker(folder, queue, runner, progress_of, retried, lease_seconds, console)
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
    console: Console

    def tasks(self) -> list[Task]:
        """All tasks with their present states."""
        return tasks(self.folder.plan(), self.queue.attempts(), self.progress_of, self.retried)

    def work_until_done(self) -> bool:
        """Trains free tasks and waits for those of other workers; False if there was nothing to do."""
        was_busy, is_waiting = False, False
        watch = LeaseWatch(process_is_dead)
        while True:
            for attempt in watch.expired(self.queue.attempts(), time.monotonic()):
                if self.queue.release(attempt):
                    self.print(f"{attempt.trial} was given up by {attempt.worker}, which no longer reports")
            listed = self.tasks()
            if is_finished(listed):
                return was_busy
            was_busy = True
            free = next((task for task in listed if task.state == "free"), None)
            if free is not None:
                is_waiting = False
                done = sum(task.state == "done" for task in listed)
                self.attempt(free, f"{done} of {len(listed)} done")
                continue
            if not is_waiting:
                self.print("no trial is free: waiting for those of other workers")
            is_waiting = True
            time.sleep(min(self.lease_seconds / 6, 5.0))

    def attempt(self, task: Task, progress: str) -> None:
        """Claims a task, trains it and ends the attempt, unless the process is killed.

        The reason of an earlier failure stays in the trial's folder until the trial is done or fails for another one:
        an attempt that is stopped has not repaired anything.
        """
        from jax.errors import JaxRuntimeError  # a scale that does not fit into memory

        trial, worker = task.trial, f"{platform.node()}:{os.getpid()}"
        key = self.folder.study.trial_key(trial)
        attempt = self.queue.claim(task, key=key, worker=worker, lease_seconds=self.lease_seconds)
        if attempt is None:
            return
        if self.progress_of(trial, task.stage).done:  # another worker finished it before the claim
            self.queue.release(attempt)
            return
        self.print("", f"{task.name}{' (its rate)' if task.stage == 'rate' else ''}: {progress}")
        try:
            with heartbeats(lambda: self.queue.heartbeat(attempt), self.lease_seconds / 6):
                if not (self.folder.trial_folder(trial) / "trial.json").is_file():
                    self.folder.write_trial(trial)
                value = self.train(task)
        except (ConfigError, RunError, JaxRuntimeError) as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            self.print(f"{task.name} failed: {reason}")
            self.folder.write_trial(trial, failure=reason)
            self.queue.release(attempt)
        except BaseException:
            self.queue.release(attempt)
            raise
        else:
            self.folder.write_trial(trial)
            self.queue.complete(attempt, value)

    def train(self, task: Task) -> float:
        """Trains the runs of a task and, at the rate of the scale, predicts their test folds.

        Returns:
            The validation macro AUROC, averaged over the runs.

        Raises:
            UserError: a run failed, or in no validation fold a label has both classes.
        """
        configs = self.folder.study.runs(task.trial).values()
        runs = dict(zip(self.folder.run_folders(task.trial), configs, strict=True))
        if task.stage == "rate":
            runs = dict(list(runs.items())[:1])
        results = self.runner.finish(runs, predict=task.stage == "whole", console=self.console)
        value = mean_macro_auroc(results)
        if value is None:
            raise RunError(NEVER_DEFINED)
        return value

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
    return silent and not psutil.pid_exists(int(process))


@contextmanager
def heartbeats(
    heartbeat: Callable[[], None], every_seconds: float, on_loss: Callable[[], None] | None = None
) -> Iterator[None]:
    """Calls `heartbeat` at regular intervals, from a thread, until the block is left.

    If the attempt was taken from this worker, `on_loss` is called, by default the end of this process: it must be as
    sudden as a kill, since another worker uses the trial's folder.
    """
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(every_seconds):
            try:
                heartbeat()
            except UpdateFinishedTrialError:
                if not stop.is_set():
                    (on_loss or _exit)()
                return
            except Exception as error:  # a short failure of the storage must not end a training
                say(f"the lease could not be renewed: {str(error).partition(chr(10))[0]}", file=sys.stderr)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _exit() -> None:
    say("this worker did not report for too long, and its trial was taken over; start it again", file=sys.stderr)
    os._exit(3)
