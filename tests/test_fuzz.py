"""Damaged files of every kind that is read: an error of our own or a usable value, little memory, and an end.

A target is a parser. Its inputs are valid files in which places were changed, so that most of them get past the first
check. CI tries a hundred inputs for each target; `make fuzz` tries ten thousand and prints how long they took.
"""

import io
import json
import math
import shutil
from dataclasses import asdict
from functools import lru_cache

import numpy as np
import pytest
from fuzzing import (
    MEGABYTES,
    Content,
    assert_finite,
    damaged,
    figures,
    json_files,
    refused,
    try_input,
    use_listing,
    use_record,
    valid,
)
from hypothesis import example, given
from hypothesis import strategies as st
from wfdb_writing import write_record

from ecg_jax.analysis.axes import READY_MADE, Scale
from ecg_jax.config import RunConfig, to_dict
from ecg_jax.dataset.prepared import ABOUT, INDEX, open_prepared
from ecg_jax.dataset.summary import summary
from ecg_jax.models.cost import Cost
from ecg_jax.records import load, read_wfdb
from ecg_jax.sources import Cinc2017, Cinc2021, Cinc2025, Ludb, MimicIvEcg, PtbXl, WfdbFolder
from ecg_jax.study.design import Study, make_grid
from ecg_jax.study.storage import JOURNAL
from ecg_jax.study.tasks import Task
from ecg_jax.study.trial_queue import open_trial_queue
from ecg_jax.study.workdir import create_or_open, open_study
from ecg_jax.terminal import PlainConsole
from ecg_jax.training.result import TrainStats, read_predictions, read_result
from ecg_jax.training.workdir import read_config, read_metrics

# ------------------------------------------------------------------ what is read


def use_samples(root):
    record = load(root / "r", leads=("I", "II", "III", "V1"), rate_hz=250)
    use_record(record)
    assert record.rate_hz == 250


def use_comments(root):
    for source in (Cinc2021, Cinc2025, Ludb):
        use_listing(source(root / "challenge"))
    use_listing(Cinc2021(root / "challenge", classes="all"))


def use_result(root):
    result = read_result(root)
    assert_finite(asdict(result))
    numbers = [result.figure("macro_auroc"), *(figures["threshold"] for figures in result.per_label.values())]
    assert all(number is None or type(number) in (int, float) for number in numbers)


def use_metrics(root):
    for line in read_metrics(root):
        assert isinstance(line["epoch"], int)
        assert_finite(line)


def use_predictions(root):
    ids, probability, label = read_predictions(root / "predictions_test.csv")
    assert len(ids) == len(probability) == len(label)
    assert probability.shape == label.shape
    assert ((probability >= 0) & (probability <= 1)).all()
    assert np.isin(label, (0, 1)).all()


def use_set(root):
    prepared = open_prepared(root / "set")
    n, k = len(prepared), len(prepared.labels)
    assert prepared.label.shape == (n, k)
    assert {len(getattr(prepared, name)) for name in ("patients", "folds", "samples", "missing", "gapless")} == {n}
    assert math.isfinite(prepared.rate_hz)
    assert prepared.rate_hz > 0
    PlainConsole(file=io.StringIO()).print(summary(prepared))


def use_study(root):
    opened = open_study(root / "study")
    assert "://" in opened.storage or (opened.path / opened.storage).resolve().parent == opened.path.resolve()
    for scale, rates in opened.plan().rates.items():
        opened.study.config(scale, rates[0])
    assert_finite(opened.study.to_dict())


def use_journal(root):
    queue = open_trial_queue(root / "study", open_study(root / "study").name, JOURNAL)
    for attempt in queue.attempts():
        assert_finite(asdict(attempt))
        assert all(isinstance(text, str) for text in (attempt.trial, attempt.worker))


__all__ = ["figures"]  # a fixture of every test here

