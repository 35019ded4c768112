"""The metrics of a split with intervals, as in `result.json`. Pure: arrays in, plain values out."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ecg_jax.evaluation import metrics
from ecg_jax.evaluation.pooling import decide
from ecg_jax.evaluation.predicted import Predicted, predicted
from ecg_jax.evaluation.scores import FIGURES, OF_PROBABILITIES, SCORES
from ecg_jax.evaluation.thresholds import fit_thresholds
from ecg_jax.target import Target

MOST_WEIGHTS = 2**24  # that are resampled at a time; several arrays of 128 MB
BIASED = frozenset({"ece"})
"""Metrics that chance raises, in resamples more than in the records: their intervals would rarely contain the truth."""
ALL = slice(None)
Figure = dict[str, float | None]
"""A `value` with `low` and `high`, its 95 % interval; None where it is not defined."""
_BY_PROBABILITY = {"macro_auroc": metrics.auroc, "macro_auprc": metrics.auprc}


def metric_values(
    label: np.ndarray,
    probability: np.ndarray,
    decision: np.ndarray,
    weight: np.ndarray,
    score: str | None,
    counted: np.ndarray | slice = ALL,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Computes the metrics over all labels, each [R], and those of single labels, each [R, K], under weights [R, N].

    A metric is NaN for a label that all records have, or none; the macro means leave such labels out. `score` names
    the data set's own score, which is added to the metrics over all labels with the figures that it is made of.
    `counted` are the labels [K] over which the others are computed.
    """
    by_label = {
        "auroc": metrics.per_label(metrics.auroc, label, probability, weight),
        "auprc": metrics.per_label(metrics.auprc, label, probability, weight),
        "f1": _f1(label, decision, weight),
    }
    overall = {f"macro_{name}": metrics.macro(values[:, counted]) for name, values in by_label.items()}
    overall["brier"] = metrics.brier(label[:, counted], probability[:, counted], weight)
    overall["ece"] = metrics.ece(label[:, counted], probability[:, counted], weight)
    if score is not None:
        overall[score] = SCORES[score](label, probability if score in OF_PROBABILITIES else decision, weight)
    if score in FIGURES:
        overall |= FIGURES[score](label, decision, weight)
    return overall, by_label


def _f1(label: np.ndarray, decision: np.ndarray, weight: np.ndarray) -> np.ndarray:
    both = (label.min(axis=0) < label.max(axis=0))[None]
    return np.where(both, metrics.f1(label, decision, weight), np.nan)


def point_values(
    label: np.ndarray,
    probability: np.ndarray,
    thresholds: np.ndarray | None,
    *,
    target: Target,
    score: str | None = None,
) -> dict[str, float]:
    """The metrics over all labels without intervals; NaN where one is not defined. Arguments as for `summarise`."""
    decision = decide(probability, thresholds, target)
    overall, _ = metric_values(label, probability, decision, np.ones((1, len(label))), score)
    return {name: float(values[0]) for name, values in overall.items()}


def metric_value(name: str, label: np.ndarray, probability: np.ndarray, target: Target) -> float:
    """One of the metrics over all labels, `brier` and `ece` excepted, at thresholds fitted on these same records."""
    weight = np.ones((1, len(label)))
    if name in _BY_PROBABILITY:
        values = metrics.macro(metrics.per_label(_BY_PROBABILITY[name], label, probability, weight))
    elif name in OF_PROBABILITIES:
        values = SCORES[name](label, probability, weight)
    else:
        decision = decide(probability, fit_thresholds(label, probability, target), target)
        score = SCORES[name] if name in SCORES else lambda *arrays: metrics.macro(_f1(*arrays))
        values = score(label, decision, weight)
    return float(values[0])


