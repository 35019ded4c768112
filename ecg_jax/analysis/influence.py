"""Metrics of all trials with their influence functions: how much each sampling unit contributes. NumPy only.

The variance over records of a linear contrast of trials is the sum of squares of the same contrast of the influences;
all intervals of a study are derived from it. AUROC uses placement values, ranked once for all trials; the other
metrics use the jackknife over `evaluation.metrics`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.evaluation import metrics
from ecg_jax.evaluation.pooling import decide

GROUPS = 100  # of units that the jackknife leaves out in turn, over all folds; single units if there are no more
FEWEST_GROUPS = 20  # in one fold


@dataclass(frozen=True)
class MetricEstimate:
    """One metric of every trial, with the influence of each sampling unit (usually a patient).

    Sums of squares and products of the influences over the units are the variances and covariances.
    """

    value: np.ndarray
    """[R]."""
    influence: np.ndarray
    """[R, U]; or of groups of units."""


def mean_of(estimates: Sequence[MetricEstimate | None]) -> MetricEstimate | None:
    """The mean over the estimates that are defined; None if none is."""
    defined = [estimate for estimate in estimates if estimate is not None]
    if not defined:
        return None
    value = sum((estimate.value for estimate in defined), np.zeros(())) / len(defined)
    return MetricEstimate(value, sum((e.influence for e in defined), np.zeros(())) / len(defined))


def macro_auroc(predictions: StudyPredictions) -> MetricEstimate | None:
    """The mean AUROC over the labels that are defined in some fold; None if none is."""
    return mean_of(aurocs(predictions))


def aurocs(predictions: StudyPredictions) -> list[MetricEstimate | None]:
    """The AUROC of each label [K], averaged over the folds where it is defined; None if it is defined in none.

    Source of the variance: DeLong, DeLong and Clarke-Pearson 1988; the placements of a unit's records are summed.
    """
    estimates: list[MetricEstimate | None] = []
    rows_of = [np.flatnonzero(predictions.fold_of == fold) for fold in range(predictions.n_folds)]
    for k, folds in enumerate(predictions.defined):
        if not folds.any():
            estimates.append(None)
            continue
        value = np.zeros(predictions.n_trials)
        by_record = np.zeros((predictions.n_trials, predictions.n_records))
        for fold in np.flatnonzero(folds):
            rows = rows_of[fold]
            score = predictions.probabilities[:, rows, k]
            area, share = _auroc(predictions.labels[rows, k], score, predictions.unit_of[rows])
            value += area / folds.sum()
            by_record[:, rows] = share / folds.sum()
        estimates.append(MetricEstimate(value, _by_unit(by_record, predictions.unit_of)))
    return estimates


def _auroc(label: np.ndarray, score: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Areas [R] and each record's contribution [R, n], from label [n] and scores [R, n]; ties count half."""
    placement = _placements(label, score)
    area = placement[:, label].mean(axis=1)
    share = placement - area[:, None]
    for one_class in (label, ~label):
        units = len(np.unique(unit[one_class]))  # at least 2, by the definition of `unit_of`
        share[:, one_class] *= np.sqrt(units / (units - 1)) / one_class.sum()  # unbiased, as n - 1 in a variance
    return area, share


def _placements(label: np.ndarray, score: np.ndarray) -> np.ndarray:
    """For each record [R, n] the fraction of the other class below it (a positive) or above it (a negative)."""
    n = len(label)
    order = np.argsort(score, axis=1)
    ranked = np.take_along_axis(score, order, axis=1)
    positive = label[order]  # [R, n]
    place = np.arange(n)
    differs = ranked[:, 1:] != ranked[:, :-1]
    edge = np.ones((len(score), 1), bool)
    first = np.maximum.accumulate(np.where(np.hstack([edge, differs]), place, 0), axis=1)
    after = np.minimum.accumulate(np.where(np.hstack([differs, edge]), place + 1, n)[:, ::-1], axis=1)[:, ::-1]
    negatives = np.zeros((len(score), n + 1))
    np.cumsum(~positive, axis=1, out=negatives[:, 1:])
    below = (np.take_along_axis(negatives, first, 1) + np.take_along_axis(negatives, after, 1)) / 2  # ties count half
    positives_below = (first + after) / 2 - below
    n_positive = label.sum()
    in_order = np.where(positive, below / (n - n_positive), 1 - positives_below / n_positive)
    placement = np.empty_like(in_order)
    np.put_along_axis(placement, order, in_order, axis=1)
    return placement


