"""CinC Challenge 2017 (Clifford et al. 2017, https://physionet.org/content/challenge-2017/): one lead, 9-61 s.

Four exclusive classes: N normal, A atrial fibrillation, O other rhythm, ~ noisy. No patient names, no folds.
"""

import csv
from pathlib import Path

from ecg_jax.errors import DataError
from ecg_jax.sources.listing import Listing, RecordRef
from ecg_jax.target import Target

LABELS = ("A", "N", "O", "~")
TABLES = (
    "REFERENCE-v3.csv",
    "training2017/REFERENCE-v3.csv",
    "training/REFERENCE-v3.csv",
    "training2017/REFERENCE.csv",
)
GET = "download it from https://physionet.org/content/challenge-2017/ and give the folder that holds it with --from"


def cinc2017(root: Path) -> Listing:
    """The training records that are below `root`, in the order of the newest table there (`REFERENCE-v3.csv`).

    Raises:
        DataError: no table is there, or it has another class in it.
    """
    table = next((root / name for name in TABLES if (root / name).is_file()), None)
    if table is None:
        raise DataError(f"{root / TABLES[0]} is missing; {GET}")
    refs, absent = [], 0
    for row in csv.reader(table.read_text(encoding="utf-8-sig", errors="replace").splitlines()):
        if not row:
            continue
        name, label = row[0].strip(), row[-1].strip()
        if label not in LABELS:
            raise DataError(f"{table} has the class '{label}' for '{name}'; {GET}")
        places = (root / "training2017", root / "training" / name[:3], root / "training", root)
        path = next((place / name for place in places if (place / f"{name}.hea").is_file()), None)
        if path is None:
            absent += 1
        else:
            refs.append(RecordRef(name, path, frozenset({label})))
    left_out = {"no file": absent} if absent else {}
    return Listing(tuple(refs), Target("exclusive", LABELS), ("ECG",), 5, left_out, score="cinc2017")
