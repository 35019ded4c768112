"""The figures of all trials, and how much each patient moves them: value [T] and influence [T, U].

A linear combination of trials has as variance of the records the sum of squares of the same combination of influences:
all intervals of the study come from that. AUROC goes by placements, ranked once for all trials; the other figures by
the jackknife of `evaluation.metrics`. NumPy only.
"""

from dataclasses import dataclass

import numpy as np

from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.evaluation import metrics
from ecg_jax.evaluation.pooling import decide

GROUPS = 100  # of patients that the jackknife leaves out in turn, over all folds; one patient each where they suffice
LEAST_GROUPS = 20  # in one fold


@dataclass(frozen=True)
class Measure:
    """One figure of every trial."""

    value: np.ndarray
    """[T]."""
    influence: np.ndarray
    """[T, U]: what each unit (a patient, as a rule) or group of them adds; sums of squares and products over U are the
    (co)variances."""


def mean_of(measures: list[Measure | None]) -> Measure | None:
    """The mean over those that are defined; None where none is."""
    defined = [m for m in measures if m is not None]
    if not defined:
        return None
    value = sum((m.value for m in defined), np.zeros(())) / len(defined)
    return Measure(value, sum((m.influence for m in defined), np.zeros(())) / len(defined))


def aurocs(outcomes: StudyPredictions) -> list[Measure | None]:
    """The AUROC of each label [K], mean over the folds where it is defined; None where it is in none.

    Source of the variance: DeLong, DeLong and Clarke-Pearson 1988; the placements of a unit's records are summed.
    """
    found: list[Measure | None] = []
    rows_of = [np.flatnonzero(outcomes.fold_of == fold) for fold in range(outcomes.n_folds)]
    for k, folds in enumerate(outcomes.defined):
        if not folds.any():
            found.append(None)
            continue
        value = np.zeros(outcomes.n_trials)
        by_record = np.zeros((outcomes.n_trials, outcomes.n_records))
        for fold in np.flatnonzero(folds):
            rows = rows_of[fold]
            score = outcomes.probabilities[:, rows, k]
            area, share = _auroc(outcomes.labels[rows, k], score, outcomes.unit_of[rows])
            value += area / folds.sum()
            by_record[:, rows] = share / folds.sum()
        found.append(Measure(value, _by_unit(by_record, outcomes.unit_of)))
    return found


