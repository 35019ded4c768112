"""The header of a WFDB record as a value: bytes -> `Header`, by version 10 of the WFDB header specification.

Pure: no file is touched. What the header says is kept as it is said; whether the record can be used is judged in
`wfdb_reader`. May import the standard library alone.
"""

import math
import re
from dataclasses import dataclass

from ecg_jax.errors import Unusable
from ecg_jax.formatting import visible

MOST_BYTES = 4 * 2**20  # of a header; a record of 100,000 segments has half of it
MOST_SIGNALS = 1_024  # body surface maps have some 250
MOST_SEGMENTS = 100_000  # weeks of a monitor have some thousands
MOST_FRAMES = 10**12  # three years at 10 kHz
MOST_SAMPLES_PER_FRAME = 1_000_000  # files converted from EDF have one frame for up to a minute of samples

LINE_END = re.compile(rb"\r\n?|\n")  # a form feed, or another character that Python splits at, ends no line
INVISIBLE = bytes(range(33))
FIELDS = re.compile(r"[ \t]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
WHOLE = re.compile(r"(?P<digits>[+-]?[0-9]{1,15})(\.0*)?")
RATE = re.compile(r"(?P<rate>[^/(]+)(/(?P<counter>[^(]*))?(\((?P<base>[^)]*)\))?")
FORMAT = re.compile(
    r"(?P<format>[0-9]{1,3})(x(?P<per_frame>[0-9]{1,15}))?(:(?P<skew>[0-9]{1,15}))?(\+(?P<offset>[0-9]{1,15}))?"
)
WHOLE_FIELDS = ("ADC resolution", "ADC zero", "initial value", "checksum", "block size")
CALIBRATION = re.compile(r"(?P<gain>[^(/]*)(\((?P<baseline>[^)]*)\))?(/(?P<unit>.*))?")


@dataclass(frozen=True)
class Signal:
    """One signal as its line describes it."""

    number: int  # its place in the header, from 0
    file: str  # as named in the line, perhaps with a path
    format: int
    samples_per_frame: int
    skew_frames: int  # frames of the file before the first frame of the record
    offset_bytes: int  # before the first sample
    calibration: str  # gain, baseline and unit as they stand
    gain: float  # units of the converter per physical unit; NaN if it is absent or no number
    baseline: int | None  # None if it is no whole number
    unit: str
    adc_resolution: int | None
    adc_zero: int
    initial_value: int
    checksum: int | None
    block_size: int
    lead: str  # the description; "" if there is none

    @property
    def title(self) -> str:
        """The lead in messages."""
        return f"lead {shown(self.lead)}" if self.lead else "the lead without a name"

    @property
    def has_samples(self) -> bool:
        """Whether the signal has a file; one without is missing throughout."""
        return self.file != "~" and self.format != 0


@dataclass(frozen=True)
class Segment:
    """One segment of a record as its line describes it."""

    name: str  # "~" for a gap
    length: int  # in frames


@dataclass(frozen=True)
class Header:
    """What a header says; a record has either signals or segments."""

    name: str  # of the record, without a path
    signal_count: int
    frames_hz: float | None  # None if it is absent
    counter_hz: float | None
    counter_base: float
    length: int | None  # in frames; None if it is unspecified
    start: str  # time and date as they stand
    signals: tuple[Signal, ...]
    segments: tuple[Segment, ...]
    extra_lines: int  # lines after those announced, which the specification disregards
    comments: tuple[str, ...]


def parse_header(raw: bytes, name: str = "") -> Header:
    """Parses a header.

    Args:
        raw: the bytes of the .hea file.
        name: its name without extension; a record name with blanks is recognised by it.

    Raises:
        Unusable: it is no WFDB header, or larger than the limits of this module.
    """
    lines, comments = _lines(raw)
    first, *rest = FIELDS.split(_protect(lines[0], name)) if lines else [""]
    rest += [""] * (3 - len(rest))
    if not WHOLE.fullmatch(rest[0]):
        said = f"its first line is '{shown(lines[0])}'" if lines else "it is empty"
        reason = f"header unreadable: no WFDB record line, {said}"
        raise Unusable(reason, "write a new header or leave the record out")
    record_name, segment_count = _name_and_segments(_unprotect(first), name)
    signal_count = _count(rest[0], "signals", MOST_SIGNALS)
    rate = RATE.fullmatch(rest[1])
    frames_hz = _rate_hz(rest[1], rate) if rest[1] else None
    length = _count(rest[2], "samples", MOST_FRAMES) or None
    announced = signal_count if segment_count is None else segment_count
    if len(lines) - 1 < announced:
        kind, verb = ("signals", "describes") if segment_count is None else ("segments", "lists")
        detail = f"it announces {announced} {kind} and {verb} {len(lines) - 1}"
        raise Unusable(f"header unreadable: {detail}", "correct the header or download it again")
    described = [_protect(line, name) for line in lines[1 : announced + 1]]
    segments = () if segment_count is None else tuple(map(_segment, described))
    if segments and length not in (None, sum(segment.length for segment in segments)):
        together = sum(segment.length for segment in segments)
        detail = f"its segments have {together} samples together, its record line says {length}"
        raise Unusable(f"header unreadable: {detail}", "correct the header or download it again")
    return Header(
        name=record_name,
        signal_count=signal_count,
        frames_hz=frames_hz,
        counter_hz=_number(rate["counter"]) if rate else None,
        counter_base=(_number(rate["base"]) if rate else None) or 0.0,
        length=length,
        start=" ".join(rest[3:]),
        signals=() if segments else tuple(_signal(number, line) for number, line in enumerate(described)),
        segments=segments,
        extra_lines=len(lines) - 1 - announced,
        comments=tuple(comments),
    )


def parse_comments(raw: bytes) -> tuple[str, ...]:
    """The comments of a header, whatever else it says.

    Raises:
        Unusable: it is no text, or larger than the limits of this module.
    """
    return tuple(_lines(raw)[1])


def shown(text: str, most: int = 60) -> str:
    """Text from a file for a message: on one line, and only its first `most` characters."""
    return visible(text[:most]) + ("..." if len(text) > most else "")


def _lines(raw: bytes) -> tuple[list[str], list[str]]:
    """The lines with content, and the comments."""
    if len(raw) > MOST_BYTES:
        raise Unusable(f"header too large: it has more than {MOST_BYTES:,} bytes", "remove comments from the .hea file")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unusable("header unreadable: it is UTF-16 text", "save the .hea file as UTF-8 text")
    lines, comments = [], []
    for line in LINE_END.split(raw.removeprefix(b"\xef\xbb\xbf")):
        line = line.strip(INVISIBLE)
        if line.startswith(b"#"):
            comments.append(_decoded(line[1:].strip(INVISIBLE)))
        elif line:
            lines.append(_decoded(line))
    return lines, comments


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _protect(line: str, name: str) -> str:
    """The line in which the record's own name, if it begins with it, is one field: its blanks are null characters."""
    return name.replace(" ", "\0") + line[len(name) :] if " " in name and line.startswith(name) else line


def _unprotect(field: str) -> str:
    return field.replace("\0", " ")


def _name_and_segments(field: str, own_name: str) -> tuple[str, int | None]:
    """The record's name without path, and the number of segments: a/3 has three, but mitdb/100 in 100.hea is a path."""
    *path, last = field.replace("\\", "/").split("/")
    if not path or not last.isdecimal() or (last == own_name and path[-1] != own_name):
        return last, None
    count = _count(last, "segments", MOST_SEGMENTS)
    if not count:
        raise Unusable("header unreadable: it announces 0 segments", "correct the header or download it again")
    return path[-1], count


def _count(text: str, what: str, most: int) -> int:
    """A number of things that the header announces, 0 if the text is empty."""
    count = _whole(text, f"the number of {what}")
    if not 0 <= count <= most:
        detail = f"it announces {count:,} {what}; 0 to {most:,} can be read"
        raise Unusable(f"header unreadable: {detail}", "correct the header or leave the record out")
    return count


def _segment(line: str) -> Segment:
    name, *rest = FIELDS.split(line)
    return Segment(_unprotect(name), _count(rest[0] if rest else "", f"samples of segment {shown(name)}", MOST_FRAMES))


def _signal(number: int, line: str) -> Signal:
    file, *fields = FIELDS.split(line, maxsplit=8)
    fields += [""] * (8 - len(fields))
    form, stated = FORMAT.fullmatch(fields[0]), CALIBRATION.fullmatch(fields[1])
    if form is None:
        raise Unusable(f"header unreadable: no format {_in_line(line)}", "correct the header")
    per_frame = int(form["per_frame"] or 1)
    if not 1 <= per_frame <= MOST_SAMPLES_PER_FRAME:
        raise Unusable(f"header unreadable: {per_frame} samples per frame {_in_line(line)}", "correct the header")
    wholes = [_whole_or_none(text) if text else None for text in fields[2:7]]
    for what, text, number_stated in zip(WHOLE_FIELDS, fields[2:7], wholes, strict=True):
        if text and number_stated is None:
            raise _no_whole(text, f"the {what} {_in_line(line)}")
    resolution, zero, initial, checksum, block_size = wholes
    gain, baseline, unit = stated.group("gain", "baseline", "unit") if stated else ("", fields[1], "")
    return Signal(
        number=number,
        file=_unprotect(file),
        format=int(form["format"]),
        samples_per_frame=per_frame,
        skew_frames=int(form["skew"] or 0),
        offset_bytes=int(form["offset"] or 0),
        calibration=fields[1],
        gain=math.nan if (number_of_units := _number(gain)) is None else number_of_units,
        baseline=_whole_or_none(baseline) if baseline else zero or 0,
        unit=unit or "mV",
        adc_resolution=resolution,
        adc_zero=zero or 0,
        initial_value=(zero or 0) if initial is None else initial,
        checksum=checksum,
        block_size=block_size or 0,
        lead=fields[7],
    )


def _in_line(line: str) -> str:
    return f"in signal line '{shown(_unprotect(line))}'"


def _number(text: str | None) -> float | None:
    """A number as C reads it; None for anything else, NaN and infinity included."""
    number = float(text) if text and NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else None


def _whole_or_none(text: str) -> int | None:
    match = WHOLE.fullmatch(text)
    return int(match["digits"]) if match else None


def _whole(text: str, what: str) -> int:
    """A whole number, 0 if the text is empty; `what` it is, for the message."""
    number = _whole_or_none(text) if text else 0
    if number is None:
        raise _no_whole(text, what)
    return number


def _no_whole(text: str, what: str) -> Unusable:
    reason = f"header unreadable: '{shown(text)}' stands for {what}"
    return Unusable(reason, "write a whole number of up to 15 digits there, and no blanks within 1000(0)/mV")


def _rate_hz(field: str, rate: re.Match[str] | None) -> float:
    rate_hz = _number(rate["rate"]) if rate else None
    if rate_hz is None or rate_hz <= 0:
        reason = f"rate unusable: the header says {shown(field)}"
        raise Unusable(reason, "write the sampling rate in Hz into the .hea file")
    return rate_hz
