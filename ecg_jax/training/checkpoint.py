"""Checkpoints of a run, by Orbax: each holds the latest state (to resume) and the best variables (for inference).

Both are in one checkpoint, so that they always belong together, even after a kill.
"""

import shutil
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from ecg_jax.errors import RunError
from ecg_jax.training.result import read_result
from ecg_jax.training.workdir import CHECKPOINTS

LATEST, BEST, META = "latest", "best", "meta"


class Checkpoints:
    """Saves checkpoints to a folder, each under the number of its step, and keeps the newest two."""

    def __init__(self, folder: Path):
        """Opens or creates the folder, and removes what killed saves left in it."""
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(left_over)
        options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=True)
        self._manager = ocp.CheckpointManager(folder, item_names=(LATEST, BEST, META), options=options)

    def save(self, step: int, *, latest: Any, best: Any, meta: dict[str, Any]) -> None:
        """Saves two trees of NumPy arrays and a JSON value, in the background."""
        items = {
            LATEST: ocp.args.StandardSave(latest),
            BEST: ocp.args.StandardSave(best),
            META: ocp.args.JsonSave(meta),
        }
        self._manager.save(step, args=ocp.args.Composite(**items))

    def close(self) -> None:
        """Waits for the saves that are running."""
        self._manager.wait_until_finished()
        self._manager.close()


def read_checkpoint(folder: Path, **like: Any) -> Any:
    """Reads the newest checkpoint; None if there is none.

    Args:
        folder: of the checkpoints.
        like: the trees to read, `latest` and `best`, each as a tree of the same structure, shapes and types.

    Returns:
        `checkpoint["meta"]`, and `checkpoint[name]` of each tree in `like`.

    Raises:
        RunError: the checkpoint cannot be read.
    """
    if not folder.is_dir():
        return None
    items: dict[str, Any] = {
        name: ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, tree))
        for name, tree in like.items()
    }
    options = ocp.CheckpointManagerOptions(create=False, enable_async_checkpointing=False)
    with ocp.CheckpointManager(folder.resolve(), item_names=(LATEST, BEST, META), options=options) as manager:
        step = manager.latest_step()
        if step is None:
            return None
        try:
            return manager.restore(step, args=ocp.args.Composite(**items, **{META: ocp.args.JsonRestore()}))
        except (ValueError, OSError, KeyError) as error:
            reason = str(error).strip().splitlines()[0]
            path = folder / str(step)
            raise RunError(f"checkpoint {path} cannot be read ({reason}); train in a new workdir") from error


def check_fingerprint(workdir: Path, fingerprint: str) -> None:
    """Refuses a workdir that holds a run on another prepared set.

    Raises:
        RunError: its result or checkpoint has another fingerprint.
    """
    result = read_result(workdir)
    checkpoint = read_checkpoint(workdir / CHECKPOINTS) if result is None else None
    before = fingerprint
    if result is not None:
        before = result.data_fingerprint
    elif checkpoint is not None:
        before = checkpoint["meta"]["fingerprint"]
    if before != fingerprint:
        raise RunError(f"{workdir} was trained on the set {before}, --data is now {fingerprint}; use another --workdir")
