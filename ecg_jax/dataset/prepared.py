"""A prepared set, opened quickly and read by index in any order. May import numpy; never loads TensorFlow.

On disk it is a TFDS data set (split `records`, array_record) with more files: `prepared.json` (rate, leads, labels,
fingerprint, counts), `index.npz` (all data of the records but their signals) and, by name, the records that were left
out, rejected or read with a warning. Nothing that one of these files names is imported.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import dacite
import numpy as np

from ecg_jax.errors import DataError
from ecg_jax.files import parse_json
from ecg_jax.records.record import MISSING
from ecg_jax.target import Target

ABOUT, INDEX, SPLIT = "prepared.json", "index.npz", "records"
SIGNALS = f"*-{SPLIT}.array_record-*"  # the files with the signals
LISTS = {"left_out": "left_out.csv", "rejected": "rejected.csv", "warnings": "warnings.csv"}
"""Files with a row for each record that was left out or rejected, and for each warning."""
FORMAT = 1  # version of the files beside the TFDS data set

INDEX_KINDS = {
    "record_ids": "U",
    "patients": "U",
    "folds": "i",
    "label": "u",
    "samples": "i",
    "missing": "i",
    "gapless": "b",
}
"""The arrays of `index.npz`, which `PreparedSet` describes, and the kind of their numbers or text."""


@dataclass(frozen=True)
class Counts:
    """How many records were kept, and how many were not, or with which remark, by reason."""

    kept: int
    left_out: dict[str, int]
    rejected: dict[str, int]
    warnings: dict[str, int]
    unused_leads: dict[str, int] = field(default_factory=dict)  # by lead


@dataclass(frozen=True)
class About:
    """The content of `prepared.json`. Older versions did not write the fields that have a default."""

    format: int
    rate_hz: float
    leads: list[str]
    labels: list[str]
    target: Literal["multilabel", "exclusive"]
    score: str | None
    source: str
    request: dict[str, Any]  # the configuration of `prepare`
    fingerprint: str
    counts: Counts
    content: str | None = None  # hash of all records, from which the fingerprint is made
    index_sha256: str | None = None
    record_bytes: dict[str, int] = field(default_factory=dict)  # size of each file with signals
    unit: Literal["mV"] = "mV"


@dataclass(frozen=True)
class PreparedSet:
    """A prepared set. Its records are sorted by id; index n is the n-th example of the TFDS split."""

    path: Path
    rate_hz: float
    leads: tuple[str, ...]  # in the order of the columns of a signal
    target: Target
    score: str | None  # the data set's own score, by its name in `ecg_jax.evaluation.scores.SCORES`
    fingerprint: str  # hash of rate, leads, labels and all records
    source: str  # name of the source, with its task
    about: dict[str, Any]  # the content of `prepared.json`
    record_ids: np.ndarray  # [N] str
    patients: np.ndarray  # [N] str; "": unknown
    folds: np.ndarray  # [N] int32
    label: np.ndarray  # [N, K] uint8
    samples: np.ndarray  # [N] int64, length of each record
    missing: np.ndarray  # [N] int64, number of missing samples in all leads
    gapless: np.ndarray  # [N] bool, False if at some time all leads are missing

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels, in the order of the columns of `label`."""
        return self.target.names

    def __len__(self) -> int:
        return len(self.record_ids)

    def read(self, indices: Iterable[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Signals int16 [T, L] and scales float32 [L] of the records at `indices`, in that order."""
        wanted = [int(index) for index in indices]
        try:
            examples = [self._features.deserialize_example_np(content) for content in self._contents(wanted)]
        except Exception as error:  # array_record and protobuf raise many kinds where a file is damaged
            raise _damaged(self.path, "has damaged files of signals") from error
        for index, example in zip(wanted, examples, strict=True):
            if (example["record_id"].decode(), len(example["signal"])) != (self.record_ids[index], self.samples[index]):
                raise _damaged(self.path, f"has another record where {self.record_ids[index]} should be")
        return [(example["signal"], example["scale_mv"]) for example in examples]

    def signal_mv(self, index: int) -> np.ndarray:
        """The signal [T, L] of one record in mV, NaN where it is missing."""
        signal, scale_mv = self.read([index])[0]
        return np.where(signal == MISSING, np.nan, signal * scale_mv)

    def leads_in_no_record(self) -> list[str]:
        """The leads that are missing throughout the set."""
        warnings = self.about["counts"]["warnings"]
        return [lead for lead in self.leads if warnings.get(f"lead {lead} missing") == len(self)]

    def index_of(self, record_id: str) -> int:
        """The index of a record.

        Raises:
            DataError: there is no such record.
        """
        index = int(np.searchsorted(self.record_ids, record_id))
        if index == len(self) or self.record_ids[index] != record_id:
            raise DataError(f"{self.path} has no record {record_id}; its first is {self.record_ids[0]}")
        return index

    @cached_property
    def _features(self) -> Any:
        from ecg_jax.dataset.tfds_writer import features  # takes half a second; does not load TensorFlow itself

        return features(leads=len(self.leads), labels=len(self.labels))

    def _contents(self, indices: list[int]) -> Sequence[bytes]:
        return self._source.__getitems__(indices) if indices else []

    @cached_property
    def _source(self) -> Any:
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        return ArrayRecordDataSource(sorted(map(str, self.path.glob(SIGNALS))))


def fingerprint_of(content: str, *, rate_hz: float, leads: Sequence[str], target: Target) -> str:
    """The fingerprint of a set, from the hash of its records. What is hashed never changes, or all of them would."""
    hashed = {"rate_hz": rate_hz, "leads": leads, "unit": "mV", "labels": target.names}
    hashed["exclusive"] = target.kind == "exclusive"
    return hashlib.sha256(json.dumps(hashed).encode() + bytes.fromhex(content)).hexdigest()


def open_prepared(path: Path) -> PreparedSet:
    """Opens a prepared set without reading its signals.

    Raises:
        DataError: the folder is not a prepared set, is one of another version, or its files have changed.
    """
    about = _read_about(path)
    leads, target = tuple(about.leads), Target(about.target, tuple(about.labels))
    if about.content is not None:
        fingerprint = fingerprint_of(about.content, rate_hz=about.rate_hz, leads=leads, target=target)
        if fingerprint != about.fingerprint:
            raise _damaged(path / ABOUT, "has a rate, leads or labels that are not those of its fingerprint")
    arrays = _read_index(path / INDEX, about)
    actual_bytes = {file.name: file.stat().st_size for file in path.glob(SIGNALS) if file.is_file()}
    for name, size in about.record_bytes.items():
        actual_size = actual_bytes.get(name, 0)
        if actual_size != size:
            raise _damaged(path / name, f"has {actual_size:,} of {size:,} bytes")
    return PreparedSet(
        path=path,
        rate_hz=about.rate_hz,
        leads=leads,
        target=target,
        score=about.score,
        fingerprint=about.fingerprint,
        source=about.source,
        about=asdict(about),
        **arrays,
    )


def _read_about(path: Path) -> About:
    file = path / ABOUT
    if not file.is_file():
        raise DataError(f"{path} is not a prepared set; make one with ecg-jax prepare")
    try:
        values = parse_json(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}; make it readable") from error
    except ValueError as error:
        raise _damaged(file, f"cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise _damaged(file, "does not describe a prepared set")
    if values.get("format") != FORMAT:
        raise DataError(f"{path} was prepared by another version of ecg_jax; prepare it again")
    if "target" not in values:  # older sets have `exclusive` instead
        values["target"] = "exclusive" if values.get("exclusive") else "multilabel"
        values["score"] = "cinc2017" if values.get("source") == "cinc2017" else None
    try:
        about = dacite.from_dict(About, values)
    except dacite.DaciteFieldError as error:
        raise _damaged(file, f"has no usable {error.field_path}") from error
    except ValueError as error:  # of dacite itself, where it finds an object instead of a list
        raise _damaged(file, "has an object where a list should be") from error
    if not (0 < about.rate_hz < float("inf") and about.leads and about.labels):
        raise _damaged(file, "has no usable rate, leads or labels")
    if about.content is not None and not re.fullmatch("[0-9a-f]{64}", about.content):
        raise _damaged(file, "has no usable content")
    return about


def _read_index(file: Path, about: About) -> dict[str, np.ndarray]:
    try:
        content = file.read_bytes() if file.is_file() else b""
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}; make it readable") from error
    if about.index_sha256 not in (None, hashlib.sha256(content).hexdigest()):
        raise _damaged(file, "was changed or cut")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked_bytes = sum(member.file_size for member in archive.infolist())
        if unpacked_bytes > len(content):  # it was written without compression: a small file cannot fill the memory
            raise ValueError
        with np.load(io.BytesIO(content)) as index:
            arrays = {name: index[name] for name in INDEX_KINDS}
    except Exception as error:  # a damaged archive raises many kinds
        raise _damaged(file, "is damaged") from error
    n_records = arrays["record_ids"].size
    for name, kind in INDEX_KINDS.items():
        shape = (n_records, len(about.labels)) if name == "label" else (n_records,)
        if arrays[name].dtype.kind != kind or arrays[name].shape != shape or not n_records:
            raise _damaged(file, f"has no usable {name}")
    return arrays


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path} {what}; remove the set and prepare it again, or restore its files")
