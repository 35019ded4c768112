"""Prepared sets: what is written, that it is whole or absent, that it depends on the content alone."""

import csv
import dataclasses
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from test_files import no_file_larger_than
from wfdb_writing import RAMP, edit_header, write_record

from ecg_jax.dataset import parallel_load, tfds_writer
from ecg_jax.dataset.folds import assign_folds
from ecg_jax.dataset.prepare import prepare
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.dataset.summary import summary
from ecg_jax.errors import ConfigError, DataError, InUseError, UserError
from ecg_jax.files import staging
from ecg_jax.records import MISSING, quantise
from ecg_jax.sources import Cinc2017, FunctionSource, PtbXl, Synthetic, WfdbFolder
from ecg_jax.target import Target

RECORDS = 80  # five chunks: enough for several workers


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """A folder with 80 good records (r07 with a gap), 2 spoiled ones, a row without file, and labels.csv."""
    root = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    rows = []
    for n in reversed(range(RECORDS)):
        digital = rng.integers(-900, 900, (300 + n, 2)).astype(np.int16)
        if n == 7:
            digital[50:60] = MISSING
        write_record(root, f"r{n:02}", digital=digital)
        rows.append((f"r{n:02}", ("AF", "N", "AF;N", "")[n % 4], f"p{n // 2}"))
    edit_header(write_record(root, "bad1"), "1000/mV", "0/mV")
    edit_header(write_record(root, "bad2"), " 100 ", " 0 ")
    rows += [("bad1", "AF", "p90"), ("bad2", "N", "p91"), ("absent", "N", "p92")]
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("record", "labels", "patient"), *rows])
    return root


@pytest.fixture
def request_for(recordings, tmp_path):
    source = WfdbFolder(recordings, recordings / "labels.csv")
    base = PrepareConfig(source, tmp_path / "set", leads=("II", "I", "V1"), workers=1)
    return lambda **changes: dataclasses.replace(base, **changes)


def quiet():
    return Console(stderr=True, quiet=True)


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_tfds_opens_the_set_without_our_code_in_the_order_of_the_record_ids(request_for):
    request = request_for()
    prepared = prepare(request, quiet())
    builder = tfds.builder_from_directory(request.to)
    assert list(builder.info.splits) == ["records"]
    examples = list(builder.as_data_source("records"))
    names = [example["record_id"].decode() for example in examples]
    assert names == sorted(names) == prepared.record_ids.tolist() == [f"r{n:02}" for n in range(RECORDS)]
    for n in (0, 7, 79):
        assert examples[n]["signal"].dtype == np.int16
        assert examples[n]["signal"].shape == (300 + n, 3)
        assert examples[n]["scale_mv"].dtype == np.float32
        assert examples[n]["labels"].tolist() == [[1, 0], [0, 1], [1, 1], [0, 0]][n % 4]  # AF, N
        assert examples[n]["patient"].decode() == f"p{n // 2}"
        assert examples[n]["fold"] == prepared.folds[n]


def test_signals_come_back_in_mv_by_index_with_absent_lead_and_gap_marked(request_for, recordings):
    prepared = prepare(request_for(), quiet())
    (second, scale), (gap, _) = prepared.read([12, 7])
    raw = np.fromfile(recordings / "r12.dat", "<i2").reshape(-1, 2) / 1000
    np.testing.assert_allclose(second[:, :2] * scale[:2], raw[:, ::-1], atol=2e-5)  # half a step of 0.9 / 32767
    assert (second[:, 2] == MISSING).all()
    assert (gap[50:60] == MISSING).all()
    assert np.count_nonzero(~prepared.gapless) == 1
    assert prepared.missing[[12, 7]].tolist() == [312, 307 + 20]


def listed(prepared, name):
    with (prepared.path / name).open(newline="") as file:
        return list(csv.DictReader(file))


def reported(request):
    console = Console(record=True, file=io.StringIO(), width=1000)
    prepare(request, console)
    return console.export_text()


