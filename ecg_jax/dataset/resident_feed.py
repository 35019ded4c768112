"""Feed with the whole split in device memory: gather and crop are part of the compiled step.

Never loads TensorFlow. The interface is `Feed`, which `host_feed.py` shares.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ecg_jax.dataset.batch import AnyArray, Batch, Rows
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.records.record import MISSING

RowsAt = Callable[[int], Rows]  # step -> the rows of its global batch, padded to the number of devices
Put = Callable[[Any], Any]  # places a pytree of NumPy arrays on the devices


class Feed(Protocol):
    """Examples of one split for a compiled step, which calls `take(arrays, item)` on what `stream` yields."""

    arrays: Any
    """A pytree on the device, handed to each call of the step; empty where nothing is kept there."""

    def stream(self, rows_at: RowsAt, first: int, stop: int) -> Iterator[Any]:
        """Yields the item of each step from `first` up to `stop`, on the devices."""
        ...

    @staticmethod
    def take(arrays: Any, item: Any) -> Batch:
        """Turns an item into a batch; traced inside the compiled step."""
        ...


@struct.dataclass
class Resident:
    """Records of a split end to end, with at least a window's length of missing samples behind the last.

    Both lengths are `shared_size`s: what stands behind the last record is never asked for.
    """

    signal: AnyArray  # [all samples + window or more, L] int16
    start: AnyArray  # [N] int32: first sample of each record
    samples: AnyArray  # [N] int32
    scale_mv: AnyArray  # [N, L] float32
    label: AnyArray  # [N, K] float32
    window: int = struct.field(pytree_node=False)


class ResidentFeed:
    """Holds the records `indices` of a prepared set on the devices."""

    def __init__(self, prepared: PreparedSet, indices: np.ndarray, *, window: int, put_rows: Put, put_everywhere: Put):
        """Reads the records and places them; `put_rows` splits rows over devices, `put_everywhere` copies."""
        self._put_rows = put_rows
        self.arrays = put_everywhere(_joined(prepared, indices, window))

    def stream(self, rows_at: RowsAt, first: int, stop: int) -> Iterator[Rows]:
        """Yields the plan's rows of each step, on the devices."""
        for step in range(first, stop):
            yield self._put_rows(rows_at(step))

    @staticmethod
    def take(arrays: Resident, item: Rows) -> Batch:
        """Gathers and crops the windows of the rows."""
        first = jnp.asarray(arrays.start)[item.record] + item.offset
        window = jax.vmap(lambda at: jax.lax.dynamic_slice_in_dim(arrays.signal, at, arrays.window))(first)
        left = jnp.asarray(arrays.samples)[item.record] - item.offset  # samples from the window's start on
        real = item.weight[:, None] > 0
        inside = (jnp.arange(arrays.window)[None, :] < left[:, None]) & real  # [B, T]
        signal = jnp.where(inside[:, :, None], window, jnp.int16(MISSING))
        return Batch(
            signal=signal,
            scale_mv=jnp.where(real, jnp.asarray(arrays.scale_mv)[item.record], 0),
            valid=(signal != MISSING).any(axis=-1),
            label=jnp.where(real, jnp.asarray(arrays.label)[item.record], 0),
            weight=jnp.asarray(item.weight),
        )


def resident_bytes(samples: np.ndarray, n_leads: int) -> int:
    """Device memory that records of these lengths take."""
    return int(samples.sum()) * n_leads * 2


def shared_size(least: int) -> int:
    """The next of four sizes an octave: arrays of nearly one size, as those of other folds, share a compiled step."""
    unit = 1 << max(least.bit_length() - 3, 0)
    return -(-least // unit) * unit


def _joined(prepared: PreparedSet, indices: Sequence[int] | np.ndarray, window: int) -> Resident:
    signals, scales = zip(*prepared.read(indices), strict=True)
    samples = prepared.samples[indices]
    n_samples, n_records = int(samples.sum()), len(indices)
    tail = np.full((shared_size(n_samples + window) - n_samples, len(prepared.leads)), MISSING, np.int16)

    def padded(rows: np.ndarray, kind: type) -> np.ndarray:
        behind = shared_size(n_records) - n_records
        return np.pad(rows.astype(kind), ((0, behind), *[(0, 0)] * (rows.ndim - 1)))

    return Resident(
        signal=np.concatenate([*signals, tail]),
        start=padded(np.concatenate([[0], np.cumsum(samples)[:-1]]), np.int32),
        samples=padded(samples, np.int32),
        scale_mv=padded(np.stack(scales), np.float32),
        label=padded(prepared.label[indices], np.float32),
        window=window,
    )
