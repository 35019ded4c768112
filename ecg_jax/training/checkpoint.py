"""Checkpoints of a run, by Orbax: each holds the latest state (to resume) and the best variables (for inference).

Both are in one checkpoint, so that a killed process cannot leave one without the other.
"""

import shutil
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from ecg_jax.errors import RunError

LATEST, BEST, META = "latest", "best", "meta"


class Checkpoints:
    """One folder of whole checkpoints, each under its step's number; trees contain NumPy arrays."""

    def __init__(self, folder: Path, *, keep: int = 2):
        """Opens or creates the folder; removes what killed processes have left half-written."""
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(left_over)
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=True)
        self._manager = ocp.CheckpointManager(folder, item_names=(LATEST, BEST, META), options=options)
        self._folder = folder

    def save(self, step: int, *, latest: Any, best: Any, meta: dict[str, Any]) -> None:
        """Saves a checkpoint in the background."""
        items = {
            LATEST: ocp.args.StandardSave(latest),
            BEST: ocp.args.StandardSave(best),
            META: ocp.args.JsonSave(meta),
        }
        self._manager.save(step, args=ocp.args.Composite(**items))

    def restore(self, *, latest: Any, best: Any) -> tuple[Any, Any, dict[str, Any]] | None:
        """Latest tree, best tree and meta of the newest checkpoint, in the given structure; None if there is none."""
        found = _restore(self._manager, self._folder, {LATEST: latest, BEST: best})
        return None if found is None else (found[LATEST], found[BEST], found[META])

    def close(self) -> None:
        """Waits until all saves are finished."""
        self._manager.wait_until_finished()
        self._manager.close()


def read_meta(folder: Path) -> dict[str, Any] | None:
    """The meta of the newest checkpoint; None if there is none."""
    if not folder.is_dir():
        return None
    with _reader(folder) as manager:
        found = _restore(manager, folder, {})
    return None if found is None else found[META]


def read_best(folder: Path, best: Any) -> Any:
    """The best tree of the newest checkpoint, in the given structure.

    Raises:
        RunError: there is no checkpoint.
    """
    with _reader(folder) as manager:
        found = _restore(manager, folder, {BEST: best})
    if found is None:
        raise RunError(f"{folder} contains no checkpoint; train first")
    return found[BEST]


def _reader(folder: Path) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(create=False, enable_async_checkpointing=False)
    return ocp.CheckpointManager(folder.resolve(), item_names=(LATEST, BEST, META), options=options)


def _restore(manager: ocp.CheckpointManager, folder: Path, trees: dict[str, Any]) -> Any:
    step = manager.latest_step()
    if step is None:
        return None
    items: dict[str, Any] = {
        name: ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, tree))
        for name, tree in trees.items()
    }
    try:
        return manager.restore(step, args=ocp.args.Composite(**items, **{META: ocp.args.JsonRestore()}))
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RunError(f"checkpoint {folder / str(step)} cannot be read ({reason}); train in a new workdir") from error
