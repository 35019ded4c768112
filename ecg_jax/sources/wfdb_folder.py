"""Any folder of WFDB records with a table of labels."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from ecg_jax.errors import DataError
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef, rows
from ecg_jax.target import Target

REMEDY = "give a CSV with the columns record, labels and, if known, patient and fold with --labels"


@dataclass(frozen=True)
class WfdbFolder(FolderSource):
    """A folder of WFDB records with a table of labels: the 12 standard leads; ten folds are made if it has none."""

    labels: Path
    """CSV with the columns record, labels (separated by ;) and, if known, patient and fold."""
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
        names: set[str] = set()
        absent = 0
        for line, row in enumerate(rows(self.labels, columns=("record", "labels"), remedy=REMEDY), start=2):
            where = f"{self.labels} line {line}"
            labels = frozenset(filter(None, (label.strip() for label in row["labels"].split(";"))))
            if self.exclusive and len(labels) != 1:
                raise DataError(f"{where} gives the record {len(labels)} labels; with --exclusive give exactly one")
            names |= labels
            record_id = self._record_id(row["record"].strip(), where)
            if record_id in refs:
                raise DataError(f"{where} names {record_id} a second time; keep one row for each record")
            if _exists(self.root / record_id):
                patient, fold = row.get("patient", "").strip(), _fold(row.get("fold", ""), where)
                refs[record_id] = RecordRef(record_id, self.root / record_id, labels, patient, fold)
            else:
                absent += 1
        if not names:
            raise DataError(f"{self.labels} gives no record a label; {REMEDY}")
        with_fold = Counter(ref.fold is not None for ref in refs.values())
        if with_fold[True] and with_fold[False]:
            raise DataError(f"{self.labels} has {with_fold[False]} records without a fold; give all a fold or none")
        target = Target("exclusive" if self.exclusive else "multilabel", tuple(sorted(names)))
        left_out = {"no file": absent} if absent else {}
        return Listing(tuple(refs.values()), target, folds=0 if with_fold[True] else 10, left_out=left_out)

    def _record_id(self, name: str, where: str) -> str:
        """The path of a record below the folder, without extension; `name` itself if there is no such record."""
        record_id = _without_extension(name)
        if not record_id:
            raise DataError(f"{where} names no record; {REMEDY}")
        if "/" in record_id or _exists(self.root / record_id):
            return record_id
        paths = self._paths_by_name.get(record_id, [record_id])
        if len(paths) > 1:
            raise DataError(f"{where}: {record_id} is both {paths[0]} and {paths[1]}; give the path below {self.root}")
        return paths[0]

    @cached_property
    def _paths_by_name(self) -> dict[str, list[str]]:
        paths: dict[str, list[str]] = {}
        for path in sorted(self.root.rglob("*.hea")):
            paths.setdefault(path.stem, []).append(path.relative_to(self.root).with_suffix("").as_posix())
        return paths


def _exists(path: Path) -> bool:
    return path.with_name(f"{path.name}.hea").is_file()


def _without_extension(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    return "" if not path.name else str(path.with_suffix("") if path.suffix in (".hea", ".dat", ".mat") else path)


def _fold(text: str, where: str) -> int | None:
    try:
        return int(float(text)) if text.strip() else None
    except (ValueError, OverflowError):
        raise DataError(f"{where} has the fold '{text}'; give a whole number") from None
