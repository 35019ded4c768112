"""The functions that read one record, by the name of the format."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ecg_jax.records.record import Record, Rejected
from ecg_jax.records.wfdb_reader import read_wfdb

Reader = Callable[[Path, str | None, Sequence[str]], Record | Rejected]
"""From a file, the record's key within it (None if it holds one record) and the leads to read, to the record in mV."""

READERS: dict[str, Reader] = {"wfdb": lambda path, key, leads: read_wfdb(path, leads=leads)}
