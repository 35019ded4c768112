"""The files of a WFDB record: found in its folder alone, judged by their sizes and first bytes, decoded.

Plain 16-bit samples are decoded here, which is most files; all other formats by wfdb.

May import numpy and wfdb. A name in a header is somebody else's text: it never leads out of the record's folder. What
the folder itself contains is the user's: a symbolic link to a file elsewhere is followed, as data sets kept with
git-annex and the like consist of such links.
"""

import errno
import math
import re
import stat
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from ecg_jax.errors import DataError, Unusable
from ecg_jax.file_layout import READER_OF_SUFFIX
from ecg_jax.files import temporary_folder
from ecg_jax.records.wfdb_header import MOST_BYTES, Header, Signal, parse_comments, parse_header, shown

PACKING = {8: (1, 1), 16: (1, 2), 24: (1, 3), 32: (1, 4), 61: (1, 2), 80: (1, 1), 160: (1, 2)}
PACKING |= {212: (2, 3), 310: (3, 4), 311: (3, 4)}
"""By format, the samples in a block and its bytes."""
COMPRESSED = {508: 8, 516: 16, 524: 24}
"""By format, the most bits of a sample in a FLAC file."""
NOT_RECORDED_BITS = {16: 15, 24: 23, 32: 31, 61: 15, 80: 7, 160: 15, 212: 11, 310: 9, 311: 9, 508: 7, 516: 15, 524: 23}
"""By format, the power of two that is, with a minus, the value of a sample that was not recorded; format 8 has none."""

MATLAB_5 = b"MATLAB ", b"\x89HDF\r\n\x1a\n"  # how files of versions 5 to 7 and 7.3 begin
MATLAB_NUMBERS = ("doubles", "single floats", "int32", "int16", "uint16", "uint8")
MATLAB_LAYOUTS = ("", "text", "a sparse matrix")
MATLAB_KINDS = {16: "int16", 32: "int32", 61: "big-endian int16", 80: "uint8", 160: "uint16"}  # by format
SAVE_AS_4 = "save it as MATLAB version 4 with an int16 matrix of one row per lead; call plain samples .dat"

NOT_READ = {".bdf": "BDF", ".gdf": "GDF"}
"""Suffix -> name of a format that ECGs are exchanged in and that no reader knows."""

PLAIN_NAME = re.compile(r"[\w-]+(\.[\w-]+)*")
"""A name without separators, drives and dots that lead elsewhere: that of most files."""

ABSENT = errno.ENOENT, errno.ENOTDIR, errno.ELOOP
"""How the system says that a path leads to no file."""

FLAC_SAMPLES_PER_BYTE = 2  # of a changing signal, at most; a flat one takes almost no bytes, whatever its length


@dataclass(frozen=True)
class SignalFile:
    """One signal file, with all signals in it."""

    path: Path
    size_bytes: int
    first_bytes: bytes
    signals: tuple[Signal, ...]  # in the order of their samples; of one format and offset

    @property
    def name(self) -> str:
        """As in messages."""
        return shown(self.path.name)

    @property
    def format(self) -> int:
        """Of all signals."""
        return self.signals[0].format

    @property
    def offset_bytes(self) -> int:
        """Before the first sample; in a FLAC file, in samples of each channel."""
        return self.signals[0].offset_bytes

    @property
    def samples_per_frame(self) -> int:
        """Of all signals together."""
        return sum(signal.samples_per_frame for signal in self.signals)

    @property
    def frames(self) -> int:
        """How many whole frames it holds."""
        if self.format in COMPRESSED:
            samples = int.from_bytes(self.first_bytes[18:26], "big") % 2**36  # of a channel, by its STREAMINFO block
            return max(samples - self.offset_bytes, 0) // self.signals[0].samples_per_frame
        in_block, block_bytes = PACKING[self.format]
        samples = max(self.size_bytes - self.offset_bytes, 0) * in_block // block_bytes
        frames = samples // self.samples_per_frame
        return frames - 1 if frames and self.bytes_of(frames) > self.size_bytes else frames

    def samples_held(self, leads: Collection[Signal], frames: int) -> int:
        """How many samples of some of its signals it plausibly holds, to judge what a header claims."""
        samples = frames * sum(signal.samples_per_frame for signal in leads)
        return min(samples, FLAC_SAMPLES_PER_BYTE * self.size_bytes) if self.format in COMPRESSED else samples

    def bytes_of(self, frames: int) -> int:
        """The least size in bytes, if it is not compressed, with so many frames."""
        in_block, block_bytes = PACKING[self.format]
        blocks, rest = divmod(frames * self.samples_per_frame, in_block)
        rest_bytes = block_bytes if (self.format, rest) == (310, 2) else math.ceil(rest * block_bytes / in_block)
        return self.offset_bytes + blocks * block_bytes + rest_bytes


