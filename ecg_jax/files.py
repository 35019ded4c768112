"""Files and folders that are written completely or not at all. May import nothing of ours but `errors`."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ecg_jax.errors import DataError


def write_text(path: Path, text: str) -> None:
    """Writes a text as `write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a temporary file in the same folder, syncs it to disk and renames it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")  # different for each writer
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_new(path: Path, text: str) -> bool:
    """Writes a file unless it exists; of several simultaneous writers exactly one succeeds and returns True."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    write_text(temporary, text)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def open_lock(path: Path) -> IO[bytes]:
    """An open lock file, which is created if it is missing.

    Raises:
        DataError: it is a link, or something else than a file: what it leads to must not be changed.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise DataError(f"{path} is not a plain file; remove it, and start the same command again")
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b")


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """An empty folder next to `target` in which to build it; removed at the end, with all that a killed run left in it.

    Raises:
        DataError: another process is preparing the same target.
    """
    folder = _staging_folder(target)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{target} cannot be created: {error.strerror}; choose another folder") from error
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel releases it when the process ends, also if killed
    except OSError as error:
        os.close(lock)
        raise DataError(f"{target} is being prepared by another process; wait for it") from error
    try:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


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
