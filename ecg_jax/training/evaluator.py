"""Predicts recordings: their windows in batches through a network, then pooled to one probability per record."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ecg_jax.config import RunConfig
from ecg_jax.dataset import sampler
from ecg_jax.dataset.batch import InputContract
from ecg_jax.dataset.feeds import Recordings, make_feed
from ecg_jax.evaluation.pooling import pool_windows
from ecg_jax.training.devices import Devices


class Evaluator:
    """All windows of some recordings, to be predicted any number of times."""

    def __init__(
        self,
        recordings: Recordings,
        indices: np.ndarray,
        config: RunConfig,
        contract: InputContract,
        devices: Devices,
    ):
        """Reads the records `indices`, unless the feed reads them later."""
        window, self._devices, self._config, self._target = contract.window_samples, devices, config, contract.target
        self._feed = make_feed(config.data.feed, recordings, indices, window, devices)
        self._inputs = (self._feed.arrays, devices.put_everywhere(contract.normalisation))
        lengths = recordings.samples[indices]
        self._windows = sampler.evaluation_windows(lengths, window=window, overlap=config.evaluate.overlap)
        fewest = 1 << (len(self._windows.record) - 1).bit_length()  # a power of two, so that few shapes are compiled
        self._batch_size = -(-min(config.train.batch_size, fewest) // len(devices)) * len(devices)
        self.label = recordings.label[indices]

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Compiles `function(variables, batch, normalisation)`, whose results have one row per window.

        The first result is the probability [B, K]. All evaluators with the same kind of feed can use the compilation.
        """
        take = self._feed.take
        return self._devices.compile(
            lambda variables, inputs, item: function(variables, take(inputs[0], item), inputs[1]), rows=True
        )

    def predict(self, compiled: Callable[..., Any], variables: Any) -> tuple[np.ndarray, ...]:
        """Applies a compiled function to all windows; `variables` are on all devices.

        Returns:
            The probabilities of the records [N, K], pooled over their windows; other results by window [M, ...].
        """
        n_windows = len(self._windows.record)
        steps = -(-n_windows // self._batch_size)
        results = [compiled(variables, self._inputs, item) for item in self._feed.stream(self._rows_at, 0, steps)]
        probability, *others = (np.concatenate(part)[:n_windows] for part in zip(*jax.device_get(results), strict=True))
        pooled = pool_windows(
            probability,
            self._windows.record,
            n_records=len(self.label),
            pool=self._config.evaluate.pool,
            target=self._target,
        )
        return pooled, *others

    def _rows_at(self, step: int) -> sampler.Rows:
        return sampler.evaluation_rows(step, self._windows, batch_size=self._batch_size)
