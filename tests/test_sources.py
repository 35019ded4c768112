"""Sources: which records there are, their labels, patients and folds; nothing is read of a signal."""

import csv
import math
import shutil
from collections import Counter
from pathlib import Path

import pytest
from wfdb_writing import write_record

from ecg_jax.errors import DataError
from ecg_jax.sources import Cinc2017, PtbXl, WfdbFolder
from ecg_jax.target import Target


def listed(source, rate_hz=100):
    return source.listing(rate_hz=rate_hz, seed=0, folder=Path())


@pytest.fixture
def labelled(tmp_path):
    """A folder of records and a function that writes the table of labels."""

    def table(text, *, records=("a/x", "b/x", "b/y")):
        for record in records:
            write_record(tmp_path, record)
        (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
        return listed(WfdbFolder(tmp_path, tmp_path / "labels.csv"))

    return table


# names of each task as published: Strodthoff et al. 2021, table 1
@pytest.mark.parametrize(
    ("task", "names"),
    [("all", 71), ("diagnostic", 44), ("subdiagnostic", 23), ("superdiagnostic", 5), ("form", 19), ("rhythm", 12)],
)
def test_ptb_xl_has_the_published_number_of_labels_in_each_task(real_data, task, names):
    labels = listed(PtbXl(real_data / "ptb_xl", task=task)).target.names
    assert len(labels) == names
    assert list(labels) == sorted(labels)


def test_ptb_xl_has_labels_folds_and_patients_of_the_official_table(real_data):
    listing = listed(PtbXl(real_data / "ptb_xl"))
    with (real_data / "ptb_xl" / "ptbxl_database_present.csv").open(newline="") as file:
        present = {f"{int(row['ecg_id']):05}_lr": row for row in csv.DictReader(file)}
    counts = {name: sum(name in ref.labels for ref in listing.refs) for name in listing.target.names}
    assert counts == {"CD": 172, "HYP": 91, "MI": 166, "NORM": 476, "STTC": 205}  # as the data's README counts them
    for ref in listing.refs:
        row = present[ref.record_id]
        assert (ref.fold, float(ref.patient)) == (int(row["strat_fold"]), float(row["patient_id"]))


def test_ptb_xl_leaves_out_and_counts_rows_without_file_or_label(real_data):
    listing = listed(PtbXl(real_data / "ptb_xl"))
    kinds = Counter(rejected.kind for rejected in listing.left_out)
    assert kinds == {"no file": 21837 - 884, "no label of the task superdiagnostic": 10}
    assert len(listed(PtbXl(real_data / "ptb_xl", keep_unlabelled=True)).refs) == 884


def test_ptb_xl_keeps_its_label_set_where_one_record_is_present(real_data, tmp_path):
    for name in ("ptbxl_database.csv", "scp_statements.csv"):
        shutil.copy(real_data / "ptb_xl" / name, tmp_path)
    folder = tmp_path / "records100" / "00000"
    folder.mkdir(parents=True)
    for suffix in (".hea", ".dat"):
        shutil.copy(real_data / "ptb_xl" / "records100" / "00000" / f"00001_lr{suffix}", folder)
    for task in ("all", "superdiagnostic"):
        one, everyone = (listed(PtbXl(root, task=task)) for root in (tmp_path, real_data / "ptb_xl"))
        assert one.target == everyone.target


STATEMENTS = ",diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass\nNORM,1.0,,,NORM,NORM\nSR,,,1.0,,\n"
ROW = {"patient_id": "15709.0", "scp_codes": "{'NORM': 100.0, 'SR': 0.0}", "strat_fold": "3"}


def made_ptb_xl(folder, statements=STATEMENTS, *, path="records100/00000/00001_lr", **changes):
    """A folder in the form of PTB-XL with one record."""
    write_record(folder, "records100/00000/00001_lr")
    (folder / "scp_statements.csv").write_text(statements)
    row = ROW | {"filename_lr": path, "filename_hr": ""} | changes
    with (folder / "ptbxl_database.csv").open("w", newline="") as file:
        csv.writer(file).writerows([row, row.values()])
    return PtbXl(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"strat_fold": "3.0"},
        {"path": "records100\\00000\\00001_lr"},
        {"scp_codes": '{"NORM": 100, "SR": 0}'},
        {"statements": f"Unnamed: 0{STATEMENTS}"},
        {"statements": STATEMENTS.replace(",,\n", ",nan,nan\n")},
    ],
)
def test_ptb_xl_is_the_same_after_other_programs_have_written_its_tables(tmp_path, changes):
    listing = listed(made_ptb_xl(tmp_path, **changes))
    (ref,) = listing.refs
    assert (ref.record_id, ref.labels, ref.patient, ref.fold) == ("00001_lr", {"NORM"}, "15709", 3)
    assert listing.target.names == ("NORM",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scp_codes": "[" * 9000}, r"line 2 has the scp_codes '\[+\.\.\.'"),
        ({"scp_codes": "{'a': " * 1500}, "line 2 has the scp_codes '{'a': .*'"),
        ({"scp_codes": "['NORM']"}, r"line 2 has the scp_codes '\['NORM'\]'"),
        ({"scp_codes": "{'XYZ': 100.0}"}, r"line 2 has the statement XYZ, scp_statements.csv has not"),
        ({"strat_fold": "1.5"}, "line 2 has the strat_fold '1.5'"),
        ({"strat_fold": ""}, "line 2 has the strat_fold ''"),
    ],
)
def test_a_row_of_ptb_xl_that_cannot_be_meant_is_refused_with_its_line(tmp_path, changes, message):
    with pytest.raises(DataError, match=f"ptbxl_database.csv {message}; download it"):
        listed(made_ptb_xl(tmp_path, **changes))


