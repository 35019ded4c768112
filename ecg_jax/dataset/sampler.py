"""Which window of which record stands in which row of which step: pure functions of seed and step.

Nothing needs the steps before, so a restart, another feed or more devices see the same windows. NumPy only.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ecg_jax.dataset.batch import Rows


@lru_cache(maxsize=4)
def _epoch(seed: int, epoch: int, n_records: int) -> tuple[np.ndarray, np.ndarray]:
    """The order of the records in an epoch [N], and for each record where its crop lies, from 0 up to 1 [N]."""
    order = np.random.default_rng([seed, epoch, 0]).permutation(n_records)
    return order, np.random.default_rng([seed, epoch, 1]).random(n_records)


def training_rows(step: int, *, samples: np.ndarray, window: int, batch_size: int, seed: int) -> Rows:
    """The rows of a training step: an endless walk that visits every record once an epoch, cut into batches.

    Args:
        step: from 0; a batch may straddle epochs.
        samples: [N], the length of each record.
        window: samples in a window; a record that is not longer starts at 0.
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
    """Steps after which the first `epoch` epochs have been seen whole."""
    return -(-epoch * n_records // batch_size)


def evaluation_windows(samples: Sequence[int] | np.ndarray, *, window: int, overlap: float) -> Rows:
    """All windows [M] of all records in order: evenly spread from each record's start to its end.

    Neighbours share at least `overlap` of a window; a record that is not longer than a window has one.
    """
    stride = max(1, round(window * (1 - overlap)))
    record, offset = [], []
    for index, length in enumerate(samples):
        room = max(int(length) - window, 0)
        starts = np.round(np.linspace(0, room, -(-room // stride) + 1)).astype(np.int32)
        record.append(np.full(len(starts), index, np.int32))
        offset.append(starts)
    joined = np.concatenate(offset)
    return Rows(np.concatenate(record), joined, np.ones(len(joined), np.float32))


def evaluation_rows(step: int, windows: Rows, *, batch_size: int) -> Rows:
    """The rows [B] of an evaluation step; the last one is filled up with padding rows."""
    part = slice(step * batch_size, (step + 1) * batch_size)
    return padded(Rows(windows.record[part], windows.offset[part], windows.weight[part]), batch_size)


def padded(rows: Rows, multiple: int) -> Rows:
    """The rows, filled up with rows of weight 0 to a multiple, so that devices get equal shares."""
    extra = -len(rows.record) % multiple
    return Rows(*(np.pad(np.asarray(column), (0, extra)) for column in (rows.record, rows.offset, rows.weight)))