TARGETS = {
    "header": ("r.hea", lambda root: use_record(read_wfdb(root / "r"))),
    "record": ("r.dat", use_samples),
    "wfdb table": ("labels.csv", lambda root: use_listing(WfdbFolder(root, root / "labels.csv"))),
    "ptb_xl": ("ptbxl_database.csv", lambda root: use_listing(PtbXl(root, "all"))),
    "statements": ("scp_statements.csv", lambda root: use_listing(PtbXl(root))),
    "cinc2017": ("REFERENCE-v3.csv", lambda root: use_listing(Cinc2017(root))),
    "challenge header": ("challenge/A0001.hea", use_comments),
    "record list": ("mimic/record_list.csv", lambda root: use_listing(MimicIvEcg(root / "mimic"))),
    "reports": ("mimic/machine_measurements.csv", lambda root: use_listing(MimicIvEcg(root / "mimic"))),
    "config": ("config.json", lambda root: assert_finite(to_dict(read_config(root)))),
    "result": ("result.json", use_result),
    "metrics": ("metrics.jsonl", use_metrics),
    "predictions": ("predictions_test.csv", use_predictions),
    "prepared": (f"set/{ABOUT}", use_set),
    "index": (f"set/{INDEX}", use_set),
    "study": ("study/study.json", use_study),
    "grid": ("study/grids/grid.json", use_study),
    "journal": (f"study/{JOURNAL}", use_journal),
}
"""Of each target the file that is damaged and what reads it, in a folder with a valid file of every kind."""

SIGNAL = np.random.default_rng(0).integers(-1500, 1500, (300, 2)).astype(np.int16)
HEADERS = [
    b"r 2 100 300\nr.dat 16 1000/mV 16 0 0 0 0 I\nr.dat 16 1000(5)/mV 16 0 0 0 0 II\n# <age>: 61\n",
    b"r 2 100.0/100(0) 300 12:30:00 01/02/2003\nr.dat 16 200 16 0 0 0 0 I\nr.dat 16 5e2/uV 16 0 0 0 0 V1\n",
    b"r.mat 3 100 190\nr.dat 16x2+24 1000/mV 16 0 0 0 0 I\nr.dat 16:3+24 1000/mV 16 0 0 0 0 II\n"
    b"sub/p.dat 212 200/mV 12 0 0 0 0 II\n",
    b"r/3 2 100 660\ns1 300\n~ 60\ns2 300\n",
    b"r/4 2 100 660\nlay 0\ns1 300\n~ 60\ns2 300\n",
    b"r 1 360\np.dat 212 200(1024)/mV 11 1024 995 0 0 MLII\n",
]
WFDB_TABLES = [
    b"record,labels,patient,fold\ns1,AF;PVC,p1,1\ns2,N,17.0,2\nr,,17,2\n",
    b"record;labels;patient\ns1;AF;p1\ns2;N;nan\n",
    b'\xef\xbb\xbfrecord,labels\r\n"s1",AF\r\n"./s2.hea",N\r\nsub\\p,N\r\n',
]
DATABASE = (
    b"ecg_id,patient_id,scp_codes,strat_fold,filename_lr,filename_hr\n"
    b"1,15709.0,\"{'NORM': 100.0, 'SR': 0.0}\",3,s1,s2\n2,13243.0,\"{'IMI': 100.0}\",2,s2,s1\n"
)
STATEMENTS = (
    b",description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass\nNORM,normal ECG,1.0,,,NORM,NORM\n"
    b"IMI,inferior infarction,1.0,,,MI,IMI\nSR,sinus rhythm,,,1.0,,\n"
)
CLASSES = b"s1,N\ns2,~\n\nr,A\n"
CHALLENGE = (
    b"A0001 2 100 300\nA0001.dat 16 1000/mV 16 0 0 0 0 I\nA0001.dat 16 1000/mV 16 0 0 0 0 II\n#Age: 61\n#Sex: Male\n"
    b"# Dx: 426783006,164889003\n# Chagas label: True\n#<age>: 61\n#<diagnoses>:\n#Rhythm: Sinus rhythm.\n#LVH. \n"
)
RECORD_LIST = (
    b"subject_id,study_id,file_name,ecg_time,path\n10,40,40,2180-07-23 08:44:00,files/s40\n11,41,41,,files/s41\n"
)
REPORTS = b'subject_id,study_id,report_0,report_1\n10,40,Sinus rhythm,"Early transition, V2."\n11,41,,\n'
METRIC = {"value": 0.8, "low": 0.7, "high": None}
RESULT = {
    "split": "validation",
    "metrics": {"macro_auroc": METRIC, "brier": METRIC},
    "labels_defined": 1,
    "per_label": {
        "N": {"auroc": METRIC, "auprc": METRIC, "f1": METRIC, "threshold": 0.5, "positives": 3, "records": 9}
    },
    "cost": asdict(Cost(10, 20, 51, 510.0)),
    "train": asdict(TrainStats(4, 1.5, 10.0, 2)),
    "data_fingerprint": "f" * 64,
    "config": to_dict(RunConfig()),
}
LINE = {"epoch": 1, "step": 10, "train_loss": 0.5, "validation_loss": 0.4, "validation_macro_auroc": None}
PREDICTIONS = b"record_id,p_AF,p_N,y_AF,y_N\n" + b"".join(b"r%d,0.%d,%g,1,0\n" % (n, n, 1e-9 * n) for n in range(9))
STUDY = Study(RunConfig(), READY_MADE, (), "f" * 64, 100.0, 12, 5)
SCALE = Scale(("depth", "channels", "kernel"), (1, 8, 3))
AXES = [axis.with_levels([level]) for axis, level in zip(READY_MADE, SCALE.levels, strict=True)]