def test_what_was_left_out_rejected_or_read_with_a_warning_is_named_and_counted(request_for, recordings):
    prepared = prepare(request_for(), quiet())
    rejected = {row["record"]: row["reason"] for row in listed(prepared, "rejected.csv")}
    assert rejected.keys() == {"bad1", "bad2"}
    assert rejected["bad1"].startswith("gain unusable: lead I")
    (left_out,) = listed(prepared, "left_out.csv")
    assert (left_out["record"], left_out["reason"]) == ("absent", f"no file: {recordings / 'labels.csv'} line 84")
    warned = [(row["record"], row["warning"]) for row in listed(prepared, "warnings.csv")]
    assert warned == [(f"r{n:02}", "lead V1 missing") for n in range(RECORDS)]
    counts = prepared.about["counts"]
    assert counts["rejected"] == {"gain unusable": 1, "rate unusable": 1}
    assert counts["left_out"] == {"no file": 1}
    assert counts["warnings"] == {"lead V1 missing": RECORDS}
    assert counts["kept"] == len(prepared) == RECORDS


def test_bytes_do_not_depend_on_the_number_of_workers(request_for, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel_load, "AHEAD", 1)  # so that five chunks are more than may wait
    alone = prepare(request_for(), quiet())
    together = prepare(request_for(to=tmp_path / "other", workers=3), quiet())
    assert files_of(together.path) == files_of(alone.path)


PREPARE = """
import sys
from pathlib import Path
from ecg_jax.dataset.prepare import prepare
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.sources import WfdbFolder
root, to = map(Path, sys.argv[1:])
prepare(PrepareConfig(WfdbFolder(root, root / "labels.csv"), to, leads=("I",), workers=1))
"""


def test_bytes_do_not_depend_on_the_process(recordings, tmp_path):
    seeds = ("0", "1", "2")
    for seed in seeds:
        command = [sys.executable, "-c", PREPARE, recordings, tmp_path / seed]
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True)
    first, *others = (files_of(tmp_path / seed) for seed in seeds)
    assert [other == first for other in others] == [True, True]


def test_the_fingerprint_follows_the_content_and_not_the_place(request_for, recordings, tmp_path):
    first = prepare(request_for(), quiet()).fingerprint
    (tmp_path / "moved").mkdir()
    for path in recordings.iterdir():
        (tmp_path / "moved" / path.name).write_bytes(path.read_bytes())
    moved = request_for(to=tmp_path / "b", source=WfdbFolder(tmp_path / "moved", tmp_path / "moved" / "labels.csv"))
    assert prepare(moved, quiet()).fingerprint == first
    signal = tmp_path / "moved" / "r11.dat"
    original = signal.read_bytes()
    signal.write_bytes(original[:-2] + b"\x07\x00")
    assert prepare(dataclasses.replace(moved, to=tmp_path / "c"), quiet()).fingerprint != first


def test_the_fingerprint_follows_labels_patients_and_folds(tmp_path):
    for name in ("x", "y"):
        write_record(tmp_path, name, digital=RAMP)
    found = set()
    for n, row in enumerate(("x,AF,p1,1", "x,N,p1,1", "x,AF,p3,1", "x,AF,p1,2")):
        (tmp_path / "labels.csv").write_text(f"record,labels,patient,fold\n{row}\ny,AF;N,p2,2\n")
        request = PrepareConfig(WfdbFolder(tmp_path, tmp_path / "labels.csv"), tmp_path / f"set{n}")
        found.add(prepare(request, quiet()).fingerprint)
    assert len(found) == 4


@pytest.mark.parametrize("change", [{"rate_hz": 50.0}, {"leads": ("I",)}, {"folds": 3}, {"seed": 1}])
def test_the_fingerprint_follows_contract_and_folds(request_for, tmp_path, change):
    first = prepare(request_for(), quiet()).fingerprint
    assert prepare(request_for(to=tmp_path / "b", **change), quiet()).fingerprint != first


