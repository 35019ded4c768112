"""Feeds bring the windows of each step to the devices: from device memory, or from disk through tf.data.

A feed has `arrays`, a pytree on the devices that is an argument of each call of the compiled steps; `stream`, which
yields the items of each call, [S, R, B, ...] for S steps, R runs and B rows; and `take(arrays, item)`, which turns the
item of one run and step into a batch inside the compiled steps.
TensorFlow is loaded only when a host feed is read. May import jax and flax.
"""

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import islice
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ecg_jax.dataset.batch import AnyArray, Batch
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.dataset.sampler import Rows
from ecg_jax.errors import ConfigError, UserError
from ecg_jax.records.record import MISSING, Quantised

RESIDENT_SHARE = 0.4  # largest share of the device's memory for the records; the rest is for activations
MOST_STEPS, BYTES_AT_ONCE = 32, 2**23  # that the host feed reads at a time, as TensorFlow takes its time for each

RowsAt = Callable[[int], Rows]
"""From a step to the rows of its global batches, one for each run: [R, B], B a multiple of the number of devices."""


class Windows(NamedTuple):
    """The fields of a `Batch` that are read; what is valid follows from them."""

    signal: AnyArray
    scale_mv: AnyArray
    label: AnyArray
    weight: AnyArray


def _batch(windows: Windows) -> Batch:
    return Batch(valid=(windows.signal != MISSING).any(axis=-1), **windows._asdict())


