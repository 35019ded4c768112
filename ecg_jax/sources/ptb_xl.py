"""PTB-XL (Wagner et al. 2020, https://physionet.org/content/ptb-xl/): 71 SCP statements, grouped into six tasks."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ecg_jax.errors import DataError, Rejected
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef, is_record, path_below
from ecg_jax.sources.tables import age_years, is_missing, rows, shortened, whole_number
from ecg_jax.target import Target

REMEDY = "download it from https://physionet.org/content/ptb-xl/ and give its folder with --from"
NO_FILE = "download it, or check --from"
SEX: dict[int | None, str] = {0: "male", 1: "female"}


@dataclass(frozen=True)
class PtbXl(FolderSource):
    """PTB-XL 1.0.1 to 1.0.3: 12 leads, 10 s; prepared at 100 Hz (or 500); has ten folds of its own.

    An age over 89, which the table gives as 300, is stored as 90.
    """

    task: Literal["all", "diagnostic", "subdiagnostic", "superdiagnostic", "form", "rhythm"] = "superdiagnostic"
    """Which labels."""
    keep_unlabelled: bool = False
    """Keep records that have no label of the task."""
    name = "ptb_xl"

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The records in the order of the table; up to 100 Hz from `records100`, otherwise from `records500`.

        Labels: the statements of the task, or their diagnostic class or subclass, with any likelihood
        (Strodthoff et al. 2021, arXiv 2004.13701). The label names come from the whole official table. Folds:
        `strat_fold` 1-10.

        Raises:
            DataError: a table is missing or damaged.
        """
        label_of = self._label_of_statement()
        refs, left_out, names = [], [], set()
        table, column = self.root / "ptbxl_database.csv", "filename_lr" if rate_hz <= 100 else "filename_hr"
        columns, known = ("scp_codes", "patient_id", "strat_fold", column), ("age", "sex", "device")
        for where, row in rows(table, columns=columns, optional=known, remedy=REMEDY):
            fold = whole_number(row["strat_fold"])
            if fold is None:
                raise DataError(f"{where} has the strat_fold '{shortened(row['strat_fold'])}'; {REMEDY}")
            statements = _statements(row["scp_codes"], where)
            if unknown := statements - label_of.keys():
                raise DataError(f"{where} has the statement {min(unknown)}, scp_statements.csv has not; {REMEDY}")
            labels = frozenset(label_of[statement] for statement in statements) - {""}
            names |= labels
            path = path_below(self.root, row[column])
            record_id = row[column] if path is None else path.rpartition("/")[2]
            if path is None:
                left_out.append(Rejected(record_id, f"outside --from: {where}", REMEDY))
            elif not is_record(self.root / path):
                left_out.append(Rejected(record_id, f"no file: {where}", NO_FILE))
            elif not labels and not self.keep_unlabelled:
                remedy = "keep it with --keep-unlabelled"
                left_out.append(Rejected(record_id, f"no label of the task {self.task}: {where}", remedy))
            else:
                refs.append(
                    RecordRef(
                        record_id,
                        self.root / path,
                        labels,
                        row["patient_id"].removesuffix(".0"),
                        fold,
                        age=age_years(row.get("age", "")),
                        sex=SEX.get(whole_number(row.get("sex", "")), ""),
                        device=row.get("device", ""),
                    )
                )
        target = Target("multilabel", tuple(sorted(names)))
        return Listing(tuple(refs), target, folds=0, left_out=tuple(left_out))

    def _label_of_statement(self) -> dict[str, str]:
        """The label of each statement, "" if it has none in the task."""
        columns = ("", "diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass")
        statements = [row for _, row in rows(self.root / "scp_statements.csv", columns=columns, remedy=REMEDY)]
        column = {"subdiagnostic": "diagnostic_subclass", "superdiagnostic": "diagnostic_class"}.get(self.task)
        if column:
            return {row[""]: "" if is_missing(row[column]) else row[column] for row in statements}
        return {
            row[""]: row[""] if self.task == "all" or whole_number(row[self.task]) == 1 else "" for row in statements
        }


def _statements(cell: str, where: str) -> set[str]:
    """The statements in a cell such as `{'NORM': 100.0, 'SR': 0.0}`; the numbers are likelihoods."""
    try:
        likelihood_of = json.loads(cell.replace("'", '"'))
    except (ValueError, RecursionError):
        likelihood_of = None
    if not isinstance(likelihood_of, dict):
        raise DataError(f"{where} has the scp_codes '{shortened(cell)}'; {REMEDY}")
    return set(likelihood_of)