def test_a_finished_set_is_left_as_it_is_by_the_same_request(request_for, recordings):
    request = request_for()
    path = prepare(request, quiet()).path
    before = {file: file.stat().st_mtime_ns for file in path.iterdir()}
    console = Console(record=True, file=io.StringIO(), width=400)
    prepare(dataclasses.replace(request, workers=2), console)
    assert "is finished already" in console.export_text()
    assert {file: file.stat().st_mtime_ns for file in path.iterdir()} == before


def test_another_request_on_a_finished_set_is_refused_with_what_differs(request_for):
    prepare(request_for(), quiet())
    with pytest.raises(DataError, match=r"rate_hz 100\.0 \(now 50\.0\); choose another --to, or remove it"):
        prepare(request_for(rate_hz=50.0), quiet())


def test_a_folder_with_something_else_in_it_is_left_alone(request_for):
    request = request_for()
    request.to.mkdir()
    (request.to / "thesis.tex").write_text("dear to someone")
    with pytest.raises(DataError, match="is not a prepared set; choose another --to"):
        prepare(request, quiet())
    assert files_of(request.to) == {"thesis.tex": b"dear to someone"}


def test_strict_makes_nothing_where_a_record_is_rejected(request_for, tmp_path):
    with pytest.raises(DataError, match=r"gain unusable 1 \(bad1\): .*; rate unusable 1 \(bad2\)"):
        prepare(request_for(strict=True), quiet())
    assert not (tmp_path / "set").exists()


def test_nothing_left_is_an_error_that_says_why(request_for):
    cause = r"leads absent 81 \(bad1, r00, r01, \.\.\.\): it has I, II; choose leads that it has \(--leads\)"
    with pytest.raises(DataError, match=f"no record is left: {cause}; rate unusable 1"):
        prepare(request_for(leads=("V5",)), quiet())


def test_no_file_left_is_an_error_with_the_first_row_and_what_to_do(tmp_path):
    write_record(tmp_path, "00001")
    (tmp_path / "labels.csv").write_text("record,labels\n1,AF\n2,N\n")
    message = (
        r"no record is left: no file 2 \(1, 2\): .*labels.csv line 2, but 00001 is there; write 00001 into the table"
    )
    with pytest.raises(DataError, match=message):
        prepare(PrepareConfig(WfdbFolder(tmp_path, tmp_path / "labels.csv"), tmp_path / "set"), quiet())


def test_the_report_names_leads_that_no_record_has_and_leads_that_nobody_asked_for(request_for):
    report = reported(request_for(leads=("DII", "II", "V1"), rate_hz=50.0))
    assert "leads that no record has: DII, V1; choose others with --leads" in report
    assert "leads that were not asked for: I 80; choose them with --leads" in report
    assert "lead V1 missing" not in report  # 80 times, and said above


def test_a_record_with_two_warnings_of_one_kind_is_counted_once_and_named_twice(request_for, monkeypatch):
    def warned(record):
        return quantise(dataclasses.replace(record, warnings=("odd: in I", "odd: in II", "old")))

    monkeypatch.setattr(parallel_load, "quantise", warned)
    prepared = prepare(request_for(), quiet())
    assert prepared.about["counts"]["warnings"] == {"odd": RECORDS, "old": RECORDS}
    assert len(listed(prepared, "warnings.csv")) == 3 * RECORDS
    assert "read with a warning: odd 80 (r00, r01, r02, ...); old 80 (r00, r01" in reported(request_for())


def test_the_report_of_a_finished_set_is_that_of_its_making(request_for):
    first, again = reported(request_for()), reported(request_for())
    assert again.splitlines()[1:] == first.splitlines()


def patients_of(tmp_path, *patients):
    for n in range(len(patients)):
        write_record(tmp_path, f"r{n}", digital=RAMP)
    rows = "".join(f"r{n},{'AF' if n % 2 else 'N'},{patient}\n" for n, patient in enumerate(patients))
    (tmp_path / "labels.csv").write_text(f"record,labels,patient\n{rows}")
    source = WfdbFolder(tmp_path, tmp_path / "labels.csv")
    return reported(PrepareConfig(source, tmp_path / "set", folds=2)), open_prepared(tmp_path / "set")


