"""WFDB records written by hand, so that each test can damage exactly one thing in them."""

from pathlib import Path

import numpy as np

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
) -> Path:
    """A record in format 16, by default two leads of 200 samples: 1 mV in I, 2 mV in II."""
    if digital is None:
        digital = np.full((200, len(leads)), 1000, np.int16) * np.arange(1, len(leads) + 1, dtype=np.int16)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [first_line or f"{path.name} {len(leads)} {rate} {len(digital)}"]
    for at, lead in enumerate(leads):
        lines.append(f"{path.name}.dat 16 {gain} 16 0 {digital[0, at]} {checksum(digital[:, at])} 0 {lead}")
    path.with_name(f"{path.name}.hea").write_text("\n".join(lines) + "\n", encoding=encoding)
    path.with_name(f"{path.name}.dat").write_bytes(digital.astype("<i2").tobytes())
    return path


def edit_header(path: Path, old: str, new: str) -> Path:
    """Replaces the first `old` in the header of the record at `path`."""
    header = path.with_name(f"{path.name}.hea")
    text = header.read_text(encoding="utf-8")
    assert old in text
    header.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path
