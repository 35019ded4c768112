"""Files and folders that are written completely or not at all. May import nothing of ours but `errors`."""

import errno
import fcntl
import json
import math
import os
import platform
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ecg_jax.errors import DataError, InUseError, reason_of

LOCK = ".lock"


def write_text(path: Path, text: str) -> None:
    """Writes a text as `write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a temporary file in the same folder, syncs it to disk and renames it.

    Raises:
        OSError: with the path, for example if the disk is full; the temporary file is removed.
    """
    with written(path) as file:
        file.write(content)


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file beside `path`, which gets its name when the block is left without an error.

    Raises:
        OSError: with the path, for example if the disk is full; the temporary file is removed.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")  # different for each writer
    with naming(path), cleaned_up(lambda: _remove(temporary)):
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


def write_new(path: Path, text: str) -> bool:
    """Writes a file unless it exists; of several simultaneous writers exactly one succeeds and returns True."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new.tmp")
    with naming(path), cleaned_up(lambda: _remove(temporary)):
        write_text(temporary, text)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    return True


def open_lock(path: Path) -> IO[bytes]:
    """An open lock file, which is created if it is missing.

    Raises:
        DataError: it is a link, or something else than a file: what it leads to must not be changed.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise DataError(f"{path} is not a plain file; remove it, and start the same command again")
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b")


def append_line(path: Path, line: str) -> None:
    """Adds a line to a text file; a killed process, or a full disk, can leave a part of it.

    Raises:
        OSError: with the path.
    """
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def parse_json(content: bytes) -> Any:
    """The value of a JSON text in UTF-8. NaN and infinite numbers, which are no JSON, are refused.

    Raises:
        ValueError: it is not that; the message is short.
    """
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=_finite, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {reason_of(error)}" if content.strip() else "it is empty") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Lets errors of the operating system name this path: those of writing have no name, others a temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None or not (error.filename is None or str(error.filename).endswith(".tmp")):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


_clean_ups: list[Callable[[], None]] = []


@contextmanager
def cleaned_up(clean_up: Callable[[], None]) -> Iterator[None]:
    """Calls a function when the block is left, and also if the process calls `clean_up_now` inside it."""
    _clean_ups.append(clean_up)
    try:
        yield
    finally:
        try:
            clean_up()
        finally:
            _clean_ups.remove(clean_up)


def clean_up_now() -> None:
    """Removes all temporary files of this process, which must end immediately after."""
    for clean_up in reversed(_clean_ups):
        with suppress(OSError):
            clean_up()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """An empty folder that is gone at the end, also if the process calls `clean_up_now`."""
    folder = Path(tempfile.mkdtemp())
    with cleaned_up(lambda: shutil.rmtree(folder, ignore_errors=True)):
        yield folder


@contextmanager
def locked(folder: Path, doing: str) -> Iterator[bool]:
    """Creates a folder if it is missing, and keeps other processes out of it until the block is left.

    The kernel releases the lock when this process ends, also if it is killed.

    Args:
        folder: the folder; if it is new and stays empty, it is removed at the end.
        doing: what this process does, for the message of another process: `FOLDER is being prepared`.

    Yields:
        Whether there is a lock: on some network drives there is none, and nothing keeps other processes out.

    Raises:
        InUseError: another process is in it; the message names it.
        OSError: the folder cannot be created or written.
    """
    is_new = not folder.exists()
    lock, is_held = _acquired(folder, doing)

    def release() -> None:
        _remove(folder / LOCK)
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        lock.close()

    with cleaned_up(release):
        with naming(folder / LOCK):
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {platform.node()}".encode())
            lock.flush()
        yield is_held


def _acquired(folder: Path, doing: str) -> tuple[IO[bytes], bool]:
    """An open lock file, and whether it is locked."""
    path = folder / LOCK
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = open_lock(path)
        except FileNotFoundError:  # its last user has just removed the folder
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                return lock, False
            holder = lock.read(200).decode(errors="replace") or "another process"
            lock.close()
            message = f"{doing} by {holder}; wait until it has ended, or choose another folder"
            raise InUseError(message, folder) from error
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return lock, True
        lock.close()  # its last user has just removed the file


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """An empty folder next to `target` in which to build it; removed at the end, with all that a killed run left in it.

    Raises:
        InUseError: another process is preparing the same target.
        OSError: the folder cannot be created.
    """
    folder = _staging_folder(target)
    with (
        naming(target),
        locked(folder, f"{target} is being prepared"),
        cleaned_up(lambda: shutil.rmtree(folder, ignore_errors=True)),
    ):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()
        yield folder


def publish(folder: Path, target: Path) -> None:
    """Syncs all files of `folder` to disk, then renames it to `target`, which must be absent or empty."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    folder.rename(target)


def clear_staging(target: Path) -> None:
    """Removes the staging folder that a killed run left next to `target`."""
    if _staging_folder(target).exists():
        with staging(target):
            pass


def _staging_folder(target: Path) -> Path:
    target = target.absolute()
    return target.parent / f".{target.name}.preparing"