@pytest.mark.parametrize("mark", ["nan", "NaN", "NA", "None", "<NA>", ""])
def test_a_mark_of_a_missing_value_is_no_patient(tmp_path, mark):
    report, prepared = patients_of(tmp_path, "p1", mark, mark, mark)
    assert prepared.patients.tolist() == ["p1", "", "", ""]
    assert "records without a patient: 3; each counts as a patient of its own" in report
    assert sorted(np.bincount(prepared.folds)[1:]) == [2, 2]  # one patient of three records could not be divided


def test_17_and_17_0_are_one_patient_and_in_one_fold(tmp_path):
    _, prepared = patients_of(tmp_path, "17", "17.0", "18", "19")
    assert prepared.patients.tolist() == ["17", "17", "18", "19"]
    assert prepared.folds[0] == prepared.folds[1]


def test_patients_are_named_as_in_the_table_where_none_is_written_in_two_ways(tmp_path):
    _, prepared = patients_of(tmp_path, "17.0", "17.0", "18.0", "p.0")
    assert prepared.patients.tolist() == ["17.0", "17.0", "18.0", "p.0"]  # older sets have these names


def test_records_of_one_patient_cannot_be_divided_and_the_error_says_so(tmp_path):
    with pytest.raises(DataError, match="all 3 records are of one patient"):
        patients_of(tmp_path, "p1", "p1", "p1")


KILLED = """
import os, signal, sys
from pathlib import Path
import ecg_jax.dataset.prepare as room
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.sources import WfdbFolder

step, to, root = sys.argv[1:]
setattr(room, step, lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL))
source = WfdbFolder(Path(root), Path(root) / "labels.csv")
room.prepare(PrepareConfig(source, Path(to), leads=("I",), workers=1))
"""


@pytest.mark.parametrize("step", ["read_all", "_write_beside", "publish"])
def test_a_killed_prepare_leaves_no_set_and_the_same_command_finishes_it(request_for, recordings, tmp_path, step):
    to = tmp_path / "set"
    killed = subprocess.run([sys.executable, "-c", KILLED, step, to, recordings], capture_output=True)
    assert killed.returncode == -9
    assert not to.exists()
    assert [path.name for path in tmp_path.iterdir()] == [".set.preparing"]
    whole = prepare(request_for(leads=("I",)), quiet())
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert whole.fingerprint == prepare(request_for(leads=("I",), to=tmp_path / "b"), quiet()).fingerprint


KILLED_WITH_WORKERS = """
import os, signal, sys
from multiprocessing import active_children
from pathlib import Path
import ecg_jax.dataset.prepare as room
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.sources import WfdbFolder

def write(folder, examples, **_):
    next(examples), next(examples)
    print(*[child.pid for child in active_children()], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    room.write_tfds = write
    to, root = map(Path, sys.argv[1:])
    room.prepare(PrepareConfig(WfdbFolder(root, root / "labels.csv"), to, leads=("I",), workers=2))
"""


