"""Records with what is true of them and what was predicted: what operating points, groups and calibration are of."""

from dataclasses import dataclass

import numpy as np

from ecg_jax.evaluation.pooling import decide
from ecg_jax.target import Target


@dataclass(frozen=True)
class Predicted:
    """The labels, probabilities and decisions of some records. Make one with `predicted`."""

    target: Target
    label: np.ndarray  # [N, K] float64 of 0 and 1
    probability: np.ndarray  # [N, K] float64
    thresholds: np.ndarray | None  # [K], fitted on validation records; None for exclusive labels
    decision: np.ndarray  # [N, K] bool
    patients: np.ndarray  # [N] names; an unknown patient is ""

    def of(self, records: np.ndarray) -> "Predicted":
        """Some of the records, by their places or a mask [N]."""
        arrays = self.label[records], self.probability[records], self.thresholds, self.decision[records]
        return Predicted(self.target, *arrays, self.patients[records])


def predicted(
    label: np.ndarray,
    probability: np.ndarray,
    thresholds: np.ndarray | None,
    patients: np.ndarray,
    target: Target,
) -> Predicted:
    """Decides the labels [N, K] of records from their probabilities [N, K] at thresholds [K]."""
    label, probability = label.astype(float), probability.astype(float)
    return Predicted(target, label, probability, thresholds, decide(probability, thresholds, target), patients)


def n_patients(patients: np.ndarray) -> int:
    """The number of patients [N]; a record without a patient counts as one."""
    unknown = int((patients == "").sum())
    return len(set(patients.tolist()) - {""}) + unknown
