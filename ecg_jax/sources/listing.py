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
    """One record: its file and what is known about it."""

    record_id: str  # unique within the data set
    path: Path  # its file; of a WFDB record without the extension
    labels: frozenset[str]  # names of the labels that apply
    patient: str = ""  # "": unknown
    fold: int | None = None  # None: to be assigned
    reader: str = "wfdb"  # name of the function that reads it, in `ecg_jax.records.standardise.READERS`
    key: str | None = None  # the record within its file, if the file holds several


@dataclass(frozen=True)
class Listing:
    """The records of a source whose files exist, and the defaults of `ecg-jax prepare` for this source."""

    refs: tuple[RecordRef, ...]
    target: Target  # the label names in alphabetical order, and whether the labels exclude each other
    leads: tuple[str, ...] = ()  # kept without `--leads`; empty: the 12 standard leads
    folds: int = 10  # made without `--folds`; 0: the records have folds already
    left_out: dict[str, int] = field(default_factory=dict)  # number of records not in `refs`, by reason
    score: str | None = None  # the data set's own score, by its name in `ecg_jax.evaluation.scores.SCORES`


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


def is_record(path: Path) -> bool:
    """Whether there is a WFDB record at the path without extension."""
    return path.with_name(f"{path.name}.hea").is_file()


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
