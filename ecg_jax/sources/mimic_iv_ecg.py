"""MIMIC-IV-ECG (Gow et al. 2023, https://physionet.org/content/mimic-iv-ecg/1.0/)."""

import sys
from dataclasses import dataclass
from pathlib import Path

from ecg_jax.errors import DataError, Rejected
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef, is_record, occurring, path_below
from ecg_jax.sources.tables import age_years, is_missing, labels_in, rows, sex
from ecg_jax.target import Target

REPORT = tuple(f"report_{number}" for number in range(18))
REMEDY = "download it from https://physionet.org/content/mimic-iv-ecg/1.0/ and give its folder with --from"
OWN = "give a CSV with the columns record, labels and, if known, age and sex with --labels"


@dataclass(frozen=True)
class MimicIvEcg(FolderSource):
    """MIMIC-IV-ECG 1.0: 12 leads, 10 s; prepared at 100 Hz; ten folds are made, by patient.

    The labels are the lines of the machine's report, several thousand different ones: use --at-least.
    """

    labels: Path | None = None
    """CSV with the columns record (study_id), labels (separated by ;) and, if known, age and sex, in place of the
    machine's report; records that it does not name are left out."""
    name = "mimic_iv_ecg"

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The records in the order of `record_list.csv`.

        Raises:
            DataError: a table is missing or damaged, or gives no record a label.
        """
        known = self._reports() if self.labels is None else self._own_labels(self.labels)
        refs, left_out = [], []
        columns = ("subject_id", "study_id", "path")
        for where, row in rows(self.root / "record_list.csv", columns=columns, remedy=REMEDY):
            study, path = row["study_id"].removesuffix(".0"), path_below(self.root, row["path"])
            if path is None:
                left_out.append(Rejected(study, f"outside --from: {where}", REMEDY))
            elif not is_record(self.root / path):
                left_out.append(Rejected(study, f"no file: {where}", "download it, or check --from"))
            elif study not in known:
                table = self.labels or "machine_measurements.csv"
                left_out.append(Rejected(study, f"no labels: {table} does not name it", "add a row for it"))
            else:
                labels, age, of_sex = known[study]
                patient = row["subject_id"].removesuffix(".0")
                refs.append(RecordRef(study, self.root / path, labels, patient, age=age, sex=of_sex))
        names = occurring(refs)
        if refs and not names:
            raise DataError(f"{self.labels or self.root} gives no record a label; {OWN}")
        return Listing(tuple(refs), Target("multilabel", names), left_out=tuple(left_out))

    def _reports(self) -> "dict[str, tuple[frozenset[str], float, str]]":
        """By study, the lines of the machine's report; the tables have neither age nor sex.

        The same few thousand lines stand in 800,000 reports, so each is kept once.
        """
        table, unknown = self.root / "machine_measurements.csv", (age_years(""), "")
        content = rows(table, columns=("study_id",), optional=REPORT, remedy=REMEDY)
        return {
            row.pop("study_id").removesuffix(".0"): (
                frozenset(sys.intern(line.rstrip(".").strip()) for line in row.values() if not is_missing(line)),
                *unknown,
            )
            for _, row in content
        }

    @staticmethod
    def _own_labels(table: Path) -> "dict[str, tuple[frozenset[str], float, str]]":
        """By study, labels, age and sex of a table of the user."""
        known: dict[str, tuple[frozenset[str], float, str]] = {}
        for where, row in rows(table, columns=("record", "labels"), optional=("age", "sex"), remedy=OWN):
            if (study := row["record"].removesuffix(".0")) in known:
                raise DataError(f"{where} names {study} a second time; keep one row for each record")
            known[study] = (labels_in(row["labels"], where), age_years(row.get("age", "")), sex(row.get("sex", "")))
        return known
