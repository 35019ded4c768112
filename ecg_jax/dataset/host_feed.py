"""Feed that reads records as they are needed, through tf.data: for sets that do not fit the device.

The only file that loads TensorFlow, and only when a feed is read.
"""

import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np

from ecg_jax.dataset.batch import Batch
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.dataset.resident_feed import Put, RowsAt
from ecg_jax.errors import ConfigError
from ecg_jax.records.record import MISSING


class HostFeed:
    """Reads the records `indices` of a prepared set window by window; each process reads its own rows."""

    arrays: Any = ()

    def __init__(
        self,
        prepared: PreparedSet,
        indices: np.ndarray,
        *,
        window: int,
        put_rows: Put,
        process: int = 0,
        processes: int = 1,
    ):
        """`put_rows` places this process's share of a batch on its devices.

        Raises:
            ConfigError: TensorFlow is not installed.
        """
        if importlib.util.find_spec("tensorflow") is None:
            remedy = "pip install tensorflow-cpu (on macOS and ARM: tensorflow), or use --feed resident"
            raise ConfigError(f"--feed host needs TensorFlow, which is not installed: {remedy}")
        self._prepared, self._indices, self._window = prepared, np.asarray(indices), window
        self._put_rows, self._process, self._processes = put_rows, process, processes
        self._label = prepared.label[self._indices].astype(np.float32)

    def stream(self, rows_at: RowsAt, first: int, stop: int) -> Iterator[Batch]:
        """Yields the batch of each step, on the devices; reading runs ahead of the step."""
        for signal, scale_mv, label, weight in self._pipeline(rows_at, first, stop).as_numpy_iterator():
            yield self._put_rows(Batch(signal, scale_mv, (signal != MISSING).any(axis=-1), label, weight))

    @staticmethod
    def take(arrays: Any, item: Batch) -> Batch:
        """The item is the batch."""
        return item

    def _pipeline(self, rows_at: RowsAt, first: int, stop: int) -> Any:
        import tensorflow as tf

        def plan(step: np.int64) -> tuple[np.ndarray, ...]:
            rows = rows_at(int(step))
            share = len(rows.record) // self._processes
            mine = slice(self._process * share, (self._process + 1) * share)
            return rows.record[mine], rows.offset[mine], rows.weight[mine]

        def read(record: np.int32) -> tuple[np.ndarray, ...]:
            signal, scale_mv = self._prepared.read([int(self._indices[record])])[0]
            return signal, scale_mv, self._label[record]

        def example(record: Any, offset: Any, weight: Any) -> tuple[Any, ...]:
            signal, scale_mv, label = tf.numpy_function(read, [record], (tf.int16, tf.float32, tf.float32))
            signal = signal[offset : offset + self._window]
            lacking = self._window - tf.shape(signal)[0]
            signal = tf.pad(signal, tf.stack([[0, lacking], [0, 0]]), constant_values=tf.constant(MISSING, tf.int16))
            real = weight > 0
            signal = tf.where(real, signal, tf.constant(MISSING, tf.int16))
            scale_mv, label = tf.where(real, scale_mv, 0.0), tf.where(real, label, 0.0)
            signal = tf.ensure_shape(signal, (self._window, len(self._prepared.leads)))
            return signal, tf.ensure_shape(scale_mv, (None,)), tf.ensure_shape(label, (None,)), weight

        rows = len(rows_at(first).record) // self._processes if stop > first else 1
        return (
            tf.data.Dataset.range(first, stop)
            .map(lambda step: tf.numpy_function(plan, [step], (tf.int32, tf.int32, tf.float32)))
            .unbatch()
            .map(
                lambda *row: example(*(tf.ensure_shape(part, ()) for part in row)), num_parallel_calls=tf.data.AUTOTUNE
            )
            .batch(rows, drop_remainder=True)
            .prefetch(2)
        )
