"""Sources of data sets that are not WFDB: labels counted by hand, millivolts against another reading."""

import math
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import wfdb
from rich.console import Console
from test_records_files import NUMBERS, VALID, WRITERS

from ecg_jax.dataset.prepare import prepare
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.errors import DataError
from ecg_jax.file_layout import STANDARD_LEADS, LayoutFlags
from ecg_jax.records import load
from ecg_jax.sources import ArrayFolder, Code15, Cpsc2018, Hefei, Sph


def listed(source):
    return source.listing(rate_hz=100, seed=0, folder=Path())


def read(ref, rate_hz):
    options = {"reader": ref.reader, "key": ref.key, "layout": ref.layout}
    return load(ref.path, leads=STANDARD_LEADS, rate_hz=rate_hz, record_id=ref.record_id, **options)


def left_out(listing):
    return [(rejected.record, rejected.kind) for rejected in listing.left_out]


def prepared(source, folder, **options):
    return prepare(PrepareConfig(source, folder / "set", folds=2, workers=1, **options), Console(quiet=True))


@pytest.fixture
def cpsc2018(real_data, tmp_path):
    """The five real recordings in two folders, and a table of made-up labels."""
    for at, path in enumerate(sorted((real_data / "cpsc2018").glob("*.mat"))):
        folder = tmp_path / f"TrainingSet{at % 2 + 1}"
        folder.mkdir(exist_ok=True)
        (folder / path.name).symlink_to(path)
    rows = ["A1980,1,,", "A1982,5,8,", "A1984,2,7,9", "A1986,2,NaN,NaN", "A1988,5,,", "A9999,3,,"]
    table = ["Recording,First_label,Second_label,Third_label", *rows]
    (tmp_path / "REFERENCE.csv").write_text("\n".join(table))
    return tmp_path


def test_cpsc2018_has_the_labels_of_its_table_and_the_millivolts_of_scipy(cpsc2018):
    listing = listed(Cpsc2018(cpsc2018))
    counts = Counter(label for ref in listing.refs for label in ref.labels)
    assert counts == {"RBBB": 2, "AF": 2, "Normal": 1, "STD": 1, "PVC": 1, "STE": 1}
    assert listing.target.names == ("AF", "I-AVB", "LBBB", "Normal", "PAC", "PVC", "RBBB", "STD", "STE")
    assert left_out(listing) == [("A9999", "no file")]
    for ref in listing.refs:
        expected = scipy.io.loadmat(ref.path)["ECG"]["data"][0, 0].T
        np.testing.assert_allclose(read(ref, 500).signal_mv, expected, atol=1e-6)


@pytest.mark.parametrize("label", ["0", "10", "AF", "1.5"])
def test_a_label_that_cpsc2018_does_not_have_is_refused_with_its_line(tmp_path, label):
    (tmp_path / "REFERENCE.csv").write_text(f"Recording,First_label\nA0001,{label}\n")
    with pytest.raises(DataError, match=f"REFERENCE.csv line 2 has the label '{label}'"):
        listed(Cpsc2018(tmp_path))


def test_sph_has_primary_statements_as_labels_and_the_millivolts_of_h5py(real_data):
    listing = listed(Sph(real_data / "sph"))
    assert {ref.record_id: ref.labels for ref in listing.refs} == {
        "SPH00001": {"22", "23"},
        "SPH00003": {"1"},
        "SPH00007": {"106"},
        "SPH00009": {"1"},
    }
    assert listing.target.names == ("1", "106", "22", "23")
    first = listing.refs[0]
    assert (first.patient, first.age, first.sex) == ("S00001", 55, "male")
    assert left_out(listing) == [(f"SPH0{number:04}", "no file") for number in (2, 4, 6, 8, 10)]
    for ref in listing.refs:
        with h5py.File(ref.path) as file:
            np.testing.assert_array_equal(read(ref, 500).signal_mv, file["ecg"][:].T.astype(np.float32))


