"""Feeds bring the windows of each step to the devices: from device memory, or from disk through tf.data.

A feed has `arrays`, a pytree on the devices that is an argument of each call of the compiled steps; `stream`, which
yields the items of each call, [S, R, B, ...] for S steps, R runs and B rows; and `take(arrays, item)`, which turns the
item of one run and step into a batch inside the compiled steps.
TensorFlow is loaded only when a host feed is read. May import jax, flax and psutil.
"""

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import psutil
from flax import struct

from ecg_jax.dataset.batch import AnyArray, Batch
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.dataset.sampler import Rows
from ecg_jax.errors import ConfigError, UserError
from ecg_jax.records.record import MISSING, Quantised

RESIDENT_SHARE = 0.4  # largest share of the device's memory for the records; the rest is for activations

RowsAt = Callable[[int], Rows]
"""From a step to the rows of its global batches, one for each run: [R, B], B a multiple of the number of devices."""


@dataclass(frozen=True)
class InMemory:
    """One record in the form in which a feed reads a `PreparedSet`, without known labels."""

    record: Quantised
    leads: tuple[str, ...]
    n_labels: int

    @property
    def samples(self) -> np.ndarray:
        """Length of the record [1]."""
        return np.array([len(self.record.signal)])

    @property
    def label(self) -> np.ndarray:
        """Zeros [1, K]."""
        return np.zeros((1, self.n_labels))

    def read(self, indices: Iterable[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Signal int16 [T, L] and scale float32 [L] of the record, for each index."""
        return [(self.record.signal, self.record.scale_mv) for _ in indices]


Recordings = PreparedSet | InMemory


def make_feed(
    kind: Literal["auto", "host", "resident"],
    recordings: Recordings,
    indices: np.ndarray,
    window: int,
    devices: Any,
) -> "ResidentFeed | HostFeed":
    """Makes the feed of a kind over the records `indices`; `auto` is resident if the records fit the device.

    `devices` places pytrees of NumPy arrays on the devices: `put_rows` splits them, `put_everywhere` copies them;
    `steps_per_call` is the number of steps for which items are yielded together.
    """
    if kind == "auto":
        stats = jax.local_devices()[0].memory_stats() or {}
        memory = stats.get("bytes_limit") or psutil.virtual_memory().total
        n_samples = int(recordings.samples[indices].sum())
        fits = 2 * n_samples * len(recordings.leads) <= RESIDENT_SHARE * memory and n_samples < 2**31
        kind = "resident" if fits else "host"
    return (ResidentFeed if kind == "resident" else HostFeed)(recordings, indices, window, devices)


@struct.dataclass
class Resident:
    """Records end to end, then missing samples: at least a window of them, so that no crop reaches beyond the end.

    The arrays are longer than needed: their lengths are `shared_size`s.
    """

    signal: AnyArray  # [all samples + window or more, L] int16
    start: AnyArray  # [N or more] int32: first sample of each record
    samples: AnyArray  # [N or more] int32
    scale_mv: AnyArray  # [N or more, L] float32
    label: AnyArray  # [N or more, K] float32
    window: int = struct.field(pytree_node=False)


class ResidentFeed:
    """Keeps all records in device memory; gathering and cropping are part of the compiled step."""

    def __init__(self, recordings: Recordings, indices: np.ndarray, window: int, devices: Any):
        """Reads the records and places them."""
        self._devices = devices
        self.arrays = devices.put_everywhere(_joined(recordings, indices, window))

    def stream(self, rows_at: RowsAt, number: int) -> Iterator[tuple[Rows, Any, int]]:
        """Yields, for steps 0 to `number`, the rows of several steps and their number, on the devices and as an int."""
        size = self._devices.steps_per_call
        for first in range(0, number, size):
            steps = [rows_at(step) for step in range(first, min(first + size, number))]
            padding = [steps[-1]] * (size - len(steps))
            items = Rows(*(np.stack(column) for column in zip(*steps, *padding, strict=True)))
            yield self._devices.put_rows(items), self._devices.put_everywhere(np.int32(len(steps))), len(steps)

    @staticmethod
    def take(arrays: Resident, item: Rows) -> Batch:
        """Gathers and crops the windows of the rows."""
        first = arrays.start[item.record] + item.offset
        window = jax.vmap(lambda at: jax.lax.dynamic_slice_in_dim(arrays.signal, at, arrays.window))(first)
        left = arrays.samples[item.record] - item.offset  # samples from the window's start on
        real = item.weight[:, None] > 0
        inside = (jnp.arange(arrays.window) < left[:, None]) & real  # [B, T]
        signal = jnp.where(inside[:, :, None], window, jnp.int16(MISSING))
        return Batch(
            signal=signal,
            scale_mv=jnp.where(real, arrays.scale_mv[item.record], 0),
            valid=(signal != MISSING).any(axis=-1),
            label=jnp.where(real, arrays.label[item.record], 0),
            weight=item.weight,
        )


def shared_size(least: int) -> int:
    """Rounds up to one of four sizes per power of two, so that folds of similar size reuse one compiled step."""
    unit = 1 << max(least.bit_length() - 3, 0)
    return -(-least // unit) * unit


def _joined(recordings: Recordings, indices: np.ndarray, window: int) -> Resident:
    signals, scales = zip(*recordings.read(indices), strict=True)
    samples = recordings.samples[indices]
    n_samples, extra = int(samples.sum()), shared_size(len(indices)) - len(indices)
    tail = np.full((shared_size(n_samples + window) - n_samples, len(recordings.leads)), MISSING, np.int16)

    def padded(rows: np.ndarray, kind: type) -> np.ndarray:
        return np.pad(rows.astype(kind), ((0, extra), *[(0, 0)] * (rows.ndim - 1)))

    return Resident(
        signal=np.concatenate([*signals, tail]),
        start=padded(np.cumsum(samples) - samples, np.int32),
        samples=padded(samples, np.int32),
        scale_mv=padded(np.stack(scales), np.float32),
        label=padded(recordings.label[indices], np.float32),
        window=window,
    )


class HostFeed:
    """Reads the records when they are needed, through tf.data: for sets that do not fit the device."""

    arrays: Any = ()

    def __init__(self, recordings: Recordings, indices: np.ndarray, window: int, devices: Any):
        """Reads nothing yet.

        Raises:
            ConfigError: TensorFlow is not installed.
        """
        if importlib.util.find_spec("tensorflow") is None:
            remedy = "pip install tensorflow-cpu (on macOS and ARM: tensorflow), or use --feed resident"
            raise ConfigError(f"--feed host needs TensorFlow, which is not installed: {remedy}")
        self._recordings, self._indices, self._window, self._devices = recordings, indices, window, devices
        self._label = recordings.label[indices].astype(np.float32)

    def stream(self, rows_at: RowsAt, number: int) -> Iterator[tuple[Batch, Any, int]]:
        """Yields, for each of `number` steps, its batches and the number 1, on the devices; reading runs ahead."""
        import tensorflow as tf

        failed: list[UserError] = []  # TensorFlow replaces an exception of `read` by one of its own

        def read(step: np.int64) -> tuple[np.ndarray, ...]:
            try:
                return self._batches(rows_at(int(step)))
            except UserError as error:
                failed.append(error)
                raise

        types = (tf.int16, tf.float32, tf.bool, tf.float32, tf.float32)
        batches = tf.data.Dataset.range(number).map(
            lambda step: tf.numpy_function(read, [step], types), num_parallel_calls=tf.data.AUTOTUNE
        )
        one = self._devices.put_everywhere(np.int32(1))
        try:
            for fields in batches.prefetch(2).as_numpy_iterator():
                yield self._devices.put_rows(Batch(*fields)), one, 1
        except tf.errors.OpError as error:
            raise (failed[0] if failed else error) from error.__cause__

    @staticmethod
    def take(arrays: Any, item: Batch) -> Batch:
        """The item is the batch."""
        return item

    def _batches(self, rows: Rows) -> tuple[np.ndarray, ...]:
        """The fields [1, R, B, ...] of a `Batch`. Records are read one by one: one long record at a time in memory."""
        shape, n_leads = rows.record.shape, len(self._recordings.leads)  # [R, B]
        signal = np.full((*shape, self._window, n_leads), MISSING, np.int16)
        scale_mv = np.zeros((*shape, n_leads), np.float32)
        real = rows.weight > 0
        for row in zip(*np.nonzero(real), strict=True):
            whole, scale_mv[row] = self._recordings.read([int(self._indices[rows.record[row]])])[0]
            window = whole[rows.offset[row] :][: self._window]
            signal[row][: len(window)] = window
        label = np.where(real[..., None], self._label[rows.record], np.float32(0))
        fields = (signal, scale_mv, (signal != MISSING).any(axis=-1), label, rows.weight)
        return tuple(each[None] for each in fields)
