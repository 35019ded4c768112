"""Decision thresholds, fitted on validation."""

import numpy as np


def fit_thresholds(label: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """For each label the threshold [K] with the largest F1 on these records [N, K]; .5 where a class is missing.

    It lies half-way between two probabilities that occur, so that roundings do not turn a decision.
    """
    return np.array([_fit(y, p) for y, p in zip(label.T, probability.T, strict=True)])


def _fit(label: np.ndarray, probability: np.ndarray) -> float:
    if label.min() == label.max():
        return 0.5
    order = np.argsort(-probability, kind="stable")
    sorted_p, hits = probability[order], np.cumsum(label[order])
    said = np.arange(1, len(label) + 1)
    f1 = 2 * hits / (said + label.sum())
    last_of_ties = np.append(sorted_p[1:] < sorted_p[:-1], True)
    best = int(np.argmax(np.where(last_of_ties, f1, -1)))
    following = sorted_p[best + 1] if best + 1 < len(label) else 0.0
    return float((sorted_p[best] + following) / 2)
