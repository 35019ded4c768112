"""From windows to records, and from probabilities to decisions. Arrays in, arrays out; NumPy only."""

from typing import Literal

import numpy as np

from ecg_jax.target import Target


def pool_windows(
    probability: np.ndarray, record: np.ndarray, *, n_records: int, pool: Literal["mean", "max"], target: Target
) -> np.ndarray:
    """Pools the probabilities of windows [M, K] to those of their records [N, K].

    Args:
        probability: [M, K] of each window.
        record: [M], index of the record that each window comes from; every record has at least one window.
        n_records: N.
        pool: the mean over a record's windows, or the maximum of each label; maxima of exclusive labels are divided by
            their sum.
        target: the labels.
    """
    if pool == "mean":
        pooled = np.zeros((n_records, probability.shape[1]))
        np.add.at(pooled, record, probability)
        return pooled / np.bincount(record, minlength=n_records)[:, None]
    pooled = np.full((n_records, probability.shape[1]), -np.inf)
    np.maximum.at(pooled, record, probability)
    return pooled / pooled.sum(axis=1, keepdims=True) if target.kind == "exclusive" else pooled


def decide(probability: np.ndarray, thresholds: np.ndarray | None, target: Target) -> np.ndarray:
    """Decides the labels [N, K] bool of each record from its probabilities [N, K].

    Exclusive labels: the most probable one. Others: those whose probability reaches their threshold [K]; 0.5 where
    `thresholds` is None.
    """
    if target.kind == "exclusive":
        return probability.argmax(axis=1)[:, None] == np.arange(probability.shape[1])
    return probability >= (0.5 if thresholds is None else thresholds)
