"""Reads a record and brings it to the leads and rate of a prepared set; used by `prepare` and `predict`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ecg_jax.errors import DataError
from ecg_jax.records.leads import arrange
from ecg_jax.records.record import Record, Rejected
from ecg_jax.records.resample import resample
from ecg_jax.records.wfdb_reader import read_wfdb

LARGEST_MV = 50.0  # ten times the largest ECG at the skin; amplifiers saturate far below

READERS: dict[str, Callable[[Path, str | None, Sequence[str]], Record | Rejected]] = {
    "wfdb": lambda path, key, leads: read_wfdb(path, leads=leads)
}
"""By the name of a format, the function that reads one record in mV from a file, the record's key within it (None if it
holds one record) and the leads to read."""


def load(
    path: Path,
    *,
    leads: Sequence[str],
    rate_hz: float,
    record_id: str | None = None,
    reader: str = "wfdb",
    key: str | None = None,
) -> Record | Rejected:
    """Reads a record, puts its `leads` in order, checks it and resamples it to `rate_hz`.

    `path`, `reader` and `key` are those of an `ecg_jax.sources.RecordRef`; `record_id`, by default `path`, is the name
    of the record in messages and in the set.

    Raises:
        DataError: there is no such reader.
    """
    if reader not in READERS:
        raise DataError(f"{record_id or path}: there is no reader '{reader}'; name one of {', '.join(READERS)}")
    record = READERS[reader](path, key, leads)
    record_id = record_id or str(path)
    if isinstance(record, Rejected):
        return replace(record, record=record_id)
    arranged = arrange(record, leads)
    absent = [f"lead {lead} missing" for at, lead in enumerate(leads) if arranged.missing[:, at].all()]
    arranged = replace(arranged, record_id=record_id, warnings=(*record.warnings, *absent))
    return _rejection(arranged, has=record.leads) or resample(arranged, rate_hz)


def _rejection(record: Record, *, has: Sequence[str]) -> Rejected | None:
    """None if the arranged record is usable, else the rejection; `has`: the leads in its files."""
    if record.missing.all():
        reason = f"leads absent: no sample of {', '.join(record.leads)}; it has {', '.join(has) or 'no lead'}"
        return Rejected(record.record_id, reason, "choose leads that it has (--leads)")
    peak_mv = np.abs(record.signal_mv).max(axis=0)  # [L]
    if peak_mv.max() > LARGEST_MV:
        lead = record.leads[int(peak_mv.argmax())]
        reason = f"amplitude impossible: lead {lead} reaches {peak_mv.max():.0f} mV"
        return Rejected(record.record_id, reason, "correct gain and unit in the .hea file, or leave the record out")
    return None
