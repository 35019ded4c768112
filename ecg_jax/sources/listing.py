"""What every source hands on: which records there are and what is known about each. May import the standard library."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecg_jax.errors import DataError


@dataclass(frozen=True)
class RecordRef:
    """One recording: its files (without extension), labels, patient ("" unknown) and fold (None: to be assigned)."""

    record_id: str
    path: Path
    labels: frozenset[str]
    patient: str = ""
    fold: int | None = None


@dataclass(frozen=True)
class Listing:
    """The records of a source whose files are there.

    `labels` in alphabetical order; `left_out` counts rows by the reason why they are not among `refs`; `leads` and
    `folds` are the source's defaults (0 folds: it has its own).
    """

    refs: tuple[RecordRef, ...]
    labels: tuple[str, ...]
    exclusive: bool
    left_out: dict[str, int]
    leads: tuple[str, ...]
    folds: int


def rows(path: Path, *, needs: tuple[str, ...], get: str) -> Iterator[dict[str, str]]:
    """The rows of a CSV table that has at least the columns `needs`.

    Raises:
        DataError: the table is missing (the message says to `get` it), is not text, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            absent = [column for column in needs if column not in (reader.fieldnames or ())]
            if absent:
                raise DataError(f"{path} has no column {', '.join(absent)}; {get}")
            yield from ({column: row[column] or "" for column in reader.fieldnames or ()} for row in reader)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {get}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}; {get}") from error
