"""Calibration of probabilities: reliability, slope and intercept, and scaling that is fitted on validation. NumPy only.

Logits of probabilities that 0 or 1 round to are cut at those of `LEAST` and 1 - `LEAST`.
"""

from typing import Any, Literal

import numpy as np

from ecg_jax.evaluation import metrics
from ecg_jax.evaluation.operating import share
from ecg_jax.evaluation.predicted import Predicted
from ecg_jax.evaluation.summary import BIASED, figure, in_blocks
from ecg_jax.target import Target

LEAST = 1e-7
STEPS = 60  # of Newton's method; most fits need five
LARGEST = 1e3  # a slope or intercept beyond it is that of separated classes, which have none

Method = Literal["temperature", "platt"]


def logit(probability: np.ndarray) -> np.ndarray:
    """The logarithm of the odds."""
    cut = np.clip(probability, LEAST, 1 - LEAST)
    return np.log(cut) - np.log1p(-cut)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """The probability with a logit."""
    return 0.5 * (1 + np.tanh(x / 2))


def recalibration(label: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intercept and slope [R] of the logistic regression of one label [N] on the logit of its probability.

    Source: Cox 1958. Right are 0 and 1. NaN where the classes are separated, or a resample has one class.
    """
    return _logistic(label, logit(probability), weight, free_slope=True)


def calibration_in_the_large(label: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The intercept [R] of the same regression with the slope 1: below 0 if the probabilities are too high on average.

    Source: Van Calster et al. 2019, who call it calibration intercept.
    """
    return _logistic(label, logit(probability), weight, free_slope=False)[0]


def _logistic(
    label: np.ndarray, x: np.ndarray, weight: np.ndarray, *, free_slope: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The maximum of the likelihood of sigmoid(a + b x) under each weight [R, N], by short Newton steps."""
    a, b = np.zeros(len(weight)), np.ones(len(weight))
    total = weight.sum(axis=1)
    size = np.full(len(weight), np.inf)
    for _ in range(STEPS):
        active = np.flatnonzero(size > 1e-10)
        if not active.size:
            break
        some = weight[active]
        p = sigmoid(a[active, None] + b[active, None] * x)
        residual, spread = some * (label - p), some * p * (1 - p)
        g, h = residual.sum(axis=1), spread.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            if free_slope:
                gx, hx, hxx = residual @ x, spread @ x, spread @ (x * x)
                determinant = h * hxx - hx * hx
                step = np.stack([(hxx * g - hx * gx) / determinant, (h * gx - hx * g) / determinant])
            else:
                step = np.stack([g / h, np.zeros_like(g)])
            step *= np.minimum(1, 2 / np.maximum(np.abs(step).max(axis=0), 1e-300))
        a[active] += step[0]
        b[active] += step[1]
        size[active] = np.abs(step).max(axis=0)
    positive = weight @ label
    known = (size < 1e-6) & (np.abs(a) < LARGEST) & (np.abs(b) < LARGEST) & (positive > 0) & (positive < total)
    return np.where(known, a, np.nan), np.where(known, b, np.nan)


def reliability(label: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean probability and share of positive records [R, bins] in the bins of `metrics.ece`; NaN in empty bins."""
    member = (_bins(probability)[:, None] == np.arange(metrics.ECE_BINS)).astype(float)  # [N, bins]
    count = weight @ member
    sums = (weight @ (member * values[:, None]) for values in (probability, label))
    mean, observed = (np.divide(part, count, out=np.full(count.shape, np.nan), where=count > 0) for part in sums)
    return mean, observed


def _bins(probability: np.ndarray) -> np.ndarray:
    return np.minimum((probability * metrics.ECE_BINS).astype(int), metrics.ECE_BINS - 1)


def calibration(predicted: Predicted, weight: np.ndarray) -> dict[str, Any]:
    """How far the probabilities are right, with intervals over resamples of the patients with weights [R, N].

    Returns:
        `brier` and, without an interval, `ece` over all labels, and `per_label`: name -> `slope`, `intercept` (with the
        slope 1) and `bins`, the bins with records: `low` and `high`, their `records`, the mean `probability` and the
        `observed` share.
    """
    label, probability = predicted.label, predicted.probability
    once = np.ones((1, len(label)))

    def values_of(some: np.ndarray) -> tuple[dict[str, np.ndarray], ...]:
        overall = {name: metric(label, probability, some) for name, metric in _OVERALL.items()}
        return (overall, *(_of_label(y, p, some) for y, p in zip(label.T, probability.T, strict=True)))

    (point, *points), (resampled, *parts) = values_of(once), in_blocks(values_of, weight)
    per_label = {}
    for k, name in enumerate(predicted.target.names):
        found: dict[str, Any] = {key: figure(points[k][key][0], parts[k][key]) for key in ("slope", "intercept")}
        bins = _bins(probability[:, k])
        n = np.bincount(bins)
        observed, resampled_share = points[k]["observed"][0], parts[k]["observed"]
        found["bins"] = [
            {
                "low": b / metrics.ECE_BINS,
                "high": (b + 1) / metrics.ECE_BINS,
                "records": int(n[b]),
                "probability": float(points[k]["mean"][0, b]),
                "observed": share(observed[b], resampled_share[:, b], predicted.patients[bins == b]),
            }
            for b in np.flatnonzero(n).tolist()
        ]
        per_label[name] = found
    return {name: figure(point[name][0], resampled[name], biased=name in BIASED) for name in _OVERALL} | {
        "per_label": per_label
    }


_OVERALL = {"brier": metrics.brier, "ece": metrics.ece}


def _of_label(label: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
    mean, observed = reliability(label, probability, weight)
    return {
        "slope": recalibration(label, probability, weight)[1],
        "intercept": calibration_in_the_large(label, probability, weight),
        "mean": mean,
        "observed": observed,
    }


def fit_scaling(label: np.ndarray, probability: np.ndarray, target: Target, method: Method) -> dict[str, Any]:
    """Fits a scaling of probabilities [M, K] on validation records with labels [M, K].

    `temperature`: one number by which all logits are divided (Guo et al. 2017, section 4.2); of exclusive labels the
    logarithms of the probabilities are divided, and their exponentials normalised. `platt`: an intercept and a slope of
    the logit of each label (Platt 1999, without his change of the labels).

    Returns:
        `method`, and `temperature`, or `per_label`: name -> `intercept` and `slope`; None for a label that the
        validation records do not determine, which is left as it is.

    Raises:
        ValueError: `platt` of exclusive labels, whose probabilities would no longer sum to 1.
    """
    label = label.astype(float)
    if method == "temperature":
        return {"method": method, "temperature": _temperature(label, probability, target)}
    if target.kind == "exclusive":
        raise ValueError("labels that exclude each other have a temperature alone")
    fits = [recalibration(y, p, np.ones((1, len(y)))) for y, p in zip(label.T, probability.T, strict=True)]
    known = [None if np.isnan(b[0]) else {"intercept": float(a[0]), "slope": float(b[0])} for a, b in fits]
    return {"method": method, "per_label": dict(zip(target.names, known, strict=True))}


def scaled(probability: np.ndarray, target: Target, scaling: dict[str, Any]) -> np.ndarray:
    """The probabilities [N, K] after a scaling of `fit_scaling`."""
    if scaling["method"] == "platt":
        fits = [scaling["per_label"][name] or {"intercept": 0.0, "slope": 1.0} for name in target.names]
        return sigmoid(logit(probability) * [fit["slope"] for fit in fits] + [fit["intercept"] for fit in fits])
    if target.kind == "multilabel":
        return sigmoid(logit(probability) / scaling["temperature"])
    return _softmax(_log(probability) / scaling["temperature"])


def _temperature(label: np.ndarray, probability: np.ndarray, target: Target) -> float | None:
    """The most likely temperature; Newton's method on its inverse, in which the likelihood is concave."""
    exclusive = target.kind == "exclusive"
    x, inverse = _log(probability) if exclusive else logit(probability), 1.0
    for _ in range(STEPS):
        p = _softmax(inverse * x) if exclusive else sigmoid(inverse * x)
        gradient = ((label - p) * x).sum()
        if exclusive:
            curvature = ((p * x * x).sum(axis=1) - (p * x).sum(axis=1) ** 2).sum()
        else:
            curvature = (p * (1 - p) * x * x).sum()
        step = float(np.clip(gradient / curvature, -inverse / 2, 1.0))
        inverse += step
        if abs(step) < 1e-13 * inverse:
            break
    return 1 / inverse


def _log(probability: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probability, LEAST))


def _softmax(x: np.ndarray) -> np.ndarray:
    raised = np.exp(x - x.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
