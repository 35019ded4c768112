"""The storage behind the trial queue: an Optuna journal file in the study's folder, or a PostgreSQL server.

Optuna and SQLAlchemy are imported where they are used: a process that only reads the files of a study loads neither.
"""

import fcntl
import importlib.util
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ecg_jax.errors import ConfigError, RunError, UserError, reason_of
from ecg_jax.files import open_lock
from ecg_jax.terminal import say

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

JOURNAL = "journal.log"
SCHEMES = ("postgresql", "postgresql+psycopg")
PUBLIC = ("host", "hostaddr", "port", "sslmode", "target_session_attrs", "connect_timeout")
"""Parameters of a URL that are written to a file; others, such as `sslpassword` and `passfile`, are not."""
SECRET_PLACES = "a file with the URL (--storage-file), the variable PGPASSWORD or ~/.pgpass"
CONNECT_SECONDS = 10  # so that a server that is away is noticed before a lease ends


class StorageAway(RunError):
    """A storage that does not answer now; `what` says it without a remedy."""

    def __init__(self, reason: str):
        self.what = f"the study's storage does not answer ({reason})"
        remedy = f"its password belongs in {SECRET_PLACES}" if "password" in reason else "check the server"
        super().__init__(f"{self.what}; {remedy}, then the same command continues")


def given_storage(storage: str, file: Path | None) -> str:
    """The storage of `--storage` or `--storage-file`; "" is that of the study, or a journal file.

    Raises:
        ConfigError: both are given, the file cannot be read, or the storage is not PostgreSQL.
    """
    if file is not None:
        if storage:
            raise ConfigError("give --storage or --storage-file, not both")
        try:
            storage = file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError(f"--storage-file {file} cannot be read: {reason}") from error
        if not storage:
            raise ConfigError(f"--storage-file {file} is empty; write postgresql://USER:PASSWORD@HOST/DATABASE into it")
    check_storage(storage)
    if file is None and has_secret(storage):
        say(
            f"the password in --storage can be seen in the list of processes; it belongs in {SECRET_PLACES}",
            file=sys.stderr,
        )
    return storage


def check_storage(storage: str) -> None:
    """Refuses a storage that may give one trial to two workers; "" is a journal file.

    Raises:
        ConfigError: it is not PostgreSQL, or cannot be read.
    """
    scheme = storage.partition("://")[0] if is_url(storage) else ""
    if storage and scheme not in SCHEMES:
        raise ConfigError(
            f"--storage {scheme or 'is not a URL'}: give postgresql://USER@HOST/DATABASE, or leave it out for a "
            "journal file in the workdir (SQLite may give one trial to two workers)"
        )
    without_password(storage)


def stored(storage: Any) -> str:
    """The storage that the file of a study names: its journal, or a PostgreSQL URL.

    Raises:
        ConfigError: it is something else.
    """
    place, is_server, _ = storage.partition("://") if isinstance(storage, str) else (storage, "", "")
    if storage == JOURNAL or (is_server and place in SCHEMES):
        return without_password(storage)
    raise ConfigError(f"its storage {place!r} is neither {JOURNAL} nor a postgresql:// URL")


def check_reachable(storage: str) -> None:
    """Refuses a PostgreSQL URL that does not answer, before a study is created on it.

    Raises:
        ConfigError: the driver is missing.
        RunError: the server does not answer.
    """
    if storage:
        with storage_errors(storage):
            open_storage(Path(), storage)


def is_url(storage: str) -> bool:
    """Whether a storage is on a server; else it is a file below the study's folder."""
    return "://" in storage


def without_password(storage: str) -> str:
    """A storage as it may be written to a file: a URL without driver and secrets, or the name of a file.

    Raises:
        ConfigError: it is not a URL that can be read.
    """
    if not is_url(storage):
        return storage
    url = _read_url(storage)
    query = {name: value for name, value in url.query.items() if name in PUBLIC}
    return str(url.create("postgresql", url.username, None, url.host, url.port, url.database, query))


def has_secret(storage: str) -> bool:
    """Whether a storage is a URL with a password, in its place or among the parameters."""
    if not is_url(storage):
        return False
    url = _read_url(storage)
    return url.password is not None or any("password" in name.lower() for name in url.query)


def database_of(storage: str) -> str:
    """An identifier of a storage that is the same on every machine: host names of a server may differ."""
    return f"postgresql, {_read_url(storage).database}" if is_url(storage) else storage


def open_storage(folder: Path, storage: str) -> "BaseStorage":
    """The Optuna storage at a PostgreSQL URL, or in a file below the study's folder.

    Raises:
        ConfigError: the driver is missing.
        RunError: the journal is not a file of its own.
    """
    import optuna
    from optuna.storages import JournalStorage, RDBStorage, get_storage
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not is_url(storage):
        journal = folder.resolve() / storage
        if journal.is_symlink() or (journal.exists() and not journal.is_file()):
            raise RunError(f"{journal} is not a plain file; remove it, and start the study's command again")
        return JournalStorage(JournalFileBackend(str(journal), lock_obj=_KernelLock(journal)))  # pyright: ignore[reportArgumentType]: by its methods
    if importlib.util.find_spec("psycopg") is None:
        raise ConfigError("--storage postgresql needs the extra: pip install 'ecg-jax[postgresql]'")
    url = f"postgresql+psycopg://{storage.partition('://')[2]}"
    settings: dict[str, Any] = {"pool_pre_ping": True}
    if "connect_timeout" not in _read_url(storage).query:
        settings["connect_args"] = {"connect_timeout": CONNECT_SECONDS}
    tries = 10
    while True:
        try:
            return get_storage(RDBStorage(url, engine_kwargs=settings))  # which reads a finished attempt only once
        except (IntegrityError, ProgrammingError):  # another worker is creating the same tables
            tries -= 1
            if not tries:
                raise
            time.sleep(0.5)


@contextmanager
def storage_errors(storage: str) -> Iterator[None]:
    """Turns errors of a storage into one line, but for those that say that a trial or study is another's.

    Raises:
        StorageAway: the server does not answer.
        RunError: what is in the storage cannot be read.
    """
    from optuna.exceptions import DuplicatedStudyError, StorageInternalError, UpdateFinishedTrialError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (UserError, OSError, DuplicatedStudyError, UpdateFinishedTrialError):
        raise
    except (StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ or error
        raise StorageAway(reason_of(getattr(cause, "orig", cause))) from error
    except Exception as error:  # whatever damaged entries make of Optuna
        reason = f"{type(error).__name__}: {reason_of(error)}"
        if is_url(storage):
            raise RunError(
                f"the study's entries on the server cannot be read ({reason}); use another --workdir"
            ) from error
        raise RunError(
            f"the study's {storage} cannot be read ({reason}); stop all workers, delete it and start the study's "
            "command again, which keeps all finished trials"
        ) from error


def _read_url(storage: str) -> Any:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(storage)
    except (ArgumentError, ValueError) as error:  # its message would contain the password
        raise ConfigError("--storage cannot be read; give postgresql://USER@HOST:PORT/DATABASE") from error


class _KernelLock:
    """The lock of a journal file (Optuna's `BaseJournalFileLock`), which the kernel releases if its holder is killed.

    Optuna's own lock would delay all other workers by 30 s in that case.
    """

    def __init__(self, journal: Path):
        self._journal = journal
        self._held: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Waits until no other process holds the lock."""
        self._held = open_lock(self._journal.with_name(f"{self._journal.name}.lock"))
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
