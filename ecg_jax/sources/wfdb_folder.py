"""Any folder of WFDB records with a table of labels; and the synthetic recordings, which are written as one."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from ecg_jax.errors import DataError
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef, is_record, rows
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
        left_out = Counter()
        for line, row in enumerate(rows(self.labels, columns=("record", "labels"), remedy=REMEDY), start=2):
            where = f"{self.labels} line {line}"
            labels = frozenset(filter(None, (label.strip() for label in row["labels"].split(";"))))
            if self.exclusive and len(labels) != 1:
                raise DataError(f"{where} gives the record {len(labels)} labels; with --exclusive give exactly one")
            names |= labels
            record_id = self._record_id(row["record"].strip(), where)
            if record_id in refs:
                raise DataError(f"{where} names {record_id} a second time; keep one row for each record")
            if is_record(self.root / record_id):
                patient, fold = row.get("patient", "").strip(), _fold(row.get("fold", ""), where)
                refs[record_id] = RecordRef(record_id, self.root / record_id, labels, patient, fold)
            else:
                left_out["no file"] += 1
        if not names:
            raise DataError(f"{self.labels} gives no record a label; {REMEDY}")
        without_fold = sum(ref.fold is None for ref in refs.values())
        if 0 < without_fold < len(refs):
            raise DataError(f"{self.labels} has {without_fold} records without a fold; give all a fold or none")
        target = Target("exclusive" if self.exclusive else "multilabel", tuple(sorted(names)))
        return Listing(tuple(refs.values()), target, folds=10 if without_fold else 0, left_out=left_out)

    def _record_id(self, name: str, where: str) -> str:
        """The path of a record below the folder, without extension; `name` itself if there is no such record."""
        path = PurePosixPath(name.replace("\\", "/"))
        if not path.name:
            raise DataError(f"{where} names no record; {REMEDY}")
        record_id = str(path.with_suffix("") if path.suffix in (".hea", ".dat", ".mat") else path)
        if "/" in record_id or is_record(self.root / record_id):
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


@dataclass(frozen=True)
class Synthetic:
    """Synthetic recordings with known labels: 12 leads, 10 s, at 500 Hz; ten folds are made."""

    records: int = 400
    """Number of recordings."""
    name = "synthetic"

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """Writes the recordings into `folder` and lists them.

        Raises:
            ConfigError: the number of records or the seed is out of range.
        """
        from ecg_jax.synthetic import write  # imports numpy

        write(folder, records=self.records, seed=seed)
        return WfdbFolder(folder, folder / "labels.csv").listing(rate_hz=rate_hz, seed=seed, folder=folder)


def _fold(text: str, where: str) -> int | None:
    try:
        return int(float(text)) if text.strip() else None
    except (ValueError, OverflowError):
        raise DataError(f"{where} has the fold '{text}'; give a whole number") from None
