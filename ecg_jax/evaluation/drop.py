"""How much a network loses on another set: differences of metrics, with intervals over the patients of both. NumPy."""

from typing import Any

import numpy as np

from ecg_jax.evaluation.predicted import Predicted
from ecg_jax.evaluation.summary import BIASED, figure, in_blocks, metric_values, patient_resamples


def drop(own: Predicted, other: Predicted, *, resamples: int) -> dict[str, Any]:
    """The metrics on the own test records minus those on another set, with 95 % intervals.

    The patients of each set are resampled independently of those of the other. The metrics over all labels are those
    of the labels of which both sets have both classes.

    Returns:
        `labels`: these labels; `metrics` and `per_label`: name -> `own` and `other`, the values, and the difference as
        `value`, `low` and `high`.
    """
    both = np.all([(of.label.min(axis=0) < of.label.max(axis=0)) for of in (own, other)], axis=0)
    names = [name for name, yes in zip(own.target.names, both, strict=True) if yes]
    if not names:
        return {"labels": [], "metrics": {}, "per_label": {}}
    values = []
    for seed, of in enumerate((own, other)):

        def values_of(some: np.ndarray, of: Predicted = of) -> tuple[dict[str, np.ndarray], ...]:
            overall, by_label = metric_values(of.label, of.probability, of.decision, some, None, both)
            return {name: array[:, None] for name, array in overall.items()}, by_label

        weight = patient_resamples(of.patients, resamples=resamples, seed=seed)
        values.append((values_of(np.ones((1, len(of.label)))), in_blocks(values_of, weight)))
    (own_point, own_parts), (other_point, other_parts) = values

    def difference(part: int, name: str, k: Any) -> dict[str, float | None]:
        mine, theirs = own_point[part][name][0][k], other_point[part][name][0][k]
        resampled = own_parts[part][name][:, k] - other_parts[part][name][:, k]
        return {"own": float(mine), "other": float(theirs), **figure(mine - theirs, resampled, biased=name in BIASED)}

    return {
        "labels": names,
        "metrics": {name: difference(0, name, 0) for name in own_point[0]},
        "per_label": {
            name: {metric: difference(1, metric, k) for metric in own_point[1]}
            for k, name in enumerate(own.target.names)
            if both[k]
        },
    }
