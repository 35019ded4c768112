"""Reads the annotations of a WFDB record with wfdb, and stretches of a record that is read once for all of them.

May import numpy and wfdb.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from ecg_jax.errors import Rejected, Unusable
from ecg_jax.records.array_reader import reading
from ecg_jax.records.record import Record
from ecg_jax.records.wfdb_reader import read_wfdb

MOST_BYTES = 400_000  # of a file of annotations; half an hour takes some 6,000, a day 250,000
KEPT = 2  # records that a process keeps in memory, as the stretches of each come one after the other


class Annotation(NamedTuple):
    """One annotation: its sample in the record, its symbol (`N`, `V`, `+`), and its note (`(AFIB`), often empty."""

    sample: int
    symbol: str
    note: str


def read_annotations(path: Path, extension: str) -> list[Annotation]:
    """Reads the annotations of the record at `path` (without extension) from its file with the extension.

    Raises:
        Unusable: there is no such file, or it is damaged.
    """
    file = path.with_name(f"{path.name}.{extension}")
    if not file.is_file():
        raise Unusable(f"no annotations: {file.name} is missing", "download it")
    if (size := file.stat().st_size) > MOST_BYTES:
        raise Unusable(f"annotations too large: {file.name} has {size:,} bytes", "divide it, or leave the record out")
    with reading(file):
        import wfdb  # takes almost a second, because it imports pandas

        found: Any = wfdb.rdann(str(path), extension)
        notes = (str(note).strip("\0 ") for note in found.aux_note)
        read = list(map(Annotation, found.sample.tolist(), map(str, found.symbol), notes))
    if any(after.sample < before.sample for before, after in pairwise(read)):
        raise Unusable(f"annotations damaged: {file.name} is not in the order of time", "download it again")
    return read


def read_stretch(path: Path, stretch: str, leads: Sequence[str]) -> Record | Rejected:
    """Reads the samples `370:946` of a record: the first, and the one after the last.

    Raises:
        Unusable: the record is shorter.
    """
    first, stop = map(int, stretch.split(":"))
    files = (path.with_name(f"{path.name}{suffix}") for suffix in (".hea", ".dat"))
    about = (file.stat() for file in files if file.is_file())
    record = _kept(path, tuple(leads), *((status.st_mtime_ns, status.st_size) for status in about))
    if isinstance(record, Rejected):
        return record
    if stop > len(record.signal_mv):
        raise Unusable(f"record shortened: it ends before sample {stop:,}", "download it again")
    return replace(record, signal_mv=record.signal_mv[first:stop], missing=record.missing[first:stop])


@lru_cache(maxsize=KEPT)
def _kept(path: Path, leads: tuple[str, ...], *versions: tuple[int, int]) -> Record | Rejected:
    """The record; `versions` are the times and sizes of its files, as they may change while a process runs."""
    return read_wfdb(path, leads=leads)
