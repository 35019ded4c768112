"""Reads a record and brings it to the leads and rate of a prepared set; used by `prepare` and `predict`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ecg_jax.errors import DataError
from ecg_jax.records.checks import check
from ecg_jax.records.leads import arrange
from ecg_jax.records.readers import READERS
from ecg_jax.records.record import Record, Rejected
from ecg_jax.records.resample import resample


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
    return check(arranged, has=record.leads) or resample(arranged, rate_hz)
