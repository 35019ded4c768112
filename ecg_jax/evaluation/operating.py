"""Operating points: confusion, sensitivity, specificity and predictive values at a threshold. NumPy only."""

import math
from typing import Any

import numpy as np

from ecg_jax.evaluation.predicted import Predicted, n_patients
from ecg_jax.evaluation.summary import Figure, figure, in_blocks

RATES = ("sensitivity", "specificity", "ppv", "npv")


def rates(label: np.ndarray, decision: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
    """Sensitivity, specificity and the positive and negative predictive value, each [R, K], under weights [R, N].

    NaN where no record counts: a sensitivity without positive records, a ppv without positive decisions.
    """
    label, decision = label.astype(float), decision.astype(float)
    present, decided, hits = (weight @ array for array in (label, decision, label * decision))
    whole = weight.sum(axis=1, keepdims=True)
    absent, not_decided = whole - present, whole - decided
    rejected = whole - present - decided + hits
    shares = ((hits, present), (rejected, absent), (hits, decided), (rejected, not_decided))
    return {
        name: np.divide(part, of, out=np.full(of.shape, np.nan), where=of > 0)
        for name, (part, of) in zip(RATES, shares, strict=True)
    }


def share(value: float, resampled: np.ndarray, patients: np.ndarray) -> Figure:
    """A share of records with its interval; `patients` [n] are those of the records that it is a share of.

    A share of 0 or 1 is the same in every resample, so its interval is the exact one of as many independent patients
    (Clopper and Pearson 1934).
    """
    found = figure(value, resampled)
    if value in (0.0, 1.0):
        reach = 1 - 0.025 ** (1 / n_patients(patients))
        found |= {"low": 0.0, "high": reach} if value == 0 else {"low": 1 - reach, "high": 1.0}
    return found


def confusion(label: np.ndarray, decision: np.ndarray) -> list[dict[str, int]]:
    """The numbers of records of each label by truth and decision: `tp`, `fp`, `fn` and `tn`."""
    truth, said = label.astype(bool), decision.astype(bool)
    counts = {"tp": truth & said, "fp": ~truth & said, "fn": truth & ~said, "tn": ~truth & ~said}
    return [{name: int(where[:, k].sum()) for name, where in counts.items()} for k in range(label.shape[1])]


def confusion_square(label: np.ndarray, decision: np.ndarray) -> list[list[int]]:
    """The numbers of records [K, K] of exclusive labels: a row for each true label, a column for each decision."""
    return (label.T.astype(int) @ decision.astype(int)).tolist()


def threshold_for_sensitivity(label: np.ndarray, probability: np.ndarray, wanted: float) -> float | None:
    """The largest threshold at which the sensitivity for one label [N] is at least the wanted one.

    As in `fit_thresholds`, it lies half-way between two probabilities that occur. None if no record has the label.
    """
    positive = np.sort(probability[label > 0])[::-1]
    if not positive.size:
        return None
    lowest = positive[max(math.ceil(wanted * len(positive) - 1e-9), 1) - 1]
    return float((lowest + probability[probability < lowest].max(initial=0.0)) / 2)


def threshold_for_specificity(label: np.ndarray, probability: np.ndarray, wanted: float) -> float | None:
    """The smallest threshold at which the specificity for one label [N] is at least the wanted one.

    It lies half-way between two probabilities that occur; above 1 if no probability is decided. None if every record
    has the label.
    """
    negative = np.sort(probability[label == 0])
    if not negative.size:
        return None
    highest = negative[max(math.ceil(wanted * len(negative) - 1e-9), 1) - 1]
    above = probability[probability > highest]
    return float((highest + above.min()) / 2 if above.size else np.nextafter(max(highest, 1.0), 2.0))


def operating_points(
    predicted: Predicted,
    weight: np.ndarray,
    *,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    at_sensitivity: float | None = None,
    at_specificity: float | None = None,
) -> dict[str, Any]:
    """The operating points of each label, with intervals over resamples of the patients with weights [R, N].

    Args:
        predicted: N records.
        weight: from `summary.patient_resamples`.
        validation: labels and probabilities [M, K] of validation records, on which the thresholds for a wanted
            sensitivity or specificity are chosen.
        at_sensitivity: the wanted sensitivity.
        at_specificity: the wanted specificity.

    Returns:
        `per_label`: name -> list of points, each with `at` (how the threshold was chosen), `threshold` (None where
        the most probable label is decided), `tp`, `fp`, `fn`, `tn` and the four rates with intervals. The first point
        is that of the decisions. `confusion`, of exclusive labels: a row for each true label.
    """
    names = predicted.target.names
    fitted = [None] * len(names) if predicted.thresholds is None else predicted.thresholds.tolist()
    decided: list[float | None] = list(fitted)
    points = [("decision" if predicted.thresholds is None else "threshold", decided, predicted.decision)]
    kinds = (
        ("sensitivity", at_sensitivity, threshold_for_sensitivity),
        ("specificity", at_specificity, threshold_for_specificity),
    )
    for name, wanted, threshold_for in kinds:
        if wanted is not None and validation is not None:
            chosen = [threshold_for(y, p, wanted) for y, p in zip(validation[0].T, validation[1].T, strict=True)]
            cut = np.array([np.nan if t is None else t for t in chosen])
            points.append((f"{name} {wanted:g}", chosen, predicted.probability >= cut))
    per_label: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for at, thresholds, decision in points:
        whole = rates(predicted.label, decision, np.ones((1, len(decision))))
        (parts,) = in_blocks(lambda some, decision=decision: (rates(predicted.label, decision, some),), weight)
        for k, (name, counts) in enumerate(zip(names, confusion(predicted.label, decision), strict=True)):
            if at not in ("decision", "threshold") and thresholds[k] is None:
                continue
            y, said = predicted.label[:, k] > 0, decision[:, k]
            of = dict(zip(RATES, (y, ~y, said, ~said), strict=True))
            shown = {r: share(whole[r][0, k], parts[r][:, k], predicted.patients[of[r]]) for r in RATES}
            per_label[name].append({"at": at, "threshold": thresholds[k], **counts, **shown})
    exclusive = predicted.target.kind == "exclusive"
    square = {"confusion": confusion_square(predicted.label, predicted.decision)} if exclusive else {}
    return {"per_label": per_label, **square}