def test_reading_processes_end_with_a_killed_prepare(recordings, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED_WITH_WORKERS)
    with (tmp_path / "pids").open("w") as pids:  # a pipe would stay open in the workers
        killed = subprocess.run([sys.executable, script, tmp_path / "set", recordings], stdout=pids)
    assert killed.returncode == -9
    workers = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(workers) == 2
    until = time.monotonic() + 20
    while any(is_running(pid) for pid in workers) and time.monotonic() < until:
        time.sleep(0.05)
    left = [pid for pid in workers if is_running(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def is_running(pid):
    """Whether a process is there and is no zombie that merely waits to be collected."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def test_what_a_killed_prepare_left_is_cleared_even_beside_a_finished_set(request_for, tmp_path):
    prepare(request_for(), quiet())
    (tmp_path / ".set.preparing" / "source").mkdir(parents=True)
    prepare(request_for(), quiet())
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_full_disk_is_an_error_of_files_and_leaves_nothing(request_for, tmp_path, monkeypatch):
    class Full(tfds_writer.ArrayRecordWriter):
        def close(self):
            super().close()
            raise RuntimeError("write() failed: No space left on device; writing somewhere; at byte 8192")

    monkeypatch.setattr(tfds_writer, "ArrayRecordWriter", Full)
    with pytest.raises(OSError, match="No space left on device") as full:
        prepare(request_for(), quiet())
    assert full.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_on_one_target_do_not_spoil_each_other(request_for):
    request = request_for()
    with staging(request.to), pytest.raises(InUseError, match="set is being prepared by process"):
        prepare(request, quiet())
    assert len(prepare(request, quiet())) == RECORDS


def test_preparing_and_reading_load_neither_tensorflow_nor_jax(recordings, tmp_path):
    code = """
import sys
from pathlib import Path
from ecg_jax.dataset.prepare import prepare
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.sources import WfdbFolder
root = Path(sys.argv[1])
source = WfdbFolder(root, root / "labels.csv")
made = prepare(PrepareConfig(source, Path(sys.argv[2]), leads=("I",), workers=1))
made.read([0])
print(*sys.modules)
"""
    command = [sys.executable, "-c", code, recordings, tmp_path / "set"]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow", "jax", "flax"} & set(loaded)


def test_a_request_loads_nothing_heavy():
    code = "import sys, ecg_jax.dataset.prepare_config, ecg_jax.sources; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "wfdb", "scipy", "tensorflow_datasets", "jax"} & set(loaded)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 7)), min_size=60, max_size=200), st.integers(2, 6))
def test_a_patient_is_in_one_fold_and_no_fold_is_out_of_range(records, folds):
    patients = [f"p{patient}" for patient, _ in records] + [f"q{n}" for n in range(folds)]
    label = np.array([[bits >> k & 1 for k in range(3)] for _, bits in records] + [[1, 0, 0]] * folds, float)
    fold_of = assign_folds(label, patients, folds=folds, seed=0)
    assert len({(patient, fold) for patient, fold in zip(patients, fold_of.tolist(), strict=True)}) == len(
        set(patients)
    )
    assert set(fold_of.tolist()) <= set(range(1, folds + 1))


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_spread_evenly_over_the_folds(seed):
    rng = np.random.default_rng(seed)
    label = (rng.random((600, 5)) < [0.5, 0.3, 0.1, 0.05, 0.02]).astype(float)
    fold_of = assign_folds(label, [f"p{n // 2}" for n in range(600)], folds=5, seed=seed)
    records = np.bincount(fold_of)[1:]
    assert np.ptp(records) <= 0.1 * records.mean()
    for k in range(5):
        bearers = np.bincount(fold_of[label[:, k] > 0], minlength=6)[1:]
        assert np.ptp(bearers) <= max(2, 0.15 * bearers.mean()), bearers


def test_the_seed_decides_the_folds():
    label = np.random.default_rng(0).integers(0, 2, (100, 3)).astype(float)
    names = [f"p{n}" for n in range(100)]
    once, again, other = (assign_folds(label, names, folds=5, seed=seed).tolist() for seed in (0, 0, 1))
    assert once == again != other


def test_more_folds_than_patients_are_refused(request_for):
    with pytest.raises(DataError, match="--folds 50 does not fit 42 patients"):
        prepare(request_for(folds=50), quiet())


def test_a_patient_in_two_folds_of_the_table_is_refused(tmp_path):
    for name in ("x", "y"):
        write_record(tmp_path, name)
    (tmp_path / "labels.csv").write_text("record,labels,patient,fold\nx,AF,p1,1\ny,AF,p1,2\n")
    with pytest.raises(DataError, match="patient p1 is in folds 1 and 2"):
        prepare(PrepareConfig(WfdbFolder(tmp_path, tmp_path / "labels.csv"), tmp_path / "set"), quiet())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate_hz": 0}, "--rate-hz is 0"),
        ({"workers": 0}, "--workers is 0"),
        ({"folds": 1}, "--folds is 1"),
        ({"seed": -1}, "--seed is -1"),
        ({"leads": ("I", "i")}, "names a lead twice"),
    ],
)
def test_an_impossible_setting_is_refused_by_its_flag(tmp_path, values, message):
    with pytest.raises(ConfigError, match=message):
        PrepareConfig(Synthetic(), tmp_path, **values)


def test_a_folder_that_does_not_exist_is_refused_by_its_flag(tmp_path):
    with pytest.raises(DataError, match=r"--from nowhere is not a folder; give the folder with the files of ptb_xl"):
        prepare(PrepareConfig(PtbXl(Path("nowhere")), tmp_path / "set"), quiet())


def test_a_reader_that_does_not_exist_is_refused_with_the_record_that_names_it(recordings, tmp_path, monkeypatch):
    (tmp_path / "unread.py").write_text(
        "from ecg_jax.sources import Listing, RecordRef\n"
        "from ecg_jax.target import Target\n"
        "def listing(root):\n"
        "    ref = RecordRef('r01', root / 'r01', frozenset({'odd'}), reader='abc')\n"
        "    return Listing((ref,), Target('multilabel', ('odd',)), folds=0)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match="r01: there is no reader 'abc'; name one of wfdb"):
        prepare(PrepareConfig(FunctionSource(recordings, "unread:listing"), tmp_path / "set", workers=1), quiet())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("os:listdir", "source os:listdir returns list; return an ecg_jax.sources.Listing"),
        ("os:getpid", "source os:getpid failed with TypeError: .*; correct it"),
        (".a:b", "source .* is not a function; give MODULE:FUNCTION"),
        ("wrong:no_label", "record r01 has the label even; name it in the target too"),
        ("wrong:two_labels", "record r01 has 2 labels that exclude each other; give it one"),
        ("wrong:far_fold", "record r01 is in fold 10000000000; give 0 or more"),
        ("wrong:twice", "record r01 is named twice"),
    ],
)
def test_a_source_of_ones_own_that_cannot_be_used_is_one_line(recordings, tmp_path, monkeypatch, name, message):
    (tmp_path / "wrong.py").write_text(
        "from ecg_jax.sources import Listing, RecordRef\n"
        "from ecg_jax.target import Target\n"
        "def make(root, labels=('odd',), fold=1, times=1):\n"
        "    ref = RecordRef('r01', root / 'r01', frozenset(labels), fold=fold)\n"
        "    return Listing((ref,) * times, Target('exclusive', ('odd', 'three')), folds=0)\n"
        "def no_label(root): return make(root, ['even'])\n"
        "def two_labels(root): return make(root, ['odd', 'three'])\n"
        "def far_fold(root): return make(root, fold=10**10)\n"
        "def twice(root): return make(root, times=2)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=message):
        prepare(PrepareConfig(FunctionSource(recordings, name), tmp_path / "set", workers=1), quiet())


def test_a_source_of_ones_own_is_a_function_named_by_module(recordings, tmp_path, monkeypatch):
    (tmp_path / "my_source.py").write_text(
        "from ecg_jax.sources import Listing, RecordRef\n"
        "from ecg_jax.target import Target\n"
        "def mine(root):\n"
        "    paths = [path.with_suffix('') for path in root.glob('r*1.hea')]\n"
        "    refs = [RecordRef(path.name, path, frozenset({'odd'}), fold=1) for path in paths]\n"
        "    return Listing(tuple(refs), Target('multilabel', ('odd',)), ('I',), folds=0)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    source = FunctionSource(recordings, "my_source:mine")
    prepared = prepare(PrepareConfig(source, tmp_path / "set", workers=1), quiet())
    assert (len(prepared), prepared.leads, prepared.source) == (8, ("I",), "my_source:mine")


def test_synthetic_recordings_go_the_way_of_real_ones(tmp_path):
    prepared = prepare(PrepareConfig(Synthetic(records=24), tmp_path / "set", folds=3, workers=1), quiet())
    assert (len(prepared), len(prepared.leads), prepared.rate_hz) == (24, 12, 100)
    assert not prepared.about["counts"]["rejected"]
    assert not prepared.about["counts"]["warnings"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_the_summary_says_what_is_in_the_set(request_for):
    console = Console(record=True, file=io.StringIO(), width=200)
    console.print(summary(prepare(request_for(), quiet())))
    text = console.export_text()
    for words in ("100 Hz", "II, I, V1", "3 to 3.79 s", "gain unusable 1", "no file 1", "80 of 40 patients", "(none)"):
        assert words in text


@pytest.mark.parametrize("folds", [3, 20])
def test_the_records_of_each_label_and_fold_are_readable_in_a_narrow_terminal(folds, request_for):
    prepared = prepare(request_for(folds=folds), quiet())
    console = Console(record=True, file=io.StringIO(), width=80)
    console.print(summary(prepared))
    words = set(re.findall(r"\w+", console.export_text().split("records by label and fold")[1]))
    wanted = {*prepared.labels, *map(str, np.unique(prepared.folds))}
    assert wanted <= words
    assert {str(count) for count in prepared.label.sum(axis=0)} <= words


def test_a_folder_that_is_no_set_cannot_be_opened(tmp_path):
    with pytest.raises(DataError, match="is not a prepared set"):
        open_prepared(tmp_path)


def test_a_set_whose_description_has_neither_target_nor_score_is_read_as_before(real_data, tmp_path):
    config = PrepareConfig(Cinc2017(real_data / "cinc2017"), tmp_path / "set", workers=1)
    path = prepare(config, quiet()).path
    about = json.loads((path / "prepared.json").read_text())
    del about["target"], about["score"]
    (path / "prepared.json").write_text(json.dumps(about | {"exclusive": True}))
    prepared = open_prepared(path)
    assert prepared.target == Target("exclusive", ("A", "N", "O", "~"))
    assert prepared.score == "cinc2017"


@pytest.mark.parametrize(
    ("exclusive", "fingerprint"),
    [
        (False, "283429d422d0cd2d649402fbcf611eef318c46b621baca6c2e027d0cc0f2e5d0"),
        (True, "5f22a9e72cd1c85a197fcb7ea2282bff7da26df67ecbb5de25b5d2676fc505d1"),
    ],
)
def test_the_fingerprint_of_a_content_is_the_same_in_every_version(tmp_path, exclusive, fingerprint):
    for name in ("x", "y"):
        write_record(tmp_path, name, digital=RAMP)
    (tmp_path / "labels.csv").write_text("record,labels,patient,fold\nx,AF,p1,1\ny,N,p2,2\n")
    config = PrepareConfig(WfdbFolder(tmp_path, tmp_path / "labels.csv", exclusive), tmp_path / "set", workers=1)
    assert prepare(config, quiet()).fingerprint == fingerprint  # as version 0.1.0 computed it


def test_a_set_of_another_version_is_refused(request_for):
    path = prepare(request_for(), quiet()).path
    about = json.loads((path / "prepared.json").read_text())
    (path / "prepared.json").write_text(json.dumps(about | {"format": 99}))
    with pytest.raises(DataError, match="by another version"):
        open_prepared(path)


def test_real_cinc2017_keeps_every_record_with_a_counted_warning(real_data, tmp_path):
    prepared = prepare(PrepareConfig(Cinc2017(real_data / "cinc2017"), tmp_path / "set", workers=1), quiet())
    counts = prepared.about["counts"]
    assert (counts["kept"], counts["rejected"], counts["warnings"]) == (100, {}, {"wrong checksum": 100})
    assert np.bincount(prepared.folds)[1:].tolist() == [20] * 5
    assert (prepared.label.sum(axis=1) == 1).all()


def test_a_full_disk_is_one_error_and_leaves_nothing(request_for, tmp_path):
    for size in (100, 20_000):
        with no_file_larger_than(size), pytest.raises((DataError, OSError), match=r"File too large"):
            prepare(request_for(), quiet())
        assert not list(tmp_path.iterdir())
    assert len(prepare(request_for(), quiet())) == RECORDS
