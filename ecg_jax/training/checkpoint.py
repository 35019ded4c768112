"""Checkpoints of a run, by Orbax: each holds the latest state (to resume) and the best variables (for inference).

Both are in one checkpoint, so that they always belong together, even after a kill. The arrays of each are joined to one
array of bytes, because Orbax takes a millisecond for each array, however small; names, types and shapes are in the JSON
beside it. Another file has the checksum of each file: Orbax itself reads most files with flipped bits as if nothing had
happened.
"""

import hashlib
import logging
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from ecg_jax.config import RunConfig, from_dict
from ecg_jax.dataset.batch import InputContract
from ecg_jax.errors import RunError, reason_of
from ecg_jax.files import naming, temporary_folder, write_text
from ecg_jax.training.result import read_result
from ecg_jax.training.workdir import CHECKPOINTS

LATEST, BEST, META, CHECKSUMS = "latest", "best", "meta", "sha256"
ARRAYS = "arrays"  # in `META`: name, type and shape of each array of the other parts, in the order of their bytes
KEPT = 2  # checkpoints
_ORBAX = threading.Lock()  # of two threads that save at once, one fails: Orbax counts its operations globally


@dataclass
class Course:
    """How far a run has come, apart from its arrays; part of each checkpoint."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    best_epoch: int = 0
    best_value: float | None = None


@dataclass(frozen=True)
class Checkpoint:
    """What was read from a checkpoint."""

    course: Course
    config: RunConfig
    contract: InputContract
    data_fingerprint: str
    latest: Any
    best: Any
    damaged: tuple[str, ...]
    """Newer checkpoints that cannot be read, each with the reason."""
    arrays: dict[str, Any] | None = None
    """Name, type and shape of each array of its parts; None in version 0.1.0."""


class Checkpoints:
    """Saves checkpoints to a folder, each under the number of its step, and keeps the newest ones."""

    def __init__(self, folder: Path, *, after_step: int):
        """Opens or creates the folder, and removes the checkpoints after a step, which are damaged."""
        self._folder = folder.resolve()
        self._folder.mkdir(parents=True, exist_ok=True)
        for step in _steps(self._folder):
            if step > after_step:
                shutil.rmtree(self._folder / str(step))

    def save(self, step: int, *, latest: Any, best: Any, meta: dict[str, Any]) -> None:
        """Saves two trees of NumPy arrays and a JSON value.

        Raises:
            OSError, RunError: they cannot be saved, for example because the disk is full.
        """
        try:
            with naming(self._folder):
                self._save(step, {LATEST: latest, BEST: best}, meta)
        except OSError:
            raise
        except Exception as error:  # TensorStore has errors of its own
            if code := re.search(r"os_error_code='(\d+)'", str(error)):
                raise OSError(int(code[1]), os.strerror(int(code[1])), str(self._folder)) from error
            raise RunError(
                f"a checkpoint cannot be saved in {self._folder} ({reason_of(error)}); start the same command again: "
                "it continues from the last checkpoint"
            ) from error

    def _save(self, step: int, trees: dict[str, Any], meta: dict[str, Any]) -> None:
        temporary = self._folder / f"{step}.tmp"
        items: dict[str, Any] = {name: ocp.args.StandardSave(_packed(tree)) for name, tree in trees.items()}
        arrays = {name: described(tree) for name, tree in trees.items()}
        items[META] = ocp.args.JsonSave(meta | {CHECKSUMS: True, ARRAYS: arrays})
        with _orbax(self._folder) as (checkpointer, place):
            checkpointer.save(place / temporary.name, args=ocp.args.Composite(**items))
        sums = "".join(f"{checksum}  {name}\n" for name, checksum in _checksums(temporary, (*trees, META)).items())
        write_text(temporary / CHECKSUMS, sums)
        temporary.rename(self._folder / str(step))
        for old in _steps(self._folder)[KEPT:]:
            shutil.rmtree(self._folder / str(old))


def read_checkpoint(folder: Path, **like: Any) -> Checkpoint | None:
    """Reads the newest checkpoint that is not damaged; None if there is none at all.

    Args:
        folder: of the checkpoints.
        like: the trees to read, `latest` and `best`, each as a tree of the same structure, shapes and types.

    Raises:
        RunError: there are checkpoints, but none can be read.
    """
    damaged: list[str] = []
    for step in _steps(folder):
        try:
            return _read(folder / str(step), like, tuple(damaged))
        except MemoryError:
            raise
        except Exception as error:  # Orbax and TensorStore raise errors of many kinds for damaged files
            damaged.append(f"checkpoint {folder / str(step)} cannot be read ({reason_of(error)})")
    if damaged:
        raise RunError(
            f"{'; '.join(damaged)}; no other one is left: delete {folder} and the file result.json beside it, and "
            "train again with the same flags"
        )
    return None


def read_best(folder: Path) -> Checkpoint | None:
    """Reads the newest checkpoint with its best variables, as it describes them itself; None if there is none.

    No network is built, and so nothing is imported that the config of the run names. None, too, for version 0.1.0.

    Raises:
        RunError: there are checkpoints, but none can be read.
    """
    checkpoint = read_checkpoint(folder)
    if checkpoint is None or checkpoint.arrays is None:
        return None
    like: dict[str, Any] = {}
    try:
        for name, dtype, shape in checkpoint.arrays[BEST]:
            *modules, last = re.findall(r"\['(\w+)'\]", name)
            inner = like
            for module in modules:
                inner = inner.setdefault(module, {})
            inner[last] = jax.ShapeDtypeStruct(tuple(shape), np.dtype(dtype))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{folder} has a checkpoint that describes no arrays; train that run again") from error
    return read_checkpoint(folder, best=like)


def check_fingerprint(workdir: Path, fingerprint: str) -> None:
    """Refuses a workdir that holds a run on another prepared set.

    Raises:
        RunError: its result or checkpoint has another fingerprint.
    """
    known = read_result(workdir) or read_checkpoint(workdir / CHECKPOINTS)
    if known is not None and known.data_fingerprint != fingerprint:
        raise RunError(
            f"{workdir} was trained on the set {known.data_fingerprint}, --data is now {fingerprint}; use another "
            "--workdir"
        )


def _read(path: Path, like: dict[str, Any], damaged: tuple[str, ...]) -> Checkpoint:
    has_checksums = (path / CHECKSUMS).is_file()  # version 0.1.0 wrote none
    if has_checksums:
        _check(path, (META, *like))
    meta = _restored(path, {META: ocp.args.JsonRestore()})[META]
    if CHECKSUMS in meta and not has_checksums:
        raise ValueError(f"its file {CHECKSUMS} is missing")
    trees = _read_trees(path, like, meta.get(ARRAYS)) if like else {}
    return Checkpoint(
        course=from_dict(Course, meta["course"]),
        config=from_dict(RunConfig, meta["config"]),
        contract=InputContract.from_json(meta["contract"]),
        data_fingerprint=meta["fingerprint"],
        latest=trees.get(LATEST),
        best=trees.get(BEST),
        damaged=damaged,
        arrays=meta.get(ARRAYS),
    )


def _read_trees(path: Path, like: dict[str, Any], arrays: dict[str, Any] | None) -> dict[str, Any]:
    """The trees of a checkpoint; `arrays` describes them, None for version 0.1.0, which saved each array by itself."""
    if arrays is None:
        shapes = {name: jax.tree.map(ocp.utils.to_shape_dtype_struct, tree) for name, tree in like.items()}
        return _restored(path, {name: ocp.args.StandardRestore(tree) for name, tree in shapes.items()})
    for name, tree in like.items():
        if arrays.get(name) != described(tree):
            raise ValueError(f"its part {name} has other arrays than this run")
    places = {name: {"bytes": np.empty(_n_bytes(tree), np.uint8)} for name, tree in like.items()}
    packed = _restored(path, {name: ocp.args.StandardRestore(place) for name, place in places.items()})
    return {name: _unpacked(packed[name]["bytes"], tree) for name, tree in like.items()}


def _restored(path: Path, items: dict[str, Any]) -> dict[str, Any]:
    with _orbax(path.parent.resolve()) as (checkpointer, place):
        found = checkpointer.restore(place / path.name, args=ocp.args.Composite(**items))
    return {name: found[name] for name in items}


def described(tree: Any) -> list[list[Any]]:
    """Name, type and shape of each array, as JSON values."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [[jax.tree_util.keystr(path), str(leaf.dtype), list(leaf.shape)] for path, leaf in leaves]


