"""A split of a prepared set on the devices, and what a network says of it. The one place where feeds are chosen."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import psutil

from ecg_jax.config import RunConfig
from ecg_jax.dataset import sampler
from ecg_jax.dataset.batch import InputContract, Rows
from ecg_jax.dataset.host_feed import HostFeed
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.dataset.resident_feed import Feed, ResidentFeed, resident_bytes
from ecg_jax.evaluation.pooling import pool_windows
from ecg_jax.training.devices import Devices

RESIDENT_SHARE = 0.4  # of the device's memory that a set may take; activations need the rest


def choose_feed(prepared: PreparedSet, indices: np.ndarray, wanted: str) -> str:
    """`resident` where records of that size fit the device, else `host`; or what is wanted."""
    if wanted != "auto":
        return wanted
    stats = jax.local_devices()[0].memory_stats() or {}
    memory = stats.get("bytes_limit") or psutil.virtual_memory().total
    size = resident_bytes(prepared.samples[indices], len(prepared.leads))
    return "resident" if size <= RESIDENT_SHARE * memory and int(prepared.samples[indices].sum()) < 2**31 else "host"


def make_feed(prepared: PreparedSet, indices: np.ndarray, *, feed: str, window: int, devices: Devices) -> Feed:
    """The feed named `resident` or `host` over the records `indices`."""
    if feed == "resident":
        return ResidentFeed(
            prepared, indices, window=window, put_rows=devices.put_rows, put_everywhere=devices.put_everywhere
        )
    return HostFeed(prepared, indices, window=window, put_rows=devices.put_rows)


class Evaluator:
    """All windows of some records, ready to be predicted again and again."""

    def __init__(
        self,
        prepared: PreparedSet,
        indices: np.ndarray,
        *,
        config: RunConfig,
        contract: InputContract,
        devices: Devices,
    ):
        """Reads the records where the feed is resident."""
        window = contract.window_samples
        feed = choose_feed(prepared, indices, config.data.feed)
        self._feed = make_feed(prepared, indices, feed=feed, window=window, devices=devices)
        lengths = prepared.samples[indices]
        self._inputs = (self._feed.arrays, devices.put_everywhere(contract.normalisation))
        self._windows = sampler.evaluation_windows(lengths, window=window, overlap=config.evaluate.overlap)
        self._batch_size = -(-config.train.batch_size // len(devices)) * len(devices)
        self._devices, self._evaluate, self._target = devices, config.evaluate, contract.target
        self._n_records = len(indices)
        self.label = prepared.label[indices]

    def compile(self, predict: Callable[..., Any]) -> Callable[..., Any]:
        """Compiles `predict(variables, batch, normalisation)` for this split's feed."""
        take = self._feed.take
        return self._devices.compile(
            lambda variables, inputs, item: predict(variables, take(inputs[0], item), inputs[1]), rows=True
        )

    def predict(self, compiled: Callable[..., Any], variables: Any) -> tuple[np.ndarray, float]:
        """Probabilities [N, K] of the records, and the mean loss of the windows; `variables` lie on all devices."""
        n_windows = len(self._windows.record)
        stop = -(-n_windows // self._batch_size)
        found = [compiled(variables, self._inputs, item) for item in self._feed.stream(self._rows_at, 0, stop)]
        fetched = [self._devices.fetch_rows(step) for step in found]
        probability = np.concatenate([p for p, _ in fetched])[:n_windows]
        loss = np.concatenate([each for _, each in fetched])[:n_windows]
        pooled = pool_windows(
            probability,
            np.asarray(self._windows.record),
            n_records=self._n_records,
            pool=self._evaluate.pool,
            target=self._target,
        )
        return pooled, float(loss.astype(np.float64).mean())

    def _rows_at(self, step: int) -> Rows:
        return sampler.evaluation_rows(step, self._windows, batch_size=self._batch_size)
