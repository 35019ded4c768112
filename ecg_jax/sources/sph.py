"""Shandong Provincial Hospital (Liu et al. 2022, https://doi.org/10.1038/s41597-022-01403-5)."""

import re
from dataclasses import dataclass
from pathlib import Path

from ecg_jax.errors import DataError, Rejected
from ecg_jax.file_layout import STANDARD_LEADS, FileLayout
from ecg_jax.sources.found_files import files_below, only_file, only_table
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef
from ecg_jax.sources.tables import age_years, rows, sex, shortened
from ecg_jax.target import Target

LAYOUT = FileLayout(rate_hz=500.0, mv_per_unit=1.0, leads=STANDARD_LEADS, variable="ecg", time_axis=1)
STATEMENT = r"(\d{1,3})(\+\d{1,3})*"  # the code of a primary statement and those of its modifiers
REMEDY = "download it from https://doi.org/10.6084/m9.figshare.c.5779802 and give its folder with --from"


@dataclass(frozen=True)
class Sph(FolderSource):
    """SPH (Shandong): 12 leads, 10-60 s, AHA codes as labels; prepared at 100 Hz; ten folds are made, by patient."""

    name = "sph"

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The recordings in the order of `metadata.csv`, found in any folder below.

        A label is the code of a primary statement; modifiers (310 in `60+310`) are no labels. The label names come from
        the whole table.

        Raises:
            DataError: there is no table, or it has something else in place of codes.
        """
        table, files = only_table(self.root, ("metadata.csv",), REMEDY), files_below(self.root, ".h5", ".hdf5")
        refs, left_out, names = [], [], set()
        columns, known = ("ecg_id", "aha_code", "patient_id"), ("age", "sex")
        for where, row in rows(table, columns=columns, optional=known, remedy=REMEDY):
            name = row["ecg_id"].removesuffix(".h5")
            labels = frozenset(_codes(row["aha_code"], where))
            names |= labels
            path = only_file(files, name, where)
            if isinstance(path, Rejected):
                left_out.append(path)
                continue
            age, of_sex = age_years(row.get("age", "")), sex(row.get("sex", ""))
            ref = RecordRef(name, path, labels, row["patient_id"], age=age, sex=of_sex, reader="array", layout=LAYOUT)
            refs.append(ref)
        return Listing(tuple(refs), Target("multilabel", tuple(sorted(names))), left_out=tuple(left_out))


def _codes(cell: str, where: str) -> list[str]:
    """The codes of the primary statements in a cell such as `22;60+310`."""
    statements = [re.fullmatch(STATEMENT, part.strip()) for part in cell.split(";") if part.strip()]
    if not statements or not all(statements):
        raise DataError(f"{where} has the AHA_Code '{shortened(cell)}'; {REMEDY}")
    return [statement[1] for statement in statements if statement]
