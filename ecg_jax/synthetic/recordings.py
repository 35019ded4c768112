"""Synthetic 12-lead recordings with labels, written as WFDB files and a table of labels.

May import numpy, `errors`, the lead names of `records` and this room; reads no file.
"""

import itertools
from pathlib import Path

import numpy as np

from ecg_jax.errors import ConfigError
from ecg_jax.file_layout import STANDARD_LEADS
from ecg_jax.files import write_text
from ecg_jax.records.leads import derive
from ecg_jax.synthetic.cohort import Visit, visits
from ecg_jax.synthetic.heart import draw_beats, draw_patient, heart_vector
from ecg_jax.synthetic.noise import LEADS_FROM_ELECTRODES, electrode_noise

RATE_HZ = 500
SECONDS = 10
UNITS_PER_MV = 1000


def signal_mv(visit: Visit, seed: int) -> np.ndarray:
    """The recording of one visit, [T, 12] in mV, leads in the order of `STANDARD_LEADS`; a pure function."""
    patient = draw_patient(np.random.default_rng([seed, 3, visit.patient]), visit.labels)
    rng = np.random.default_rng([seed, 4, visit.patient, visit.number])
    time = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    dipole = heart_vector(rng, patient, draw_beats(rng, patient, SECONDS), time)  # [T, 3]
    noise = electrode_noise(rng, len(time), RATE_HZ)  # [T, 9]
    leads = dipole @ patient.lead_vectors.T + noise @ LEADS_FROM_ELECTRODES.T  # [T, 8]
    i, ii, *chest = leads.T
    return np.stack([i, ii, *(derive(name, i, ii) for name in STANDARD_LEADS[2:6]), *chest], axis=-1)


def write_format_16(path: Path, signal: np.ndarray, comments: tuple[str, ...] = ()) -> None:
    """Writes `signal` [T, L] in mV as PATH.dat and PATH.hea (WFDB signal format 16, little-endian, interleaved).

    Source: WFDB header and signal file specifications, https://wfdb.io/spec/.
    """
    digital = np.clip(np.round(signal * UNITS_PER_MV), -32767, 32767).astype("<i2")
    checksums = digital.sum(axis=0, dtype=np.int64).astype(np.uint16).astype(np.int16)  # 16 bits, signed
    lines = [f"{path.name} {digital.shape[1]} {RATE_HZ} {len(digital)}"]
    for lead, first, checksum in zip(STANDARD_LEADS, digital[0], checksums, strict=True):
        lines.append(f"{path.name}.dat 16 {UNITS_PER_MV}(0)/mV 16 0 {first} {checksum} 0 {lead}")
    lines += [f"# {comment}" for comment in comments]
    path.with_suffix(".dat").write_bytes(digital.tobytes())
    path.with_suffix(".hea").write_text("\n".join(lines) + "\n", encoding="ascii")


def write(folder: Path, *, records: int, seed: int) -> None:
    """Writes `records` recordings below `folder` and then `labels.csv` (record, labels, patient).

    The same seed gives the same bytes; a larger number of records begins with the same ones.

    Raises:
        ConfigError: the number of records or the seed is out of range.
    """
    if records < 1:
        raise ConfigError(f"--records is {records}; give a whole number from 1 up")
    if not 0 <= seed < 2**32:
        raise ConfigError(f"--seed is {seed}; give a whole number from 0 up to 2**32 - 1")
    (folder / "records").mkdir(parents=True, exist_ok=True)
    rows = ["record,labels,patient"]
    for place, visit in enumerate(itertools.islice(visits(seed), records)):
        name, labels = f"records/s{place:05d}", ";".join(sorted(visit.labels))
        write_format_16(folder / name, signal_mv(visit, seed), ("synthetic recording, no patient", f"labels: {labels}"))
        rows.append(f"{name},{labels},p{visit.patient:05d}")
    write_text(folder / "labels.csv", "\n".join(rows) + "\n")
