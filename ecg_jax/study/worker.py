"""A worker of a study: it claims trials, one after the other, has `run` train them, and hands them back.

Any number of workers share a workdir. A worker that is killed leaves its claim without a beat; after `lease_seconds`
another takes the trial up where its last checkpoint stands.
"""

import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import psutil
from optuna.exceptions import UpdateFinishedTrialError
from rich.console import Console

from ecg_jax.errors import ConfigError, RunError
from ecg_jax.study.tasks import LEASE_SECONDS, Claim, Task, tasks
from ecg_jax.study.trial_queue import TrialQueue, open_trial_queue
from ecg_jax.study.workdir import StudyFolder, read_failure, read_plan, trial_folder, write_trial

Run = Callable[..., Any]
"""`run(config, workdir, console=, plots=) -> RunResult`"""
Predict = Callable[[Path, Path], None]
"""`predict(workdir of a run, data)`: leaves its test predictions."""
Conclude = Callable[[Path, StudyFolder, Console], None]
"""`conclude(workdir, founded, console)`: makes of the trials what is there to read."""


def work(
    workdir: Path,
    founded: StudyFolder,
    *,
    conclude: Conclude,
    storage: str = "",
    lease_seconds: float = LEASE_SECONDS,
    retry_failed: bool = False,
    console: Console | None = None,
    run: Run | None = None,
    predict: Predict | None = None,
) -> None:
    """Does what is left of a study until all of it is done, by this worker or others.

    Args:
        workdir: of the study.
        founded: the study, with this machine's path of the data.
        conclude: called once nothing is left to do.
        storage: its URL where that has a password; else as founded.
        lease_seconds: how long this worker may be silent before its trial is given to another.
        retry_failed: try again what has failed until now.
        console: where progress is shown; by default standard error.
        run, predict: in place of `training.run` and `predict_test`, for tests.
    """
    console = console or Console(stderr=True)
    if run is None:
        from ecg_jax.training.devices import keep_compiled
        from ecg_jax.training.loop import run as trained

        run = trained
        keep_compiled(workdir / "compiled" / platform.node())
    with open_trial_queue(workdir, founded.name, storage or founded.storage, begin=True) as desk:
        forgiven = frozenset(c.number for c in desk.claims() if c.state == "failed") if retry_failed else frozenset()
        worker = _Worker(workdir, founded, desk, lease_seconds, forgiven, console, run, predict or predict_test)
        busy = worker.until_done()
        listed = worker.look()
    if not busy:
        console.print(f"{workdir} is finished: nothing to do", highlight=False, soft_wrap=True)
    failed = [task for task in listed if task.state == "failed"]
    for task in failed:
        reason = task.claim.reason if task.claim else "every learning rate failed"
        console.print(f"failed: {task.name}: {reason}", highlight=False, soft_wrap=True)
    if failed:
        console.print("the same command with --retry-failed tries what has failed again", highlight=False)
    if busy or not (workdir / "report.html").is_file():
        conclude(workdir, founded, console)