@pytest.fixture(scope="module")
def root(tmp_path_factory, synthetic_set):
    """A folder with a valid file of every kind: records, tables, a run, a prepared set, a study with three attempts."""
    root = tmp_path_factory.mktemp("fuzz")
    for name in ("r", "s1", "s2"):
        write_record(root, name, digital=SIGNAL)
    (root / "lay.hea").write_text("lay 2 100 0\n~ 0 1000/mV 16 0 0 0 0 I\n~ 0 1000/mV 16 0 0 0 0 II\n")
    (root / "sub").mkdir()
    for path in (root / "p.dat", root / "sub" / "p.dat"):
        path.write_bytes(SIGNAL.tobytes()[:900])
    tables = {"wfdb table": WFDB_TABLES[0], "ptb_xl": DATABASE, "statements": STATEMENTS, "cinc2017": CLASSES}
    tables |= {"challenge header": CHALLENGE, "record list": RECORD_LIST, "reports": REPORTS}
    for name in ("challenge/A0001", "mimic/files/s40"):
        write_record(root, name, digital=SIGNAL)
    for name, content in {**tables, "predictions": PREDICTIONS}.items():
        (root / TARGETS[name][0]).write_bytes(content)
    for name, value in {"config": to_dict(RunConfig()), "result": RESULT, "metrics": LINE}.items():
        (root / TARGETS[name][0]).write_text(json.dumps(value) + "\n")
    shutil.copytree(synthetic_set, root / "set")
    study = create_or_open(root / "study", STUDY)
    study.add_grid(make_grid(AXES, 2, [1e-3]))
    next((root / "study/grids").iterdir()).rename(root / "study/grids/grid.json")
    queue = open_trial_queue(study.path, study.name, study.storage, create=True)
    for seed, end in enumerate((lambda attempt: queue.complete(attempt, 0.8), queue.release, queue.heartbeat)):
        end(queue.claim(Task(SCALE, 1e-3, seed, "whole", "free"), key="k", worker=f"host {seed}"))
    return root


# ------------------------------------------------------------------ the targets


@pytest.mark.parametrize("target", TARGETS)
def test_the_valid_file_is_read(root, target):
    earlier = refused[target]
    try_input(root, TARGETS, target, valid(root, TARGETS[target][0]))
    assert refused[target] == earlier


@pytest.mark.parametrize("content", MEGABYTES)
@pytest.mark.parametrize("target", TARGETS)
def test_a_megabyte_of_something_else_takes_little_memory_and_time(root, target, content):
    try_input(root, TARGETS, target, MEGABYTES[content])


@given(header=damaged(*HEADERS))
def test_a_damaged_header_is_read_or_rejected(root, header):
    try_input(root, TARGETS, "header", header)


@given(
    header=st.one_of(st.sampled_from(HEADERS), damaged(*HEADERS)),
    samples=st.one_of(damaged(SIGNAL.tobytes()), st.binary(max_size=2000)),
    segment=st.sampled_from(("s1.dat", "p.dat", "s2.hea", "lay.hea")),
    part=st.one_of(st.just(SIGNAL.tobytes()), damaged(b"s2 2 100 300\ns2.dat 16 10 16 0 0 0 0 I\ns2.dat 16 10\n")),
)
def test_damaged_samples_are_brought_to_their_leads_and_rate_or_rejected(root, header, samples, segment, part):
    try_input(root, TARGETS, "record", samples, **{"r.hea": header, segment: part})


@given(table=damaged(*WFDB_TABLES))
def test_a_damaged_table_of_a_folder_is_listed_or_refused(root, table):
    try_input(root, TARGETS, "wfdb table", table)


@given(table=damaged(DATABASE))
def test_a_damaged_database_of_ptb_xl_is_listed_or_refused(root, table):
    try_input(root, TARGETS, "ptb_xl", table)


@given(table=damaged(STATEMENTS))
def test_damaged_statements_of_ptb_xl_are_listed_or_refused(root, table):
    try_input(root, TARGETS, "statements", table)


@given(table=damaged(CLASSES))
def test_a_damaged_table_of_cinc2017_is_listed_or_refused(root, table):
    try_input(root, TARGETS, "cinc2017", table)


