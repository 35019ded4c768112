"""Who has what: the labels, how much of a recording each one needs, and which patients and recordings there are.

May import numpy. Labels are the codes of PTB-XL where it has one; `STE_` is ST elevation of the anterior, inferior or
lateral wall.

`REACH_SECONDS` is the stretch of signal within which what defines a label can be seen once in any recording that the
generator draws: the receptive field that suffices before a network pools over time. Shape of the QRS complex and of
the ST segment need milliseconds, as does the PR interval; rate needs one RR interval, irregularity two of them, and a
rhythm that follows the breath needs intervals half a breath apart. NORM is the absence of all others, so it needs the
longest of their reaches. Less can do in part, by signs that go along (given with the label), and because the mean over
time of what a network sees of single RR intervals knows how they spread in the recording.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

REACH_SECONDS: dict[str, float] = {
    "1AVB": 0.40,  # P wave and PR interval up to the R peak
    "AFIB": 2.8,  # two RR intervals that differ, and the QRS complex after them; that P is missing shows in 0.4 s
    "CLBBB": 0.20,  # QRS complex
    "CRBBB": 0.20,  # QRS complex
    "LVH": 0.20,  # QRS complex; strain, where there is any, 0.45 s
    "NORM": 4.0,
    "PVC": 3.0,  # the beats before and after the early one; its shape alone shows in 0.2 s
    "SARRH": 4.0,  # two RR intervals half a breath of 3-6 s apart
    "SBRAD": 1.6,  # an RR interval and the QRS complex after it
    "STACH": 0.75,  # the same
    "STE_ANT": 0.35,  # QRS complex and ST segment
    "STE_INF": 0.35,
    "STE_LAT": 0.35,
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
_NORMAL_CARDS = 4  # for one of each other label


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
    wanted = rng.choice(3, p=[0.3, 0.45, 0.25])
    for label in rng.permutation(abnormal)[: 3 * wanted]:
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