def test_a_modifier_of_sph_is_no_label(tmp_path):
    (tmp_path / "records").mkdir()
    for number in (1, 2):
        with h5py.File(tmp_path / "records" / f"A{number}.h5", "w") as file:
            file["ecg"] = np.zeros((12, 50), np.float16)
    table = "ECG_ID,AHA_Code,Patient_ID,Age,Sex\nA1,60+310;147+350+362,S1,55,F\nA2,1;,S1,,\n"
    (tmp_path / "metadata.csv").write_text(table)
    one, two = listed(Sph(tmp_path)).refs
    assert (one.labels, one.patient, one.sex) == ({"60", "147"}, "S1", "female")
    assert (two.labels, two.sex) == ({"1"}, "")
    assert math.isnan(two.age)
    (tmp_path / "metadata.csv").write_text(table.replace("1;,", "normal,"))
    with pytest.raises(DataError, match=r"metadata.csv line 3 has the AHA_Code 'normal'"):
        listed(Sph(tmp_path))


EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


def made_hefei(root, *, first_round=False, rows=None):
    """Five recordings in the form of the set; returns their samples [T, L] in units of 4.88 µV."""
    name = "hf_round1" if first_round else "hf_round2"
    folder = root / f"{name}_train"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    samples = {number: random.integers(-200, 200, (500, 8)) for number in range(100001, 100006)}
    for number, array in samples.items():
        lines = [" ".join(EIGHT), *(" ".join(map(str, row)) for row in array)]
        (folder / f"{number}.txt").write_text("\n".join(lines) + "\n")
    rows = rows or [
        "100001.txt\t47\tMALE\t正常ECG\t窦性心律",
        "100002.txt\t\tFEMALE\t窦性心律",
        "100003.txt\t81\t\t完全性右束支传导阻滞\t窦性心律\t",
        "100004.txt\t5\tMALE\t窦性心律",
        "100005.txt\t60\tFEMALE\t",
        "100006.txt\t60\tFEMALE\t正常ECG",
        "100001.txt\t47\tMALE\t窦性心律",
    ]
    table = f"{name}_label.txt" if first_round else f"{name}_train.txt"
    (root / table).write_text("\n".join(rows) + "\n", encoding="utf-8")
    (root / f"{name}_arrythmia.txt").write_text("正常ECG\n窦性心律\n完全性右束支传导阻滞\n房颤\n", encoding="utf-8")
    return samples


@pytest.mark.parametrize("first_round", [False, True])
def test_hefei_has_eight_leads_of_4_88_microvolts_and_four_derived_ones(tmp_path, first_round):
    samples = made_hefei(tmp_path, first_round=first_round)
    listing = listed(Hefei(tmp_path))
    assert listing.target.names == tuple(sorted(["正常ECG", "窦性心律", "完全性右束支传导阻滞", "房颤"]))
    assert [(ref.record_id, len(ref.labels), ref.sex) for ref in listing.refs] == [
        ("100001", 2, "male"),
        ("100002", 1, "female"),
        ("100003", 2, ""),
        ("100004", 1, "male"),
        ("100005", 0, "female"),
    ]
    assert [ref.age for ref in listing.refs if not math.isnan(ref.age)] == [47, 81, 5, 60]
    assert left_out(listing) == [("100006", "no file"), ("100001", "named again")]
    for ref, array in zip(listing.refs, samples.values(), strict=True):
        one, two, *chest = array.T * 4.88e-3
        limbs = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
        record = read(ref, 500)
        np.testing.assert_allclose(record.signal_mv, np.stack([*limbs, *chest], axis=1), atol=1e-6)
        assert record.warnings == ()


def test_hefei_of_both_rounds_is_the_second_and_its_files_are_those_of_its_folder(tmp_path):
    made_hefei(tmp_path / "a", first_round=True)
    made_hefei(tmp_path / "b")
    refs = listed(Hefei(tmp_path)).refs
    assert len(refs) == 5
    assert all(ref.path.parent == tmp_path / "b" / "hf_round2_train" for ref in refs)


