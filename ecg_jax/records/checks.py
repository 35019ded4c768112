"""Checks that reject impossible recordings. May import numpy alone."""

from collections.abc import Sequence

import numpy as np

from ecg_jax.records.record import Record, Rejected

LARGEST_MV = 50.0  # ten times the largest ECG at the skin; amplifiers saturate far below


def check(record: Record, *, has: Sequence[str]) -> Rejected | None:
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
