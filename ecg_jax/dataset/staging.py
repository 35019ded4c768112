"""A folder that appears whole or not at all. May import the standard library alone."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecg_jax.errors import DataError


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """An empty folder beside `target` to build it in; removed at the end, whatever a killed run left in it too.

    Raises:
        DataError: another process is at work on the same target.
    """
    folder = _beside(target)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{target} cannot be made: {error.strerror}; choose another folder") from error
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # goes with its process, however that ends
    except OSError as error:
        os.close(lock)
        raise DataError(f"{target} is being prepared by another process; wait for it") from error
    try:
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def publish(folder: Path, target: Path) -> None:
    """Moves `folder` to `target` in one step, after its files have reached the disk; `target` is absent or empty."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    folder.rename(target)


def clear_left_over(target: Path) -> None:
    """Removes what a run that was killed left beside `target`."""
    if _beside(target).exists():
        with staging(target):
            pass


def _beside(target: Path) -> Path:
    target = target.absolute()
    return target.parent / f".{target.name}.preparing"