@dataclass(frozen=True)
class InMemory:
    """Records in the form in which a feed reads a `PreparedSet`, without known labels."""

    records: Sequence[Quantised]
    leads: tuple[str, ...]
    n_labels: int

    @property
    def samples(self) -> np.ndarray:
        """Length of each record [N]."""
        return np.array([len(record.signal) for record in self.records])

    @property
    def label(self) -> np.ndarray:
        """Zeros [N, K]."""
        return np.zeros((len(self.records), self.n_labels))

    def read(self, indices: Iterable[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Signal int16 [T, L] and scale float32 [L] of the records at `indices`."""
        return [(self.records[index].signal, self.records[index].scale_mv) for index in indices]

    def crops(self, indices: Sequence[int], offsets: Sequence[int], length: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """At most `length` samples of each record from its offset on, int16 [T', L], and scale float32 [L]."""
        places = zip(self.read(indices), offsets, strict=True)
        return [(signal[offset:][:length], scale_mv) for (signal, scale_mv), offset in places]


Recordings = PreparedSet | InMemory


def make_feed(
    kind: Literal["auto", "host", "resident"],
    recordings: Recordings,
    indices: np.ndarray,
    window: int,
    devices: Any,
) -> "ResidentFeed | HostFeed":
    """Makes the feed of a kind over the records `indices`; `auto` is resident if the records fit the devices.

    `devices` places pytrees of NumPy arrays on the devices: `own_rows` are those that this process feeds, `put_rows`
    splits them, `put_everywhere` copies them, `put_parts` splits one array; `memory_bytes` is the memory of one device,
    `parts` the number of devices over which an array can be split, and `steps_per_call` the number of steps for which
    items are yielded together.
    """
    n_samples = int(recordings.samples[indices].sum())
    copies = 2 * n_samples * len(recordings.leads) / (RESIDENT_SHARE * devices.memory_bytes)
    if kind == "host" or (kind == "auto" and not (copies <= devices.parts and n_samples < 2**31)):
        return HostFeed(recordings, indices, window, devices)
    return ResidentFeed(recordings, indices, window, devices, split=copies > 1 and devices.parts > 1)


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
    split: bool = struct.field(pytree_node=False)  # whether each device holds one part of the signal, or all of it


class ResidentFeed:
    """Keeps all records in device memory; gathering and cropping are part of the compiled step."""

    def __init__(self, recordings: Recordings, indices: np.ndarray, window: int, devices: Any, *, split: bool = False):
        """Reads the records and places them: all on each device, or their samples split over the devices."""
        self._devices = devices
        joined = _joined(recordings, indices, window, split=split)
        signal = devices.put_parts(joined.signal, fill=MISSING) if split else devices.put_everywhere(joined.signal)
        self.arrays = replace(devices.put_everywhere(replace(joined, signal=())), signal=signal)

    def stream(self, rows_at: RowsAt, number: int) -> Iterator[tuple[Rows, Any, int]]:
        """Yields, for steps 0 to `number`, the rows of several steps and their number, on the devices and as an int."""
        size, placed = self._devices.steps_per_call, cache(lambda count: self._devices.put_everywhere(np.int32(count)))
        for first in range(0, number, size):
            steps = [self._devices.own_rows(rows_at(step)) for step in range(first, min(first + size, number))]
            padding = [steps[-1]] * (size - len(steps))
            items = Rows(*(np.stack(column) for column in zip(*steps, *padding, strict=True)))
            yield self._devices.put_rows(items), placed(len(steps)), len(steps)

    @staticmethod
    def take(arrays: Resident, item: Rows) -> Batch:
        """Gathers and crops the windows of the rows."""
        first = arrays.start[item.record] + item.offset
        if arrays.split:  # single samples, which the compiler finds on the device that holds them; no slices
            window = arrays.signal.at[first[:, None] + jnp.arange(arrays.window)].get(mode="promise_in_bounds")
        else:
            window = jax.vmap(lambda at: jax.lax.dynamic_slice_in_dim(arrays.signal, at, arrays.window))(first)
        left = arrays.samples[item.record] - item.offset  # samples from the window's start on
        real = item.weight[:, None] > 0
        inside = (jnp.arange(arrays.window) < left[:, None]) & real  # [B, T]
        signal = jnp.where(inside[:, :, None], window, jnp.int16(MISSING))
        scale_mv = jnp.where(real, arrays.scale_mv[item.record], 0)
        return _batch(Windows(signal, scale_mv, jnp.where(real, arrays.label[item.record], 0), item.weight))


def shared_size(least: int) -> int:
    """Rounds up to one of four sizes per power of two, so that folds of similar size reuse one compiled step."""
    unit = 1 << max(least.bit_length() - 3, 0)
    return -(-least // unit) * unit


def _joined(recordings: Recordings, indices: np.ndarray, window: int, *, split: bool) -> Resident:
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
        split=split,
    )


@dataclass(frozen=True)
class _Order:
    """What a host feed reads: the rows of a number of steps, several of them at a time."""

    rows_at: RowsAt
    number: int
    size: int


NO_WINDOWS = Windows(np.empty(0, np.int16), *[np.empty(0, np.float32)] * 3)


class HostFeed:
    """Reads the records when they are needed, through tf.data: for sets that do not fit the device."""

    arrays: Any = ()
    _order: _Order  # of the stream that was begun last
    _failed: UserError | None

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

    def stream(self, rows_at: RowsAt, number: int) -> Iterator[tuple[Windows, Any, int]]:
        """Yields, for each of `number` steps, its windows and the number 1, on the devices; reading runs ahead."""
        import tensorflow as tf

        def own_rows_at(step: int) -> Rows:
            return self._devices.own_rows(rows_at(step))

        step_bytes = 2 * own_rows_at(0).record.size * self._window * len(self._recordings.leads)
        size = max(1, min(MOST_STEPS, BYTES_AT_ONCE // step_bytes))
        self._order, self._failed = _Order(own_rows_at, number, size), None
        one = self._devices.put_everywhere(np.int32(1))
        try:
            for fields in islice(self._parts.as_numpy_iterator(), -(-number // size)):
                for at in range(len(fields[0])):
                    yield self._devices.put_rows(Windows(*(field[at : at + 1] for field in fields))), one, 1
        except tf.errors.OpError as error:
            raise (self._failed or error) from error.__cause__

    @cached_property
    def _parts(self) -> Any:
        """The windows of several steps by part, without end; made once, as TensorFlow takes some 30 ms for it."""
        import tensorflow as tf

        types = (tf.int16, tf.float32, tf.float32, tf.float32)
        parts = tf.data.Dataset.range(2**40).map(lambda part: tf.numpy_function(self._read, [part], types))
        options = tf.data.Options()  # one thread reads; more, and those that tune, would take the cores from training
        options.threading.private_threadpool_size = 1
        options.autotune.enabled = False
        return parts.prefetch(2).with_options(options)

    def _read(self, part: np.int64) -> Windows:
        """The windows of a part of the order; none after its end."""
        first = int(part) * self._order.size
        steps = [self._order.rows_at(step) for step in range(first, min(first + self._order.size, self._order.number))]
        try:
            return self._windows(Rows(*map(np.stack, zip(*steps, strict=True)))) if steps else NO_WINDOWS
        except UserError as error:
            self._failed = error  # TensorFlow replaces it by an exception of its own
            raise

    @staticmethod
    def take(arrays: Any, item: Windows) -> Batch:
        """The item is the batch."""
        return _batch(item)

    def _windows(self, rows: Rows) -> Windows:
        """The windows [S, R, B, ...] of the rows of some steps."""
        shape, n_leads = rows.record.shape, len(self._recordings.leads)
        signal = np.full((*shape, self._window, n_leads), MISSING, np.int16)
        scale_mv = np.zeros((*shape, n_leads), np.float32)
        real = rows.weight > 0
        indices, offsets = self._indices[rows.record[real]].tolist(), rows.offset[real].tolist()
        crops = self._recordings.crops(indices, offsets, self._window)
        for place, (crop, scale) in zip(zip(*np.nonzero(real), strict=True), crops, strict=True):
            signal[place][: len(crop)] = crop
            scale_mv[place] = scale
        label = np.where(real[..., None], self._label[rows.record], np.float32(0))
        return Windows(signal, scale_mv, label, rows.weight)
