"""The queue of a study's trials: workers claim a trial and release it, over a study in an Optuna storage.

Optuna numbers all attempts in one order, in a journal file as well as on PostgreSQL; of two attempts at one trial the
older is valid (`tasks.is_valid`). An attempt is a trial of Optuna: running, complete (a whole trial), pruned (a
learning rate was tried) or fail (the attempt failed or was given up). A lease replaces Optuna's own heartbeat, which a
journal does not have: the entry `beat` is renewed as long as the worker lives.
"""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from ecg_jax.errors import RunError
from ecg_jax.study.storage import JOURNAL, StorageAway, is_url, open_storage, storage_errors
from ecg_jax.study.tasks import LEASE_SECONDS, Attempt, Stage, Task, is_valid
from ecg_jax.terminal import say

MOST_SECONDS = 1e11  # of a time or a lease; neither NaN nor infinity is below it


class TrialQueue:
    """The attempts at the trials of one study.

    All methods raise a RunError if the storage does not answer (`StorageAway`) or has entries that cannot be read.
    """

    outages = 0
    """How often the storage did not answer."""

    def __init__(
        self,
        storage: BaseStorage,
        name: str,
        *,
        place: str = JOURNAL,
        create: bool = True,
        patience_seconds: float = 0.0,
    ):
        """Opens the study of that name.

        Args:
            storage: where it is.
            name: of the study.
            place: the URL or file of the storage, for messages.
            create: create it if the storage does not have it.
            patience_seconds: time for which a storage that does not answer is asked again.

        Raises:
            RunError: the storage does not have it.
        """
        self._storage, self._place, self._patience_seconds = storage, place, patience_seconds
        self._study = self._ask(self._open, name, create)

    def attempts(self) -> list[Attempt]:
        """All attempts, in the order in which they began."""
        return self._ask(
            lambda: [_attempt(trial) for trial in self._storage.get_all_trials(self._study, deepcopy=False)]
        )

    def claim(self, task: Task, *, key: str, worker: str, lease_seconds: float = LEASE_SECONDS) -> Attempt | None:
        """Begins an attempt at a task; None if another worker is training its trial."""
        now = time.time()
        entries: dict[str, Any] = {"key": key, "trial": task.trial.name, "stage": task.stage, "worker": worker}
        entries |= {"began": now, "beat": now, "lease": lease_seconds}
        template = create_trial(state=TrialState.RUNNING, user_attrs=entries)
        new = self._ask(self._storage.create_new_trial, self._study, template)
        number = self._ask(self._storage.get_trial_number_from_id, new)
        attempts = self.attempts()
        if is_valid(attempts[number], attempts):
            return attempts[number]
        self.release(attempts[number])
        return None

    def heartbeat(self, attempt: Attempt) -> None:
        """Renews the lease of an attempt; a storage that does not answer is asked only once.

        Raises:
            UpdateFinishedTrialError: the attempt was taken from its worker.
        """
        self._ask(lambda: self._storage.set_trial_user_attr(self._id(attempt), "beat", time.time()), patiently=False)

    def complete(self, attempt: Attempt, value: float) -> bool:
        """Ends an attempt that succeeded; False if it was taken from its worker."""
        return self._end(attempt, TrialState.COMPLETE if attempt.stage == "whole" else TrialState.PRUNED, [value])

    def release(self, attempt: Attempt, *, patiently: bool = True) -> bool:
        """Ends an attempt that failed, was stopped or whose worker died; False if it was no longer running.

        Not patiently, a storage that does not answer is asked only once.
        """
        return self._end(attempt, TrialState.FAIL, patiently=patiently)

    def _end(
        self, attempt: Attempt, state: TrialState, values: list[float] | None = None, *, patiently: bool = True
    ) -> bool:
        try:
            return self._ask(
                lambda: self._storage.set_trial_state_values(self._id(attempt), state, values), patiently=patiently
            )
        except UpdateFinishedTrialError:
            return False

    def _id(self, attempt: Attempt) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study, attempt.number)

    def _open(self, name: str, create: bool) -> int:
        if name not in {study.study_name for study in self._storage.get_all_studies()}:
            if not create:
                same = "give the same --storage as at the start of the study"
                remedy = same if is_url(self._place) else "start the study's command again"
                raise RunError(f"there is no study {name} in this storage; {remedy}")
            with suppress(DuplicatedStudyError):  # another worker has just created it
                return self._storage.create_new_study([StudyDirection.MAXIMIZE], name)
        return self._storage.get_study_id_from_name(name)

    def _ask(self, call: Callable[..., Any], *arguments: Any, patiently: bool = True) -> Any:
        """Calls the storage; if it does not answer, until it does, or the patience of this queue ends."""
        until = time.monotonic() + (self._patience_seconds if patiently else 0.0)
        waiting = False
        while True:
            try:
                with storage_errors(self._place):
                    return call(*arguments)
            except StorageAway as error:
                self.outages += 1
                if time.monotonic() >= until:
                    raise
                if not waiting:
                    say(f"{error.what}; trying again for up to {self._patience_seconds:g} s", file=sys.stderr)
                waiting = True
            time.sleep(min(1.0, self._patience_seconds / 20))


def _attempt(trial: FrozenTrial) -> Attempt:
    """An attempt as the storage has it.

    Raises:
        KeyError, ValueError: an entry is absent, or of the wrong type.
    """
    entries: dict[str, Any] = {"lease": LEASE_SECONDS, **trial.user_attrs}
    texts = [entries[name] for name in ("trial", "stage", "worker")]
    times = [entries[name] for name in ("began", "beat", "lease")]
    is_time = (isinstance(value, (int, float)) and abs(value) < MOST_SECONDS for value in times)
    if not all(isinstance(text, str) for text in texts) or texts[1] not in get_args(Stage) or not all(is_time):
        raise ValueError(f"attempt {trial.number} is not one of a worker")
    return Attempt(trial.number, texts[0], texts[1], trial.state == TrialState.RUNNING, texts[2], *map(float, times))


def open_trial_queue(
    folder: Path,
    name: str,
    storage: str,
    *,
    create: bool = False,
    begun: bool = True,
    patience_seconds: float = 0.0,
) -> TrialQueue:
    """The queue of a study; `storage` is a PostgreSQL URL, or a file below the study's folder.

    Args:
        folder: of the study.
        name: of the study in the storage.
        storage: where it is.
        create: create it if the storage does not have it. On a server this is done only before the first trial: later
            it would be the wrong server, on which every trial would be trained once more.
        begun: whether the study was begun by an earlier command.
        patience_seconds: time for which a storage that does not answer later is asked again.

    Raises:
        ConfigError: the driver is missing.
        RunError: the storage does not answer, or does not have the study.
    """
    new = not is_url(storage) or not begun or not (folder / "trials").exists()
    with storage_errors(storage):
        opened = open_storage(folder, storage)
    return TrialQueue(opened, name, place=storage, create=create and new, patience_seconds=patience_seconds)
