"""Predicts recordings: their windows in batches through networks, then pooled to one probability per record."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ecg_jax.config import RunConfig
from ecg_jax.dataset import sampler
from ecg_jax.dataset.batch import InputContract
from ecg_jax.dataset.feeds import Recordings, make_feed
from ecg_jax.evaluation.pooling import pool_windows
from ecg_jax.training.devices import Devices
from ecg_jax.training.programs import program

LARGER = 4  # times as many windows as in a training step: a prediction keeps no activations, and is faster with more


def stacked(trees: Sequence[Any]) -> Any:
    """One pytree whose arrays have a leading axis for the trees."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


class Evaluator:
    """All windows of the recordings of some runs, to be predicted any number of times."""

    def __init__(
        self,
        recordings: Recordings,
        splits: Sequence[np.ndarray],
        config: RunConfig,
        contracts: Sequence[InputContract],
        devices: Devices,
        weights: np.ndarray | None = None,
    ):
        """Reads the records, unless the feed reads them later.

        Args:
            recordings: of all runs.
            splits: indices of the records of each run.
            config: of one of the runs; they evaluate in the same way.
            contracts: of each run.
            devices: for the predictions.
            weights: of the labels in the losses of the runs [R, K]; by default 1.
        """
        first, self._config, self._target = contracts[0], config, contracts[0].target
        self.label = [recordings.label[indices] for indices in splits]
        used, window = np.unique(np.concatenate(splits)), first.window_samples
        self._places = [np.searchsorted(used, indices).astype(np.int32) for indices in splits]
        self._feed = make_feed(config.data.feed, recordings, used, window, devices)
        if weights is None:
            weights = np.ones((len(splits), len(first.target.names)), np.float32)
        normalisation = stacked([contract.normalisation for contract in contracts])
        self._inputs = (self._feed.arrays, devices.put_everywhere((normalisation, weights)))
        overlap = config.evaluate.overlap
        self._windows = [
            sampler.evaluation_windows(recordings.samples[indices], window=window, overlap=overlap)
            for indices in splits
        ]
        most = max(len(windows.record) for windows in self._windows)
        fewest = 1 << (most - 1).bit_length()  # a power of two, so that few shapes are compiled
        self._batch_size = -(-min(LARGER * config.train.batch_size, fewest) // len(devices)) * len(devices)
        self._rows = [self._rows_at(step) for step in range(-(-most // self._batch_size))]
        self._evaluate = program(config, first, self._feed.take, devices, runs=len(splits)).evaluation

    def predict(self, variables: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        """Predicts all windows with the variables of each run, which are on all devices.

        Returns:
            For each run the probabilities of its records [N, K], pooled over their windows, and the losses of its
            windows [M].
        """
        inputs, parts = (variables, *self._inputs), []
        for items, count, taken in self._feed.stream(self._rows.__getitem__, len(self._rows)):
            _, outputs = self._evaluate(None, inputs, items, count)
            parts.append(jax.tree.map(lambda x, taken=taken: x[:taken], outputs))
        probability, losses = (
            np.concatenate(part) for part in zip(*jax.device_get(parts), strict=True)
        )  # [S, R, B, ...]
        results = []
        for run, (windows, label) in enumerate(zip(self._windows, self.label, strict=True)):
            n_windows = len(windows.record)
            of_run = probability[:, run].reshape(-1, probability.shape[-1])[:n_windows]
            how = {"pool": self._config.evaluate.pool, "target": self._target}
            pooled = pool_windows(of_run, windows.record, n_records=len(label), **how)
            results.append((pooled, losses[:, run].reshape(-1)[:n_windows]))
        return results

    def _rows_at(self, step: int) -> sampler.Rows:
        """The rows of an evaluation step, [R, B]."""
        rows = []
        for windows, places in zip(self._windows, self._places, strict=True):
            own = sampler.evaluation_rows(step, windows, batch_size=self._batch_size)
            rows.append(own._replace(record=places[own.record]))
        return stacked(rows)