def read_header(path: Path) -> Header:
    """Reads and parses the .hea file at `path`.

    Raises:
        Unusable: it is missing, no plain file, or no WFDB header.
    """
    return parse_header(_header_bytes(path), path.name.removesuffix(".hea"))


def read_comments(path: Path) -> tuple[str, ...]:
    """Reads the comments of the .hea file at `path` alone, which are there even where the rest is damaged.

    Raises:
        Unusable: it is missing, no plain file, or no text.
    """
    return parse_comments(_header_bytes(path))


def _header_bytes(path: Path) -> bytes:
    size_bytes = _plain_size(path)
    if size_bytes is None:
        raise _no_header(path)
    with path.open("rb") as file:
        return file.read(min(size_bytes, MOST_BYTES) + 1)


def locate(folder: Path, name: str) -> Path:
    """The file in `folder` that a header calls `name`: as named, at most one folder deeper, or else its last part.

    Raises:
        Unusable: the name leads out of the folder, or too deep into it.
    """
    if PLAIN_NAME.fullmatch(name):
        return folder / name
    path = PureWindowsPath(name)  # takes both separators
    stated, beside = folder.joinpath(*path.parts), folder / path.name
    if path.anchor or not path.parts or ".." in path.parts or "\0" in name:
        fault = "does not name a file in the record's folder"
    elif len(path.parts) == 2 and stated.exists():
        return stated
    elif len(path.parts) <= 2 or beside.exists():
        return beside
    else:
        fault = "is more than one folder below the record"
    reason = f"file name unusable: '{shown(name)}' {fault}"
    raise Unusable(reason, "move the file beside the .hea file and write its bare name there")


def signal_files(folder: Path, header: Header, wanted: Sequence[Signal]) -> list[SignalFile]:
    """The files in `folder` with the `wanted` signals of a header; others need not be there.

    Raises:
        Unusable: a file is missing, or is not what the header says of it.
    """
    groups: dict[str, list[tuple[Signal, ...]]] = {}
    for name, group in groupby(header.signals, key=lambda signal: signal.file):
        groups.setdefault(name, []).append(tuple(group))
    files = []
    for name in dict.fromkeys(signal.file for signal in wanted if signal.has_samples):
        signals, *others = groups[name]
        if others:
            reason = f"header unreadable: the signals of {shown(name)} do not stand together"
            raise Unusable(reason, "write the lines of each signal file one after the other")
        path = locate(folder, name)
        size_bytes = _plain_size(path)
        if size_bytes is None:
            others = [path.with_name(path.stem + end) for end in (".dat", ".mat", ".DAT", ".MAT")]
            raise _missing(path, [other for other in others if other.name not in groups and other.exists()])
        files.append(_signal_file(path, size_bytes, signals))
    return files


def check_frames(file: SignalFile, frames: int) -> bool:
    """Whether the file is longer than a record of so many frames.

    Raises:
        Unusable: it is shorter.
    """
    if file.format in COMPRESSED:
        if file.frames < frames:
            reason = f"file shortened: {file.name} has {file.frames:,} of {frames:,} samples"
            raise Unusable(reason, "download it again")
        return False  # its size says nothing
    needed = file.bytes_of(frames)
    if file.size_bytes < needed:
        reason = f"file shortened: {file.name} has {file.size_bytes:,} of {needed:,} bytes"
        raise Unusable(reason, "download it again")
    return file.size_bytes > needed + 4  # packed formats round up


def read_samples(file: SignalFile, wanted: Sequence[Signal], frames: int) -> list[np.ndarray]:
    """The samples of the `wanted` signals in units of the converter, [frames * samples_per_frame] float64 each.

    A sample that was not recorded is NaN. The skew is not applied.

    Raises:
        Unusable: wfdb cannot decode the file.
        DataError: no temporary file can be written.
    """
    channels = [signal.number - file.signals[0].number for signal in wanted]
    is_plain = file.format == 16 and file.samples_per_frame == len(file.signals)
    return (plain_samples if is_plain else samples_by_wfdb)(file, channels, frames)