@dataclass(frozen=True)
class _Worker:
    workdir: Path
    founded: StudyFolder
    desk: TrialQueue
    lease_seconds: float
    forgiven: frozenset[int]
    console: Console
    run: Run
    predict: Predict

    def look(self) -> list[Task]:
        """All tasks, as they stand now."""
        return tasks(read_plan(self.workdir), self.desk.claims(), self.forgiven)

    def until_done(self) -> bool:
        """Takes what is free, and waits for the rest; False where there was nothing to do."""
        name, busy, waiting = f"{platform.node()}:{os.getpid()}", False, False
        silence = Silence(gone)
        while True:
            for claim in silence.fallen(self.desk.claims(), time.monotonic()):
                if self.desk.drop(claim):
                    self.say(f"{claim.trial} was left by {claim.worker}, which fell silent")
            listed = self.look()
            if not any(task.state in ("free", "running", "blocked") for task in listed):
                return busy
            task, busy = next((task for task in listed if task.state == "free"), None), True
            if task is None:
                if not waiting:
                    self.say("nothing is free: waiting for the trials of other workers")
                waiting = True
                time.sleep(min(self.lease_seconds / 6, 5.0))
                continue
            waiting = False
            key = task.trial.key(self.founded.study)
            claim = self.desk.take(task, key=key, worker=name, lease_seconds=self.lease_seconds)
            if claim is not None:
                done = sum(task.state == "done" for task in listed)
                self.say(f"\n{task.name}{' (its rate)' if task.stage == 'rate' else ''}: {done} of {len(listed)} done")
                self.attempt(task, claim)

    def attempt(self, task: Task, claim: Claim) -> None:
        """Does a task and hands the claim back, whatever happens short of a kill.

        An earlier failure stands in the trial's folder until the trial is done: an attempt that a stop cuts off has
        mended nothing.

        Raises:
            DataError: the prepared set cannot be read, which is no fault of the trial.
        """
        from jax.errors import JaxRuntimeError  # a scale that does not fit the memory

        study = self.founded.study
        try:
            with beating(lambda: self.desk.beat(claim), self.lease_seconds / 6):  # over before the claim is back
                write_trial(self.workdir, study, task.trial, failure=read_failure(self.workdir, task.trial))
                figures = self.carry_out(task)
        except (ConfigError, RunError, JaxRuntimeError) as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            self.say(f"{task.name} failed: {reason}")
            write_trial(self.workdir, study, task.trial, failure=reason)
            self.desk.fail(claim, reason)
        except BaseException:
            self.desk.drop(claim)
            raise
        else:
            write_trial(self.workdir, study, task.trial)
            self.desk.finish(claim, **figures)

    def carry_out(self, task: Task) -> dict[str, Any]:
        """Trains a task's runs and, at the scale's rate, predicts their test folds; what is there is not done again.

        Returns:
            `value` (mean validation macro AUROC), `seconds` of training, number of `runs`.

        Raises:
            UserError: a run failed, or no validation fold has a label with both classes.
        """
        runs = list(task.trial.runs(self.founded.study).items())
        results = []
        for below, config in runs[:1] if task.stage == "rate" else runs:
            folder = trial_folder(self.workdir, task.trial) / below
            results.append(self.run(config, folder, console=self.console, plots=False))
            if task.stage == "whole" and not (folder / "predictions_test.csv").is_file():
                self.predict(folder, config.data.path)
        values = [result.metrics["macro_auroc"]["value"] for result in results]
        values = [value for value in values if value is not None]
        if not values:
            raise RunError("macro AUROC is not defined: no label has both classes in the validation folds")
        seconds = sum(result.train["seconds"] for result in results)
        return {"value": mean(values), "seconds": seconds, "runs": len(results)}

    def say(self, line: str) -> None:
        """One line for the user."""
        self.console.print(line, highlight=False, soft_wrap=True)


def predict_test(workdir: Path, data: Path) -> None:
    """Leaves a run's test predictions; no figure is computed from them."""
    from ecg_jax.inference import predict_split
    from ecg_jax.training.result import write_predictions

    write_predictions(workdir, "test", *predict_split(workdir, "test", data=data)[1:])


class Silence:
    """Tells which claims' workers have died: one is seen with the same beat for its lease, or `known_dead`.

    Time is this worker's own, since clocks differ between machines.
    """

    def __init__(self, known_dead: Callable[[Claim], bool] = lambda claim: False):
        self._known_dead = known_dead
        self._seen: dict[int, tuple[float, float]] = {}  # number -> beat, and when it was first seen

    def fallen(self, claims: list[Claim], now: float) -> list[Claim]:
        """The running claims whose worker is silent at the time `now`."""
        before, running = self._seen, [claim for claim in claims if claim.state == "running"]
        self._seen = {
            c.number: before[c.number] if before.get(c.number, (None,))[0] == c.beat else (c.beat, now) for c in running
        }
        return [c for c in running if now - self._seen[c.number][1] > c.lease or self._known_dead(c)]


def gone(claim: Claim) -> bool:
    """Whether a worker of this machine is no more, so that a worker begun anew need not watch it first."""
    machine, _, process = claim.worker.rpartition(":")
    silent = machine == platform.node() and time.time() - claim.beat > claim.lease
    return silent and not psutil.pid_exists(int(process))


@contextmanager
def beating(beat: Callable[[], None], every: float, lost: Callable[[], None] | None = None) -> Iterator[None]:
    """Calls `beat` time and again, from a thread; where the claim is another's by now, `lost`, which ends the process.

    That is meant to be as sudden as a kill: the trial's folder is in other hands.
    """
    stop = threading.Event()

    def beats() -> None:
        while not stop.wait(every):
            try:
                beat()
            except UpdateFinishedTrialError:
                if not stop.is_set():
                    (lost or _leave)()
                return
            except Exception as error:  # a storage that is away for a moment must not end a training
                print(f"the lease could not be renewed: {str(error).partition(chr(10))[0]}", file=sys.stderr)

    thread = threading.Thread(target=beats, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _leave() -> None:
    print("this worker was silent for too long and its trial is another's now; start it again", file=sys.stderr)
    os._exit(3)
