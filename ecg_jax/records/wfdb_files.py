"""WFDB files to a `Record` in mV, through wfdb, with its silent defaults found and named. May import numpy and wfdb.

wfdb takes gain 200 where the header says 0 or nothing, 250 Hz where no rate stands, drops the first letter of µV, and
compares no checksum and no file size: so the header is looked through here before wfdb reads the samples.
"""

import math
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_jax.records.leads import needed, same_lead
from ecg_jax.records.record import Record, Rejected
from ecg_jax.records.resample import resample

MV_PER_UNIT = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6}  # micro sign and Greek mu
BYTES_PER_SAMPLE = {"16": 2, "24": 3, "32": 4, "61": 2, "80": 1, "160": 2, "212": 1.5, "310": 4 / 3, "311": 4 / 3}
RATES_HZ = (10, 100_000)  # outside no ECG can be meant

RECORD_LINE = re.compile(
    r"(?P<name>[^\s/]+)(?P<segments>/\d+)?\s+(?P<n_sig>\d+)(\s+(?P<rate>[^\s/(]+)\S*)?(\s+(?P<length>\d+)\b)?"
)
PLAIN_RECORD_LINE = re.compile(r"[-\w]+(/\d+)?(\s+[\d.]+){2,3}")
GAIN = re.compile(r"(?P<gain>[^\s(/]+)(\([^)]*\))?(/(?P<unit>\S+))?")
FORMAT = re.compile(r"(?P<format>\d+)(x(?P<per_frame>\d+))?(:\d+)?(\+(?P<offset>\d+))?")


@dataclass(frozen=True)
class _Signal:
    file: str
    format: str
    per_frame: int
    offset_bytes: int
    gain: float
    unit: str
    lead: str


@dataclass(frozen=True)
class _Header:
    line: re.Match[str]
    signals: tuple[_Signal, ...]  # of a record in segments: none
    segments: tuple[str, ...]
    text: str


class _Unusable(Exception):
    """Carries reason and remedy to the one place where they become a `Rejected`."""


def read_wfdb(path: Path, record_id: str | None = None, *, leads: Sequence[str] | None = None) -> Record | Rejected:
    """Reads one record; a trailing .hea, .dat or .mat is accepted.

    Args:
        path: the record's files without extension.
        record_id: its name in messages and in the set; by default `path` as given.
        leads: read and judge these alone (and what they are derived from), by default all.
    """
    stem = path.with_suffix("") if path.suffix in (".hea", ".dat", ".mat") else path
    try:
        return _read(stem, record_id or str(path), leads)
    except _Unusable as unusable:
        reason, remedy = unusable.args
    except FileNotFoundError as error:
        reason, remedy = f"file missing: {Path(error.filename or stem).name}", "download it again"
    except OSError as error:
        reason, remedy = f"file unreadable: {error.strerror or error}", "make it readable"
    except (ValueError, TypeError, IndexError, KeyError) as error:  # all that wfdb raises on damaged files
        detail = " ".join(str(error).split()) or type(error).__name__
        reason, remedy = f"files damaged: wfdb says {detail}", "download the record again or mend its header"
    return Rejected(record_id or str(path), reason, remedy)


def _read(stem: Path, record_id: str, leads: Sequence[str] | None) -> Record | Rejected:
    header = _read_header(stem)
    parts = [_read_header(stem.parent / name) for name in header.segments] or [header]
    rate_hz = _rate_hz(header)
    wanted = needed(leads) if leads is not None else None
    units: dict[str, str] = {}
    warnings: list[str] = []
    for part in parts:
        for signal in part.signals:
            if wanted is None or same_lead(signal.lead) in wanted:
                _check_calibration(signal)
                if units.setdefault(same_lead(signal.lead), signal.unit.lower()) != signal.unit.lower():
                    raise _Unusable(f"units differ: lead {signal.lead} changes its unit", "write one unit for all")
        warnings += _check_sizes(stem.parent, part)
    names = [signal.lead for part in parts for signal in part.signals]
    if wanted is not None and not wanted & {same_lead(name) for name in names}:
        has = ", ".join(dict.fromkeys(names)) or "none"
        raise _Unusable(f"leads absent: it has {has}", "ask for leads that it has (--leads)")

    files = _wfdb_record(stem, header, wanted)
    signals, per_frame, found = files.e_p_signal, files.samps_per_frame, files.sig_name
    if not signals or not len(signals[0]):
        raise _Unusable("empty: it has no samples", "download it again")
    if not header.segments and _checksums_differ(files):
        warnings.append("wrong checksum")
    if len({same_lead(name or "") for name in found}) < len(found):
        warnings.append("a lead twice: the first is used")

    most = max(per_frame)
    columns = [
        _lead(signal * MV_PER_UNIT[units[same_lead(name or "")]], rate_hz * samples, rate_hz * most)
        for signal, samples, name in zip(signals, per_frame, found, strict=True)
    ]
    return Record(
        record_id,
        np.concatenate([column.signal_mv for column in columns], axis=1),
        np.concatenate([column.missing for column in columns], axis=1),
        rate_hz * most,
        tuple((name or "").strip() for name in found),
        tuple(warnings),
    )


