"""The synthetic patients: their labels, the length of signal that each label needs, and their recordings.

May import numpy. Labels are the codes of PTB-XL where it has one; `STE_` is ST elevation of the anterior, inferior or
lateral wall.

`REACH_SECONDS` is the length of signal that contains the defining feature of a label at least once, in any recording of
the generator: the receptive field that is sufficient for a network that pools over time. The shapes of the QRS complex
and the ST segment and the PR interval need milliseconds; a rate needs one RR interval, irregularity needs two, and a
rhythm that follows respiration needs intervals half a breath apart. NORM is the absence of all other labels, so it
needs the longest of their lengths. A shorter stretch helps partly, through accompanying signs (noted at each label),
and because the mean over time of a function of single RR intervals depends on their distribution in the recording.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

REACH_SECONDS: dict[str, float] = {
    "1AVB": 0.40,  # P wave and PR interval up to the R peak
    "AFIB": 2.8,  # two RR intervals that differ, and the QRS complex after them; the missing P wave is visible in 0.4 s
    "CLBBB": 0.20,  # QRS complex
    "CRBBB": 0.20,  # QRS complex
    "LVH": 0.20,  # QRS complex; strain, if present, 0.45 s
    "NORM": 4.0,
    "PVC": 3.0,  # the beats before and after the early one; its shape alone is visible in 0.2 s
    "SARRH": 4.0,  # two RR intervals half a breath of 3-6 s apart
    "SBRAD": 1.6,  # an RR interval and the next QRS complex
    "STACH": 0.75,  # an RR interval and the next QRS complex
    "STE_ANT": 0.35,  # QRS complex and ST segment
    "STE_INF": 0.35,
    "STE_LAT": 0.35,
}
LABELS = tuple(sorted(REACH_SECONDS))
SEGMENTS_OF: dict[str, tuple[str, ...]] = {
    "1AVB": ("PQ",),
    "CLBBB": ("QRS", "ST-T"),
    "CRBBB": ("QRS", "ST-T"),
    "LVH": ("QRS",),
    "STE_ANT": ("ST-T",),
    "STE_INF": ("ST-T",),
    "STE_LAT": ("ST-T",),
}
"""The segments of a beat that differ wherever a label applies; the others are rhythms, or shapes of single beats.

In a bundle branch block the repolarisation follows the QRS complex, and differs as much.
"""

_ONE_OF = (  # labels that exclude each other, by definition or because one hides the other
    {"AFIB", "SARRH", "SBRAD", "STACH"},
    {"SARRH", "PVC"},
    {"AFIB", "1AVB"},
    {"STACH", "1AVB"},
    {"CLBBB", "CRBBB"},
    {"CLBBB", "LVH", "STE_ANT", "STE_INF", "STE_LAT"},
)
_NORMALS = 4  # normal patients for one patient of each other first label


@dataclass(frozen=True)
class Visit:
    """One recording of one patient; patients and the recordings of each patient are numbered from 0."""

    patient: int
    number: int
    labels: frozenset[str]


def _labels_of(patient: int, seed: int) -> frozenset[str]:
    """The first label is drawn without replacement, so that all occur equally often; further labels are random."""
    abnormal = [label for label in LABELS if label != "NORM"]
    first = abnormal + ["NORM"] * _NORMALS
    order = np.random.default_rng([seed, 0, patient // len(first)]).permutation(len(first))
    labels = {first[order[patient % len(first)]]}
    if labels == {"NORM"}:
        return frozenset(labels)
    rng = np.random.default_rng([seed, 1, patient])
    more = rng.choice(3, p=[0.3, 0.45, 0.25])
    for label in rng.permutation(abnormal)[: 3 * more]:
        if more and label not in labels and not any({label, other} <= group for group in _ONE_OF for other in labels):
            labels.add(str(label))
            more -= 1
    return frozenset(labels)


def visits(seed: int) -> Iterator[Visit]:
    """An endless sequence of recordings; one patient in five has two of them."""
    patient = 0
    while True:
        labels = _labels_of(patient, seed)
        for number in range(2 if np.random.default_rng([seed, 2, patient]).random() < 0.2 else 1):
            yield Visit(patient, number, labels)
        patient += 1
