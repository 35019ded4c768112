"""Scores that data sets define for themselves: name -> function. NumPy only."""

import numpy as np

from ecg_jax.evaluation.metrics import Metric, f1


def cinc2017(label: np.ndarray, decision: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean F1 [R] of the first three labels, A, N and O (Clifford et al. 2017)."""
    return f1(label, decision, weight)[:, :3].mean(axis=1)


SCORES: dict[str, Metric] = {"cinc2017": cinc2017}
"""From labels [N, K], decisions [N, K] and weights [R, N] to values [R], under the name in `prepared.json`."""
