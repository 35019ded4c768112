"""Sources: which records there are, their labels, patients and folds; nothing is read of a signal."""

import csv
import shutil
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
    assert listing.left_out == {"no file": 21837 - 884, "no label of the task superdiagnostic": 10}
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
    assert listing.left_out == {"no file": 1}


def test_a_class_that_cinc2017_does_not_have_is_refused(tmp_path):
    (tmp_path / "REFERENCE-v3.csv").write_text("A00001,X\n")
    with pytest.raises(DataError, match="class 'X' for 'A00001'"):
        listed(Cinc2017(tmp_path))


def test_records_are_found_by_path_by_name_if_unique_and_with_extension(labelled):
    listing = labelled("record,labels\na/x,AF\ny,AF;PVC\nb/x.hea,\nz,AF\n")
    found = {ref.record_id: ref.labels for ref in listing.refs}
    assert found == {"a/x": {"AF"}, "b/y": {"AF", "PVC"}, "b/x": set()}
    assert (listing.target.names, listing.left_out) == (("AF", "PVC"), {"no file": 1})


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
        ("record,labels,fold\na/x,AF,1\nb/x,AF,\n", "1 records without a fold"),
        ("record,labels,fold\na/x,AF,one\n", "line 2 has the fold 'one'"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_with_its_line(labelled, text, message):
    with pytest.raises(DataError, match=message):
        labelled(text)


@pytest.mark.parametrize("labels", ["", "AF;N"])
def test_an_exclusive_table_gives_each_record_one_label(tmp_path, labels):
    write_record(tmp_path, "x")
    (tmp_path / "labels.csv").write_text(f"record,labels\nx,{labels}\n")
    with pytest.raises(DataError, match="--exclusive give exactly one"):
        listed(WfdbFolder(tmp_path, tmp_path / "labels.csv", exclusive=True))
