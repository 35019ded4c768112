"""Feeds bring the windows of each step to the devices: from device memory, or from disk through tf.data.

TensorFlow is loaded only when a host feed is read. May import jax, flax and psutil.
"""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import psutil
from flax import struct

from ecg_jax.dataset.batch import AnyArray, Batch
from ecg_jax.dataset.sampler import Rows
from ecg_jax.errors import ConfigError
from ecg_jax.records.record import MISSING

RESIDENT_SHARE = 0.4  # largest share of the device's memory for the records; the rest is for activations

RowsAt = Callable[[int], Rows]
"""From a step to the rows of its global batch, padded to a multiple of the number of devices."""


class Recordings(Protocol):
    """What a feed reads: a `PreparedSet`, or recordings in memory."""

    @property
    def leads(self) -> tuple[str, ...]:
        """Names of the L leads."""
        ...

    @property
    def samples(self) -> np.ndarray:
        """Length of each record [N]."""
        ...

    @property
    def label(self) -> np.ndarray:
        """Labels of each record [N, K], 0 or 1."""
        ...

    def read(self, indices: Any, /) -> list[tuple[np.ndarray, np.ndarray]]:
        """Signals int16 [T, L] and scales float32 [L] of the records at `indices`."""
        ...


class Placement(Protocol):
    """Places pytrees of NumPy arrays on the devices."""

    def put_rows(self, tree: Any) -> Any:
        """Splits the rows over the devices."""
        ...

    def put_everywhere(self, tree: Any) -> Any:
        """Copies to every device."""
        ...


class Feed(Protocol):
    """The windows of some recordings; the compiled step calls `take(arrays, item)` on each item of `stream`."""

    arrays: Any
    """A pytree on the devices, an argument of each call of the step; empty if the feed keeps nothing there."""

    def stream(self, rows_at: RowsAt, first: int, stop: int) -> Iterator[Any]:
        """Yields the item of each step from `first` up to `stop`, on the devices."""
        ...

    @staticmethod
    def take(arrays: Any, item: Any) -> Batch:
        """Turns an item into a batch; traced inside the compiled step."""
        ...


def make_feed(
    kind: Literal["auto", "host", "resident"],
    recordings: Recordings,
    indices: np.ndarray,
    window: int,
    placement: Placement,
) -> Feed:
    """Makes the feed of a kind over the records `indices`; `auto` is resident if the records fit the device."""
    if kind == "auto":
        stats = jax.local_devices()[0].memory_stats() or {}
        memory = stats.get("bytes_limit") or psutil.virtual_memory().total
        n_samples = int(recordings.samples[indices].sum())
        fits = 2 * n_samples * len(recordings.leads) <= RESIDENT_SHARE * memory and n_samples < 2**31
        kind = "resident" if fits else "host"
    return (ResidentFeed if kind == "resident" else HostFeed)(recordings, indices, window, placement)


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

    def __init__(self, recordings: Recordings, indices: np.ndarray, window: int, placement: Placement):
        """Reads the records and places them."""
        self._placement = placement
        self.arrays = placement.put_everywhere(_joined(recordings, indices, window))

    def stream(self, rows_at: RowsAt, first: int, stop: int) -> Iterator[Rows]:
        """Yields the rows of each step, on the devices."""
        for step in range(first, stop):
            yield self._placement.put_rows(rows_at(step))

    @staticmethod
    def take(arrays: Resident, item: Rows) -> Batch:
        """Gathers and crops the windows of the rows."""
        first = jnp.asarray(arrays.start)[item.record] + item.offset
        window = jax.vmap(lambda at: jax.lax.dynamic_slice_in_dim(arrays.signal, at, arrays.window))(first)
        left = jnp.asarray(arrays.samples)[item.record] - item.offset  # samples from the window's start on
        real = jnp.asarray(item.weight)[:, None] > 0
        inside = (jnp.arange(arrays.window)[None, :] < left[:, None]) & real  # [B, T]
        signal = jnp.where(inside[:, :, None], window, jnp.int16(MISSING))
        return Batch(
            signal=signal,
            scale_mv=jnp.where(real, jnp.asarray(arrays.scale_mv)[item.record], 0),
            valid=(signal != MISSING).any(axis=-1),
            label=jnp.where(real, jnp.asarray(arrays.label)[item.record], 0),
            weight=jnp.asarray(item.weight),
        )


