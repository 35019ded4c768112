"""The window in each row of each step, as pure functions of seed and step.

No step depends on earlier ones, so a restart, another feed or more devices see the same windows. NumPy only.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np


class Rows(NamedTuple):
    """The window in each row of a batch; NumPy arrays, or JAX arrays inside a compiled step (a tuple is a pytree)."""

    record: Any  # [B] int32: position of the record in its split
    offset: Any  # [B] int32: first sample of the window
    weight: Any  # [B] float32: 1, or 0 for a padding row


@lru_cache(maxsize=64)  # two epochs of each run that is trained together
def _epoch(seed: int, epoch: int, n_records: int) -> tuple[np.ndarray, np.ndarray]:
    """The order of the records in an epoch [N], and the relative position of each record's crop, in [0, 1) [N]."""
    order = np.random.default_rng([seed, epoch, 0]).permutation(n_records)
    return order, np.random.default_rng([seed, epoch, 1]).random(n_records)


def training_rows(step: int, *, samples: np.ndarray, window: int, batch_size: int, seed: int) -> Rows:
    """The rows of a training step. Each epoch visits every record once; batches continue across epochs.

    Args:
        step: from 0; a batch may contain records of two epochs.
        samples: [N], the length of each record.
        window: samples in a window; the window of a record that is not longer starts at 0.
        batch_size: rows in a step.
        seed: below 2**32.
    """
    epochs, places = np.divmod(step * batch_size + np.arange(batch_size), len(samples))
    record = np.empty(batch_size, np.int32)
    place_of_crop = np.empty(batch_size)
    for epoch in np.unique(epochs):
        rows = epochs == epoch
        order, crops = _epoch(seed, int(epoch), len(samples))
        record[rows] = order[places[rows]]
        place_of_crop[rows] = crops[record[rows]]
    room = np.maximum(samples[record] - window, 0)
    offset = np.floor(place_of_crop * (room + 1)).astype(np.int32)
    return Rows(record, offset, np.ones(batch_size, np.float32))


def steps_until(epoch: int, *, n_records: int, batch_size: int) -> int:
    """The number of steps that complete the first `epoch` epochs."""
    return -(-epoch * n_records // batch_size)


def evaluation_windows(samples: Sequence[int] | np.ndarray, *, window: int, overlap: float) -> Rows:
    """All windows [M] of all records, in order: evenly spaced from the start of each record to its end.

    Neighbours overlap by at least the fraction `overlap`; a record that is not longer than a window has one window.
    """
    stride = max(1, round(window * (1 - overlap)))
    rooms = np.maximum(np.asarray(samples) - window, 0)
    starts = [np.round(np.linspace(0, room, -(-room // stride) + 1)).astype(np.int32) for room in rooms]
    record = np.repeat(np.arange(len(starts), dtype=np.int32), [len(part) for part in starts])
    return Rows(record, np.concatenate(starts), np.ones(len(record), np.float32))


def evaluation_rows(step: int, windows: Rows, *, batch_size: int) -> Rows:
    """The rows [B] of an evaluation step; the last one, and steps after it, are filled up with padding rows."""
    part = slice(step * batch_size, (step + 1) * batch_size)
    return padded(Rows(*(column[part] for column in windows)), batch_size)


def padded(rows: Rows, size: int) -> Rows:
    """The rows, filled up to `size` with rows of weight 0: all devices and all runs of a step get the same number."""
    return Rows(*(np.pad(column, (0, size - len(column))) for column in rows))
