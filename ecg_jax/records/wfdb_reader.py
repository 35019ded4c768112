"""Reads a WFDB record in mV: its header by `wfdb_header`, its files by `wfdb_files`. May import numpy.

Nothing is assumed that the files do not say. The WFDB libraries take a gain of 200 where it is 0 or absent and 250 Hz
where no rate is given, and compare neither checksums nor file sizes.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ecg_jax.errors import Rejected, Unusable
from ecg_jax.file_layout import MV_PER_UNIT, RATES_HZ
from ecg_jax.records.leads import choose_leads, lead_list, same_lead
from ecg_jax.records.record import Record
from ecg_jax.records.resample import join_leads
from ecg_jax.records.wfdb_files import (
    NOT_RECORDED_BITS,
    SignalFile,
    check_frames,
    locate,
    read_header,
    read_samples,
    signal_files,
)
from ecg_jax.records.wfdb_header import Header, Signal, shown

LARGEST_FILL = 10_000_000, 10  # samples of a record that stand in no file: always, and for each one that does


@dataclass(frozen=True)
class _Segment:
    """A segment of a record, or the whole of it, as its header says."""

    folder: Path
    header: Header
    starts: list[int]  # the frames of the record at which it begins; a segment may stand there several times

    @cached_property
    def leads(self) -> list[str]:
        """In lower case."""
        return [same_lead(signal.lead) for signal in self.header.signals]


@dataclass(frozen=True)
class _Part:
    """A segment whose header and files have been judged."""

    segment: _Segment
    leads: Mapping[str, Signal]  # those to read, by their names in lower case
    files: Sequence[SignalFile]  # those with the leads to read
    frames: int
    warnings: Sequence[str]

    @property
    def samples_held(self) -> int:
        """Of the leads to read."""
        return sum(file.samples_held(self.leads_in(file).values(), self.frames) for file in self.files)

    def leads_in(self, file: SignalFile) -> dict[str, Signal]:
        """Those of the leads to read that stand in the file."""
        return {name: signal for name, signal in self.leads.items() if signal.file == file.signals[0].file}


def read_wfdb(path: Path, record_id: str | None = None, *, leads: Sequence[str] | None = None) -> Record | Rejected:
    """Reads one record; a trailing .hea, .dat or .mat is accepted.

    Args:
        path: the record's files without extension.
        record_id: its name in messages and in the set; by default `path`.
        leads: the leads to read and check, with those from which they are derived; by default all.

    Raises:
        DataError: no temporary file can be written.
    """
    stem = path.with_suffix("") if path.suffix in (".hea", ".dat", ".mat") else path
    try:
        return _read(stem.parent / f"{stem.name}.hea", record_id or str(path), leads)
    except Unusable as unusable:
        reason, remedy = unusable.reason, unusable.remedy
    except OSError as error:
        reason, remedy = f"file unreadable: {error.strerror or error}", "make it readable"
    return Rejected(record_id or str(path), reason, remedy)


def _read(path: Path, record_id: str, leads: Sequence[str] | None) -> Record:
    header = read_header(path)
    frames, segments = header.length, [_Segment(path.parent, header, [0])]
    if header.segments:
        frames, segments = _segments(path.parent, header)
    names: dict[str, str] = {}  # as spelled first, by their lower case
    for segment in segments:
        for name, signal in zip(segment.leads, segment.header.signals, strict=True):
            names.setdefault(name, signal.lead.strip())
    wanted = choose_leads(names, leads)
    parts = [_part(segment, wanted) for segment in segments]
    frames = parts[0].frames if frames is None else frames
    per_frame = _samples_per_frame(parts, wanted)
    rates_hz = _rates_hz(header, per_frame, names)
    _check_fill(frames, parts, per_frame, asked=len(leads or ()))

    warnings = [warning for part in parts for warning in part.warnings]
    if header.segments and header.extra_lines:
        warnings.append("more segments listed than announced, which are left out")
    signals_mv = {name: np.full(frames * per_frame[name], np.nan, np.float32) for name in wanted}  # [T] each
    for part in parts:
        for name, part_mv in _read_part(part, warnings):
            for start in part.segment.starts:
                begin = start * per_frame[name]
                signals_mv[name][begin : begin + len(part_mv)] = part_mv
    signal_mv, missing = join_leads([signals_mv.pop(name) for name in wanted], [rates_hz[name] for name in wanted])
    return Record(
        record_id,
        signal_mv,
        missing,
        max(rates_hz.values()),
        tuple(names[name] for name in wanted),
        tuple(dict.fromkeys(warnings)),
        tuple(names[name] for name in names if name not in wanted),
    )


def _segments(folder: Path, header: Header) -> tuple[int, list[_Segment]]:
    """Length of the record in frames, and its segments without the gaps."""
    if header.extra_lines and header.length is None:  # the lengths cannot tell whether the others belong to it
        count = len(header.segments)
        detail = f"it announces {count} segments and lists {count + header.extra_lines}"
        raise Unusable(f"header unreadable: {detail}", "correct the number of segments in the record line")
    found: dict[str, _Segment] = {}
    start, layout = 0, header.segments[0].length == 0
    for at, line in enumerate(header.segments):
        if line.name != "~":
            if line.name not in found:
                path = locate(folder, f"{line.name}.hea")
                found[line.name] = _Segment(path.parent, read_header(path), [])
            segment, first = found[line.name], next(iter(found.values()))
            fault = _segment_fault(segment.header, header, line.length, is_layout=layout and at == 0)
            if not layout and segment.leads != first.leads:
                fault = f"has the leads {lead_list(segment.leads)}, the segment before it has others"
            if fault:
                reason = f"segments unusable: {shown(line.name)} {fault}"
                raise Unusable(reason, "correct the headers or download the record again")
            segment.starts.append(start)
        start += line.length
    return start, list(found.values())


def _segment_fault(segment: Header, record: Header, frames: int, *, is_layout: bool) -> str:
    if segment.segments:
        return "consists of segments"
    if segment.frames_hz != record.frames_hz:
        rates = [f"{header.frames_hz:g} Hz" if header.frames_hz else "no rate" for header in (segment, record)]
        return f"has {rates[0]}, the record {rates[1]}"
    if is_layout:
        has_samples = any(signal.has_samples for signal in segment.signals)
        return "is 0 samples long, but has signal files" if has_samples else ""
    if segment.length != frames:
        return f"has {frames} samples by the record's header, {segment.length or 'no stated number'} by its own"
    return ""


def _part(segment: _Segment, wanted: Collection[str]) -> _Part:
    """Judges the header and the files of a segment before anything is read."""
    header = segment.header
    leads: dict[str, Signal] = {}
    warnings = []
    for name, signal in zip(segment.leads, header.signals, strict=True):
        if name in leads:
            warnings.append("a lead twice, the first is used")
        elif name in wanted:
            leads[name] = signal
            warnings += _check_calibration(signal)
    files = signal_files(segment.folder, header, list(leads.values()))
    lengths = [file.frames for file in files]
    frames = header.length if header.length is not None else min(lengths, default=0)
    longer = [file for file in files if check_frames(file, frames)]
    if header.length is None:
        longer = []
        if max(lengths, default=0) > frames + 4:
            warnings.append("signal files of different lengths, the shortest counts")
    if header.extra_lines and (longer or header.length is None):
        count = len(header.signals)
        detail = f"it announces {count} signals and describes {count + header.extra_lines}"
        raise Unusable(f"header unreadable: {detail}", "correct the number of signals in the record line")
    if header.extra_lines:
        warnings.append("more signals described than announced, which are left out")
    if longer:
        warnings.append("signal file longer than its header says")
    return _Part(segment, leads, files, frames, warnings)


def _samples_per_frame(parts: Sequence[_Part], wanted: Sequence[str]) -> dict[str, int]:
    """Of each wanted lead, which has the same number in all segments where it was recorded."""
    found: dict[str, int] = {}
    for part in parts:
        for name, signal in part.leads.items():
            if signal.has_samples and found.setdefault(name, signal.samples_per_frame) != signal.samples_per_frame:
                fault = f"{signal.title} changes its number of samples per frame"
                raise Unusable(f"segments unusable: {fault}", "correct the headers or leave the record out")
    return {name: found.get(name, 1) for name in wanted}


def _rates_hz(header: Header, per_frame: Mapping[str, int], names: Mapping[str, str]) -> dict[str, float]:
    rates_hz = {name: (header.frames_hz or 0) * samples for name, samples in per_frame.items()}
    for name, rate_hz in rates_hz.items():
        if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
            said = "nothing" if header.frames_hz is None else f"{rate_hz:g} Hz for lead {shown(names[name])}"
            reason = f"rate unusable: the header says {said}"
            raise Unusable(reason, "write the sampling rate in Hz into the .hea file")
    return rates_hz


def _check_fill(frames: int, parts: Sequence[_Part], per_frame: Mapping[str, int], *, asked: int) -> None:
    """Rejects a record of no samples, and one that is almost all gaps, as memory should follow the files."""
    if not frames:
        raise Unusable("empty: it has no samples", "download it again")
    recorded = sum(part.samples_held for part in parts)
    columns = max(len(per_frame), asked)
    fill = (frames * max(per_frame.values()) * len(per_frame) - recorded) * columns // len(per_frame)
    if fill > max(LARGEST_FILL[0], LARGEST_FILL[1] * recorded):
        reason = f"too large: it would have {fill:,} samples for the {recorded:,} in its files"
        raise Unusable(reason, "correct the numbers of samples in the .hea files, or leave the record out")


def _check_calibration(signal: Signal) -> list[str]:
    """Warnings of a signal's gain; rejects one that does not tell the voltage."""
    if not signal.has_samples:
        return []  # a segment without this signal states no gain of its own
    if not (math.isfinite(signal.gain) and signal.gain):
        stated = f"gain {shown(signal.calibration)}" if signal.calibration else "no gain"
        reason = f"gain unusable: {signal.title} has {stated}, so its voltage is unknown"
        raise Unusable(reason, "write the device's gain (units per mV) into the .hea file")
    if signal.baseline is None:
        reason = f"baseline unusable: {signal.title} has {shown(signal.calibration)}, whose baseline is no whole number"
        raise Unusable(reason, "write the sample value at 0 mV as a whole number into the .hea file")
    if signal.unit.lower() not in MV_PER_UNIT:
        reason = f"unit unknown: {signal.title} is in {shown(signal.unit)}"
        raise Unusable(reason, "give the gain per mV, uV, nV or V in the .hea file")
    return [f"negative gain: {signal.title}"] if signal.gain < 0 else []


