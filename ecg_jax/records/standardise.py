"""Reads a record and brings it to the leads and rate of a prepared set; used by `prepare` and `predict`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ecg_jax.errors import DataError, Rejected, Unusable
from ecg_jax.file_layout import FileLayout
from ecg_jax.records.array_reader import read_array
from ecg_jax.records.device_reader import read_device
from ecg_jax.records.edf_reader import read_edf
from ecg_jax.records.leads import arrange, lead_list
from ecg_jax.records.record import Record
from ecg_jax.records.resample import resample
from ecg_jax.records.wfdb_annotations import read_stretch
from ecg_jax.records.wfdb_reader import read_wfdb

LARGEST_MV = 50.0  # from a lead's median; ten times the largest ECG at the skin
LARGEST_OFFSET_MV = 300.0  # of the median; IEC 60601-2-25 asks for no more, and 16 bits then err by 5 µV
FLAT = 1e-6  # in mV, and as a fraction of the amplitude: the noise of resampling in 32 bits

READERS: dict[str, Callable[[Path, str | None, Sequence[str], FileLayout], Record | Rejected]] = {
    "wfdb": lambda path, key, leads, layout: read_stretch(path, key, leads) if key else read_wfdb(path, leads=leads),
    "array": read_array,
    "edf": read_edf,
    "device": read_device,
}
"""By its name, the function that reads one record in mV from a file, the record's key within it (None if it holds one
record; of a WFDB record, a stretch such as `370:946`), the leads to read, and what the file does not say of itself."""


def load(
    path: Path,
    *,
    leads: Sequence[str],
    rate_hz: float,
    record_id: str | None = None,
    reader: str = "wfdb",
    key: str | None = None,
    layout: FileLayout | None = None,
) -> Record | Rejected:
    """Reads a record, puts its `leads` in order, checks it and resamples it to `rate_hz`.

    `path`, `reader`, `key` and `layout` are those of an `ecg_jax.sources.RecordRef`; `record_id`, by default `path`, is
    the name of the record in messages and in the set.

    Raises:
        DataError: there is no such reader, or no temporary file can be written.
    """
    if reader not in READERS:
        raise DataError(f"{record_id or path}: there is no reader '{reader}'; name one of {', '.join(READERS)}")
    record_id = record_id or str(path)
    try:
        record = READERS[reader](path, key, leads, layout or FileLayout())
        if isinstance(record, Rejected):
            return replace(record, record=record_id)
        return _standardise(replace(record, record_id=record_id), leads, rate_hz)
    except Unusable as unusable:
        return Rejected(record_id, unusable.reason, unusable.remedy)
    except DataError:  # a fault of the machine or the settings, not of this record
        raise
    except MemoryError:
        return Rejected(record_id, "too large: memory ran out while it was read", "give fewer --workers")
    except Exception as error:  # one record never stops the others, whatever a reader stumbles over
        reason = f"unexpected: {type(error).__name__} while it was read"
        return Rejected(record_id, reason, "leave the record out, and report this as a fault of ecg_jax")


def _standardise(record: Record, leads: Sequence[str], rate_hz: float) -> Record | Rejected:
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is rejected
        arranged = arrange(record, leads)
        judged = _judge(arranged, record)
    return judged if isinstance(judged, Rejected) else resample(replace(arranged, warnings=judged), rate_hz)


def _judge(arranged: Record, record: Record) -> Rejected | tuple[str, ...]:
    """The warnings of an arranged record that was read as `record`, or why it cannot be used."""
    recorded = arranged.recorded  # [L] samples
    if not recorded.any():
        return _without_samples(arranged, record)
    warnings = list(record.warnings)
    flat = []
    for column, lead in enumerate(arranged.leads):
        if not recorded[column]:
            warnings.append(f"lead {lead} missing")
            continue
        signal_mv = arranged.signal_mv[:, column]
        if recorded[column] < len(signal_mv):
            signal_mv = signal_mv[~arranged.missing[:, column]]  # [T'], T' recorded samples
        lowest, highest = float(signal_mv.min()), float(signal_mv.max())
        largest = max(-lowest, highest)
        if not largest <= LARGEST_MV:  # nor if it is NaN
            middle = float(np.median(signal_mv))
            if not (max(highest - middle, middle - lowest) <= LARGEST_MV and abs(middle) <= LARGEST_OFFSET_MV):
                reason = f"amplitude impossible: lead {lead} reaches {largest:.3g} mV, its median is {middle:.3g} mV"
                remedy = "correct its gain, baseline or unit, or leave the record out"
                return Rejected(arranged.record_id, reason, remedy)
            warnings.append(f"lead {lead} with an offset beyond {LARGEST_MV:g} mV")
        if highest - lowest <= FLAT * max(1.0, largest):
            flat.append(lead)
            warnings.append(f"lead {lead} flat")
    if len(flat) == np.count_nonzero(recorded):
        reason = f"flat: every sample is the same in {', '.join(flat)}"
        return Rejected(arranged.record_id, reason, "choose other leads (--leads), or leave the record out")
    return tuple(warnings)


def _without_samples(arranged: Record, record: Record) -> Rejected:
    unrecorded = [lead for lead, missing in zip(record.leads, record.missing.T, strict=True) if missing.all()]
    if unrecorded:
        reason = f"no sample recorded: all of {', '.join(unrecorded)} are marked as missing"
        return Rejected(arranged.record_id, reason, "choose other leads (--leads), or leave the record out")
    reason = f"leads absent: no sample of {', '.join(arranged.leads)}; it has {lead_list(record.leads) or 'no lead'}"
    return Rejected(arranged.record_id, reason, "choose leads that it has (--leads)")