def plain_samples(file: SignalFile, channels: Sequence[int], frames: int) -> list[np.ndarray]:
    """What `samples_by_wfdb` returns, for format 16 and one sample of each signal in a frame."""
    with file.path.open("rb", buffering=0) as opened:
        opened.seek(file.offset_bytes)
        digital = np.fromfile(opened, "<i2", frames * len(file.signals))
    unrecorded = digital == -32768
    samples = digital.astype(np.float64)
    if unrecorded.any():
        samples[unrecorded] = np.nan
    by_signal = samples.reshape(frames, len(file.signals)).T
    return [np.ascontiguousarray(by_signal[channel]) for channel in channels]


def samples_by_wfdb(file: SignalFile, channels: Sequence[int], frames: int) -> list[np.ndarray]:
    """The samples of `read_samples` by the number of the signal in its file, from 0."""
    lines = [f"record {len(file.signals)} 1 {frames}"]
    for signal in file.signals:
        form = f"{signal.format}x{signal.samples_per_frame}+{signal.offset_bytes}"
        lines.append(f"signal.dat {form} 1(0)/unit 0 0 {signal.initial_value} 0 0 lead")
    try:
        with temporary_folder() as folder:  # wfdb stumbles over names, dates and gains that are legal
            (folder / "record.hea").write_text("\n".join(lines) + "\n", encoding="ascii")
            (folder / "signal.dat").symlink_to(file.path.resolve())
            return _decode(f"{folder}/record", list(channels), file)
    except OSError as error:
        detail = f"no temporary file can be written: {error.strerror or error}"
        raise DataError(f"{detail}; free space, or name another folder in TMPDIR") from error


def _decode(path: str, channels: list[int], file: SignalFile) -> list[np.ndarray]:
    import wfdb  # takes almost a second, because it imports pandas

    try:
        record: Any = wfdb.rdrecord(path, channels=channels, smooth_frames=False, ignore_skew=True)
        return record.e_p_signal
    except MemoryError:
        raise
    except Exception as error:  # its messages speak of wfdb's arrays, which helps nobody
        reason = f"file damaged: {file.name} cannot be decoded in format {file.format}"
        raise Unusable(reason, "download it again, or correct the format in the .hea file") from error


def _signal_file(path: Path, size_bytes: int, signals: tuple[Signal, ...]) -> SignalFile:
    with path.open("rb", buffering=0) as opened:
        file = SignalFile(path, size_bytes, opened.read(64), signals)
    if len({(signal.format, signal.offset_bytes) for signal in signals}) > 1:
        reason = f"header unreadable: the signals of {file.name} differ in format or byte offset"
        raise Unusable(reason, "write one format and offset for each signal file")
    if file.format in COMPRESSED:
        _check_flac(file)
    elif file.format in PACKING:
        _check_matlab(file)
    else:
        reason = f"format unknown: {file.name} is in format {file.format}"
        raise Unusable(
            reason, f"correct the format in the .hea file; known are {', '.join(map(str, [*PACKING, *COMPRESSED]))}"
        )
    return file


def _plain_size(path: Path) -> int | None:
    """Size of a plain file, None if it is absent; a pipe would be waited for, and a device has no end."""
    try:
        status = path.stat()
    except ValueError:  # a null character
        return None
    except OSError as error:
        if error.errno in ABSENT:
            return None
        raise
    if not stat.S_ISREG(status.st_mode):
        raise Unusable(f"file unreadable: {shown(path.name)} is no plain file", "put the recording's file in its place")
    return status.st_size


def _no_header(path: Path) -> Unusable:
    """The rejection for an absent header: what its record's name names may be a folder or a file of another format."""
    place = Path(str(path).removesuffix(".hea"))
    if place.is_dir():
        first = next(chain(place.glob("*.hea"), place.glob("*/*.hea")), "NAME.hea")
        return Unusable("no record: it is a folder", f"name records in it, such as {first}")
    suffix = place.suffix.lower()
    if suffix in READER_OF_SUFFIX and place.is_file():
        reason = f"no WFDB record: {shown(place.name)} is a file of another format"
        return Unusable(reason, "prepare the folder with ecg-jax prepare folder")
    if suffix in NOT_READ or place.is_file():
        kind = NOT_READ.get(suffix, "this format")
        return Unusable(f"no WFDB record: {kind} is not read", "convert it to EDF or WFDB, such as with wfdb.wrsamp")
    return _missing(path)