def _lead(signal_mv: np.ndarray, rate_hz: float, to_hz: float) -> Record:
    """One lead [T] as a record; a lead with fewer samples a frame than others is raised to their rate."""
    missing = ~np.isfinite(signal_mv)[:, None]
    values = np.nan_to_num(signal_mv, nan=0.0, posinf=0.0, neginf=0.0)[:, None].astype(np.float32)
    return resample(Record("", values, missing, rate_hz, ("",)), to_hz)


def _read_header(stem: Path) -> _Header:
    raw = (stem.parent / f"{stem.name}.hea").read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    record_line = RECORD_LINE.match(lines[0]) if lines else None
    if record_line is None:
        raise _Unusable("header unreadable: no WFDB record line", "write it anew, or leave the record out")
    n_sig = int(record_line["n_sig"])
    if record_line["segments"]:
        names = [line.split()[0] for line in lines[1:]]
        return _Header(record_line, (), tuple(name for name in names if name != "~"), text)
    if n_sig == 0 or len(lines) - 1 != n_sig:
        detail = f"it announces {n_sig} signals and describes {len(lines) - 1}"
        raise _Unusable(f"header unreadable: {detail}", "mend the header")
    return _Header(record_line, tuple(map(_signal_of, lines[1:])), (), text)


def _signal_of(line: str) -> _Signal:
    fields = line.split(maxsplit=8)
    form = FORMAT.fullmatch(fields[1]) if len(fields) > 1 else None
    if form is None:
        raise _Unusable(f"header unreadable: signal line '{line[:40]}'", "mend the header")
    calibration = GAIN.fullmatch(fields[2]) if len(fields) > 2 else None
    try:
        gain = float(calibration["gain"]) if calibration else math.nan
    except ValueError:
        gain = math.nan
    return _Signal(
        file=fields[0],
        format=form["format"],
        per_frame=int(form["per_frame"] or 1),
        offset_bytes=int(form["offset"] or 0),
        gain=gain,
        unit=((calibration and calibration["unit"]) or "mV"),
        lead=fields[8] if len(fields) > 8 else "",
    )


def _rate_hz(header: _Header) -> float:
    try:
        rate_hz = float(header.line["rate"] or "nan")
    except ValueError:
        rate_hz = math.nan
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        stated = header.line["rate"] or "nothing"
        raise _Unusable(f"rate unusable: the header says {stated}", "write the sampling rate in Hz into the .hea file")
    return rate_hz


def _check_calibration(signal: _Signal) -> None:
    lead = signal.lead or "without a name"
    if not (math.isfinite(signal.gain) and signal.gain > 0):
        reason = f"gain unusable: lead {lead} has gain {signal.gain:g}, so its voltage is unknown"
        raise _Unusable(reason, "write the device's gain (units per mV) into the .hea file")
    if signal.unit.lower() not in MV_PER_UNIT:
        reason = f"unit unknown: lead {lead} is in {signal.unit}"
        raise _Unusable(reason, "give the gain per mV, uV, nV or V in the .hea file")


def _check_sizes(folder: Path, header: _Header) -> list[str]:
    """Refuses signal files that are shorter than the header says; warns of longer ones."""
    if not header.line["length"]:
        return []
    sizes: dict[str, float] = {}
    for signal in header.signals:
        if signal.format in BYTES_PER_SAMPLE and signal.file != "~":
            size = BYTES_PER_SAMPLE[signal.format] * signal.per_frame * int(header.line["length"])
            sizes[signal.file] = sizes.get(signal.file, signal.offset_bytes) + size
    warnings = []
    for name, size in sizes.items():
        found = (folder / name).stat().st_size
        if found < math.floor(size):
            reason = f"file shortened: {name} has {found:,} of {math.ceil(size):,} bytes"
            raise _Unusable(reason, "download it again")
        if found > size + 4:  # packed formats round up
            warnings.append("signal file longer than its header says")
    return warnings


def _wfdb_record(stem: Path, header: _Header, wanted: set[str] | None):
    """wfdb's record with physical samples, each lead at its own rate; `wanted` leads alone."""
    import wfdb  # brings pandas: most of a second

    channels = [at for at, signal in enumerate(header.signals) if wanted is None or same_lead(signal.lead) in wanted]

    def read(at: Path):
        if header.segments:
            return wfdb.rdrecord(str(at), physical=True, smooth_frames=False)
        files = wfdb.rdrecord(str(at), channels=channels, physical=False, smooth_frames=False)
        files.e_p_signal = files.dac(expanded=True)
        return files

    first = header.line.group(0)
    if header.segments or PLAIN_RECORD_LINE.fullmatch(header.text.lstrip("\ufeff").splitlines()[0].strip()):
        return read(stem)
    # Georgia's headers call the record E00271.mat, others write dates that wfdb stumbles over: it needs neither.
    with tempfile.TemporaryDirectory() as folder:
        plain = " ".join(["record", header.line["n_sig"], header.line["rate"], header.line["length"] or ""])
        text = header.text.replace(first, f"{plain}\n#", 1)
        (Path(folder) / "record.hea").write_text(text, encoding="utf-8")
        for name in {signal.file for signal in header.signals}:
            (Path(folder) / name).symlink_to((stem.parent / name).resolve())
        return read(Path(folder) / "record")


def _checksums_differ(files) -> bool:
    stated = [None if value is None else value % 65536 for value in files.checksum]
    return any(a is not None and a != b for a, b in zip(stated, files.calc_checksum(expanded=True), strict=True))
