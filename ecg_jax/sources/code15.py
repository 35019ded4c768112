"""CODE-15 % (Ribeiro et al. 2021, https://doi.org/10.5281/zenodo.4916206)."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath

from ecg_jax.errors import DataError, Rejected, Unusable
from ecg_jax.file_layout import STANDARD_LEADS, FileLayout
from ecg_jax.sources.found_files import files_below, only_file, only_table
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef
from ecg_jax.sources.tables import age_years, rows, shortened
from ecg_jax.target import Target

LABELS = ("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF")
LAYOUT = FileLayout(
    rate_hz=400.0, mv_per_unit=1.0, leads=STANDARD_LEADS, variable="tracings", time_axis=0, is_padded=True
)
"""The numbers are mV: prepare_code15_data.py of the CinC Challenge 2025 writes them as mV unchanged, and R waves of
lead II then have a median of 1.75 mV (ecgbench). The page of the set says 1e-4 V, which would be a tenth.
"""
TRUTH = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
SEX = {text: "male" if is_male else "female" for text, is_male in TRUTH.items()}  # by the column is_male
REMEDY = "download it from https://doi.org/10.5281/zenodo.4916206 and give its folder with --from"


@dataclass(frozen=True)
class Code15(FolderSource):
    """CODE-15 %: 12 leads, 7 or 10 s, six labels; prepared at 100 Hz; ten folds are made, by patient.

    Any of the eighteen parts may be missing; the zeros on both sides of a recording are taken off.
    """

    name = "code15"

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The exams in the order of `exams.csv`; an exam is a row of `tracings` in its part.

        Raises:
            DataError: there is no table, or it has something else in place of True and False.
        """
        table, parts = only_table(self.root, ("exams.csv",), REMEDY), files_below(self.root, ".hdf5", ".h5")
        exams_in = cache(_exams)
        refs, left_out = [], []
        columns = ("exam_id", "patient_id", "trace_file", *map(str.lower, LABELS))
        for where, row in rows(table, columns=columns, optional=("age", "is_male"), remedy=REMEDY):
            exam, part = row["exam_id"].removesuffix(".0"), PurePosixPath(row["trace_file"]).stem
            labels = frozenset(label for label in LABELS if _truth(row[label.lower()], label, where))
            path = only_file(parts, part, where)
            exams = path if isinstance(path, Rejected) else exams_in(path)
            if isinstance(exams, Rejected):
                left_out.append(replace(exams, record=exam))
            elif exam not in exams:
                left_out.append(Rejected(exam, f"no file: {where}, but {part} does not hold it", "download it again"))
            else:
                path, key = exams[exam]
                patient, age = row["patient_id"].removesuffix(".0"), age_years(row.get("age", ""))
                person = {"age": age, "sex": SEX.get(row.get("is_male", "").lower(), "")}
                refs.append(RecordRef(exam, path, labels, patient, reader="array", key=key, layout=LAYOUT, **person))
        return Listing(tuple(refs), Target("multilabel", tuple(sorted(LABELS))), left_out=tuple(left_out))


def _truth(cell: str, label: str, where: str) -> bool:
    truth = TRUTH.get(cell.lower())
    if truth is None:
        raise DataError(f"{where} has {label} '{shortened(cell)}'; give True or False, or {REMEDY}")
    return truth


def _exams(path: Path) -> dict[str, tuple[Path, str]] | Rejected:
    """The file and the row of each exam of a part; it may end in an empty row of exam 0. If it is damaged, why."""
    from ecg_jax.records.array_reader import hdf5_numbers  # imports numpy

    try:
        exams = hdf5_numbers(path, "exam_id")
    except Unusable as unusable:
        return Rejected(path.stem, unusable.reason, unusable.remedy)
    return {str(exam): (path, str(row)) for row, exam in enumerate(exams) if exam}
