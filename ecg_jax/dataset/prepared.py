"""A prepared set, opened quickly and read by index in any order. May import numpy; never loads TensorFlow.

On disk it is a TFDS data set (split `records`, array_record) with more files: `prepared.json` (rate, leads, labels,
fingerprint, counts), `index.npz` (all data of the records but their signals), `signals.int16` (the signals once more,
end to end, from which they are read) and, by name, the records that were left out, rejected or read with a warning.
Older sets have no `signals.int16`: of these the TFDS data set is read. Nothing that one of these files names is
imported.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import dacite
import numpy as np

from ecg_jax.dataset.flat_signals import BLOCK_BYTES, FLAT, Changed, FlatSignals
from ecg_jax.errors import DataError
from ecg_jax.files import parse_json
from ecg_jax.records.record import MISSING
from ecg_jax.target import Target

ABOUT, INDEX = "prepared.json", "index.npz"
SIGNALS = "*.array_record-*"  # the files with the signals
LISTS = {"left_out": "left_out.csv", "rejected": "rejected.csv", "warnings": "warnings.csv"}
"""Files with a row for each record that was left out or rejected, and for each warning."""
FORMAT = 1  # version of the files beside the TFDS data set
MOST_SAMPLES = 2**24  # that are read at once to crop records of older sets

INDEX_KINDS = {
    "record_ids": "U",
    "patients": "U",
    "folds": "i",
    "label": "u",
    "samples": "i",
    "missing": "i",
    "gapless": "b",
    "ages": "f",
    "sexes": "U",
    "sources": "U",
    "devices": "U",
}
"""The arrays of `index.npz`, which `PreparedSet` describes, and the kind of their numbers or text."""
FLAT_KINDS = {"scale_mv": "f", "checksums": "u"}
"""More arrays of it, which `FlatSignals` describes; older sets do not have them."""
UNKNOWN = {"ages": np.nan, "sexes": "", "sources": "", "devices": ""}
"""Those that older sets do not have, and what stands for an unknown value. No fingerprint depends on them."""


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
    ages: np.ndarray  # [N] float64, in years; NaN: unknown
    sexes: np.ndarray  # [N] str, female or male; "": unknown
    sources: np.ndarray  # [N] str, the collection of each record in a set that joins several, otherwise ""
    devices: np.ndarray  # [N] str; "": unknown
    flat: FlatSignals | None = None  # None in older sets

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the labels, in the order of the columns of `label`."""
        return self.target.names

    def __len__(self) -> int:
        return len(self.record_ids)

    def read(self, indices: Iterable[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Signals int16 [T, L] and scales float32 [L] of the records at `indices`, in that order.

        Raises:
            DataError: the files of signals are damaged.
        """
        wanted = [int(index) for index in indices]
        return self.crops(wanted, [0] * len(wanted), None) if self.flat else self._read_tfds(wanted)

    def crops(
        self, indices: Sequence[int], offsets: Sequence[int], length: int | None
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """At most `length` samples of each record from its offset on, int16 [T', L], and scales float32 [L].

        Nothing but the crops is read, except in older sets, of which whole records are read; long ones one by one.

        Raises:
            DataError: the files of signals are damaged.
        """
        if self.flat is None:
            n_samples = int(self.samples[list(indices)].sum()) * len(self.leads)
            size = len(indices) if n_samples <= MOST_SAMPLES else 1
            parts = (self._read_tfds([*indices[at : at + size]]) for at in range(0, len(indices), size or 1))
            records = zip(chain.from_iterable(parts), offsets, strict=True)
            return [(signal[offset:][:length].copy(), scale_mv) for (signal, scale_mv), offset in records]
        try:
            places = zip(indices, offsets, strict=True)
            return [(self.flat.crop(index, offset, length), self.flat.scale_mv[index]) for index, offset in places]
        except Changed as error:
            raise _damaged(self.flat.path, "was changed or cut") from error

    def _read_tfds(self, indices: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
        try:
            examples = [self._features.deserialize_example_np(content) for content in self._contents(indices)]
        except Exception as error:  # array_record and protobuf raise many kinds where a file is damaged
            raise _damaged(self.path, "has damaged files of signals") from error
        for index, example in zip(indices, examples, strict=True):
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

        return features(leads=len(self.leads), labels=len(self.about["labels"]))

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
    flat = None
    if "checksums" in arrays:
        flat = FlatSignals(path / FLAT, arrays["samples"], arrays.pop("scale_mv"), arrays.pop("checksums"))
        _check_size(flat.path, flat.size_bytes)
    found = {file.name for file in path.glob(SIGNALS)}  # another name would be a path that somebody else chose
    for name, size in about.record_bytes.items():
        _check_size(path / name, size, present=name in found)
    return PreparedSet(
        path=path,
        rate_hz=about.rate_hz,
        leads=leads,
        target=target,
        score=about.score,
        fingerprint=about.fingerprint,
        source=about.source,
        about=asdict(about),
        flat=flat,
        **arrays,
    )


def _check_size(file: Path, size: int, *, present: bool = True) -> None:
    actual_size = file.stat().st_size if present and file.is_file() else 0
    if actual_size != size:
        raise _damaged(file, f"has {actual_size:,} of {size:,} bytes")


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
            kinds = INDEX_KINDS | (FLAT_KINDS if "checksums" in index else {})
            arrays = {name: index[name] for name in kinds if name in index or name not in UNKNOWN}
    except Exception as error:  # a damaged archive raises many kinds
        raise _damaged(file, "is damaged") from error
    n_records = arrays["record_ids"].size
    arrays = {name: np.full(n_records, value) for name, value in UNKNOWN.items()} | arrays
    shapes: dict[str, tuple[int, ...]] = {
        "label": (n_records, len(about.labels)),
        "scale_mv": (n_records, len(about.leads)),
    }
    if arrays["samples"].dtype.kind == "i":
        flat_bytes = 2 * int(arrays["samples"].sum()) * len(about.leads)
        shapes["checksums"] = (-(-flat_bytes // BLOCK_BYTES),)
    for name, array in arrays.items():
        if array.dtype.kind != kinds[name] or array.shape != shapes.get(name, (n_records,)) or not n_records:
            raise _damaged(file, f"has no usable {name}")
    return arrays


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path} {what}; remove the set and prepare it again, or restore its files")