def test_a_label_that_the_list_of_hefei_has_not_is_refused_with_its_line(tmp_path):
    made_hefei(tmp_path, rows=["100001.txt\t47\tMALE\t室早"])
    with pytest.raises(DataError, match=r"line 1 has the label '室早', hf_round2_arrythmia\.txt has not"):
        listed(Hefei(tmp_path))


LABELS = ("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF")


def made_code15(root, signals, *, parts=2):
    """Recordings [T, 12] in mV in the form of the set: padded with zeros on both sides to 4,096 rows."""
    root.mkdir(parents=True, exist_ok=True)
    columns = ["exam_id", "age", "is_male", "nn_predicted_age", *LABELS, "patient_id", "death", "timey", "normal_ecg"]
    lines = [",".join([*columns, "trace_file"])]
    for part in range(parts):
        exams = [*signals][part::parts]
        tracings = np.zeros((len(exams) + 1, 4096, 12), np.float32)  # with an empty last row
        for row, exam in enumerate(exams):
            before = (4096 - len(signals[exam])) // 2
            tracings[row, before : before + len(signals[exam])] = signals[exam]
            flags = [str((exam + at) % 3 == 0) for at in range(6)]
            cells = [exam, 40 + row, exam % 2 == 0, 50.1, *flags, 7000 + exam % 4, "", "", False]
            lines.append(",".join(map(str, [*cells, f"exams_part{part}.hdf5"])))
        with h5py.File(root / f"exams_part{part}.hdf5", "w") as file:
            file["tracings"], file["exam_id"] = tracings, np.array([*exams, 0])
    (root / "exams.csv").write_text("\n".join(lines) + "\n")


def test_code15_is_the_recording_that_was_padded(real_data, tmp_path):
    signals = {}
    for header in sorted((real_data / "cinc2025" / "code15").glob("*.hea")):
        signals[int(header.stem)] = wfdb.rdrecord(str(header.with_suffix(""))).p_signal
    made_code15(tmp_path, signals)
    listing = listed(Code15(tmp_path))
    assert len(listing.refs) == len(signals) == 6
    for ref in listing.refs:
        np.testing.assert_allclose(read(ref, 400).signal_mv, signals[int(ref.record_id)], atol=1e-6)


def test_code15_has_six_labels_and_names_exams_whose_part_is_missing_or_damaged(tmp_path):
    random = np.random.default_rng(0)
    made_code15(tmp_path, {exam: random.normal(0, 0.3, (2800, 12)) for exam in range(11, 23)}, parts=3)
    listing = listed(Code15(tmp_path))
    assert listing.target.names == tuple(sorted(LABELS))
    by_hand = {str(exam): {name for at, name in enumerate(LABELS) if (exam + at) % 3 == 0} for exam in range(11, 23)}
    assert {ref.record_id: ref.labels for ref in listing.refs} == by_hand
    assert {ref.record_id: (ref.patient, ref.sex) for ref in listing.refs}["12"] == ("7000", "male")
    (tmp_path / "exams_part0.hdf5").unlink()
    part = tmp_path / "exams_part1.hdf5"
    part.write_bytes(part.read_bytes()[:100_000])
    with (tmp_path / "exams.csv").open("a") as table:
        table.write("99,40,True,1,False,False,False,False,False,False,7,,,False,exams_part2.hdf5\n")
    listing = listed(Code15(tmp_path))
    assert [ref.record_id for ref in listing.refs] == ["13", "16", "19", "22"]
    kinds = Counter(kind for _, kind in left_out(listing))
    assert kinds == {"no file": 5, "file unreadable": 4}
    assert listing.left_out[-1].record == "99"


def test_a_truth_that_code15_does_not_have_is_refused_with_its_line(tmp_path):
    made_code15(tmp_path, {1: NUMBERS[:50, :1] * np.ones((1, 12))}, parts=1)
    table = tmp_path / "exams.csv"
    table.write_text(table.read_text().replace("True", "perhaps"))
    with pytest.raises(DataError, match=r"line 2 has .* 'perhaps'; give True or False"):
        listed(Code15(tmp_path))


