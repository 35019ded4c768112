"""Tables of records: what can be meant in one way only is read, anything else is refused with its line."""

import contextlib
import csv
import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_jax.errors import DataError
from ecg_jax.sources.tables import rows, whole_number

COLUMNS = ("record", "labels")


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def cells_of(path, **changes):
    arguments = {"columns": COLUMNS, "optional": ("patient",), "remedy": "write another"} | changes
    return [list(row.values()) for _, row in rows(path, **arguments)]


CELL = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)


@settings(max_examples=60)
@given(
    content=st.lists(st.tuples(CELL.filter(str.strip), CELL, CELL), max_size=5),
    separator=st.sampled_from(",;\t"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_a_table_is_the_same_in_every_dress_that_programs_give_it(
    tmp_path_factory, content, separator, encoding, line_end
):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=line_end)
    writer.writerows([("Record", " LABELS", "Patient "), *content])
    path = written(tmp_path_factory.getbasetemp() / "table.csv", text.getvalue().encode(encoding))
    assert cells_of(path) == [[cell.strip() for cell in row] for row in content]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("record,labels,patient\nr1,AF,p1\n,,\n\n , ,\n", [["r1", "AF", "p1"]]),  # rows of nothing
        ("\n\nrecord,labels\nr1,AF", [["r1", "AF"]]),
        ('record,labels,patient\nr1, "AF;N" ,p1\n'.replace(" ,", ","), [["r1", "AF;N", "p1"]]),
        ('record;labels;patient\nr1;"AF;N"\n', [["r1", "AF;N", ""]]),  # old spreadsheets leave off empty cells
        ("record,labels,,\nr1,AF,,\n", [["r1", "AF"]]),
        ("age,labels,record\n61,AF,r1\n", [["r1", "AF"]]),
        ('record,labels,"free text, in two\nlines"\nr1,AF,"one\ntwo"\nr2,N,x\n', [["r1", "AF"], ["r2", "N"]]),
    ],
)
def test_what_can_be_meant_in_one_way_is_read(tmp_path, text, cells):
    assert cells_of(written(tmp_path / "t.csv", text)) == cells


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_a_first_column_without_a_name_is_found_as_pandas_writes_it(tmp_path, name):
    path = written(tmp_path / "t.csv", f"{name},labels\nNORM,x\n")
    assert cells_of(path, columns=("", "labels")) == [["NORM", "x"]]


def test_each_row_is_named_by_the_line_on_which_it_begins(tmp_path):
    path = written(tmp_path / "t.csv", 'record,labels,note\n\nr1,AF,"one\ntwo"\nr2,N,x\n')
    assert [where for where, _ in rows(path, columns=COLUMNS, remedy="")] == [f"{path} line 3", f"{path} line 5"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("record,labels\nr1,AF,PVC\n", "line 2 has 3 cells for 2 columns; put a cell that contains commas into quot"),
        ("record;labels\nr1;AF;PVC\n", "line 2 has 3 cells for 2 columns; put a cell that contains semicolons into"),
        ("record,labels\nr1,AF\nr2\n", "line 3 ends before the column labels; complete the row"),
        ("record|labels\nr1|AF\n", r"has no column record, labels: its first line is 'record\|labels'; write another"),
        ("record,labels,Labels\nr1,AF,N\n", "has the column labels twice"),
        ("record,labels\nr1,ä\n".encode("cp1252"), "line 2 is not UTF-8; save the table as CSV in UTF-8"),
        ("record,labels\nr1,AF\n".encode("utf-16")[:-1], "line 2 is not UTF-16"),
        ("record,labels\nr1,AF\n".encode("utf-16-le"), "line 1 contains a character of number 0; save the"),
        (b"PK\x03\x04\x14\x00", "is a spreadsheet; save it as CSV in UTF-8"),
        ('record,labels\nr1,"AF\nr2,N\n', "line 2 has a quotation mark that is not closed"),
        ('record,labels\nr1,"AF\nr2,"N\n', "line 2 has a quotation mark that is not closed"),
        ('record,labels\nr1,"AF\nr2,N"\n', "line 2 has a line break or another control character in the column labels"),
        ("record,labels\nr\0,AF\n", "line 2 contains a character of number 0"),
        ("record,labels\nr\x1b[2J,AF\n", "line 2 has a line break or another control character in the column record"),
        (f"record,labels\nr1,AF\nr2,{'x' * 20_000}\n", "line 3 has 20,000 characters in the column labels"),
        (f"record,labels,note\nr1,AF,{'x' * 200_000}\n", "line 2 has a quotation mark .* or a cell of more than"),
    ],
)
def test_a_table_that_can_be_meant_otherwise_is_refused_with_its_line(tmp_path, content, message):
    with pytest.raises(DataError, match=f"t.csv {message}"):
        cells_of(written(tmp_path / "t.csv", content))


def test_a_table_that_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("pipe", "is no file"), (".", "is no file"), ("x", "is missing"), ("x" * 300, "cannot be")):
        with pytest.raises(DataError, match=f"{message}.*; write another"):
            cells_of(tmp_path / name)


@settings(max_examples=100)
@given(st.binary(max_size=200) | st.text('record,labels;\t"\r\n\0 x\ufeffä', max_size=60))
def test_any_bytes_are_rows_or_one_line(tmp_path_factory, content):
    path = written(Path(tmp_path_factory.getbasetemp()) / "any.csv", content)
    with contextlib.suppress(DataError):
        cells_of(path)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3", 3),
        ("3.0", 3),
        ("03", 3),
        (" 3. ", 3),
        ("3.5", None),
        ("-1", None),
        ("", None),
        ("1e3", None),
        ("9" * 10, None),
    ],
)
def test_a_whole_number_is_read_as_it_was_meant(text, number):
    assert whole_number(text) == number
