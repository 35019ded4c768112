"""PTB-XL (Wagner et al. 2020, https://physionet.org/content/ptb-xl/): 12 leads, 10 s, 71 SCP statements, ten folds."""

import ast
from collections import Counter
from pathlib import Path

from ecg_jax.errors import DataError
from ecg_jax.records.leads import STANDARD_LEADS
from ecg_jax.sources.listing import Listing, RecordRef, rows
from ecg_jax.target import Target

TASKS = ("all", "diagnostic", "subdiagnostic", "superdiagnostic", "form", "rhythm")
GET = "download it from https://physionet.org/content/ptb-xl/ and give the folder that holds it with --from"


def ptb_xl(
    root: Path, *, task: str = "superdiagnostic", rate_hz: float = 100, keep_unlabelled: bool = False
) -> Listing:
    """The records of PTB-XL that are below `root`, from `records100` up to 100 Hz, else from `records500`.

    Labels: the statements of the task (or their diagnostic class or subclass), whatever their likelihood (Strodthoff
    et al. 2021, arXiv 2004.13701); the set of names is that of the whole official table. Folds: `strat_fold` 1-10.

    Raises:
        DataError: a table is missing or damaged, or the task is unknown.
    """
    label_of = _labels_of_statements(root, task)
    refs, left_out, names = [], Counter(), set()
    column = "filename_lr" if rate_hz <= 100 else "filename_hr"
    for row in rows(root / "ptbxl_database.csv", needs=("scp_codes", "patient_id", "strat_fold", column), get=GET):
        try:
            codes, fold = set(ast.literal_eval(row["scp_codes"])), int(row["strat_fold"])
        except (ValueError, SyntaxError, TypeError) as error:
            raise DataError(f"{root / 'ptbxl_database.csv'} cannot be understood at {row[column]}; {GET}") from error
        labels = frozenset(label_of[code] for code in codes if code in label_of)
        names |= labels
        path = root / row[column]
        if not path.with_name(f"{path.name}.hea").is_file():
            left_out["no file"] += 1
        elif not labels and not keep_unlabelled:
            left_out[f"no label of the task {task}"] += 1
        else:
            patient = row["patient_id"].removesuffix(".0")
            refs.append(RecordRef(path.name, path, labels, patient, fold))
    return Listing(tuple(refs), Target("multilabel", tuple(sorted(names))), STANDARD_LEADS, 0, dict(left_out))


def _labels_of_statements(root: Path, task: str) -> dict[str, str]:
    column = {"subdiagnostic": "diagnostic_subclass", "superdiagnostic": "diagnostic_class"}.get(task)
    if task not in TASKS:
        raise DataError(f"--task {task} is unknown; give one of {', '.join(TASKS)}")
    statements = list(rows(root / "scp_statements.csv", needs=("", "diagnostic_class", "diagnostic_subclass"), get=GET))
    if column:
        return {row[""]: row[column] for row in statements if row[column]}
    return {row[""]: row[""] for row in statements if task == "all" or row[task] in ("1", "1.0")}
