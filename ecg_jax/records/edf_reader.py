"""Reads a recording in EDF or EDF+ in mV with edfio. May import numpy and edfio."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecg_jax.errors import Unusable
from ecg_jax.file_layout import MV_PER_UNIT, RATES_HZ, FileLayout
from ecg_jax.records.array_reader import lead_columns, reading
from ecg_jax.records.leads import choose_leads
from ecg_jax.records.record import Record
from ecg_jax.records.resample import join_leads
from ecg_jax.records.wfdb_header import shown

KIND = re.compile(r"(ECG|EKG)[ -]+(?=\S)", re.IGNORECASE)  # before the name of a lead: `ECG V1`


def read_edf(path: Path, key: str | None, leads: Sequence[str] | None, layout: FileLayout) -> Record:
    """Reads one record; leads of different rates are brought to the highest.

    Args:
        path: of the file.
        key: not used: a file holds one record.
        leads: the leads to read, with those from which they are derived; None: all.
        layout: its names of leads replace those of the file, and its unit stands for one that the file does not say.

    Raises:
        Unusable: the file is damaged or shorter than it says, has gaps, or does not tell the voltage of a lead.
    """
    with reading(path), warnings.catch_warnings():
        warnings.simplefilter("error")  # edfio warns where the size of the file contradicts its header
        from edfio import read_edf as read

        file = read(path, lazy_load_data=True)
        if file.reserved.startswith("EDF+D"):
            raise Unusable("gaps: it is a discontinuous recording (EDF+D)", "convert it to EDF+C")
        signals = file.signals
        names = layout.leads or tuple(KIND.sub("", signal.label.strip(), count=1) for signal in signals)
        if len(names) != len(signals):
            reason = f"leads unclear: {len(names)} names for the {len(signals)} signals of the file"
            raise Unusable(reason, "correct --lead-names")
        spelled, columns = lead_columns(names)
        chosen = choose_leads(spelled, leads)
        wanted = [signals[columns[name]] for name in chosen]
        rates_hz = [_rate_hz(signal) for signal in wanted]
        signal_mv, missing = join_leads([_millivolts(signal, layout) for signal in wanted], rates_hz)
    notes = ("a lead twice, the first is used",) if len(spelled) < len(names) else ()
    read_leads, unused = (tuple(spelled[name] for name in part) for part in (chosen, spelled.keys() - {*chosen}))
    return Record(str(path), signal_mv, missing, max(rates_hz), read_leads, notes, tuple(sorted(unused)))


def _rate_hz(signal: Any) -> float:
    lowest, highest = RATES_HZ
    if not lowest <= signal.sampling_frequency <= highest:
        reason = f"rate unusable: {signal.sampling_frequency:g} Hz for {shown(signal.label)}"
        raise Unusable(reason, "correct the duration of a data record or its number of samples in the header")
    return float(signal.sampling_frequency)


def _millivolts(signal: Any, layout: FileLayout) -> np.ndarray:
    """The samples of a signal, [T] float32."""
    if len({*signal.physical_range}) < 2 or len({*signal.digital_range}) < 2:
        reason = f"gain unusable: {shown(signal.label)} has the range {signal.physical_range[0]:g} to the same number"
        raise Unusable(reason, "write the physical and the digital range into the header")
    unit = signal.physical_dimension.strip()
    mv_per_unit = MV_PER_UNIT.get(unit.lower()) if unit else layout.mv_per_unit
    if mv_per_unit is None:
        raise Unusable(f"unit unknown: {shown(signal.label)} is in {shown(unit) or 'no unit'}", "give it with --unit")
    return (signal.data * mv_per_unit).astype(np.float32)