def test_a_path_of_ptb_xl_that_leaves_the_folder_is_left_out(tmp_path):
    write_record(tmp_path, "outside")
    listing = listed(made_ptb_xl(tmp_path / "set", path="../outside"))
    assert [(left_out.record, left_out.kind) for left_out in listing.left_out] == [("../outside", "outside --from")]


@pytest.mark.parametrize(
    ("age", "sex", "known"),
    [
        ("56.0", "1", (56.0, "female")),
        ("300.0", "0", (90.0, "male")),
        ("300", "0.0", (90.0, "male")),
        ("", "", (None, "")),
    ],
)
def test_ptb_xl_stores_an_age_over_89_as_90(tmp_path, age, sex, known):
    (ref,) = listed(made_ptb_xl(tmp_path, age=age, sex=sex, device="AT-6")).refs
    assert (None if math.isnan(ref.age) else ref.age, ref.sex) == known
    assert ref.device == "AT-6"


def test_ptb_xl_above_100_hz_comes_from_the_500_hz_files(real_data):
    refs = listed(PtbXl(real_data / "ptb_xl", keep_unlabelled=True), rate_hz=250).refs
    assert sorted(int(ref.record_id[:5]) for ref in refs) == [67, 88, 144, 224, 264, 365]


def test_ptb_xl_without_its_table_says_where_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"scp_statements\.csv is missing; download it from .*ptb-xl"):
        listed(PtbXl(tmp_path))


def test_cinc2017_has_four_exclusive_classes_of_its_newest_table(real_data):
    listing = listed(Cinc2017(real_data / "cinc2017"))
    assert (listing.target, listing.leads) == (Target("exclusive", ("A", "N", "O", "~")), ("ECG",))
    counts = [sum(ref.labels == {name} for ref in listing.refs) for name in listing.target.names]
    assert counts == [6, 56, 32, 6]  # as the data's README counts them


@pytest.mark.parametrize("folder", ["training2017", "training/A00", "training", "."])
def test_cinc2017_is_found_in_every_layout_it_is_handed_around_in(tmp_path, folder):
    write_record(tmp_path / folder, "A00001", leads=("ECG",))
    (tmp_path / "REFERENCE-v3.csv").write_text("A00001,N\nA00002,~\n")
    listing = listed(Cinc2017(tmp_path))
    assert [(ref.record_id, ref.labels) for ref in listing.refs] == [("A00001", {"N"})]
    assert [(left_out.record, left_out.kind) for left_out in listing.left_out] == [("A00002", "no file")]


def test_a_name_of_cinc2017_that_leaves_the_folder_is_left_out(tmp_path):
    write_record(tmp_path, "outside", leads=("ECG",))
    write_record(tmp_path, "set/A1", leads=("ECG",))
    (tmp_path / "set" / "REFERENCE-v3.csv").write_text("A1;N\n../outside;N\n")  # semicolons, as spreadsheets write
    listing = listed(Cinc2017(tmp_path / "set"))
    assert [ref.record_id for ref in listing.refs] == ["A1"]
    assert [left_out.record for left_out in listing.left_out] == ["../outside"]


def test_a_class_that_cinc2017_does_not_have_is_refused(tmp_path):
    (tmp_path / "REFERENCE-v3.csv").write_text("A00001,X\n")
    with pytest.raises(DataError, match="class 'X' for 'A00001'"):
        listed(Cinc2017(tmp_path))


