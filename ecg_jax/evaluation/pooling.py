"""From windows to records: every record counts once. NumPy only."""

from typing import Literal

import numpy as np


def pool_windows(
    probability: np.ndarray, record: np.ndarray, *, n_records: int, pool: Literal["mean", "max"], exclusive: bool
) -> np.ndarray:
    """The probabilities [N, K] of records from those of their windows [M, K].

    Args:
        probability: [M, K] of each window.
        record: [M], the record that each window is of.
        n_records: N; each record has at least one window.
        pool: the mean over a record's windows, or the maximum of each label.
        exclusive: the maxima of labels that exclude each other are scaled to the sum of 1 again.
    """
    if pool == "mean":
        pooled = np.zeros((n_records, probability.shape[1]))
        np.add.at(pooled, record, probability)
        return pooled / np.bincount(record, minlength=n_records)[:, None]
    pooled = np.full((n_records, probability.shape[1]), -np.inf)
    np.maximum.at(pooled, record, probability)
    return pooled / pooled.sum(axis=1, keepdims=True) if exclusive else pooled


def decide(probability: np.ndarray, thresholds: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """Which labels are said of each record [N, K]: those at or over their threshold, or the one most probable."""
    if exclusive:
        return probability.argmax(axis=1)[:, None] == np.arange(probability.shape[1])
    return probability >= thresholds
