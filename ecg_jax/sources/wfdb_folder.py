"""Any folder of WFDB records with a table of labels: columns record, labels, and if known patient and fold."""

from collections import Counter
from pathlib import Path, PurePosixPath

from ecg_jax.errors import DataError
from ecg_jax.records.leads import STANDARD_LEADS
from ecg_jax.sources.listing import Listing, RecordRef, rows
from ecg_jax.target import Target

GET = "give a CSV with the columns record, labels and, if known, patient and fold with --labels"


def wfdb_folder(root: Path, labels_csv: Path, exclusive: bool = False) -> Listing:
    """The records that the table names and that are below `root`.

    Labels: the names in `labels`, separated by ";"; empty means that none applies. A record is named by its path below
    `root` without extension, or by its bare name where that is unique. Folds: the column `fold`, in all rows or none.

    Raises:
        DataError: the table cannot be read, names a record twice or ambiguously, or contradicts `exclusive`.
    """
    refs: dict[str, RecordRef] = {}
    absent, names = 0, set()
    by_name: dict[str, list[str]] | None = None
    for line, row in enumerate(rows(labels_csv, needs=("record", "labels"), get=GET), start=2):
        where = f"{labels_csv} line {line}"
        labels = frozenset(filter(None, (label.strip() for label in row["labels"].split(";"))))
        if exclusive and len(labels) != 1:
            raise DataError(f"{where} gives {row['record']} {len(labels)} labels; with --exclusive give exactly one")
        names |= labels
        record_id = _without_extension(row["record"].strip())
        if not record_id:
            raise DataError(f"{where} names no record; {GET}")
        if not _exists(root / record_id) and "/" not in record_id:
            by_name = _by_name(root) if by_name is None else by_name
            found = by_name.get(record_id, [])
            if len(found) > 1:
                raise DataError(f"{where}: {record_id} is both {found[0]} and {found[1]}; give the path below {root}")
            record_id = found[0] if found else record_id
        if record_id in refs:
            raise DataError(f"{where} names {record_id} a second time; keep one row for each record")
        if _exists(root / record_id):
            patient, fold = row.get("patient", "").strip(), _fold(row.get("fold", ""), where)
            refs[record_id] = RecordRef(record_id, root / record_id, labels, patient, fold)
        else:
            absent += 1
    if not names:
        raise DataError(f"{labels_csv} gives no record a label; {GET}")
    given = Counter(ref.fold is not None for ref in refs.values())
    if given[True] and given[False]:
        raise DataError(f"{labels_csv} has {given[False]} records without a fold; give all a fold or none")
    left_out = {"no file": absent} if absent else {}
    folds = 0 if given[True] else 10
    target = Target("exclusive" if exclusive else "multilabel", tuple(sorted(names)))
    return Listing(tuple(refs.values()), target, STANDARD_LEADS, folds, left_out)


def _exists(path: Path) -> bool:
    return path.with_name(f"{path.name}.hea").is_file()


def _without_extension(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    return "" if not path.name else str(path.with_suffix("") if path.suffix in (".hea", ".dat", ".mat") else path)


def _by_name(root: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*.hea")):
        found.setdefault(path.stem, []).append(path.relative_to(root).with_suffix("").as_posix())
    return found


def _fold(text: str, where: str) -> int | None:
    try:
        return int(float(text)) if text.strip() else None
    except (ValueError, OverflowError):
        raise DataError(f"{where} has the fold '{text}'; give a whole number") from None