def test_records_are_found_by_path_by_name_if_unique_and_with_extension(labelled):
    listing = labelled("record,labels\na/x,AF\ny,AF;PVC\nb/x.hea,\nz,AF\n")
    found = {ref.record_id: ref.labels for ref in listing.refs}
    assert found == {"a/x": {"AF"}, "b/y": {"AF", "PVC"}, "b/x": set()}
    assert listing.target.names == ("AF", "PVC")
    assert [(left_out.record, left_out.kind) for left_out in listing.left_out] == [("z", "no file")]


def test_patient_and_fold_are_taken_where_the_table_has_them(labelled):
    listing = labelled("record,labels,patient,fold\na/x,AF,p1,3\nb/y,N,,4\n")
    assert [(ref.patient, ref.fold) for ref in listing.refs] == [("p1", 3), ("", 4)]
    assert listing.folds == 0
    assert labelled("record,labels\na/x,AF\n").folds == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("record,label\na/x,AF\n", "has no column labels"),
        ("", "has no column record, labels"),
        ("record,labels\nx,AF\n", "line 2: x is both a/x and b/x"),
        ("record,labels\na/x,AF\na/x,N\n", "line 3 names a/x a second time"),
        ("record,labels\n,AF\n", "line 2 names no record"),
        ("record,labels\na/x,\n", "gives no record a label"),
        ("record,labels,fold\na/x,AF,1\nb/x,AF,\n", "line 3 gives no fold, other rows do"),
        ("record,labels,fold\na/x,AF,one\n", "line 2 has the fold 'one'"),
        ("record,labels,fold\na/x,AF,1.0\nb/x,AF,1.7\n", "line 3 has the fold '1.7'; give a whole number"),
        (
            "record,labels,fold\na/x,AF,99999999999\n",
            "line 2 has the fold '99999999999'; give a whole number",
        ),
        ("record,labels\na/x,AF\nb/x,nan\n", "line 3 has the label 'nan', which stands for a missing value; leave"),
        (
            "record,labels\na/x,AF;PVC\nb/x,'AF, PVC'\n".replace("'", '"'),
            "line 3 has the label 'AF, PVC', and there are labels 'AF' and",
        ),
        ("record,labels\na/x,1\nb/x,1.0\n", "line 3 has the label '1.0', .* line 2 the same without .0; write one"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_with_its_line(labelled, text, message):
    with pytest.raises(DataError, match=message):
        labelled(text)


@pytest.mark.parametrize("name", ["1", "1.0", "C:\\data\\00001.hea", "other/00001", "../00001"])
def test_a_row_without_a_file_is_named_with_the_record_of_a_similar_name(labelled, name):
    listing = labelled(f"record,labels\nx,AF\n{name},N\n", records=("x", "a/00001"))
    assert [ref.record_id for ref in listing.refs] == ["x"]
    (left_out,) = listing.left_out
    assert left_out.record == name
    assert left_out.reason.endswith("labels.csv line 3, but a/00001 is there")
    assert left_out.remedy == "write a/00001 into the table"


def test_only_records_below_the_folder_are_read_however_a_table_writes_their_paths(labelled, tmp_path):
    write_record(tmp_path.parent, f"{tmp_path.name}_outside")
    inside = [f"{tmp_path}/a/x", "b/../b/x.hea", "b\\y"]
    outside = [f"../{tmp_path.name}_outside", f"{tmp_path}_outside", f"a/../../{tmp_path.name}_outside"]
    listing = labelled("record,labels\n" + "".join(f"{name},AF\n" for name in inside + outside))
    assert [ref.record_id for ref in listing.refs] == ["a/x", "b/x", "b/y"]
    assert [(left_out.record, left_out.kind) for left_out in listing.left_out] == [
        (name, "outside --from") for name in outside
    ]


def test_a_name_longer_than_a_file_system_allows_is_a_record_without_a_file(labelled):
    listing = labelled(f"record,labels\na/x,AF\n{'n' * 300},AF\n{'m/' * 3000},AF\n")
    assert [left_out.kind for left_out in listing.left_out] == ["no file", "no file"]


def test_folds_are_whole_numbers_however_a_spreadsheet_writes_them(labelled):
    listing = labelled("record,labels,fold\na/x,AF,3.0\nb/y,N,04\n")
    assert [ref.fold for ref in listing.refs] == [3, 4]
    assert labelled("record,labels,fold\na/x,AF,nan\nb/y,N,\n").folds == 10


@pytest.mark.parametrize("labels", ["", "AF;N"])
def test_an_exclusive_table_gives_each_record_one_label(tmp_path, labels):
    write_record(tmp_path, "x")
    (tmp_path / "labels.csv").write_text(f"record,labels\nx,{labels}\n")
    with pytest.raises(DataError, match="--exclusive give exactly one"):
        listed(WfdbFolder(tmp_path, tmp_path / "labels.csv", exclusive=True))