def _by_unit(by_record: np.ndarray, unit_of: np.ndarray) -> np.ndarray:
    """Sums [R, U] over the records [R, N] of each unit."""
    order = np.argsort(unit_of, kind="stable")
    starts = np.flatnonzero(np.diff(unit_of[order], prepend=-1))
    return np.add.reduceat(by_record[:, order], starts, axis=1)


def other_metrics(predictions: StudyPredictions) -> dict[str, MetricEstimate | None]:
    """`macro_auprc`, `macro_f1` and, if the data set has one, its own `score`; None if one is not defined.

    The influences are those of groups of units, left out in turn (the jackknife; Davison and Hinkley 1997, 2.7.3).
    """
    by_fold = [_left_out(predictions, fold) for fold in range(predictions.n_folds)]
    counted = predictions.defined / np.maximum(predictions.defined.sum(axis=1, keepdims=True), 1)  # [K, F]
    counted /= max(predictions.defined.any(axis=1).sum(), 1)
    estimates = {name: _jackknife([x[name] for x in by_fold], counted) for name in ("macro_auprc", "macro_f1")}
    if predictions.score is not None:
        scores = [x["score"] for x in by_fold]
        known = np.array([[not np.isnan(of_fold[:, 0]).any() for of_fold in scores]])  # [1, F]
        estimates["score"] = _jackknife(scores, known / max(known.sum(), 1))
    return estimates


def _left_out(predictions: StudyPredictions, fold: int) -> dict[str, np.ndarray]:
    """Each metric [R, 1 + G, K] of a fold: of all its records, then without each group of units. A score has K = 1."""
    rows = np.flatnonzero(predictions.fold_of == fold)
    label = predictions.labels[rows]
    group = _groups(label, predictions.unit_of[rows], max(FEWEST_GROUPS, GROUPS // predictions.n_folds))
    weight = np.vstack([np.ones(len(rows)), group != np.arange(group.max() + 1)[:, None]])  # [1 + G, n]
    values: dict[str, list[np.ndarray]] = {"macro_auprc": [], "macro_f1": [], "score": []}
    for r, probability in enumerate(predictions.probabilities[:, rows]):
        decision = decide(probability, _thresholds(predictions, r, fold), predictions.target)
        values["macro_auprc"].append(metrics.per_label(metrics.auprc, label.astype(float), probability, weight))
        values["macro_f1"].append(metrics.f1(label, decision, weight))
        if predictions.score is not None:
            given = decision if predictions.score_of == "decisions" else probability
            scores = [
                predictions.score(label[kept].astype(int), given[kept]) if kept.any() else np.nan
                for kept in weight.astype(bool)
            ]
            values["score"].append(np.array(scores, float)[:, None])
    return {name: np.stack(by_trial) for name, by_trial in values.items() if by_trial}


def _thresholds(predictions: StudyPredictions, trial: int, fold: int) -> np.ndarray:
    if predictions.thresholds is None:
        return np.full(predictions.n_labels, 0.5)
    of_trial = predictions.thresholds[trial]
    return of_trial if of_trial.ndim == 1 else of_trial[fold]


def _groups(label: np.ndarray, unit: np.ndarray, most: int) -> np.ndarray:
    """The group [n] of each record: units are distributed in the order of their labels, so that groups are similar."""
    unit = np.unique(unit, return_inverse=True)[1]
    first = np.unique(unit, return_index=True)[1]
    place = np.empty(len(first), int)
    place[np.lexsort(label[first].T)] = np.arange(len(first))
    return (place % min(most, len(first)))[unit]


def _jackknife(by_fold: list[np.ndarray], counted: np.ndarray) -> MetricEstimate | None:
    """The mean of metrics [F] [R, 1 + G, K] with the weights `counted` [K, F], and the influence of its groups."""
    if not counted.any():
        return None
    value, influence = np.zeros(len(by_fold[0])), []
    for values, weight in zip(by_fold, counted.T, strict=True):
        whole = values[:, :1]
        known = np.where(np.isnan(values), whole, values)  # not defined without the only group that has a label
        total = np.where(weight > 0, known, 0) @ weight  # [R, 1 + G]
        without = total[:, 1:]
        value += total[:, 0]
        groups = without.shape[1]
        influence.append((without.mean(axis=1, keepdims=True) - without) * np.sqrt((groups - 1) / groups))
    return MetricEstimate(value, np.hstack(influence))
