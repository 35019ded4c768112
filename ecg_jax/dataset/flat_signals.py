"""The signals of a prepared set end to end in one file, of which a crop is read alone. May import numpy.

The file has the samples of all records in their order, [sum of T, L] int16, little-endian. Each block of it has a
checksum, which is compared before anything of the block is used for the first time.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

FLAT = "signals.int16"
BLOCK_BYTES = 2**16


class Changed(Exception):
    """The file is not as it was written."""


@dataclass(frozen=True)
class FlatSignals:
    """The file of a set, mapped into memory when it is first read."""

    path: Path
    samples: np.ndarray  # [N] length of each record
    scale_mv: np.ndarray  # [N, L] float32
    checksums: np.ndarray  # [M] uint32, of each block

    @property
    def size_bytes(self) -> int:
        """Size of the whole file."""
        return 2 * int(self.samples.sum()) * self.scale_mv.shape[1]

    def crop(self, index: int, offset: int, length: int | None) -> np.ndarray:
        """At most `length` samples of a record from `offset` on, or all: [T, L] int16, which cannot be written to.

        Raises:
            Changed: the file has changed.
        """
        first, last = self._first[index] + offset, self._first[index + 1]
        if length is not None:
            last = min(first + length, last)
        row_bytes = 2 * self.scale_mv.shape[1]
        for block in range(first * row_bytes // BLOCK_BYTES, -(-last * row_bytes // BLOCK_BYTES)):
            if not self._compared[block]:
                content = self._content[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]
                if zlib.crc32(content.data) != self.checksums[block]:
                    raise Changed
                self._compared[block] = True
        return self._signal[first:last]

    @cached_property
    def _first(self) -> Sequence[int]:
        """The first sample of each record, and the end [N + 1]."""
        return [0, *np.cumsum(self.samples).tolist()]

    @cached_property
    def _content(self) -> np.ndarray:
        try:
            return np.asarray(np.memmap(self.path, np.uint8, "r", shape=self.size_bytes))
        except (OSError, ValueError) as error:  # it is absent, or shorter
            raise Changed from error

    @cached_property
    def _signal(self) -> np.ndarray:
        return self._content.view("<i2").reshape(-1, self.scale_mv.shape[1])

    @cached_property
    def _compared(self) -> bytearray:
        """Which blocks have been compared with their checksums."""
        return bytearray(len(self.checksums))


def checksums_of(path: Path) -> np.ndarray:
    """The checksum of each block of a file, [M] uint32."""
    with path.open("rb") as file:
        return np.array([zlib.crc32(block) for block in iter(lambda: file.read(BLOCK_BYTES), b"")], np.uint32)
