"""The value that every source returns, and parts that sources share. May import tyro, but nothing heavy."""

import math
import posixpath
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ecg_jax.errors import DataError, Rejected, UserError
from ecg_jax.file_layout import FileLayout
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
    key: str | None = None  # the record within its file, if the file holds several; `370:946` are samples of a long one
    age: float = math.nan  # in years; NaN: unknown
    sex: str = ""  # "female" or "male"; "": unknown
    source: str = ""  # the collection that the record comes from, if the set joins several; folds are even in each
    device: str = ""  # that recorded it, if the set joins several; "": unknown
    layout: FileLayout | None = None  # what its file does not say of itself


@dataclass(frozen=True)
class Listing:
    """The records of a source whose files exist, and the defaults of `ecg-jax prepare` for this source."""

    refs: tuple[RecordRef, ...]
    target: Target  # the label names in alphabetical order, and whether the labels exclude each other
    leads: tuple[str, ...] = ()  # kept without `--leads`; empty: the 12 standard leads
    folds: int = 10  # made without `--folds`, for the records without one if others have one; 0: all have one already
    left_out: tuple[Rejected, ...] = ()  # the records that are known and not in `refs`
    score: str | None = None  # the data set's own score, by its name in `ecg_jax.evaluation.scores.SCORES`
    divided_patients: frozenset[str] = frozenset()  # those whom a published division has in several folds


@dataclass(frozen=True)
class FolderSource:
    """A source with files in a folder of the user.

    The description of each says at which rate, with which leads and in how many folds it is prepared by default.
    """

    root: Annotated[Path, tyro.conf.arg(name="from")]
    """Folder that contains the files of the data set."""
    default_rate_hz = 100.0  # of the prepared set without `--rate-hz`


@dataclass(frozen=True)
class FunctionSource(FolderSource):
    """A function of your own, named by its module: it takes the folder and returns an `ecg_jax.sources.Listing`."""

    name: tyro.conf.Positional[str]
    """The function as MODULE:FUNCTION; its module must be on PYTHONPATH."""

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The listing that the function returns.

        Raises:
            RunError: the function cannot be imported.
            DataError: it fails, or returns something else.
        """
        function = function_at(self.name, "source")
        try:
            listing = function(self.root)
        except UserError:
            raise
        except Exception as error:
            raise DataError(f"source {self.name} failed with {type(error).__name__}: {error}; correct it") from error
        if not isinstance(listing, Listing):
            raise DataError(f"source {self.name} returns {type(listing).__name__}; return an ecg_jax.sources.Listing")
        return listing


def occurring(refs: Iterable[RecordRef]) -> tuple[str, ...]:
    """The labels that records have, in alphabetical order."""
    return tuple(sorted(set().union(*(ref.labels for ref in refs))))


def path_below(root: Path, name: str, extensions: Collection[str] = (".hea", ".dat", ".mat")) -> str | None:
    """The path below `root`, without extension, of a record that a table calls `name`; None if it is elsewhere.

    A backslash counts as a slash; the extensions are in lower case.
    """
    path = posixpath.normpath(name.replace("\\", "/"))
    for folder in (root.absolute(), root.resolve()) if path.startswith("/") else ():
        path = path.removeprefix(f"{folder}/")
    if path.startswith("/") or path.partition("/")[0] == ".." or re.match("[A-Za-z]:", path):
        return None
    stem, extension = posixpath.splitext(path)
    return stem if extension.lower() in extensions else path


def is_record(path: Path) -> bool:
    """Whether there is a WFDB record at the path without extension."""
    try:
        return path.with_name(f"{path.name}.hea").is_file()
    except (OSError, ValueError):  # longer than a file system allows, or no name at all
        return False
