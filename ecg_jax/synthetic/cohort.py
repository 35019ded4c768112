"""Who has what: the labels, how much of a recording each one needs, and which patients and recordings there are.

May import numpy. Labels are the codes of PTB-XL where it has one; `STE_` is ST elevation of the anterior, inferior or
lateral wall.

`REACH_SECONDS` is the shortest stretch of signal in which what defines a label can be seen once, in the most spacious
case that the generator draws: the receptive field that a network needs before it pools over time. In milliseconds, a
QRS complex and its ST segment; PR interval and P wave; then one RR interval with both its QRS complexes (fast or
slow), a premature beat with the beats on both its sides; two neighbouring RR intervals for irregularity from beat to
beat (AFIB); half a breath for a rhythm that follows it (SARRH: neighbouring intervals hardly differ). NORM is the
absence of all others, so it needs the longest reach of them. Pooling over time can stand in for reach in part: the
mean over all positions of what a network sees at one RR interval knows how the intervals of the recording spread.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

REACH_SECONDS: dict[str, float] = {
    "1AVB": 0.40,  # P wave and PR interval up to the R peak
    "AFIB": 3.0,  # two RR intervals and their QRS complexes; its missing P waves show in 0.4 s
    "CLBBB": 0.20,  # QRS complex
    "CRBBB": 0.20,
    "LVH": 0.20,  # voltage of the QRS complex; strain, where there is any, within 0.45 s
    "NORM": 3.5,
    "PVC": 2.6,  # the early beat between its neighbours; its shape alone shows in 0.2 s
    "SARRH": 3.5,  # half a breath of 3-6 s, and an RR interval
    "SBRAD": 1.8,  # one RR interval and both QRS complexes
    "STACH": 0.8,
    "STE_ANT": 0.30,  # QRS complex and ST segment
    "STE_INF": 0.30,
    "STE_LAT": 0.30,
}
LABELS = tuple(sorted(REACH_SECONDS))

_ONE_OF = (  # labels that exclude each other, by nature or because the one hides the other
    {"AFIB", "SARRH", "SBRAD", "STACH"},
    {"SARRH", "PVC"},
    {"AFIB", "1AVB"},
    {"STACH", "1AVB"},
    {"CLBBB", "CRBBB"},
    {"CLBBB", "LVH"},
    {"CLBBB", "STE_ANT"},
    {"CLBBB", "STE_INF"},
    {"CLBBB", "STE_LAT"},
    {"LVH", "STE_ANT", "STE_INF", "STE_LAT"},
)
_NORMAL_CARDS = 5  # for one of each other label


@dataclass(frozen=True)
class Visit:
    """One recording of one patient: both are numbered from 0, a patient's recordings too."""

    patient: int
    number: int
    labels: frozenset[str]


def _labels_of(patient: int, seed: int) -> frozenset[str]:
    """First labels are dealt like cards, so that each is met equally often; further ones come by chance."""
    abnormal = [label for label in LABELS if label != "NORM"]
    deck = abnormal + ["NORM"] * _NORMAL_CARDS
    order = np.random.default_rng([seed, 0, patient // len(deck)]).permutation(len(deck))
    labels = {deck[order[patient % len(deck)]]}
    if labels == {"NORM"}:
        return frozenset(labels)
    rng = np.random.default_rng([seed, 1, patient])
    wanted = rng.choice(3, p=[0.4, 0.4, 0.2])
    for label in rng.permutation(abnormal)[: 2 * wanted]:
        if wanted and label not in labels and not any({label, other} <= group for group in _ONE_OF for other in labels):
            labels.add(str(label))
            wanted -= 1
    return frozenset(labels)


def visits(seed: int) -> Iterator[Visit]:
    """All recordings there could be, without end: one patient in five comes twice."""
    patient = 0
    while True:
        labels = _labels_of(patient, seed)
        for number in range(2 if np.random.default_rng([seed, 2, patient]).random() < 0.2 else 1):
            yield Visit(patient, number, labels)
        patient += 1
