"""MIT-BIH Arrhythmia Database (Moody and Mark 2001, https://physionet.org/content/mitdb/1.0.0/)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ecg_jax.errors import ConfigError, Rejected, Unusable
from ecg_jax.sources.header_comments import Described, described_records
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef, occurring
from ecg_jax.sources.tables import age_years, sex
from ecg_jax.target import Target

if TYPE_CHECKING:
    from ecg_jax.records.wfdb_annotations import Annotation

DS1 = 101, 106, 108, 109, 112, 114, 115, 116, 118, 119, 122, 124, 201, 203, 205, 207, 208, 209, 215, 220, 223, 230
DS2 = 100, 103, 105, 111, 113, 117, 121, 123, 200, 202, 210, 212, 213, 214, 219, 221, 222, 228, 231, 232, 233, 234
PACED = 102, 104, 107, 217
"""The division of de Chazal, O'Dwyer and Reilly (2004): records to train on, to test on, and in neither."""
RECORDS = frozenset(map(str, (*DS1, *DS2, *PACED)))
FOLDS_OF_DS1, FOLD_OF_DS2 = 5, 6
SAME_PATIENT = {"202": "201"}
AAMI = {"N": "NLRej", "S": "AaJS", "V": "VE", "F": "F", "Q": "/fQ"}
"""The symbols of the beats of each class (ANSI/AAMI EC57)."""
CLASS_OF = {symbol: name for name, symbols in AAMI.items() for symbol in symbols}
Window = tuple[int, str, tuple[int, int] | None]
"""The sample that names it, its label, and its first sample and the one after its last; None if it does not fit."""
REMEDY = "download it from https://physionet.org/content/mitdb/1.0.0/ and give its folder with --from"


@dataclass(frozen=True)
class Mitdb(FolderSource):
    """MIT-BIH Arrhythmia: lead MLII of 48 half hours, in windows of one rhythm; at 360 Hz; ten folds, by patient.

    With --beats one window around each beat, with its AAMI class. Records 201 and 202 are of one patient. A prediction
    for a whole recording is the mean over its windows.
    """

    beats: bool = False
    """One example for each beat, in place of windows of a rhythm."""
    window_seconds: float = 10.0
    """Length of the windows of a rhythm."""
    before_seconds: float = 1.0
    """Where the window of a beat begins, before its R peak."""
    after_seconds: float = 0.6
    """Where it ends, after the R peak."""
    split: Literal["folds", "inter_patient"] = "folds"
    """`inter_patient`: DS1 in folds 1 to 5 by patient, DS2 in fold 6, without paced records (de Chazal et al. 2004)."""
    name = "mitdb"
    default_rate_hz = 360.0

    def __post_init__(self) -> None:
        for flag in ("window_seconds", "before_seconds", "after_seconds"):
            if not 0.05 <= (value := getattr(self, flag)) <= 1800:
                raise ConfigError(f"--{flag.replace('_', '-')} is {value:g}; give 0.05 to 1800")

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The windows of the records in any folder below, named by record and sample: the R peak or the first one.

        Their order takes one window of each record in turn, so that the first few are of many patients.

        Raises:
            DataError: there is no header.
        """
        described, left_out = described_records(self.root, REMEDY)
        records = {record.record_id: record for record in described}
        of_division = self.split == "inter_patient"
        absent = RECORDS - records.keys() - {rejected.record for rejected in left_out}
        unfound = [Rejected(name, "no file: it is one of the 48 records of the set", REMEDY) for name in sorted(absent)]
        left_out += unfound
        windows: list[list[RecordRef]] = []
        for name, record in records.items():
            if name not in RECORDS:
                left_out.append(Rejected(name, "not one of the 48 records of the set", "prepare it as `wfdb`"))
            elif int(name) in PACED and of_division:
                left_out.append(Rejected(name, "paced: the division leaves it out", "omit --split to have it"))
            else:
                found = list(self._windows(record))
                windows.append([window for window in found if isinstance(window, RecordRef)])
                left_out += [window for window in found if isinstance(window, Rejected)]
        refs = tuple(filter(None, chain.from_iterable(zip_longest(*windows))))
        names = tuple(sorted(AAMI)) if self.beats else occurring(refs)
        return Listing(
            refs,
            Target("exclusive", names),
            leads=("MLII",),
            folds=FOLDS_OF_DS1 if of_division else 10,
            left_out=tuple(left_out),
            score="aami" if self.beats else None,
            divided_patients=frozenset(SAME_PATIENT.values()) if of_division else frozenset(),
        )

    def _windows(self, record: Described) -> Iterator[RecordRef | Rejected]:
        """The windows of a record, and what is left out of it."""
        from ecg_jax.records.wfdb_annotations import read_annotations  # imports numpy
        from ecg_jax.records.wfdb_files import read_header

        name = record.record_id
        try:
            header = read_header(record.path.with_name(f"{name}.hea"))
            if header.frames_hz is None or header.length is None:
                raise Unusable("header unreadable: it does not say the rate and the number of samples", REMEDY)
            annotations = read_annotations(record.path, "atr")
        except Unusable as unusable:
            yield Rejected(name, unusable.reason, unusable.remedy)
            return
        whole = _whole_record(record, FOLD_OF_DS2 if self.split == "inter_patient" and int(name) in DS2 else None)
        if self.beats:
            reason, flag = "window leaves the record", "--before-seconds or --after-seconds"
            before, after = (round(s * header.frames_hz) for s in (self.before_seconds, self.after_seconds))
            windows = _beats(annotations, before, after, header.length)
        else:
            reason, flag = "rhythm shorter than a window", "--window-seconds"
            windows = _rhythms(annotations, round(self.window_seconds * header.frames_hz), header.length)
        known: set[str] = set()
        for at, label, stretch in windows:
            record_id = f"{name}_{at:06d}"
            if stretch is None:
                yield Rejected(record_id, f"{reason}: {label}", f"give a smaller {flag}")
            elif record_id in known:
                yield Rejected(record_id, f"annotated twice: {label}", "correct the annotations")
            else:
                known.add(record_id)
                yield replace(whole, record_id=record_id, labels=frozenset({label}), key="{}:{}".format(*stretch))


def _whole_record(record: Described, fold: int | None) -> RecordRef:
    """A record without labels; its first comment begins with age and sex, as in `69 M 1085 1629 x1`."""
    name, comments = record.record_id, record.comments
    person = re.match(r"\s*(-?\d+)\s+([MF])\b", comments[0]) if comments else None
    age, of_sex = person.groups() if person else ("", "")
    patient = SAME_PATIENT.get(name, name)
    return RecordRef(name, record.path, frozenset(), patient, fold, age=age_years(age), sex=sex(of_sex))


def _beats(annotations: Sequence["Annotation"], before: int, after: int, length: int) -> Iterator[Window]:
    for beat in annotations:
        if beat.symbol in CLASS_OF:
            first, stop = beat.sample - before, beat.sample + after
            yield beat.sample, CLASS_OF[beat.symbol], (first, stop) if first >= 0 and stop <= length else None


def _rhythms(annotations: Sequence["Annotation"], window: int, length: int) -> Iterator[Window]:
    """The windows, one after the other, of each stretch from the note of a rhythm to the next one."""
    notes = [(mark.sample, mark.note[1:]) for mark in annotations if mark.symbol == "+" and mark.note[:1] == "("]
    for (begin, rhythm), (end, _) in pairwise([*notes, (length, "")]):
        if end - begin < window:
            yield begin, rhythm, None
        for first in range(begin, end - window + 1, window):
            yield first, rhythm, (first, first + window)
