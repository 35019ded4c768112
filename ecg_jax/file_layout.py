"""What files of samples do not say of themselves, and which reader a file needs. Standard library only."""

import re
from dataclasses import dataclass
from pathlib import Path

from ecg_jax.errors import ConfigError

MV_PER_UNIT = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6}  # micro sign and Greek mu
RATES_HZ = (10, 100_000)  # smallest and largest plausible rate of an ECG
STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
READER_OF_SUFFIX = (
    dict.fromkeys((".npy", ".npz", ".csv", ".txt", ".mat", ".h5", ".hdf5"), "array")
    | {".edf": "edf"}
    | dict.fromkeys((".xml", ".dcm", ".scp", ".ecg"), "device")
)
"""By the suffix of a file in lower case, the name of its reader in `ecg_jax.records.standardise.READERS`."""


@dataclass(frozen=True)
class FileLayout:
    """How a file of samples is read; what the file says itself may be unknown here."""

    rate_hz: float | None = None
    mv_per_unit: float | None = None
    leads: tuple[str, ...] = ()  # in the order of the file
    variable: str = ""  # the array to read, if the file holds several
    time_axis: int | None = None  # 0: each row is a sample, 1: each row is a lead, None: as its shape says
    person: tuple[str, str] = ("", "")  # the values of the file with age and sex, if it has them
    is_padded: bool = False  # samples of 0 in all leads at both ends were not recorded


@dataclass(frozen=True)
class LayoutFlags:
    """What the files do not say."""

    rate_hz_of_files: float | None = None
    """Sampling rate of the files, unless they say it (EDF and the files of devices do)."""
    unit: str = ""
    """Unit of their numbers, unless they say it: V, mV, uV, nV, or a multiple of one, such as 4.88uV."""
    lead_names: tuple[str, ...] = ()
    """Names of the leads in the order of the files, unless they say them (EDF, and text with a first line of names)."""
    variable: str = ""
    """Name of the array with the samples, if a file holds several."""

    def __post_init__(self) -> None:
        lowest, highest = RATES_HZ
        if self.rate_hz_of_files is not None and not lowest <= self.rate_hz_of_files <= highest:
            raise ConfigError(f"--rate-hz-of-files is {self.rate_hz_of_files:g}; give {lowest} to {highest}")
        spellings = {name.strip().lower() for name in self.lead_names}
        if len(spellings) < len(self.lead_names):
            raise ConfigError(f"--lead-names {' '.join(self.lead_names)} names a lead twice; name each once")
        self.layout()

    def layout(self) -> FileLayout:
        """The layout that the flags describe."""
        mv_per_unit = _mv_per_unit(self.unit) if self.unit else None
        return FileLayout(self.rate_hz_of_files, mv_per_unit, self.lead_names, self.variable)


def _mv_per_unit(text: str) -> float:
    """Millivolts in a unit such as `uV` or `4.88uV`."""
    number = re.fullmatch(r"(\d*\.?\d*(?:e-?\d+)?)\s*([a-zµμ]+)", text.strip().lower())
    try:
        mv_per_unit = float(number[1] or 1) * MV_PER_UNIT[number[2]] if number else 0.0
    except (KeyError, ValueError):
        mv_per_unit = 0.0
    if not 0 < mv_per_unit < float("inf"):
        raise ConfigError(f"--unit is {text}; give V, mV, uV or nV, or a multiple of one, such as 4.88uV")
    return mv_per_unit


def reader_of(path: Path) -> str:
    """The name of the reader of a file: that of its suffix; "wfdb" for all others and for a .mat beside its header."""
    reader = READER_OF_SUFFIX.get(path.suffix.lower(), "wfdb")
    return "wfdb" if path.suffix.lower() == ".mat" and path.with_suffix(".hea").is_file() else reader
