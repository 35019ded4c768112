"""The figures of a split, as they stand in `result.json`. Pure: arrays in, plain values out."""

import math
from typing import Any

import numpy as np

from ecg_jax.evaluation import metrics
from ecg_jax.evaluation.intervals import interval, patient_resamples
from ecg_jax.evaluation.pooling import decide

CINC2017_LABELS = ("A", "N", "O", "~")


def figures(
    label: np.ndarray, probability: np.ndarray, decision: np.ndarray, weight: np.ndarray, labels: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The metrics over all labels [R], and those of each label [R, K], under weights [R, N].

    A label with a single class among the records is not defined; the macro means leave it out. `cinc2017` is the mean
    F1 of A, N and O (Clifford et al. 2017), where the labels are that challenge's.
    """
    both = (label.min(axis=0) < label.max(axis=0))[None]
    by_label = {
        "auroc": metrics.per_label(metrics.auroc, label, probability, weight),
        "auprc": metrics.per_label(metrics.auprc, label, probability, weight),
        "f1": np.where(both, metrics.f1(label, decision, weight), np.nan),
    }
    overall = {f"macro_{name}": metrics.macro(values) for name, values in by_label.items()}
    overall["brier"] = metrics.brier(label, probability, weight)
    overall["ece"] = metrics.ece(label, probability, weight)
    if labels == CINC2017_LABELS:
        overall["cinc2017"] = by_label["f1"][:, :3].mean(axis=1)
    return overall, by_label


def point_figures(
    label: np.ndarray, probability: np.ndarray, thresholds: np.ndarray, *, labels: tuple[str, ...], exclusive: bool
) -> dict[str, float]:
    """The point values of the metrics over all labels; NaN where one is not defined."""
    decision = decide(probability, thresholds, exclusive=exclusive)
    overall, _ = figures(label, probability, decision, np.ones((1, len(label))), labels)
    return {name: float(values[0]) for name, values in overall.items()}


def report(
    label: np.ndarray,
    probability: np.ndarray,
    thresholds: np.ndarray | None,
    patients: np.ndarray,
    *,
    labels: tuple[str, ...],
    exclusive: bool,
    resamples: int,
) -> dict[str, Any]:
    """The parts `metrics`, `labels_defined` and `per_label` of a result, with 95 % intervals over patients.

    Args:
        label: [N, K] of 0 and 1.
        probability: [N, K].
        thresholds: [K], fitted on validation; None for labels that exclude each other.
        patients: [N], names; "" is unknown.
        labels: names of the K labels.
        exclusive: each record has exactly one label.
        resamples: bootstrap resamples of the patients.
    """
    label, probability = label.astype(float), probability.astype(float)
    limits = np.full(len(labels), 0.5) if thresholds is None else thresholds
    decision = decide(probability, limits, exclusive=exclusive)
    point, point_by_label = figures(label, probability, decision, np.ones((1, len(label))), labels)
    drawn = patient_resamples(patients, resamples=resamples)
    spread, spread_by_label = figures(label, probability, decision, drawn, labels)
    return {
        "metrics": {name: _with_interval(point[name][0], spread[name]) for name in point},
        "labels_defined": int((label.min(axis=0) < label.max(axis=0)).sum()),
        "per_label": {
            name: {
                **{m: _with_interval(point_by_label[m][0, k], spread_by_label[m][:, k]) for m in point_by_label},
                "threshold": None if thresholds is None else float(thresholds[k]),
                "positives": int(label[:, k].sum()),
                "records": len(label),
            }
            for k, name in enumerate(labels)
        },
    }


def _with_interval(value: float, resampled: np.ndarray) -> dict[str, float | None]:
    if math.isnan(value):
        return {"value": None, "low": None, "high": None}
    low, high = interval(resampled) or (None, None)
    return {"value": float(value), "low": low, "high": high}
