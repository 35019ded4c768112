"""Reads files of ECG devices (HL7 aECG and vendors' XML, DICOM, SCP, ISHNE) in mV with ecgdatakit: extra [formats]."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecg_jax.errors import DataError, Unusable
from ecg_jax.file_layout import RATES_HZ, FileLayout
from ecg_jax.records.array_reader import lead_columns, reading
from ecg_jax.records.leads import choose_leads
from ecg_jax.records.record import Record
from ecg_jax.records.resample import join_leads
from ecg_jax.records.wfdb_header import shown


def read_device(path: Path, key: str | None, leads: Sequence[str] | None, layout: FileLayout) -> Record:
    """Reads one record; what the package finds irregular in the file becomes a warning of the record.

    Args:
        path: of the file.
        key: not used: a file holds one record.
        leads: the leads to read, with those from which they are derived; None: all.
        layout: its names of leads replace those of the file.

    Raises:
        DataError: the extra [formats] is not installed.
        Unusable: the file is damaged, of a format that the package does not know, or does not tell the voltage.
    """
    try:
        from ecgdatakit import FileParser
    except ImportError as error:
        raise DataError(f"{path} needs the extra [formats]; pip install 'ecg-jax[formats]'") from error
    with reading(path), warnings.catch_warnings(record=True) as irregular:
        warnings.simplefilter("always")
        parsed = FileParser.parse(path, units="mV")
        names = layout.leads or tuple(lead.label for lead in parsed.leads)
        if len(names) != len(parsed.leads):
            reason = f"leads unclear: {len(names)} names for the {len(parsed.leads)} leads of the file"
            raise Unusable(reason, "correct --lead-names")
        spelled, columns = lead_columns(names)
        chosen = choose_leads(spelled, leads)
        wanted = [parsed.leads[columns[name]] for name in chosen]
        if without_unit := [lead.label for lead in wanted if lead.is_raw or lead.units != "mV"]:
            reason = f"unit unknown: the file does not tell the voltage of {shown(', '.join(without_unit))}"
            raise Unusable(reason, "export it again from the device, or leave it out")
        rates_hz = [float(lead.sampling_rate) for lead in wanted]
        if not all(RATES_HZ[0] <= rate_hz <= RATES_HZ[1] for rate_hz in rates_hz):
            raise Unusable(f"rate unusable: {min(rates_hz):g} to {max(rates_hz):g} Hz", "export it again")
        signal_mv, missing = join_leads([np.asarray(lead.samples, np.float32) for lead in wanted], rates_hz)
    notes = tuple(dict.fromkeys(f"file irregular: {shown(str(warning.message), 200)}" for warning in irregular))
    read, unused = (tuple(spelled[name] for name in part) for part in (chosen, spelled.keys() - {*chosen}))
    person = ("" if parsed.patient.age is None else str(parsed.patient.age), parsed.patient.sex)
    return Record(str(path), signal_mv, missing, max(rates_hz), read, notes, tuple(sorted(unused)), person)
