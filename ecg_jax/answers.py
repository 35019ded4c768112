"""Answers of a run for many recordings: their files on the command line, and their lines of JSON or rows of CSV."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from ecg_jax.sources.found_files import recordings_below
from ecg_jax.sources.listing import is_record

Format = Literal["json", "csv"]


def recordings_of(named: Iterable[str]) -> list[str]:
    """The recordings that are named, where a folder stands for all recordings below it; an empty one for itself."""
    paths = []
    for name in named:
        folder = Path(name)
        below = recordings_below(folder) if name and folder.is_dir() and not is_record(folder) else []
        paths += [str(path) for path in below] or [name]
    return paths


def lines(answers: Iterable[dict[str, Any]], form: Format, labels: Sequence[str], *, timed: bool) -> Iterator[str]:
    """One line for each answer of `inference.Model.answers`; of CSV first the names of the columns.

    Args:
        answers: with `start_seconds` and `end_seconds` if `timed`.
        form: of JSON every line is an object. CSV has the columns `record`, the two times, `p_<label>` for each label,
            `decisions`, `warnings` and `error`; several labels or warnings are separated by `;`.
        labels: of the run.
        timed: whether each answer is that of a stretch.
    """
    if form == "json":
        yield from (json.dumps(answer, allow_nan=False) for answer in answers)
        return
    times = ("start_seconds", "end_seconds") if timed else ()
    yield _row(["record", *times, *(f"p_{label}" for label in labels), "decisions", "warnings", "error"])
    for answer in answers:
        probabilities = answer.get("probabilities", {})
        numbers = [probabilities.get(label, "") for label in labels]
        texts = [";".join(answer.get("decisions", ())), ";".join(answer["warnings"]), answer.get("error", "")]
        yield _row([answer["record"], *(answer.get(name, "") for name in times), *numbers, *texts])


def _row(cells: Sequence[Any]) -> str:
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow(cells)
    return row.getvalue()
