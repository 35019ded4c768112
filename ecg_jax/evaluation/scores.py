"""Scores that data sets define for themselves: name -> function. NumPy only."""

from collections.abc import Callable

import numpy as np

from ecg_jax.evaluation import metrics

Score = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""From labels [N, K], decisions [N, K] and weights [R, N] to one value a resample [R]; NaN where it is not defined."""


def cinc2017(label: np.ndarray, decision: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean F1 [R] of the first three labels, A, N and O (Clifford et al. 2017)."""
    return metrics.f1(label, decision, weight)[:, :3].mean(axis=1)


SCORES: dict[str, Score] = {"cinc2017": cinc2017}
"""The name is the value of `score` in `prepared.json`, and the name of the metric in `result.json`."""
