"""Why a run answers as it does: integrated gradients and occlusion, by lead and by segment of a beat.

`Explainer(model).explain(record, label)` explains one recording; `label_shares(model, prepared, indices)` gives the
mean shares of each label over a set, such as the test split, for a model card.
"""

from ecg_jax.explain.explanation import Explainer, Explanation, Parts
from ecg_jax.explain.segments import SEGMENTS
from ecg_jax.explain.shares import LabelShares, label_shares

__all__ = ["SEGMENTS", "Explainer", "Explanation", "LabelShares", "Parts", "label_shares"]
