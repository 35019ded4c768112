"""The queue of a study's trials: workers claim a trial and release it, over a study in an Optuna storage.

Optuna numbers all attempts in one order, in a journal file as well as on PostgreSQL; of two attempts at one trial the
older is valid (`tasks.is_valid`). An attempt is a trial of Optuna: running, complete (a whole trial), pruned (a
learning rate was tried) or fail (the attempt failed or was given up). A lease replaces Optuna's own heartbeat, which a
journal does not have: the entry `beat` is renewed as long as the worker lives.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from ecg_jax.errors import RunError
from ecg_jax.study.storage import is_url, open_storage, storage_errors
from ecg_jax.study.tasks import LEASE_SECONDS, Attempt, Task, is_valid


class TrialQueue:
    """The attempts at the trials of one study."""

    def __init__(self, storage: BaseStorage, name: str, *, create: bool = True):
        """Opens the study of that name; with `create` it is created if the storage does not have it.

        Raises:
            RunError: the storage does not have it.
        """
        self._storage = storage
        try:
            self._study = storage.get_study_id_from_name(name)
        except KeyError as error:
            if not create:
                raise RunError(
                    f"there is no study {name} in this storage; give the same --storage as at the start of the study"
                ) from error
            try:
                self._study = storage.create_new_study([StudyDirection.MAXIMIZE], name)
            except DuplicatedStudyError:  # another worker has just created it
                self._study = storage.get_study_id_from_name(name)

    def attempts(self) -> list[Attempt]:
        """All attempts, in the order in which they began."""
        return [_attempt(trial) for trial in self._storage.get_all_trials(self._study, deepcopy=False)]

    def claim(self, task: Task, *, key: str, worker: str, lease_seconds: float = LEASE_SECONDS) -> Attempt | None:
        """Begins an attempt at a task; None if another worker is training its trial."""
        now = time.time()
        entries: dict[str, Any] = {"key": key, "trial": task.trial.name, "stage": task.stage, "worker": worker}
        entries |= {"began": now, "beat": now, "lease": lease_seconds}
        template = create_trial(state=TrialState.RUNNING, user_attrs=entries)
        number = self._storage.get_trial_number_from_id(self._storage.create_new_trial(self._study, template))
        attempts = self.attempts()
        if is_valid(attempts[number], attempts):
            return attempts[number]
        self.release(attempts[number])
        return None

    def heartbeat(self, attempt: Attempt) -> None:
        """Renews the lease of an attempt.

        Raises:
            UpdateFinishedTrialError: the attempt was taken from its worker.
        """
        self._storage.set_trial_user_attr(self._id(attempt), "beat", time.time())

    def complete(self, attempt: Attempt, value: float) -> bool:
        """Ends an attempt that succeeded; False if it was taken from its worker."""
        return self._end(attempt, TrialState.COMPLETE if attempt.stage == "whole" else TrialState.PRUNED, [value])

    def release(self, attempt: Attempt) -> bool:
        """Ends an attempt that failed, was stopped or whose worker died; False if it was no longer running."""
        return self._end(attempt, TrialState.FAIL)

    def _end(self, attempt: Attempt, state: TrialState, values: list[float] | None = None) -> bool:
        try:
            return self._storage.set_trial_state_values(self._id(attempt), state, values)
        except UpdateFinishedTrialError:
            return False

    def _id(self, attempt: Attempt) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study, attempt.number)


def _attempt(trial: FrozenTrial) -> Attempt:
    entries: dict[str, Any] = trial.user_attrs
    return Attempt(
        number=trial.number,
        trial=entries["trial"],
        stage=entries["stage"],
        running=trial.state == TrialState.RUNNING,
        worker=entries["worker"],
        began=entries["began"],
        heartbeat=entries["beat"],
        lease_seconds=entries.get("lease", LEASE_SECONDS),
    )


@contextmanager
def open_trial_queue(folder: Path, name: str, storage: str, *, create: bool = False) -> Iterator[TrialQueue]:
    """The queue of a study; `storage` is a PostgreSQL URL, or a file below the study's folder.

    Args:
        folder: of the study.
        name: of the study in the storage.
        storage: where it is.
        create: create it if the storage does not have it. On a server this is done only before the first trial: later
            it would be the wrong server, on which every trial would be trained once more.

    Raises:
        ConfigError: the driver is missing.
        RunError: the storage does not answer, or does not have the study.
    """
    new = not is_url(storage) or not (folder / "trials").exists()
    with storage_errors():
        yield TrialQueue(open_storage(folder, storage), name, create=create and new)