def shared_size(least: int) -> int:
    """Rounds up to one of four sizes per power of two, so that folds of similar size reuse one compiled step."""
    unit = 1 << max(least.bit_length() - 3, 0)
    return -(-least // unit) * unit


def _joined(recordings: Recordings, indices: np.ndarray, window: int) -> Resident:
    signals, scales = zip(*recordings.read(indices), strict=True)
    samples = recordings.samples[indices]
    n_samples, n_records = int(samples.sum()), len(indices)
    tail = np.full((shared_size(n_samples + window) - n_samples, len(recordings.leads)), MISSING, np.int16)

    def padded(rows: np.ndarray, kind: type) -> np.ndarray:
        extra = shared_size(n_records) - n_records
        return np.pad(rows.astype(kind), ((0, extra), *[(0, 0)] * (rows.ndim - 1)))

    return Resident(
        signal=np.concatenate([*signals, tail]),
        start=padded(np.concatenate([[0], np.cumsum(samples)[:-1]]), np.int32),
        samples=padded(samples, np.int32),
        scale_mv=padded(np.stack(scales), np.float32),
        label=padded(recordings.label[indices], np.float32),
        window=window,
    )


class HostFeed:
    """Reads the records when they are needed, through tf.data: for sets that do not fit the device."""

    arrays: Any = ()

    def __init__(self, recordings: Recordings, indices: np.ndarray, window: int, placement: Placement):
        """Reads nothing yet.

        Raises:
            ConfigError: TensorFlow is not installed.
        """
        if importlib.util.find_spec("tensorflow") is None:
            remedy = "pip install tensorflow-cpu (on macOS and ARM: tensorflow), or use --feed resident"
            raise ConfigError(f"--feed host needs TensorFlow, which is not installed: {remedy}")
        self._recordings, self._indices, self._window = recordings, np.asarray(indices), window
        self._placement = placement
        self._label = recordings.label[self._indices].astype(np.float32)

    def stream(self, rows_at: RowsAt, first: int, stop: int) -> Iterator[Batch]:
        """Yields the batch of each step, on the devices; reading runs ahead of the step."""
        for signal, scale_mv, label, weight in self._pipeline(rows_at, first, stop).as_numpy_iterator():
            yield self._placement.put_rows(Batch(signal, scale_mv, (signal != MISSING).any(axis=-1), label, weight))

    @staticmethod
    def take(arrays: Any, item: Batch) -> Batch:
        """The item is the batch."""
        return item

    def _pipeline(self, rows_at: RowsAt, first: int, stop: int) -> Any:
        import tensorflow as tf

        def read(record: np.int32) -> tuple[np.ndarray, ...]:
            signal, scale_mv = self._recordings.read([int(self._indices[record])])[0]
            return signal, scale_mv, self._label[record]

        def example(record: Any, offset: Any, weight: Any) -> tuple[Any, ...]:
            signal, scale_mv, label = tf.numpy_function(read, [record], (tf.int16, tf.float32, tf.float32))
            signal = signal[offset : offset + self._window]
            lacking = self._window - tf.shape(signal)[0]
            signal = tf.pad(signal, tf.stack([[0, lacking], [0, 0]]), constant_values=tf.constant(MISSING, tf.int16))
            real = weight > 0
            signal = tf.where(real, signal, tf.constant(MISSING, tf.int16))
            scale_mv, label = tf.where(real, scale_mv, 0.0), tf.where(real, label, 0.0)
            signal = tf.ensure_shape(signal, (self._window, len(self._recordings.leads)))
            return signal, tf.ensure_shape(scale_mv, (None,)), tf.ensure_shape(label, (None,)), weight

        def rows_of(step: Any) -> Any:
            return tf.numpy_function(lambda step: tuple(rows_at(int(step))), [step], (tf.int32, tf.int32, tf.float32))

        batch_size = len(rows_at(first).record) if stop > first else 1
        return (
            tf.data.Dataset.range(first, stop)
            .map(rows_of)
            .unbatch()
            .map(
                lambda *row: example(*(tf.ensure_shape(part, ()) for part in row)), num_parallel_calls=tf.data.AUTOTUNE
            )
            .batch(batch_size, drop_remainder=True)
            .prefetch(2)
        )
