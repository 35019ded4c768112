"""Reads a WFDB record in mV with the package wfdb, and rejects what wfdb would silently assume. May import numpy.

wfdb assumes gain 200 if the header has 0 or none, and 250 Hz if it has no rate; it removes the first letter of µV and
compares neither checksums nor file sizes. Therefore the header is checked here before wfdb reads the samples.
"""

import math
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecg_jax.records.leads import needed, same_lead
from ecg_jax.records.record import Record, Rejected
from ecg_jax.records.resample import resample

MV_PER_UNIT = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6}  # micro sign and Greek mu
BYTES_PER_SAMPLE = {"16": 2, "24": 3, "32": 4, "61": 2, "80": 1, "160": 2, "212": 1.5, "310": 4 / 3, "311": 4 / 3}
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, MemoryError)
"""The exceptions that wfdb raises on damaged files."""
RATES_HZ = (10, 100_000)  # smallest and largest plausible rate of an ECG

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
    rate_hz: float  # of frames
    length: int | None  # in frames
    signals: tuple[_Signal, ...]  # empty for a record in segments
    segments: tuple[str, ...]
    lines: tuple[str, ...]  # without comments


class _Unusable(Exception):
    """Reason and remedy of a record that `read_wfdb` will reject."""


def read_wfdb(path: Path, record_id: str | None = None, *, leads: Sequence[str] | None = None) -> Record | Rejected:
    """Reads one record; a trailing .hea, .dat or .mat is accepted.

    Args:
        path: the record's files without extension.
        record_id: its name in messages and in the set; by default `path`.
        leads: the leads to read and check, with those from which they are derived; by default all.
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
    except UNREADABLE as error:
        detail = " ".join(str(error).split()) or type(error).__name__
        reason, remedy = f"files damaged: wfdb says {detail}", "download the record again or correct its header"
    return Rejected(record_id or str(path), reason, remedy)


def _read(stem: Path, record_id: str, leads: Sequence[str] | None) -> Record:
    header = _read_header(stem)
    parts = [_read_header(stem.parent / name) for name in header.segments] or [header]
    signals = [signal for part in parts for signal in part.signals]
    wanted = needed(leads) if leads is not None else {same_lead(signal.lead) for signal in signals}
    read = [signal for signal in signals if same_lead(signal.lead) in wanted]
    if not read:
        has = ", ".join(dict.fromkeys(signal.lead for signal in signals)) or "none"
        raise _Unusable(f"leads absent: it has {has}", "choose leads that it has (--leads)")
    mv_per_unit: dict[str, float] = {}
    for signal in read:
        factor = _mv_per_unit(signal)
        if mv_per_unit.setdefault(same_lead(signal.lead), factor) != factor:
            raise _Unusable(f"units differ: lead {signal.lead} changes its unit", "write one unit for all segments")
    warnings = [warning for part in parts for warning in _size_warnings(stem.parent, part)]

    files = _wfdb_record(stem, header, wanted)
    if not header.segments and _checksums_differ(files):
        warnings.append("wrong checksum")
    names = [(name or "").strip() for name in files.sig_name]
    kept = {same_lead(name): n for n, name in reversed(list(enumerate(names))) if same_lead(name) in mv_per_unit}
    if len({same_lead(name) for name in names}) < len(names):
        warnings.append("a lead twice, the first is used")
    columns = sorted(kept.values())
    rates_hz = [header.rate_hz * files.samps_per_frame[column] for column in columns]
    records = [
        _lead(files.e_p_signal[column] * mv_per_unit[same_lead(names[column])], rate_hz, max(rates_hz))
        for column, rate_hz in zip(columns, rates_hz, strict=True)
    ]
    if not len(records[0].signal_mv):
        raise _Unusable("empty: it has no samples", "download it again")
    return Record(
        record_id,
        np.concatenate([record.signal_mv for record in records], axis=1),
        np.concatenate([record.missing for record in records], axis=1),
        max(rates_hz),
        tuple(names[column] for column in columns),
        tuple(warnings),
        tuple(dict.fromkeys(signal.lead for signal in signals if same_lead(signal.lead) not in wanted)),
    )


def _lead(signal_mv: np.ndarray, rate_hz: float, to_hz: float) -> Record:
    """One lead [T] as a record at `to_hz`, the highest rate of the leads."""
    missing = ~np.isfinite(signal_mv)[:, None]
    values = np.nan_to_num(signal_mv, nan=0.0, posinf=0.0, neginf=0.0)[:, None].astype(np.float32)
    return resample(Record("", values, missing, rate_hz, ("",)), to_hz)


def _read_header(stem: Path) -> _Header:
    raw = (stem.parent / f"{stem.name}.hea").read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    first = RECORD_LINE.match(lines[0]) if lines else None
    if first is None:
        raise _Unusable("header unreadable: no WFDB record line", "write a new header or leave the record out")
    rate_hz, n_sig = _rate_hz(first["rate"]), int(first["n_sig"])
    signals, segments = (), ()
    if first["segments"]:
        segments = tuple(line.split()[0] for line in lines[1:] if line.split()[0] != "~")
    elif n_sig == 0 or len(lines) - 1 != n_sig:
        detail = f"it announces {n_sig} signals and describes {len(lines) - 1}"
        raise _Unusable(f"header unreadable: {detail}", "correct the header")
    else:
        signals = tuple(map(_signal_of, lines[1:]))
    return _Header(rate_hz, int(first["length"] or 0) or None, signals, segments, tuple(lines))


def _signal_of(line: str) -> _Signal:
    fields = line.split(maxsplit=8)
    form = FORMAT.fullmatch(fields[1]) if len(fields) > 1 else None
    if form is None:
        raise _Unusable(f"header unreadable: signal line '{line[:40]}'", "correct the header")
    calibration = GAIN.fullmatch(fields[2]) if len(fields) > 2 else None
    return _Signal(
        file=fields[0],
        format=form["format"],
        per_frame=int(form["per_frame"] or 1),
        offset_bytes=int(form["offset"] or 0),
        gain=_number(calibration and calibration["gain"]),
        unit=((calibration and calibration["unit"]) or "mV"),
        lead=fields[8] if len(fields) > 8 else "",
    )


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _rate_hz(stated: str | None) -> float:
    rate_hz = _number(stated)
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        reason = f"rate unusable: the header says {stated or 'nothing'}"
        raise _Unusable(reason, "write the sampling rate in Hz into the .hea file")
    return rate_hz


def _mv_per_unit(signal: _Signal) -> float:
    """Millivolts in one unit of a signal; rejects an unknown unit and an unusable gain."""
    lead = signal.lead or "without a name"
    unit = MV_PER_UNIT.get(signal.unit.lower())
    if signal.file == "~":  # a segment without this signal states no gain of its own
        return unit or 1.0
    if not (math.isfinite(signal.gain) and signal.gain > 0):
        reason = f"gain unusable: lead {lead} has gain {signal.gain:g}, so its voltage is unknown"
        raise _Unusable(reason, "write the device's gain (units per mV) into the .hea file")
    if unit is None:
        reason = f"unit unknown: lead {lead} is in {signal.unit}"
        raise _Unusable(reason, "give the gain per mV, uV, nV or V in the .hea file")
    return unit


def _size_warnings(folder: Path, header: _Header) -> list[str]:
    """Warnings of signal files longer than the header says; rejects shorter ones."""
    if header.length is None:
        return []
    sizes: dict[str, float] = {}
    for signal in header.signals:
        if signal.format in BYTES_PER_SAMPLE and signal.file != "~":
            size = BYTES_PER_SAMPLE[signal.format] * signal.per_frame * header.length
            sizes[signal.file] = sizes.get(signal.file, signal.offset_bytes) + size
    warnings = []
    for name, size in sizes.items():
        actual_size = (folder / name).stat().st_size
        if actual_size < math.floor(size):
            reason = f"file shortened: {name} has {actual_size:,} of {math.ceil(size):,} bytes"
            raise _Unusable(reason, "download it again")
        if actual_size > size + 4:  # packed formats round up
            warnings.append("signal file longer than its header says")
    return warnings


def _wfdb_record(stem: Path, header: _Header, wanted: set[str]) -> Any:
    """wfdb's record of the `wanted` leads, with physical samples in `e_p_signal`, each at its own rate."""
    import wfdb  # takes almost a second, because it imports pandas

    if header.segments:
        return wfdb.rdrecord(str(stem), physical=True, smooth_frames=False)
    channels = [n for n, signal in enumerate(header.signals) if same_lead(signal.lead) in wanted]

    def read(path: Path) -> Any:
        files: Any = wfdb.rdrecord(str(path), channels=channels, physical=False, smooth_frames=False)
        for gain, channel in zip(files.adc_gain, channels, strict=True):
            if gain != header.signals[channel].gain:
                raise ValueError(f"gain {gain:g} where the header says {header.signals[channel].gain:g}")
        files.e_p_signal = files.dac(expanded=True)
        return files

    if PLAIN_RECORD_LINE.fullmatch(header.lines[0]):
        return read(stem)
    # The Georgia set names a record E00271.mat, and others have dates that wfdb cannot parse. It needs neither.
    with tempfile.TemporaryDirectory() as folder:
        plain = f"record {len(header.signals)} {header.rate_hz:f} {header.length or ''}"
        (Path(folder) / "record.hea").write_text("\n".join([plain, *header.lines[1:]]) + "\n", encoding="utf-8")
        for name in {signal.file for signal in header.signals}:
            (Path(folder) / name).symlink_to((stem.parent / name).resolve())
        return read(Path(folder) / "record")


def _checksums_differ(files: Any) -> bool:
    pairs = zip(files.checksum, files.calc_checksum(expanded=True), strict=True)
    return any(stated is not None and stated % 65536 != actual for stated, actual in pairs)
