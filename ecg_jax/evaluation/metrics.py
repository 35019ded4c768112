"""Metrics of weighted records: one weight vector gives the point value, thousands give a bootstrap. NumPy only.

A weight is the number of times a record occurs in a resample. Every function takes weights [R, N] and returns one value
for each resample, [R] or [R, K]; NaN if it is not defined. Metrics that scikit-learn has are equal to it (tested).
"""

from collections.abc import Callable

import numpy as np

ECE_BINS = 15

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def auroc(label: np.ndarray, score: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Area under the ROC curve [R] of one label [N]: probability that a positive outranks a negative; ties half."""
    order, first, last = _ranked(score)
    positive = weight[:, order] * label[order]
    negative = weight[:, order] * (1 - label[order])
    below = np.pad(np.cumsum(negative, axis=1), ((0, 0), (1, 0)))  # [R, N + 1]: negatives before each position
    wins = (positive * (below[:, first] + below[:, last + 1]) / 2).sum(axis=1)
    return _over(wins, positive.sum(axis=1) * negative.sum(axis=1))


def roc_points(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False positive and true positive rates at each score that occurs, from the highest, after (0, 0): two of [M]."""
    order, _, last = _ranked(-score)
    positive = label[order].astype(float)
    counts = (np.cumsum(kind)[np.unique(last)] for kind in (1 - positive, positive))
    false, true = (np.append(0.0, count / count[-1]) for count in counts)
    return false, true


def auprc(label: np.ndarray, score: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Average precision [R] of one label [N]: precision at each score that occurs, weighted by the recall it adds."""
    order, _, last = _ranked(-score)
    positive = weight[:, order] * label[order]
    decided = np.cumsum(weight[:, order], axis=1)[:, last]  # [R, N]: all records with this score or a higher one
    hits = np.cumsum(positive, axis=1)[:, last]
    total = positive.sum(axis=1)
    negatives = weight.sum(axis=1) - total
    value = _over((positive * _over(hits, decided, otherwise=0.0)).sum(axis=1), total)
    return np.where(negatives > 0, value, np.nan)


def sensitivity_within(label: np.ndarray, score: np.ndarray, weight: np.ndarray, *, share: float) -> np.ndarray:
    """Sensitivity [R] for one label [N] where a share of the records, rounded down, those with the highest scores, are
    positive. Records with equal scores at the limit count as in the mean over all orders of them.
    """
    order, first, last = _ranked(-score)
    positive = weight[:, order] * label[order]
    held = np.pad(np.cumsum(weight[:, order], axis=1), ((0, 0), (1, 0)))  # [R, N + 1]: records before each position
    before, tied = held[:, first], held[:, last + 1] - held[:, first]
    room = np.floor(share * weight.sum(axis=1, keepdims=True)) - before
    taken = np.clip(_over(room, tied, otherwise=0.0), 0, 1)
    return _over((positive * taken).sum(axis=1), positive.sum(axis=1))


def _ranked(score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order by score, and for each position in it the first and the last position with the same score."""
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    return order, np.searchsorted(ranked, ranked, "left"), np.searchsorted(ranked, ranked, "right") - 1


def f1(label: np.ndarray, decision: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """F1 [R, K] of decisions [N, K]; NaN if no record of the resample has the label."""
    hits, decided, present = (weight @ x.astype(float) for x in (label * decision, decision, label))
    return np.where(present > 0, _over(2 * hits, decided + present), np.nan)


def brier(label: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean squared difference of probability and label [R], over records and labels."""
    return weight @ ((probability - label) ** 2).mean(axis=1) / weight.sum(axis=1)


def ece(label: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Expected calibration error [R] in 15 equal bins, mean over labels (Guo et al. 2017, equation 3)."""
    bins = np.minimum((probability * ECE_BINS).astype(int), ECE_BINS - 1)  # [N, K]
    gaps = np.zeros((len(weight), label.shape[1]))
    for number in range(ECE_BINS):
        gaps += np.abs(weight @ ((probability - label) * (bins == number)))
    return gaps.mean(axis=1) / weight.sum(axis=1)


def per_label(metric: Metric, label: np.ndarray, score: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Applies a metric of one label to each label: [R, K]."""
    return np.stack([metric(y, s, weight) for y, s in zip(label.T, score.T, strict=True)], axis=1)


def macro(values: np.ndarray) -> np.ndarray:
    """Mean over the labels that are defined [R, K] -> [R]; NaN if none is."""
    defined = ~np.isnan(values)
    return _over(np.where(defined, values, 0).sum(axis=1), defined.sum(axis=1))


def _over(part: np.ndarray, whole: np.ndarray, otherwise: float = np.nan) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, otherwise), where=whole > 0)
