"""WFDB records written by hand, so that each test can damage exactly one thing in them."""

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

RAMP = np.arange(400, dtype=np.int16).reshape(200, 2)  # two leads of 200 samples in which no two are equal


def checksum(samples: np.ndarray) -> int:
    return int(samples.astype(np.int64).sum() % 65536)


def write_record(
    folder: Path,
    name: str = "r1",
    *,
    digital: np.ndarray | None = None,
    leads: tuple[str, ...] = ("I", "II"),
    rate: str = "100",
    gain: str = "1000/mV",
    first_line: str | None = None,
    encoding: str = "utf-8",
    file: str | None = None,
    form: str = "16",
    data: bytes | None = None,
) -> Path:
    """A record of one file, by default in format 16 with two leads of 200 samples: 1 mV in I, 2 mV in II.

    The file is called `file` in the header, and holds `data`, by default the samples in format 16.
    """
    if digital is None:
        digital = np.full((200, len(leads)), 1000, np.int16) * np.arange(1, len(leads) + 1, dtype=np.int16)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    file = file or f"{path.name}.dat"
    lines = [first_line or f"{path.name} {len(leads)} {rate} {len(digital)}"]
    for at, lead in enumerate(leads):
        lines.append(f"{file} {form} {gain} 16 0 {digital[0, at]} {checksum(digital[:, at])} 0 {lead}")
    path.with_name(f"{path.name}.hea").write_text("\n".join(lines) + "\n", encoding=encoding)
    path.with_name(f"{path.name}.dat").write_bytes(digital.astype("<i2").tobytes() if data is None else data)
    return path


def edit_header(path: Path, old: str, new: str) -> Path:
    """Replaces the first `old` in the header of the record at `path`."""
    header = path.with_name(f"{path.name}.hea")
    text = header.read_text(encoding="utf-8")
    assert old in text
    header.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def packed(digital: np.ndarray, form: int) -> bytes:
    """Samples [T, L] in one of the WFDB signal formats, by the text of its specification: bit by bit."""
    flat = [int(sample) for sample in digital.reshape(-1)]
    if form == 8:
        return np.diff(digital, axis=0, prepend=digital[:1]).astype("i1").tobytes()
    if form in (16, 24, 32):
        return b"".join(sample.to_bytes(form // 8, "little", signed=True) for sample in flat)
    if form == 61:
        return b"".join(sample.to_bytes(2, "big", signed=True) for sample in flat)
    if form in (80, 160):
        return b"".join((sample + 2 ** (form // 10 - 1)).to_bytes(form // 80, "little") for sample in flat)
    in_block, block_bytes = {212: (2, 3), 310: (3, 4), 311: (3, 4)}[form]
    blocks = [flat[at : at + in_block] + [0] * (in_block - len(flat[at:])) for at in range(0, len(flat), in_block)]
    return b"".join(_block(form, block).to_bytes(block_bytes, "little") for block in blocks)


def _block(form: int, samples: list[int]) -> int:
    if form == 212:
        first, second = (sample % 2**12 for sample in samples)
        return first | (second >> 8) << 12 | (second % 256) << 16
    first, second, third = (sample % 2**10 for sample in samples)
    if form == 311:
        return first | second << 10 | third << 20
    return first << 1 | third % 32 << 11 | (second << 1 | third >> 5 << 11) << 16


@st.composite
def damaged(draw, valid: tuple[bytes, ...]) -> bytes:
    """One of the `valid` files in which some bytes are replaced, removed or repeated."""
    raw = bytearray(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(1, 6))):
        at, count = draw(st.integers(0, len(raw))), draw(st.integers(0, 8))
        pasted = bytes(raw[at : at + 60]) * count
        raw[at : at + count] = draw(st.one_of(st.binary(max_size=8), st.just(pasted), st.sampled_from(PASTED)))
    return bytes(raw)


PASTED = (b"0", b"-1", b"99999999", b"1e40", b"1e-40", b"nan", b"/", b"x16", b"+24", b":5", b"~", b"../", b" ", b"\n")
