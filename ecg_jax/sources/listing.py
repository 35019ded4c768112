"""What every source hands on: which records there are and what is known about each. May import the standard library."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ecg_jax.errors import DataError
from ecg_jax.target import Target


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
    """The records of a source whose files exist.

    Attributes:
        refs: the records.
        target: the labels in alphabetical order, and whether they exclude each other.
        leads: the leads that are kept where `--leads` is not given.
        folds: how many folds are made where `--folds` is not given; 0 keeps the folds of the source.
        left_out: rows of the table that are not among `refs`, counted by reason.
        score: the score that this data set defines for itself, by its name in `ecg_jax.evaluation.scores.SCORES`.
    """

    refs: tuple[RecordRef, ...]
    target: Target
    leads: tuple[str, ...]
    folds: int = 10
    left_out: dict[str, int] = field(default_factory=dict)
    score: str | None = None


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