def _missing(path: Path, alike: Sequence[Path] = ()) -> Unusable:
    """The rejection for an absent file; `alike`: files beside it that no header line names."""
    name = shown(path.name)
    if path.is_symlink():
        reason = f"file missing: {name} is a link to a file that is not there"
        return Unusable(reason, "fetch that file (git-annex: git annex get), or correct the link")
    if not alike:
        return Unusable(f"file missing: {name}", "download it again")
    other = shown(alike[0].name)
    reason = f"file missing: {name} is not there, {other} is"
    return Unusable(reason, f"write {other} into the signal lines of the .hea file, or download {name}")


def _check_flac(file: SignalFile) -> None:
    """Raises Unusable if the file is no FLAC file with the channels and bits that the header says."""
    if file.first_bytes[:4] != b"fLaC" or len(file.first_bytes) < 42:
        reason = f"file damaged: {file.name} is no FLAC file, as format {file.format} says"
        raise Unusable(reason, "download it again, or correct the format in the .hea file")
    stream = int.from_bytes(file.first_bytes[18:26], "big")
    channels, bits = (stream >> 41) % 8 + 1, (stream >> 36) % 32 + 1
    if channels != len(file.signals) or len({signal.samples_per_frame for signal in file.signals}) > 1:
        reason = f"header unreadable: {file.name} has {channels} signals of one rate, the header says otherwise"
        raise Unusable(reason, "correct the signal lines in the .hea file")
    if bits > COMPRESSED[file.format]:
        reason = f"file damaged: {file.name} has {bits} bits per sample, more than format {file.format} allows"
        raise Unusable(reason, "download it again, or correct the format in the .hea file")


def _check_matlab(file: SignalFile) -> None:
    """Raises Unusable if the file is a MATLAB file whose matrix is not what the header says."""
    if file.first_bytes.startswith(MATLAB_5):
        raise Unusable(f"MATLAB file unusable: {file.name} is of version 5 or later", SAVE_AS_4)
    if file.path.suffix.lower() != ".mat":
        return
    matrix = _matlab_4(file.first_bytes)
    if matrix is None:
        raise Unusable(f"MATLAB file unusable: {file.name} is not of version 4", SAVE_AS_4)
    kind, rows, columns, begin = matrix
    if kind != MATLAB_KINDS.get(file.format):
        fault, remedy = f"holds {kind}, the header says format {file.format}", SAVE_AS_4
    elif begin != file.offset_bytes:
        fault = f"has its samples from byte {begin} on, the header says {file.offset_bytes}"
        remedy = f"write {file.format}+{begin} as its format into the .hea file"
    elif rows != file.samples_per_frame:
        fault, remedy = f"has {rows} x {columns} samples, {file.samples_per_frame} rows are expected", SAVE_AS_4
    else:
        return
    raise Unusable(f"MATLAB file unusable: {file.name} {fault}", remedy)


def _matlab_4(first_bytes: bytes) -> tuple[str, int, int, int] | None:
    """Kind of values, rows, columns and place of the first value of a MATLAB 4 matrix; None if it is none."""
    for order, machine, prefix in (("<", 0, ""), (">", 1, "big-endian ")):
        if len(first_bytes) < 20:
            break
        code, rows, columns, imaginary, name_bytes = struct.unpack(f"{order}5i", first_bytes[:20])
        at, number, layout = code // 1000, code % 1000 // 10, code % 10
        if at != machine or number >= len(MATLAB_NUMBERS) or layout >= len(MATLAB_LAYOUTS):
            continue
        if min(rows, columns) >= 1 and imaginary in (0, 1) and 1 <= name_bytes <= 64:
            numbers = "complex numbers" if imaginary else prefix + MATLAB_NUMBERS[number]
            return MATLAB_LAYOUTS[layout] or numbers, rows, columns, 20 + name_bytes
    return None
