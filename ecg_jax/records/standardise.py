"""From a path to a recording that fits the contract of a set, or the reason why not. `prepare` and `predict` use it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ecg_jax.records.checks import check
from ecg_jax.records.leads import arrange
from ecg_jax.records.record import Record, Rejected
from ecg_jax.records.resample import resample
from ecg_jax.records.wfdb_reader import read_wfdb


def load(path: Path, *, leads: Sequence[str], rate_hz: float, record_id: str | None = None) -> Record | Rejected:
    """Reads a WFDB record, puts its leads in order, judges it and brings it to `rate_hz`."""
    record = read_wfdb(path, record_id, leads=leads)
    if isinstance(record, Rejected):
        return record
    arranged = arrange(record, leads)
    absent = [f"lead {lead} missing" for at, lead in enumerate(leads) if arranged.missing[:, at].all()]
    arranged = replace(arranged, warnings=(*record.warnings, *absent))
    return check(arranged, has=record.leads) or resample(arranged, rate_hz)