def _packed(tree: Any) -> dict[str, np.ndarray]:
    return {"bytes": np.concatenate([leaf.reshape(-1).view(np.uint8) for leaf in jax.tree.leaves(tree)])}


def _n_bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _unpacked(packed: np.ndarray, like: Any) -> Any:
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([leaf.size * leaf.dtype.itemsize for leaf in leaves])
    parts = np.split(packed, ends[:-1])
    arrays = [part.view(leaf.dtype).reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(structure, arrays)


@contextmanager
def _orbax(folder: Path) -> Iterator[tuple[ocp.Checkpointer, Path]]:
    """Orbax for one operation in process 0, and the path by which it is given a folder."""
    with _ORBAX, _one_error(), ExitStack() as stack:
        first = ocp.options.MultiprocessingOptions(active_processes={0}, barrier_sync_key_prefix="first")
        handler = ocp.CompositeCheckpointHandler(composite_options=ocp.CompositeOptions(multiprocessing_options=first))
        checkpointer = stack.enter_context(ocp.Checkpointer(handler, multiprocessing_options=first))
        if re.search(r"[\[\]\\]", str(folder)):  # Orbax takes them for a pattern, and loses the arrays without an error
            link = Path(stack.enter_context(temporary_folder()), CHECKPOINTS)
            link.symlink_to(folder)
            folder = link
        yield checkpointer, folder


@contextmanager
def _one_error() -> Iterator[None]:
    """Lets Orbax raise an error without printing it and those that follow from it."""
    logs, hook = [logging.getLogger(name) for name in ("absl", "asyncio")], sys.unraisablehook

    def print_others(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    for log in logs:
        log.disabled = True
    sys.unraisablehook = print_others
    yield
    for log in logs:  # not after an error: other threads of Orbax end later
        log.disabled = False
    sys.unraisablehook = hook


def _check(path: Path, parts: tuple[str, ...]) -> None:
    """Compares the files of some parts of a checkpoint with their checksums.

    Raises:
        ValueError: a file is another one, is missing or was added.
    """
    lines = [line.partition("  ") for line in (path / CHECKSUMS).read_text(encoding="utf-8").splitlines()]
    expected = {name: checksum for checksum, _, name in lines if name.partition("/")[0] in parts}
    actual = _checksums(path, parts)
    for name in expected | actual:
        if expected.get(name) != actual.get(name):
            raise ValueError(f"its file {name} does not have the checksum that was saved")


def _checksums(path: Path, parts: tuple[str, ...]) -> dict[str, str]:
    """The SHA-256 of all files of some parts of a checkpoint, by their names in it."""
    found = {}
    for file in sorted(file for part in parts for file in (path / part).rglob("*") if file.is_file()):
        with file.open("rb") as content:
            found[file.relative_to(path).as_posix()] = hashlib.file_digest(content, "sha256").hexdigest()
    return found


def _steps(folder: Path) -> list[int]:
    """The steps of all checkpoints in a folder, the newest first."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((int(path.name) for path in found if path.name.isdecimal() and path.name.isascii()), reverse=True)