def summarise(
    label: np.ndarray,
    probability: np.ndarray,
    thresholds: np.ndarray | None,
    patients: np.ndarray,
    *,
    target: Target,
    score: str | None,
    resamples: int,
) -> dict[str, Any]:
    """Computes `metrics`, `labels_defined` and `per_label` of a result, with 95 % intervals over patients.

    Args:
        label: [N, K] of 0 and 1.
        probability: [N, K].
        thresholds: [K], fitted on validation records; None for exclusive labels.
        patients: [N], names; an unknown patient is "".
        target: the labels.
        score: name of the data set's own score in `scores.SCORES`, if it has one.
        resamples: bootstrap resamples of the patients.
    """
    network = predicted(label, probability, thresholds, patients, target)
    overall, by_label = with_intervals([network], patient_resamples(patients, resamples=resamples), score)
    return {
        "metrics": overall,
        "labels_defined": int((label.min(axis=0) < label.max(axis=0)).sum()),
        "per_label": {
            name: {
                **by_label[k],
                "threshold": None if thresholds is None else float(thresholds[k]),
                "positives": int(label[:, k].sum()),
                "records": len(label),
            }
            for k, name in enumerate(target.names)
        },
    }


def with_intervals(
    networks: Sequence[Predicted], weight: np.ndarray, score: str | None = None, counted: np.ndarray | slice = ALL
) -> tuple[dict[str, Figure], list[dict[str, Figure]]]:
    """The metrics over all labels, and those of each label, with intervals over resamples with weights [R, N].

    If several networks predicted the same records, the metrics are means over the networks.
    """

    def values_of(some: np.ndarray) -> tuple[dict[str, np.ndarray], ...]:
        of_each = [metric_values(of.label, of.probability, of.decision, some, score, counted) for of in networks]
        return tuple(
            {name: np.mean([values[name] for values in part], axis=0) for name in part[0]}
            for part in zip(*of_each, strict=True)
        )

    point, point_by_label = values_of(np.ones((1, weight.shape[1])))
    resampled, resampled_by_label = in_blocks(values_of, weight)
    return (
        {name: figure(point[name][0], resampled[name], biased=name in BIASED) for name in point},
        [
            {name: figure(point_by_label[name][0, k], resampled_by_label[name][:, k]) for name in point_by_label}
            for k in range(networks[0].label.shape[1])
        ],
    )


def patient_resamples(patients: np.ndarray, *, resamples: int, seed: int = 0) -> np.ndarray:
    """How often each record occurs in each bootstrap resample of the patients: [R, N] float64.

    A record without a patient name is its own patient. Source: the cluster bootstrap, Davison and Hinkley 1997, 3.8.
    """
    names = np.where(patients == "", [f"record {i}" for i in range(len(patients))], patients)
    of_record = np.unique(names, return_inverse=True)[1]
    n_patients = int(of_record.max()) + 1
    draws = np.random.default_rng(seed).multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=resamples)
    return draws[:, of_record].astype(float)


def in_blocks(
    values_of: Callable[[np.ndarray], tuple[dict[str, np.ndarray], ...]], weight: np.ndarray
) -> tuple[dict[str, np.ndarray], ...]:
    """The values, each [R, ...], under weights [R, N], computed for a few resamples at a time.

    So that memory does not follow their number.
    """
    parts = [values_of(some) for some in np.array_split(weight, min(-(-weight.size // MOST_WEIGHTS), len(weight)))]
    return tuple(
        {name: np.concatenate([values[name] for values in of_parts]) for name in of_parts[0]}
        for of_parts in zip(*parts, strict=True)
    )


def interval(values: np.ndarray) -> tuple[float, float] | None:
    """The middle 95 % of a metric over resamples [R] in which it is defined; None if these are too few."""
    defined = values[~np.isnan(values)]
    if len(defined) < max(20, len(values) // 2):
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def figure(value: float, resampled: np.ndarray, *, biased: bool = False) -> Figure:
    """A value with its interval from resamples [R], but for a biased one; all None if it is not defined."""
    if math.isnan(value):
        return {"value": None, "low": None, "high": None}
    low, high = (None if biased else interval(resampled)) or (None, None)
    return {"value": float(value), "low": low, "high": high}
