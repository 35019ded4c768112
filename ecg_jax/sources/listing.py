"""The value that every source returns, and parts that sources share. May import tyro, but nothing heavy."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ecg_jax.errors import DataError
from ecg_jax.import_path import function_at
from ecg_jax.target import Target


@dataclass(frozen=True)
class RecordRef:
    """One record: its file and what is known about it.

    Attributes:
        record_id: unique within the data set.
        path: its file; of a WFDB record without the extension.
        labels: its label names.
        patient: name of the patient; "" if unknown.
        fold: its fold; None if folds are to be assigned.
        reader: name of the function that reads it, in `ecg_jax.records.readers.READERS`.
        key: the record within its file, if the file holds several.
    """

    record_id: str
    path: Path
    labels: frozenset[str]
    patient: str = ""
    fold: int | None = None
    reader: str = "wfdb"
    key: str | None = None


@dataclass(frozen=True)
class Listing:
    """The records of a source whose files exist.

    Attributes:
        refs: the records.
        target: the label names in alphabetical order, and whether the labels exclude each other.
        leads: the leads that are kept without `--leads`; empty for the 12 standard ones.
        folds: number of folds that are made without `--folds`; 0 keeps the folds of the source.
        left_out: number of records that are not in `refs`, by reason.
        score: the score that this data set defines for itself, by its name in `ecg_jax.evaluation.scores.SCORES`.
    """

    refs: tuple[RecordRef, ...]
    target: Target
    leads: tuple[str, ...] = ()
    folds: int = 10
    left_out: dict[str, int] = field(default_factory=dict)
    score: str | None = None


@dataclass(frozen=True)
class FolderSource:
    """A source with files in a folder of the user."""

    root: Annotated[Path, tyro.conf.arg(name="from")]
    """Folder that contains the files of the data set."""


@dataclass(frozen=True)
class FunctionSource(FolderSource):
    """A function of your own, named by its module: it takes the folder and returns an `ecg_jax.sources.Listing`."""

    name: tyro.conf.Positional[str]
    """The function as MODULE:FUNCTION; its module must be on PYTHONPATH."""

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The listing that the function returns.

        Raises:
            RunError: the function cannot be imported.
        """
        return function_at(self.name, "source")(self.root)


def rows(path: Path, *, columns: tuple[str, ...], remedy: str) -> Iterator[dict[str, str]]:
    """The rows of a CSV table that has at least these columns.

    Raises:
        DataError: the table is missing, is not text, or lacks a column; the message ends in `remedy`.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            absent = [column for column in columns if column not in (reader.fieldnames or ())]
            if absent:
                raise DataError(f"{path} has no column {', '.join(absent)}; {remedy}")
            yield from ({column: row[column] or "" for column in reader.fieldnames or ()} for row in reader)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {remedy}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}; {remedy}") from error
