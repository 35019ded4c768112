"""Which leads and segments speak for each label over a set of recordings."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.explain.explanation import Explainer, Explanation, Parts
from ecg_jax.inference import Model
from ecg_jax.records import Quantised

MOST_RECORDS = 50  # of one label


@dataclass(frozen=True)
class LabelShares:
    """Mean shares of leads and segments in the probability of a label, over recordings that have it."""

    records: int
    gradients: Parts
    """By integrated gradients."""
    occlusion: Parts
    """By occlusion."""


def label_shares(
    model: Model, prepared: PreparedSet, indices: np.ndarray, *, most: int = MOST_RECORDS
) -> dict[str, LabelShares]:
    """The mean shares of each label over the records that have it; labels without a record are left out.

    Args:
        model: a finished run.
        prepared: the set that it was trained on, or another one with its rate, leads and labels.
        indices: of the records, such as those of the test split.
        most: records of each label, at most; they are evenly spaced among those that have it.

    Raises:
        ConfigError: the extra [explain] is not installed.
    """
    explainer, shares = Explainer(model), {}
    for k, label in enumerate(model.contract.target.names):
        having = indices[prepared.label[indices, k] > 0]
        if len(having):
            chosen = having[np.unique(np.linspace(0, len(having) - 1, min(most, len(having))).round().astype(int))]
            records = (Quantised(signal, scale_mv, ()) for signal, scale_mv in prepared.read(chosen))
            shares[label] = mean_shares(explainer.explain(record, label) for record in records)
    return shares


def mean_shares(explanations: Iterable[Explanation]) -> LabelShares:
    """The mean shares over explanations of one label, of which there is at least one."""
    found = list(explanations)
    gradients, occlusion = ([getattr(one, method).shares() for one in found] for method in ("gradients", "occlusion"))
    return LabelShares(len(found), _mean(gradients), _mean(occlusion))


def _mean(parts: list[Parts]) -> Parts:
    """The mean over the explanations in which something speaks for the label."""
    parts = [part for part in parts if any(part.by_segment.values()) and any(part.by_lead.values())] or parts
    by_lead, by_segment = (
        {name: float(np.mean([getattr(part, which)[name] for part in parts])) for name in getattr(parts[0], which)}
        for which in ("by_lead", "by_segment")
    )
    return Parts(by_lead, by_segment)
