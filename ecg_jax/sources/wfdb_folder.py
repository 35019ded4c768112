"""Any folder of WFDB records with a table of labels; and the synthetic recordings, which are written as one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ecg_jax.errors import DataError, Rejected
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef, is_record, path_below
from ecg_jax.sources.tables import age_years, is_missing, labels_in, rows, sex, shortened, whole_number
from ecg_jax.target import Target

REMEDY = "give a CSV with the columns record, labels and, if known, patient, fold, age and sex with --labels"


@dataclass(frozen=True)
class WfdbFolder(FolderSource):
    """A folder of WFDB records with a table of labels: the 12 standard leads at 100 Hz; ten folds if it has none."""

    labels: Path
    """CSV with the columns record, labels (separated by ;) and, if known, patient, fold, age and sex."""
    exclusive: bool = False
    """Each record has exactly one label."""
    name = "wfdb"

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The records of the table whose files exist.

        A record is named by its path below the folder without extension, or by its bare name if that is unique.
        An empty list of labels means that none applies. Either all rows have a fold or none.

        Raises:
            DataError: the table cannot be read, names a record twice or ambiguously, or contradicts `exclusive`.
        """
        refs: dict[str, RecordRef] = {}
        places: dict[str, str] = {}  # of records in the table
        first_place: dict[str, str] = {}  # of labels
        left_out = []
        known = ("patient", "fold", "age", "sex")
        content = rows(self.labels, columns=("record", "labels"), optional=known, remedy=REMEDY)
        for where, row in content:
            labels = labels_in(row["labels"], where)
            if self.exclusive and len(labels) != 1:
                raise DataError(f"{where} gives the record {len(labels)} labels; with --exclusive give exactly one")
            for label in labels:
                first_place.setdefault(label, where)
            fold = _fold(row.get("fold", ""), where)
            record_id = self._record_id(row["record"], where)
            if record_id is None or not self._is_record(record_id):
                left_out.append(self._left_out(row["record"], where, outside=record_id is None))
                continue
            if record_id in refs:
                again = f"{where} names {shortened(record_id)} a second time, after {places[record_id]}"
                raise DataError(f"{again}; keep one row for each record")
            refs[record_id] = self._ref(
                record_id,
                labels,
                row.get("patient", ""),
                fold,
                age=age_years(row.get("age", "")),
                sex=sex(row.get("sex", "")),
            )
            places[record_id] = where
        if not first_place:
            raise DataError(f"{self.labels} gives no record a label; {REMEDY}")
        _check_spellings(first_place)
        without_fold = [where for record_id, where in places.items() if refs[record_id].fold is None]
        if 0 < len(without_fold) < len(refs):
            raise DataError(f"{without_fold[0]} gives no fold, other rows do; give all a fold or none")
        target = Target("exclusive" if self.exclusive else "multilabel", tuple(sorted(first_place)))
        folds = 10 if without_fold else 0
        return Listing(tuple(refs.values()), target, folds=folds, left_out=tuple(left_out))

    def _record_id(self, name: str, where: str) -> str | None:
        """The path of a record below the folder, without extension; None if the table names a path elsewhere."""
        record_id = self._path_below(name)
        if record_id in ("", "."):
            raise DataError(f"{where} names no record; {REMEDY}")
        if record_id is None or "/" in record_id or self._is_record(record_id):
            return record_id
        paths = self._paths_by_name.get(record_id, [record_id])
        if len(paths) > 1:
            raise DataError(
                f"{where}: {shortened(record_id)} is both {paths[0]} and {paths[1]}; give the path below {self.root}"
            )
        return paths[0]

    def _left_out(self, name: str, where: str, *, outside: bool) -> Rejected:
        """A record without a file below the folder; if there is exactly one of a similar name, with that."""
        reason = f"{'outside --from' if outside else 'no file'}: {where}"
        similar = self._paths_by_similar_name.get(_similar(PurePosixPath(name.replace("\\", "/")).name), ())
        if len(similar) == 1:
            return Rejected(name, f"{reason}, but {similar[0]} is there", f"write {similar[0]} into the table")
        return Rejected(name, reason, f"give its path below {self.root}" if outside else "check the name and --from")

    def _path_below(self, name: str) -> str | None:
        return path_below(self.root, name)

    def _is_record(self, record_id: str) -> bool:
        return is_record(self.root / record_id)

    def _record_ids(self) -> list[str]:
        """All records below the folder: their paths without extension."""
        return [path.relative_to(self.root).with_suffix("").as_posix() for path in sorted(self.root.rglob("*.hea"))]

    def _ref(self, record_id: str, *known: Any, **person: Any) -> RecordRef:
        return RecordRef(record_id, self.root / record_id, *known, **person)

    @cached_property
    def _paths_by_name(self) -> dict[str, list[str]]:
        paths: dict[str, list[str]] = {}
        for record_id in self._record_ids():
            paths.setdefault(record_id.rpartition("/")[2], []).append(record_id)
        return paths

    @cached_property
    def _paths_by_similar_name(self) -> dict[str, list[str]]:
        paths: dict[str, list[str]] = {}
        for name, of_name in self._paths_by_name.items():
            paths.setdefault(_similar(name), []).extend(of_name)
        return paths


@dataclass(frozen=True)
class Synthetic:
    """Synthetic recordings with known labels: 12 leads, 10 s, at 500 Hz; prepared at 100 Hz; ten folds are made."""

    records: int = 400
    """Number of recordings."""
    name, default_rate_hz = "synthetic", 100.0

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """Writes the recordings into `folder` and lists them.

        Raises:
            ConfigError: the number of records or the seed is out of range.
        """
        from ecg_jax.synthetic import write  # imports numpy

        write(folder, records=self.records, seed=seed)
        return WfdbFolder(folder, folder / "labels.csv").listing(rate_hz=rate_hz, seed=seed, folder=folder)


def _similar(name: str) -> str:
    """What is left of a name where a spreadsheet has made a number of it, or its case or extension has changed."""
    stem = name.lower().removesuffix(".hea").removesuffix(".dat").removesuffix(".mat").removesuffix(".0")
    return stem.lstrip("0")


def _check_spellings(first_place: Mapping[str, str]) -> None:
    """Refuses labels that are probably others: `AF, PVC` beside AF and PVC, `1.0` beside 1."""
    for label, where in first_place.items():
        has = f"{where} has the label '{shortened(label)}'"
        parts = [part.strip() for part in label.split(",")]
        if len(parts) > 1 and all(part in first_place for part in parts):
            raise DataError(f"{has}, and there are labels '{shortened(parts[0])}' and others in it; separate them by ;")
        whole = label.removesuffix(".0")
        if whole != label and whole in first_place:
            raise DataError(f"{has}, {first_place[whole]} the same without .0; write one of them")


def _fold(cell: str, where: str) -> int | None:
    fold = whole_number(cell)
    if fold is None and not is_missing(cell):
        raise DataError(f"{where} has the fold '{shortened(cell)}'; give a whole number of at most nine digits")
    return fold
