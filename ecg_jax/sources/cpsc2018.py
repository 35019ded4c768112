"""CPSC 2018 in its original form (Liu et al. 2018, http://2018.icbeb.org/Challenge.html)."""

from dataclasses import dataclass
from pathlib import Path

from ecg_jax.errors import DataError, Rejected
from ecg_jax.file_layout import STANDARD_LEADS, FileLayout
from ecg_jax.sources.found_files import files_below, only_file, only_table
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef
from ecg_jax.sources.tables import is_missing, rows, shortened, whole_number
from ecg_jax.target import Target

LABELS = ("Normal", "AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE")  # 1 to 9 in the table
LAYOUT = FileLayout(500.0, 1.0, STANDARD_LEADS, "ECG.data", time_axis=1, person=("ECG.age", "ECG.sex"))
REMEDY = "download it from http://2018.icbeb.org/Challenge.html and give its folder with --from"


@dataclass(frozen=True)
class Cpsc2018(FolderSource):
    """CPSC 2018, original MATLAB files: 12 leads, 6-144 s, nine labels; prepared at 100 Hz; ten folds are made."""

    name = "cpsc2018"

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The recordings in the order of `REFERENCE.csv`, found in any folder below; one to three labels each.

        Raises:
            DataError: there is no table, or it contains another label.
        """
        table, files = only_table(self.root, ("REFERENCE.csv",), REMEDY), files_below(self.root, ".mat")
        columns = ("recording", "first_label")
        refs, left_out = [], []
        for where, row in rows(table, columns=columns, optional=("second_label", "third_label"), remedy=REMEDY):
            name = row.pop("recording").removesuffix(".mat")
            labels = frozenset(_label(cell, where) for cell in row.values() if not is_missing(cell))
            path = only_file(files, name, where)
            if isinstance(path, Rejected):
                left_out.append(path)
            else:
                refs.append(RecordRef(name, path, labels, reader="array", layout=LAYOUT))
        target = Target("multilabel", tuple(sorted(LABELS)))
        return Listing(tuple(refs), target, left_out=tuple(left_out), score="cpsc2018")


def _label(cell: str, where: str) -> str:
    number = whole_number(cell)
    if number is None or not 1 <= number <= len(LABELS):
        raise DataError(f"{where} has the label '{shortened(cell)}'; give 1 to {len(LABELS)}, or {REMEDY}")
    return LABELS[number - 1]
