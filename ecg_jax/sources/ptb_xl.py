"""PTB-XL (Wagner et al. 2020, https://physionet.org/content/ptb-xl/): 71 SCP statements, grouped into six tasks."""

import ast
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ecg_jax.errors import DataError
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef, is_record, rows
from ecg_jax.target import Target

REMEDY = "download it from https://physionet.org/content/ptb-xl/ and give its folder with --from"


@dataclass(frozen=True)
class PtbXl(FolderSource):
    """PTB-XL: 12 leads, 10 s, at 100 or 500 Hz; has ten folds of its own."""

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
        refs, left_out, names = [], Counter(), set()
        table, column = self.root / "ptbxl_database.csv", "filename_lr" if rate_hz <= 100 else "filename_hr"
        for row in rows(table, columns=("scp_codes", "patient_id", "strat_fold", column), remedy=REMEDY):
            try:
                codes, fold = set(ast.literal_eval(row["scp_codes"])), int(row["strat_fold"])
            except (ValueError, SyntaxError, TypeError) as error:
                raise DataError(f"{table} cannot be read at {row[column]}; {REMEDY}") from error
            labels = frozenset(label_of[code] for code in codes if code in label_of)
            names |= labels
            path = self.root / row[column]
            if not is_record(path):
                left_out["no file"] += 1
            elif not labels and not self.keep_unlabelled:
                left_out[f"no label of the task {self.task}"] += 1
            else:
                refs.append(RecordRef(path.name, path, labels, row["patient_id"].removesuffix(".0"), fold))
        return Listing(tuple(refs), Target("multilabel", tuple(sorted(names))), folds=0, left_out=left_out)

    def _label_of_statement(self) -> dict[str, str]:
        columns = ("", "diagnostic_class", "diagnostic_subclass")
        statements = list(rows(self.root / "scp_statements.csv", columns=columns, remedy=REMEDY))
        column = {"subdiagnostic": "diagnostic_subclass", "superdiagnostic": "diagnostic_class"}.get(self.task)
        if column:
            return {row[""]: row[column] for row in statements if row[column]}
        return {row[""]: row[""] for row in statements if self.task == "all" or row[self.task] in ("1", "1.0")}