def _read_part(part: _Part, warnings: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Name and millivolts [T] of each lead of a part, NaN where nothing was recorded; adds to `warnings`."""
    for file in part.files:
        leads = part.leads_in(file)
        read = read_samples(file, list(leads.values()), part.frames)
        for (name, signal), samples in zip(leads.items(), read, strict=True):
            if part.segment.header.length is not None and _checksum_differs(signal, samples):
                warnings.append("wrong checksum")
            if _has_other_mark(signal, samples):
                warnings.append(f"samples of -32768, perhaps not recorded: {signal.title}")
            skew = min(signal.skew_frames * signal.samples_per_frame, len(samples))
            yield name, _millivolts(signal, np.append(samples[skew:], np.full(skew, np.nan)) if skew else samples)


def _checksum_differs(signal: Signal, samples: np.ndarray) -> bool:
    if signal.checksum is None:
        return False
    unrecorded = np.isnan(samples)
    if unrecorded.any():
        samples = np.where(unrecorded, -(2 ** NOT_RECORDED_BITS.get(signal.format, 0)), samples)
    return (int(samples.astype(np.int64).sum()) - signal.checksum) % 65536 != 0


def _has_other_mark(signal: Signal, samples: np.ndarray) -> bool:
    """Whether -32768, which marks what was not recorded in 16 bits, stands far from all else in a wider format."""
    if NOT_RECORDED_BITS.get(signal.format, 0) <= 15:
        return False
    marks = samples == -32768
    if not marks.any():
        return False
    others = samples[~marks & ~np.isnan(samples)]
    return len(others) > 0 and others.min() + 32768 > np.ptp(others)


def _millivolts(signal: Signal, samples: np.ndarray) -> np.ndarray:
    """Samples [T] in units of the converter, which are overwritten -> mV [T] float32."""
    with np.errstate(all="ignore"):
        samples -= signal.baseline
        samples /= signal.gain
        if (mv_per_unit := MV_PER_UNIT[signal.unit.lower()]) != 1:
            samples *= mv_per_unit
        signal_mv = samples.astype(np.float32)
    if np.isinf(signal_mv).any():
        reason = f"gain unusable: with {shown(signal.calibration)} {signal.title} is infinite"
        raise Unusable(reason, "write the device's gain (units per mV) into the .hea file")
    return signal_mv
