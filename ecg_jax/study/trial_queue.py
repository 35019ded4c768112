"""The Optuna study of a workdir as a desk where workers claim trials and hand them back.

Optuna gives an order to all claims, in a journal file as on PostgreSQL: a claim is a running trial of its, and of two
claims on one trial the older holds (`ledger.holds`). Optuna's states: running; complete (a whole trial); pruned (a rate
that was tried); fail (with the attribute `failure`, else the claim was given up). What Optuna does not do on a
journal, our own lease does on both: a claim's `beat` is renewed as long as its worker lives.
"""

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import optuna
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.exceptions import DuplicatedStudyError, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from ecg_jax.errors import ConfigError, RunError
from ecg_jax.study.tasks import LEASE_SECONDS, Claim, Task, holds

AXIS, RATE = IntDistribution(1, 2**20, log=True), FloatDistribution(1e-12, 1e3, log=True)
STATES: dict[TrialState, Literal["running", "done"]] = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "done",
    TrialState.PRUNED: "done",
}
DRIVER = "postgresql+psycopg"


class TrialQueue:
    """Claims on the trials of one study."""

    def __init__(self, storage: BaseStorage, name: str, *, begin: bool = True):
        """Opens the study of that name; begins it where it is not there, if that is asked for.

        Raises:
            RunError: it is not there.
        """
        self._storage = storage
        try:
            self._study = storage.get_study_id_from_name(name)
        except KeyError as error:
            if not begin:
                raise RunError(
                    f"there is no study {name} in this storage; give --storage as it was when the study was begun"
                ) from error
            try:
                self._study = storage.create_new_study([StudyDirection.MAXIMIZE], name)
            except DuplicatedStudyError:  # by another worker, just now
                self._study = storage.get_study_id_from_name(name)

    def claims(self) -> list[Claim]:
        """All claims that were ever made, in their order."""
        return [_claim(trial) for trial in self._storage.get_all_trials(self._study, deepcopy=False)]

    def take(self, task: Task, *, key: str, worker: str, lease_seconds: float = LEASE_SECONDS) -> Claim | None:
        """Claims a task; None where another worker was faster."""
        trial, scale, now = task.trial, task.scale, time.time()
        what = {"key": key, "trial": trial.name, "stage": task.stage, "worker": worker, "began": now, "beat": now}
        what["lease"] = lease_seconds
        axes = {"depth": scale.depth, "channels": scale.channels, "kernel": scale.kernel}
        template = create_trial(
            state=TrialState.RUNNING,
            params={**axes, "learning_rate": trial.learning_rate, "seed": trial.seed},
            distributions={**dict.fromkeys(axes, AXIS), "learning_rate": RATE, "seed": IntDistribution(0, 2**32 - 1)},
            user_attrs=what,
        )
        number = self._storage.get_trial_number_from_id(self._storage.create_new_trial(self._study, template))
        claims = self.claims()
        mine = claims[number]
        if holds(mine, claims):
            return mine
        self.drop(mine)
        return None

    def beat(self, claim: Claim) -> None:
        """Says that the claim's worker lives.

        Raises:
            UpdateFinishedTrialError: the claim was given to another worker.
        """
        self._storage.set_trial_user_attr(self._id(claim), "beat", time.time())

    def finish(self, claim: Claim, **figures: float) -> bool:
        """Hands a claim back as done, with its `value`, `seconds` and `runs`; False where it is another's by now."""
        state = TrialState.COMPLETE if claim.stage == "whole" else TrialState.PRUNED
        return self._hand_back(claim, state, figures, [figures["value"]])

    def fail(self, claim: Claim, reason: str) -> bool:
        """Hands a claim back as failed; False where it is another's by now."""
        return self._hand_back(claim, TrialState.FAIL, {"failure": reason})

    def drop(self, claim: Claim) -> bool:
        """Gives a claim up, one's own or that of a worker that fell silent; False where it no longer runs."""
        return self._hand_back(claim, TrialState.FAIL, {})

    def _hand_back(
        self, claim: Claim, state: TrialState, attributes: dict[str, Any], values: list[float] | None = None
    ) -> bool:
        trial_id = self._id(claim)
        try:
            for name, value in attributes.items():
                self._storage.set_trial_user_attr(trial_id, name, value)
            return self._storage.set_trial_state_values(trial_id, state, values)
        except UpdateFinishedTrialError:
            return False

    def _id(self, claim: Claim) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._study, claim.number)


