"""PhysioNet/CinC Challenge 2017 (Clifford et al. 2017, https://physionet.org/content/challenge-2017/)."""

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ecg_jax.errors import DataError
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef, is_record
from ecg_jax.target import Target

LABELS = ("A", "N", "O", "~")
TABLES = [f"{folder}REFERENCE-v3.csv" for folder in ("", "training2017/", "training/")] + ["training2017/REFERENCE.csv"]
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
        refs, left_out = [], Counter()
        for row in csv.reader(table.read_text(encoding="utf-8-sig", errors="replace").splitlines()):
            if not row:
                continue
            name, label = row[0].strip(), row[-1].strip()
            if label not in LABELS:
                raise DataError(f"{table} has the class '{label}' for '{name}'; {REMEDY}")
            # the layouts in which the set is distributed
            folders = ("training2017", f"training/{name[:3]}", "training", "")
            path = next(filter(is_record, (self.root / folder / name for folder in folders)), None)
            if path is None:
                left_out["no file"] += 1
            else:
                refs.append(RecordRef(name, path, frozenset({label})))
        return Listing(tuple(refs), Target("exclusive", LABELS), ("ECG",), 5, left_out, score="cinc2017")
