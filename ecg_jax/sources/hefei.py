"""Hefei High-tech Cup, Tianchi 2019 ("Alibaba", https://tianchi.aliyun.com/competition/entrance/231754)."""

import posixpath
from dataclasses import dataclass
from pathlib import Path

from ecg_jax.errors import DataError, Rejected
from ecg_jax.file_layout import FileLayout
from ecg_jax.sources.found_files import Files, files_below, only_file, only_table
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef
from ecg_jax.sources.tables import age_years, rows, sex, shortened
from ecg_jax.target import Target

LAYOUT = FileLayout(rate_hz=500.0, mv_per_unit=0.00488, time_axis=0)  # the first line of each file names the leads
TABLES = ("hf_round2_train.txt", "hf_round2_label.txt", "hf_round1_label.txt", "hf_round1_train.txt")
MOST_LABELS = 40  # of one recording
REMEDY = "ask for it at https://tianchi.aliyun.com/competition/entrance/231754 and give its folder with --from"


@dataclass(frozen=True)
class Hefei(FolderSource):
    """Hefei (Tianchi 2019): 8 leads, 12 with the derived ones, 10 s, 34 labels; prepared at 100 Hz; ten folds are made.

    The second round of the competition, or the first (55 labels) if the tables of the second are not there. Labels are
    in Chinese, as in the tables.
    """

    name = "hefei"

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The recordings in the order of the table, found in any folder below; label names as in the list of labels.

        Of a recording that the table names twice, the first row counts.

        Raises:
            DataError: a table is missing, or contains a label that the list of labels has not.
        """
        table = only_table(self.root, TABLES, REMEDY)
        round_name = table.name[: len("hf_round2")]
        lists = [f"{round_name}_{spelling}.txt" for spelling in ("arrythmia", "arrhythmia")]
        listed = rows(only_table(self.root, lists, REMEDY), columns=("label",), header=False, remedy=REMEDY)
        names = frozenset(row["label"] for _, row in listed)
        files = _of_round(files_below(self.root, ".txt"), round_name)
        refs: dict[str, RecordRef] = {}
        left_out = []
        columns = ("file", "age", "sex")
        optional = [f"label {number}" for number in range(1, MOST_LABELS + 1)]
        for where, row in rows(table, columns=columns, optional=optional, header=False, remedy=REMEDY):
            name, age, of_sex = posixpath.basename(row["file"]).removesuffix(".txt"), row["age"], row["sex"]
            labels = frozenset(filter(None, (row.get(column) for column in optional)))
            if unknown := labels - names:
                raise DataError(f"{where} has the label '{shortened(min(unknown))}', {lists[0]} has not; {REMEDY}")
            path = only_file(files, name, where)
            if name in refs:
                left_out.append(Rejected(name, f"named again: {where}", "keep one row for each recording"))
            elif isinstance(path, Rejected):
                left_out.append(path)
            else:
                refs[name] = RecordRef(
                    name, path, labels, age=age_years(age), sex=sex(of_sex), reader="array", layout=LAYOUT
                )
        return Listing(tuple(refs.values()), Target("multilabel", tuple(sorted(names))), left_out=tuple(left_out))


def _of_round(files: Files, round_name: str) -> Files:
    """The files below, of one in several folders only those in a folder that is named after the round."""

    def of_round(paths: list[Path]) -> list[Path]:
        return [path for path in paths if any(part.startswith(round_name) for part in path.parts[:-1])]

    return {name: of_round(paths) or paths for name, paths in files.items()}
