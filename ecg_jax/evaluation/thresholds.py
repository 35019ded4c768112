"""Decision thresholds, fitted on validation records. NumPy only."""

import numpy as np

from ecg_jax.target import Target


def fit_thresholds(label: np.ndarray, probability: np.ndarray, target: Target) -> np.ndarray | None:
    """Fits the threshold of each label [K] that maximises F1 on these records [N, K]; None for exclusive labels.

    A threshold lies half-way between two probabilities that occur, so that rounding does not change a decision. It is
    0.5 for a label that all records have, or none.
    """
    if not target.has_thresholds:
        return None
    return np.array([_fit(y, p) for y, p in zip(label.T, probability.T, strict=True)])


def _fit(label: np.ndarray, probability: np.ndarray) -> float:
    if label.min() == label.max():
        return 0.5
    order = np.argsort(-probability, kind="stable")
    descending, hits = probability[order], np.cumsum(label[order])
    n_decided = np.arange(1, len(label) + 1)
    f1 = 2 * hits / (n_decided + label.sum())
    last_of_ties = np.append(descending[1:] < descending[:-1], True)
    best = int(np.argmax(np.where(last_of_ties, f1, -1)))
    following = descending[best + 1] if best + 1 < len(label) else 0.0
    return float((descending[best] + following) / 2)