def _auroc(label: np.ndarray, score: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Areas [T] and what each record adds to them [T, n], from label [n] and scores [T, n]; ties count half."""
    placement = _placements(label, score)
    area = placement[:, label].mean(axis=1)
    share = placement - area[:, None]
    for one in (label, ~label):
        independent = len(np.unique(unit[one]))  # 2 or more, as `unit_of` makes them
        share[:, one] *= np.sqrt(independent / (independent - 1)) / one.sum()  # unbiased, as n - 1 in a variance
    return area, share


def _placements(label: np.ndarray, score: np.ndarray) -> np.ndarray:
    """For each record [T, n] the share of the other class on its right side: below a positive, above a negative."""
    n = len(label)
    order = np.argsort(score, axis=1)
    ranked = np.take_along_axis(score, order, axis=1)
    positive = label[order]  # [T, n]
    place = np.arange(n)
    differs = ranked[:, 1:] != ranked[:, :-1]
    edge = np.ones((len(score), 1), bool)
    first = np.maximum.accumulate(np.where(np.hstack([edge, differs]), place, 0), axis=1)
    after = np.minimum.accumulate(np.where(np.hstack([differs, edge]), place + 1, n)[:, ::-1], axis=1)[:, ::-1]
    negatives = np.zeros((len(score), n + 1))
    np.cumsum(~positive, axis=1, out=negatives[:, 1:])
    below = (np.take_along_axis(negatives, first, 1) + np.take_along_axis(negatives, after, 1)) / 2  # ties half
    positives_below = (first + after) / 2 - below
    there = label.sum()
    sorted_placement = np.where(positive, below / (n - there), 1 - positives_below / there)
    placement = np.empty_like(sorted_placement)
    np.put_along_axis(placement, order, sorted_placement, axis=1)
    return placement


def _by_unit(by_record: np.ndarray, unit_of: np.ndarray) -> np.ndarray:
    """Sums [T, U] over the records [T, N] of each unit."""
    order = np.argsort(unit_of, kind="stable")
    starts = np.flatnonzero(np.diff(unit_of[order], prepend=-1))
    return np.add.reduceat(by_record[:, order], starts, axis=1)


def others(outcomes: StudyPredictions) -> dict[str, Measure | None]:
    """`macro_auprc`, `macro_f1` and, where the set has one, its own `score`; None where one is not defined.

    Their influences are of groups of patients, left out in turn (the jackknife; Davison and Hinkley 1997, 2.7.3).
    """
    by_fold = [_left_out(outcomes, fold) for fold in range(outcomes.n_folds)]
    counted = outcomes.defined / np.maximum(outcomes.defined.sum(axis=1, keepdims=True), 1)  # [K, F]
    counted /= max(outcomes.defined.any(axis=1).sum(), 1)
    found = {name: _jackknife([x[name] for x in by_fold], counted) for name in ("macro_auprc", "macro_f1")}
    if outcomes.score is not None:
        known = np.array([not np.isnan(x["score"][:, 0]).any() for x in by_fold])[None]  # [1, F], for all trials alike
        found["score"] = _jackknife([x["score"] for x in by_fold], known / max(known.sum(), 1))
    return found


def _left_out(outcomes: StudyPredictions, fold: int) -> dict[str, np.ndarray]:
    """Each figure [T, 1 + G, K] of a fold: of all its records, then without each group of patients; the score K = 1."""
    rows = np.flatnonzero(outcomes.fold_of == fold)
    label = outcomes.labels[rows]
    group = _groups(label, outcomes.unit_of[rows], max(LEAST_GROUPS, GROUPS // outcomes.n_folds))
    weight = np.vstack([np.ones(len(rows)), group != np.arange(group.max() + 1)[:, None]])  # [1 + G, n]
    found: dict[str, list[np.ndarray]] = {"macro_auprc": [], "macro_f1": [], "score": []}
    for t, probability in enumerate(outcomes.probabilities[:, rows]):
        said = decide(probability, _limits(outcomes, t, fold), exclusive=bool(outcomes.exclusive))
        found["macro_auprc"].append(metrics.per_label(metrics.auprc, label.astype(float), probability, weight))
        found["macro_f1"].append(metrics.f1(label, said, weight))
        if outcomes.score is not None:
            scores = [
                outcomes.score(label[kept].astype(int), probability[kept]) if kept.any() else np.nan
                for kept in weight.astype(bool)
            ]
            found["score"].append(np.array(scores, float)[:, None])
    return {name: np.stack(values) for name, values in found.items() if values}


def _limits(outcomes: StudyPredictions, trial: int, fold: int) -> np.ndarray:
    if outcomes.thresholds is None:
        return np.full(outcomes.n_labels, 0.5)
    of_trial = outcomes.thresholds[trial]
    return of_trial if of_trial.ndim == 1 else of_trial[fold]


def _groups(label: np.ndarray, unit: np.ndarray, most: int) -> np.ndarray:
    """The group [n] of each record: units dealt out in the order of their labels, so that groups are alike."""
    unit = np.unique(unit, return_inverse=True)[1]
    first = np.unique(unit, return_index=True)[1]
    place = np.empty(len(first), int)
    place[np.lexsort(label[first].T)] = np.arange(len(first))
    return (place % min(most, len(first)))[unit]


def _jackknife(by_fold: list[np.ndarray], counted: np.ndarray) -> Measure | None:
    """The mean of figures [F] [T, 1 + G, K] with the weights `counted` [K, F], and its groups' influence."""
    if not counted.any():
        return None
    value, influence = np.zeros(len(by_fold[0])), []
    for figures, weight in zip(by_fold, counted.T, strict=True):
        full = figures[:, :1]
        known = np.where(np.isnan(figures), full, figures)  # a label that a group holds alone is not judged by it
        total = np.where(weight > 0, known, 0) @ weight  # [T, 1 + G]
        without = total[:, 1:]
        value += total[:, 0]
        groups = without.shape[1]
        influence.append((without.mean(axis=1, keepdims=True) - without) * np.sqrt((groups - 1) / groups))
    return Measure(value, np.hstack(influence))