@given(header=damaged(CHALLENGE))
def test_damaged_comments_of_a_header_are_listed_or_left_out(root, header):
    try_input(root, TARGETS, "challenge header", header)


@given(table=damaged(RECORD_LIST))
def test_a_damaged_list_of_mimic_is_listed_or_refused(root, table):
    try_input(root, TARGETS, "record list", table)


@given(table=damaged(REPORTS))
def test_damaged_reports_of_mimic_are_listed_or_refused(root, table):
    try_input(root, TARGETS, "reports", table)


@given(text=json_files(to_dict(RunConfig())))
def test_a_damaged_config_is_read_or_refused(root, text):
    try_input(root, TARGETS, "config", text)


@given(text=json_files(RESULT))
@example(text=json.dumps(RESULT | {"metrics": {"macro_auroc": {"low": None, "high": None}}}).encode())
def test_a_damaged_result_is_read_or_refused(root, text):
    try_input(root, TARGETS, "result", text)


@given(first=json_files(LINE), second=json_files(LINE | {"epoch": 2}))
def test_damaged_lines_of_metrics_are_read_or_refused(root, first, second):
    try_input(root, TARGETS, "metrics", b"\n".join([first, json.dumps(LINE).encode(), second, b""]))


@given(table=damaged(PREDICTIONS))
def test_damaged_predictions_are_read_or_refused(root, table):
    try_input(root, TARGETS, "predictions", table)


@given(data=st.data())
def test_a_damaged_description_of_a_set_is_read_or_refused(root, data):
    try_input(root, TARGETS, "prepared", data.draw(json_files(valid(root, f"set/{ABOUT}"))))


@lru_cache
def _bomb():
    """A file of 300 KB that unpacks to 300 MB."""
    file = io.BytesIO()
    np.savez_compressed(file, record_ids=np.zeros(300_000_000, np.uint8))
    return Content(file.getvalue())


@st.composite
def damaged_index(draw, content):
    """An `index.npz` with damaged bytes, or with an array of another type, shape or content."""
    if draw(st.booleans()):
        return draw(st.one_of(damaged(content), st.just(_bomb())))
    with np.load(io.BytesIO(content)) as index:
        arrays = {name: index[name] for name in index.files}
    name = draw(st.sampled_from(sorted(arrays)))
    array = arrays.pop(name)
    others = (array[:-1], array[:0], array[None], array.astype(str), array.astype("S8"), np.array(3), np.zeros(0))
    more = (np.full(len(array), np.nan), np.full(len(array), 1j), np.full(len(array), -1))
    changed = draw(st.sampled_from((*others, *more, None)))
    if changed is not None:
        arrays[name] = changed
    file = io.BytesIO()
    np.savez(file, **arrays)
    return Content(file.getvalue())


@given(data=st.data())
def test_a_damaged_index_of_a_set_is_read_or_refused(root, data):
    content = data.draw(damaged_index(valid(root, f"set/{INDEX}")))
    about = json.loads(valid(root, f"set/{ABOUT}"))
    about["index_sha256"] = None  # as in sets of earlier versions, so that the index itself is judged
    try_input(root, TARGETS, "index", content, **{f"set/{ABOUT}": json.dumps(about).encode()})


@pytest.mark.parametrize("change", [{"content": "x"}, {"record_bytes": {"9" * 5000: 1}}, {"record_bytes": {"": 1}}])
def test_a_description_whose_hash_is_none_or_whose_files_are_not_there_is_refused(root, change):
    about = json.loads(valid(root, f"set/{ABOUT}")) | change
    earlier = refused["prepared"]
    try_input(root, TARGETS, "prepared", json.dumps(about).encode())
    assert refused["prepared"] == earlier + 1


@given(data=st.data())
def test_a_damaged_study_is_opened_or_refused(root, data):
    try_input(root, TARGETS, "study", data.draw(json_files(valid(root, "study/study.json"))))


@given(data=st.data())
def test_a_damaged_grid_is_read_or_refused(root, data):
    try_input(root, TARGETS, "grid", data.draw(json_files(valid(root, "study/grids/grid.json"))))


@given(data=st.data())
def test_a_damaged_journal_is_read_or_refused(root, data):
    journal = valid(root, f"study/{JOURNAL}")
    lines = journal.splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    line = data.draw(json_files(lines[at])) + b"\n"
    whole = Content(b"".join([*lines[:at], line, *lines[at + 1 :]]))
    try_input(root, TARGETS, "journal", data.draw(st.one_of(st.just(whole), damaged(journal))))
