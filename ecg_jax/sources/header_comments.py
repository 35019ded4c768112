"""What the comments of WFDB headers say of their records. Headers alone are read, and no signal."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ecg_jax.errors import DataError, Rejected, Unusable
from ecg_jax.sources.listing import RecordRef
from ecg_jax.sources.tables import age_years, sex


@dataclass(frozen=True)
class Described:
    """A record and the comments of its header."""

    record_id: str  # its file name without extension
    path: Path  # without extension
    folders: tuple[str, ...]  # below the folder that was searched
    comments: tuple[str, ...]

    @property
    def values(self) -> dict[str, str]:
        """The comments of the form `Age: 55` or `<age>: 55`, by name in lower case; the first of each name counts."""
        pairs = [comment.partition(":")[::2] for comment in self.comments if ":" in comment]
        return {name.strip("<> ").lower(): text.strip() for name, text in reversed(pairs)}

    def ref(self, labels: Iterable[str], source: str = "") -> RecordRef:
        """The record with its labels."""
        values = self.values
        age, of_sex = age_years(values.get("age", "")), sex(values.get("sex", ""))
        return RecordRef(self.record_id, self.path, frozenset(labels), source=source, age=age, sex=of_sex)


def described_records(root: Path, remedy: str) -> tuple[list[Described], list[Rejected]]:
    """The WFDB records in all folders below `root`, in the order of their ids, and those that cannot be used.

    A second record of the same id is left out, as copies of a set may lie beside each other.

    Raises:
        DataError: there is none; the message ends with `remedy`.
    """
    from ecg_jax.records.wfdb_files import read_comments  # imports numpy

    headers = sorted(root.rglob("*.hea"), key=lambda path: (path.stem, path))
    if not headers:
        raise DataError(f"{root} has no WFDB header (.hea) in it; {remedy}")
    first_of: dict[str, Path] = {}
    records, left_out = [], []
    for header in headers:
        first = first_of.setdefault(header.stem, header)
        if first is not header:
            left_out.append(Rejected(header.stem, f"found twice: {header} beside {first}", "keep one of them"))
            continue
        try:
            comments = read_comments(header)
        except Unusable as unusable:
            left_out.append(Rejected(header.stem, unusable.reason, unusable.remedy))
            continue
        except OSError as error:
            left_out.append(Rejected(header.stem, f"file unreadable: {error.strerror or error}", "make it readable"))
            continue
        folders = header.relative_to(root).parts[:-1]
        records.append(Described(header.stem, header.with_suffix(""), folders, comments))
    return records, left_out