def _claim(trial: FrozenTrial) -> Claim:
    known: dict[str, Any] = trial.user_attrs
    failure = known.get("failure", "")
    return Claim(
        number=trial.number,
        trial=known["trial"],
        stage=known["stage"],
        state=STATES.get(trial.state, "failed" if failure else "dropped"),
        worker=known["worker"],
        began=known["began"],
        beat=known["beat"],
        lease=known.get("lease", LEASE_SECONDS),
        value=known.get("value"),
        seconds=known.get("seconds", 0.0),
        runs=known.get("runs", 1),
        reason=failure,
    )


@contextmanager
def open_trial_queue(workdir: Path, name: str, storage: str, *, begin: bool = False) -> Iterator[TrialQueue]:
    """The desk of a study; `storage` is a PostgreSQL URL, or a file below the workdir.

    Args:
        workdir: of the study.
        name: of the study in the storage.
        storage: where it is.
        begin: make it where it is not there. On a server only before the first trial: else it is the wrong server, on
            which every trial would be claimed once more.

    Raises:
        ConfigError: the driver is missing.
        RunError: the storage cannot be reached, or goes away; or the study is not there.
    """
    new = "://" not in storage or not (workdir / "trials").exists()
    with _answering():
        yield TrialQueue(open_storage(workdir, storage), name, begin=begin and new)


def check_reachable(storage: str) -> None:
    """Refuses a PostgreSQL URL that does not answer, before a study is founded on it.

    Raises:
        ConfigError, RunError: as in `open_trial_queue`.
    """
    if storage:
        with _answering():
            open_storage(Path(), storage)


@contextmanager
def _answering() -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    from sqlalchemy.exc import SQLAlchemyError  # comes with optuna

    try:
        yield
    except json.JSONDecodeError as error:
        raise RunError(f"the study's journal holds a line that is not JSON ({error}); take it out") from error
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise RunError(f"the study's storage does not answer ({reason}); the same command again goes on") from error


def open_storage(workdir: Path, storage: str) -> BaseStorage:
    """The Optuna storage at a PostgreSQL URL, or in a file below the workdir."""
    if "://" not in storage:
        path = str(workdir.resolve() / storage)
        return JournalStorage(JournalFileBackend(path, lock_obj=_KernelLock(path + ".lock")))
    import importlib.util

    from optuna.storages import RDBStorage
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    if importlib.util.find_spec("psycopg") is None:
        raise ConfigError("--storage postgresql needs the extra: pip install 'ecg-jax[postgresql]'")
    url = f"{DRIVER}://{storage.partition('://')[2]}"
    for _ in range(9):
        try:
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except (IntegrityError, ProgrammingError):  # another worker makes the same tables at this moment
            time.sleep(0.5)
    return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})


class _KernelLock(JournalFileOpenLock):
    """A lock that the kernel opens when its holder is killed; Optuna's own would hold all others up for 30 s.

    What a kill in the middle of a write left behind is cut off, since Optuna reads on after whole lines only.
    """

    def __init__(self, path: str):
        super().__init__(path)
        self._path = path
        self._held: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Waits until no other process has it."""
        self._held = Path(self._path).open("wb")  # noqa: SIM115  # held until it is released
        fcntl.flock(self._held, fcntl.LOCK_EX)
        journal = Path(self._path.removesuffix(".lock"))
        with journal.open("r+b") as file:
            size = file.seek(0, 2)
            file.seek(max(size - 1, 0))
            if size and file.read() != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        """Lets the next one have it."""
        if self._held is not None:
            self._held.close()
            self._held = None