def test_every_set_is_prepared_from_five_recordings_in_two_folds(cpsc2018, real_data, tmp_path):
    made_hefei(tmp_path / "hefei")
    random = np.random.default_rng(0)
    made_code15(tmp_path / "code15", {exam: random.normal(0, 0.3, (2800, 12)) for exam in range(1, 6)})
    for source, kept in (
        (Cpsc2018(cpsc2018), 5),
        (Sph(real_data / "sph"), 4),
        (Hefei(tmp_path / "hefei"), 5),
        (Code15(tmp_path / "code15"), 5),
    ):
        made = prepared(source, tmp_path / source.name)
        counts = made.about["counts"]
        if source.name == "cpsc2018":  # age and sex are in the files alone
            assert made.ages.tolist() == [52, 89, 23, 53, 49]
            assert made.sexes.tolist() == ["male", "male", "female", "female", "female"]
        assert (len(made), made.rate_hz, made.leads) == (kept, 100, STANDARD_LEADS)
        assert (counts["rejected"], counts["warnings"]) == ({}, {})


def test_a_table_that_is_not_there_is_named_with_where_to_get_it(tmp_path):
    for source in (Cpsc2018, Sph, Hefei, Code15):
        with pytest.raises(DataError, match=r"is missing; (download it from|ask for it at) http"):
            listed(source(tmp_path))


def test_two_files_or_tables_of_one_name_are_never_chosen_between(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "A1.mat").touch()
    (tmp_path / "REFERENCE.csv").write_text("Recording,First_label\nA1,1\n")
    assert left_out(listed(Cpsc2018(tmp_path))) == [("A1", "several files")]
    for folder in ("a", "b"):
        (tmp_path / folder / "REFERENCE.csv").touch()
    (tmp_path / "REFERENCE.csv").unlink()
    with pytest.raises(DataError, match=r"has both .*a/REFERENCE.csv and .*b/REFERENCE.csv"):
        listed(Cpsc2018(tmp_path))


@pytest.fixture
def folder(tmp_path):
    """A recording in each format in which leads are in columns, three damaged ones, and a table."""
    root = tmp_path / "files"
    (root / "sub").mkdir(parents=True)
    for suffix, content in VALID.items():
        (root / "sub" / f"r{suffix[1:]}{suffix}").write_bytes(content)
    (root / "sub" / "rows.npy").write_bytes(WRITERS[".npy"](NUMBERS.T))
    for name, content in {"empty.mat": b"", "cut.h5": VALID[".h5"][:900], "strange.csv": b"I;am\nno;ECG\n"}.items():
        (root / name).write_bytes(content)
    names = [f"sub/r{suffix[1:]}" for suffix in VALID] + ["rows.npy", "empty", "cut.h5", "strange", "nowhere.npy"]
    (root / "labels.csv").write_text("record,labels,age\n" + "".join(f"{name},AF,50\n" for name in names))
    return root


def made_folder(root, **flags):
    files = LayoutFlags(**({"rate_hz_of_files": 250, "unit": "uV", "lead_names": ("I", "II", "V1")} | flags))
    return ArrayFolder(root, root / "labels.csv", files=files)


def test_a_folder_of_many_formats_is_prepared_and_what_is_damaged_is_named(folder, tmp_path):
    made = prepared(made_folder(folder), tmp_path, leads=("I", "II", "V1"), rate_hz=200)
    assert sorted(made.record_ids) == sorted([*(f"sub/r{suffix[1:]}" for suffix in VALID), "sub/rows"])
    counts = made.about["counts"]
    assert counts["left_out"] == {"no file": 1}
    assert counts["rejected"] == {"file unreadable": 3}
    assert counts["warnings"] == {"each row is a lead": 1, "each row is a sample": 6}
    signals = [made.signal_mv(at) for at in range(len(made)) if not made.record_ids[at].endswith("redf")]
    for signal_mv in signals[1:]:
        np.testing.assert_array_equal(signal_mv, signals[0])


def test_two_files_of_one_record_are_refused(folder):
    (folder / "empty.csv").touch()
    with pytest.raises(DataError, match=r"empty is both .*empty\.csv and .*empty\.mat; keep one of them"):
        listed(made_folder(folder))
