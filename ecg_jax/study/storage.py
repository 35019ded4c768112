"""The storage behind the trial queue: an Optuna journal file in the study's folder, or a PostgreSQL server.

Optuna and SQLAlchemy are imported where they are used: a process that only reads the files of a study loads neither.
"""

import fcntl
import importlib.util
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ecg_jax.errors import ConfigError, RunError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

JOURNAL = "journal.log"
SCHEMES = ("postgresql", "postgresql+psycopg")


def check_storage(storage: str) -> None:
    """Refuses a storage that may give one trial to two workers; "" is a journal file.

    Raises:
        ConfigError: it is not PostgreSQL, or cannot be read.
    """
    without_password(storage)
    scheme = storage.partition("://")[0]
    if storage and scheme not in SCHEMES:
        raise ConfigError(
            f"--storage {scheme}: give postgresql://USER@HOST/DATABASE, or leave it out for a journal file in the "
            "workdir (SQLite may give one trial to two workers)"
        )


def check_reachable(storage: str) -> None:
    """Refuses a PostgreSQL URL that does not answer, before a study is created on it.

    Raises:
        ConfigError: the driver is missing.
        RunError: the server does not answer.
    """
    if storage:
        with storage_errors():
            open_storage(Path(), storage)


def is_url(storage: str) -> bool:
    """Whether a storage is on a server; else it is a file below the study's folder."""
    return "://" in storage


def without_password(storage: str) -> str:
    """A storage as it may be written to a file: a URL without password and driver, or the name of a file.

    Raises:
        ConfigError: it is not a URL that can be read.
    """
    if not is_url(storage):
        return storage
    url = _read_url(storage).difference_update_query(["password"])
    return str(url.create("postgresql", url.username, None, url.host, url.port, url.database, url.query))


def database_of(storage: str) -> str:
    """An identifier of a storage that is the same on every machine: host names of a server may differ."""
    return f"postgresql, {_read_url(storage).database}" if is_url(storage) else storage


def open_storage(folder: Path, storage: str) -> "BaseStorage":
    """The Optuna storage at a PostgreSQL URL, or in a file below the study's folder.

    Raises:
        ConfigError: the driver is missing.
    """
    import optuna
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not is_url(storage):
        path = str(folder.resolve() / storage)
        return JournalStorage(JournalFileBackend(path, lock_obj=_KernelLock(path)))  # pyright: ignore[reportArgumentType]: by its methods
    if importlib.util.find_spec("psycopg") is None:
        raise ConfigError("--storage postgresql needs the extra: pip install 'ecg-jax[postgresql]'")
    url = f"postgresql+psycopg://{storage.partition('://')[2]}"
    for _ in range(9):
        try:
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except (IntegrityError, ProgrammingError):  # another worker is creating the same tables
            time.sleep(0.5)
    return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turns errors of a storage into one line.

    Raises:
        RunError: the storage does not answer, or its journal cannot be read.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except json.JSONDecodeError as error:
        raise RunError(f"the study's journal has a line that is not JSON ({error}); delete that line") from error
    except (StorageInternalError, SQLAlchemyError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise RunError(f"the study's storage does not answer ({reason}); the same command again continues") from error


def _read_url(storage: str) -> Any:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(storage)
    except (ArgumentError, ValueError) as error:  # its message would contain the password
        raise ConfigError("--storage cannot be read; give postgresql://USER:PASSWORD@HOST:PORT/DATABASE") from error


class _KernelLock:
    """The lock of a journal file (Optuna's `BaseJournalFileLock`), which the kernel releases if its holder is killed.

    Optuna's own lock would delay all other workers by 30 s in that case.
    """

    def __init__(self, journal: str):
        self._journal = Path(journal)
        self._held: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Waits until no other process holds the lock."""
        self._held = self._journal.with_name(f"{self._journal.name}.lock").open("wb")
        fcntl.flock(self._held, fcntl.LOCK_EX)
        _cut_partial_line(self._journal)
        return True

    def release(self) -> None:
        """Releases the lock."""
        if self._held is not None:
            self._held.close()
            self._held = None


def _cut_partial_line(journal: Path) -> None:
    """Removes an incomplete last line, left by a killed process: Optuna would append the next entry to it."""
    with journal.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(max(size - 1, 0))
        if size and file.read() != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
