"""PhysioNet/CinC Challenge 2017 (Clifford et al. 2017, https://physionet.org/content/challenge-2017/)."""

from dataclasses import dataclass
from pathlib import Path

from ecg_jax.errors import DataError, Rejected
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef, is_record, path_below
from ecg_jax.sources.tables import rows, shortened
from ecg_jax.target import Target

LABELS = ("A", "N", "O", "~")
TABLES = [f"{folder}REFERENCE-v3.csv" for folder in ("", "training2017/", "training/")] + ["training2017/REFERENCE.csv"]
REMEDY = "download it from https://physionet.org/content/challenge-2017/ and give its folder with --from"


@dataclass(frozen=True)
class Cinc2017(FolderSource):
    """CinC 2017: one lead (ECG), 9-61 s, exclusive labels A, N, O, ~; prepared at 100 Hz; five folds are made."""

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
        refs, left_out = [], []
        for where, row in rows(table, columns=("record", "class"), header=False, remedy=REMEDY):
            name, label = row["record"], row["class"]
            if label not in LABELS:
                raise DataError(f"{where} has the class '{shortened(label)}' for '{shortened(name)}'; {REMEDY}")
            below = path_below(self.root, name) or ""
            # the layouts in which the set is distributed
            folders = ("training2017", f"training/{below[:3]}", "training", "")
            path = next(filter(is_record, (self.root / folder / below for folder in folders)), None)
            if path is None:
                left_out.append(Rejected(name, f"no file: {where}", "download it, or check --from"))
            else:
                refs.append(RecordRef(below, path, frozenset({label})))
        return Listing(tuple(refs), Target("exclusive", LABELS), ("ECG",), 5, tuple(left_out), score="cinc2017")
