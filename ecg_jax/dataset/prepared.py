"""A prepared set, opened quickly and read by index in any order. May import numpy; never loads TensorFlow.

On disk it is a TFDS data set (split `records`, array_record) with three more files: `prepared.json` (rate, leads,
labels, fingerprint, counts), `rejected.csv` and `index.npz` (all data of the records but their signals).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ecg_jax.errors import DataError
from ecg_jax.records.record import MISSING
from ecg_jax.target import Target

ABOUT, INDEX, REJECTED, SPLIT = "prepared.json", "index.npz", "rejected.csv", "records"
FORMAT = 1  # version of the three files


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
        examples = self._examples.__getitems__([int(index) for index in indices])
        return [(example["signal"], example["scale_mv"]) for example in examples]

    def signal_mv(self, index: int) -> np.ndarray:
        """The signal [T, L] of one record in mV, NaN where it is missing."""
        signal, scale_mv = self.read([index])[0]
        return np.where(signal == MISSING, np.nan, signal * scale_mv)

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
    def _examples(self):
        import tensorflow_datasets as tfds  # takes half a second; does not load TensorFlow itself

        builder: Any = tfds.builder_from_directory(self.path)
        return builder.as_data_source(SPLIT)


def open_prepared(path: Path) -> PreparedSet:
    """Opens a prepared set without reading its signals.

    Raises:
        DataError: the folder is not a prepared set, or is one of another version.
    """
    try:
        about = json.loads((path / ABOUT).read_text(encoding="utf-8"))
        with np.load(path / INDEX) as index:
            arrays = {name: index[name] for name in index.files}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a prepared set ({error}); make one with ecg-jax prepare") from error
    if about.get("format") != FORMAT:
        raise DataError(f"{path} was prepared by another version of ecg_jax; prepare it again")
    if "target" not in about:  # older sets have `exclusive` instead
        about["target"] = "exclusive" if about["exclusive"] else "multilabel"
        about["score"] = "cinc2017" if about["source"] == "cinc2017" else None
    return PreparedSet(
        path=path,
        leads=tuple(about["leads"]),
        target=Target(about["target"], tuple(about["labels"])),
        about=about,
        **{name: about[name] for name in ("rate_hz", "score", "fingerprint", "source")},
        **arrays,
    )
