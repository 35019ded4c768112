"""PhysioNet/CinC Challenge 2017 (Clifford et al. 2017, https://physionet.org/content/challenge-2017/)."""

import csv
from dataclasses import dataclass
from pathlib import Path

from ecg_jax.errors import DataError
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef
from ecg_jax.target import Target

LABELS = ("A", "N", "O", "~")
TABLES = (
    "REFERENCE-v3.csv",
    "training2017/REFERENCE-v3.csv",
    "training/REFERENCE-v3.csv",
    "training2017/REFERENCE.csv",
)
REMEDY = "download it from https://physionet.org/content/challenge-2017/ and give its folder with --from"


@dataclass(frozen=True)
class Cinc2017(FolderSource):
    """CinC Challenge 2017: one lead (ECG), 9-61 s, exclusive labels A, N, O, ~; five folds are made."""

    name = "cinc2017"

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The training records in the order of the newest table (`REFERENCE-v3.csv`); it names no patients.

        A is atrial fibrillation, N normal rhythm, O another rhythm, ~ a noisy recording.

        Raises:
            DataError: there is no table, or it contains another class.
        """
        table = next((self.root / name for name in TABLES if (self.root / name).is_file()), None)
        if table is None:
            raise DataError(f"{self.root / TABLES[0]} is missing; {REMEDY}")
        refs, absent = [], 0
        for row in csv.reader(table.read_text(encoding="utf-8-sig", errors="replace").splitlines()):
            if not row:
                continue
            name, label = row[0].strip(), row[-1].strip()
            if label not in LABELS:
                raise DataError(f"{table} has the class '{label}' for '{name}'; {REMEDY}")
            if (path := self._path(name)) is None:
                absent += 1
            else:
                refs.append(RecordRef(name, path, frozenset({label})))
        left_out = {"no file": absent} if absent else {}
        return Listing(tuple(refs), Target("exclusive", LABELS), ("ECG",), 5, left_out, score="cinc2017")

    def _path(self, name: str) -> Path | None:
        """The record's files without extension, in any of the layouts in which the set is distributed."""
        root = self.root
        folders = (root / "training2017", root / "training" / name[:3], root / "training", root)
        return next((folder / name for folder in folders if (folder / f"{name}.hea").is_file()), None)
