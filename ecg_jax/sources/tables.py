"""Tables of records as people save them: separated by comma, semicolon or tab, in UTF-8 or UTF-16.

What can be meant in one way only is read; anything else is refused with its line. Standard library only.
"""

import codecs
import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ecg_jax.errors import DataError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
LONGEST_CELL = 10_000  # characters; more in one cell come from a quotation mark that is not closed
MISSING_MARKS = ("", "nan", "na", "n/a", "<na>", "none", "null")
SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # how .xlsx and .ods, and how .xls begin
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def is_missing(text: str) -> bool:
    """Whether a cell is empty or holds what pandas, R or a spreadsheet writes for a missing value."""
    return text.strip().lower() in MISSING_MARKS


def whole_number(text: str) -> int | None:
    """A whole number of at most nine digits, also as `17.0`; None if the text is anything else."""
    number = re.fullmatch(r"(\d{1,9})(\.0*)?", text.strip())
    return int(number[1]) if number else None


def age_years(text: str) -> float:
    """An age in years, also as `56.0`; NaN where there is none from 0 to 130.

    300, which sets of PhysioNet write for an age over 89, is 90.
    """
    number = re.fullmatch(r"(\d{1,3})(\.\d*)?", text.strip())
    age = float(number[0]) if number else math.nan
    return 90.0 if age == 300 else age if age <= 130 else math.nan


def sex(text: str) -> str:
    """A sex as `female` or `male`, also from their first letters; "" for anything else."""
    return next((name for name in ("female", "male") if text.strip().lower() in (name, name[0])), "")


def labels_in(cell: str, where: str) -> frozenset[str]:
    """The labels of a cell such as `AF;PVC`.

    Raises:
        DataError: one of them stands for a missing value.
    """
    labels = frozenset(filter(None, (label.strip() for label in cell.split(";"))))
    for label in labels:
        if is_missing(label):
            remedy = "leave the cell empty if no label applies, or remove the row if none is known"
            raise DataError(f"{where} has the label '{label}', which stands for a missing value; {remedy}")
    return labels


def shortened(text: str) -> str:
    """At most 60 characters of a text, for a message."""
    return text if len(text) <= 60 else f"{text[:57]}..."


def rows(
    path: Path, *, columns: Sequence[str], optional: Sequence[str] = (), header: bool = True, remedy: str
) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a table: for each its place, such as `labels.csv line 7`, and its cells without blanks around them.

    Names of columns are compared without regard to case; rows of empty cells are skipped.

    Args:
        path: of the table.
        columns: names, in lower case, of columns that every row has; "" is the first column without a name.
        optional: names of columns whose cells are empty where the table or the row ends before them.
        header: whether the first row names the columns; otherwise they are `columns` and `optional`, in this order.
        remedy: the end of the messages about a table that is missing or of another kind.

    Raises:
        DataError: the table is missing, is not text, lacks a column, or has a row that does not fit its columns.
    """
    text = _text(path, remedy)
    separator = _separator(text, columns)
    content = _cells(path, text, separator)
    names = [_column(cell) for cell in next(content, ("", []))[1]] if header else [*columns, *optional]
    if absent := [column or "without a name" for column in columns if column not in names]:
        first = shortened(text.lstrip().partition("\n")[0].strip())
        raise DataError(f"{path} has no column {', '.join(absent)}: its first line is '{first}'; {remedy}")
    for column in filter(None, (*columns, *optional)):
        if names.count(column) > 1:
            raise DataError(f"{path} has the column {column} twice; remove one")
    places = {column: names.index(column) for column in (*columns, *optional) if column in names}
    for where, cells in content:
        if any(cells[len(names) :]):
            advice = f"put a cell that contains {SEPARATORS[separator]} into quotation marks"
            raise DataError(f"{where} has {len(cells)} cells for {len(names)} columns; {advice}")
        yield where, _row(cells, places, where, required=columns)


def _row(cells: Sequence[str], places: dict[str, int], where: str, *, required: Sequence[str]) -> dict[str, str]:
    """The cells of the columns in `places`, checked."""
    row = {column: cells[place] if place < len(cells) else "" for column, place in places.items()}
    for column, cell in row.items():
        if column in required and places[column] >= len(cells):
            raise DataError(f"{where} ends before the column {column}; complete the row or remove it")
        if len(cell) > LONGEST_CELL:
            raise DataError(f"{where} has {len(cell):,} characters in the column {column}; check its quotation marks")
        if CONTROL.search(cell):
            what = "a line break or another control character"
            raise DataError(f"{where} has {what} in the column {column}; remove it, or check the quotation marks")
    return row


def _text(path: Path, remedy: str) -> str:
    """The text of the file, which is UTF-8 unless it begins as UTF-16 does."""
    try:
        if not path.is_file():  # a pipe would be waited for
            raise DataError(f"{path} is {'no file' if path.exists() else 'missing'}; {remedy}")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; {remedy}") from error
    if content.startswith(SPREADSHEETS):
        raise DataError(f"{path} is a spreadsheet; save it as CSV in UTF-8")
    encoding = "UTF-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "UTF-8"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].decode(encoding, errors="replace").count("\n") + 1
        raise DataError(f"{path} line {line} is not {encoding}; save the table as CSV in UTF-8") from error
    before, nul, _ = text.partition("\0")
    if nul:
        line = before.count("\n") + 1
        raise DataError(f"{path} line {line} contains a character of number 0; save the table as CSV in UTF-8")
    return text.removeprefix("\ufeff")


def _separator(text: str, columns: Sequence[str]) -> str:
    """The separator with which the first line has most of the columns, or most cells."""
    first = next(filter(str.strip, io.StringIO(text, newline="")), "")[:100_000].strip("\r\n")

    def fit(separator: str) -> tuple[int, int]:
        names = [_column(cell) for cell in next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])]
        return sum(column in names for column in columns), len(names)

    return max(SEPARATORS, key=fit)


def _cells(path: Path, text: str, separator: str) -> Iterator[tuple[str, list[str]]]:
    """The place and the cells of each row that is not empty."""
    table = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    line = 1
    try:
        for cells in table:
            if any(map(str.strip, cells)):
                yield f"{path} line {line}", [cell.strip() for cell in cells]
            line = table.line_num + 1  # a row may have several lines
    except csv.Error as error:
        what = f"a quotation mark that is not closed, or a cell of more than {csv.field_size_limit():,} characters"
        raise DataError(f"{path} line {line} has {what}; correct the row") from error


def _column(cell: str) -> str:
    """The name of a column in lower case; "" also for what pandas makes of a column without a name."""
    name = cell.strip().lower()
    return "" if re.fullmatch(r"unnamed: \d+", name) else name
