"""Damaged files of every kind that is read: an error of our own or a usable value, little memory, and an end.

A target is a parser. Its inputs are valid files in which places were changed, so that most of them get past the first
check. CI tries a hundred inputs for each target; `make fuzz` tries ten thousand and prints how long they took.
"""

import copy
import io
import json
import math
import re
import resource
import shutil
import signal
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wfdb_writing import write_record

from ecg_jax.analysis.axes import READY_MADE, Scale
from ecg_jax.config import RunConfig, to_dict
from ecg_jax.dataset.prepared import ABOUT, INDEX, open_prepared
from ecg_jax.dataset.summary import summary
from ecg_jax.errors import UserError
from ecg_jax.formatting import visible
from ecg_jax.models.cost import Cost
from ecg_jax.records import Rejected, load, quantise, read_wfdb
from ecg_jax.sources import Cinc2017, Cinc2021, Cinc2025, Ludb, MimicIvEcg, PtbXl, WfdbFolder
from ecg_jax.study.design import Study, make_grid
from ecg_jax.study.storage import JOURNAL
from ecg_jax.study.tasks import Task
from ecg_jax.study.trial_queue import open_trial_queue
from ecg_jax.study.workdir import create_or_open, open_study
from ecg_jax.terminal import PlainConsole
from ecg_jax.training.result import TrainStats, read_predictions, read_result
from ecg_jax.training.workdir import read_config, read_metrics

MOST_BYTES = 1_000_000
MOST_MEMORY_KB = 200_000
MOST_SECONDS = 20  # of one input; a hang, not a slow machine
MOST_ADDRESSES = 4_000_000_000  # bytes above the start, so that a fault does not take the machine's memory
LINUX = Path("/proc/self/clear_refs").exists()
inputs, refused, seconds = Counter(), Counter(), Counter()  # by target
before: dict[str, bytes] = {}  # the valid contents of the files that are damaged now


class Hang(BaseException):
    """One input took too long; no handler of ours catches this."""


def _hang(*_):
    raise Hang(f"more than {MOST_SECONDS} s for one input")


@lru_cache
def _open_once(name):
    return Path(f"/proc/self/{name}").open("r+b" if name == "clear_refs" else "rb", buffering=0)


def _memory_kb(name):
    status = _open_once("status")
    status.seek(0)
    return int(status.read().partition(f"{name}:".encode())[2].split()[0])


@contextmanager
def bounded(target):
    """Runs one input: an end within seconds, at most 200 MB more memory, errors of our own in one line."""
    if LINUX:
        _open_once("clear_refs").write(b"5")  # the peak begins here
        before_kb = _memory_kb("VmRSS")
    began = time.perf_counter()
    handler = signal.signal(signal.SIGALRM, _hang)
    signal.alarm(MOST_SECONDS)
    try:
        yield
    except UserError as refusal:
        assert_one_line(str(refusal))
        refused[target] += 1
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        inputs[target] += 1
        seconds[target] += time.perf_counter() - began
    if LINUX:
        assert _memory_kb("VmHWM") - before_kb < MOST_MEMORY_KB


def assert_one_line(message):
    assert message.strip()
    assert len(visible(message).splitlines()) == 1


@pytest.fixture(scope="module", autouse=True)
def figures(pytestconfig):
    """Limits the memory of all inputs, and prints the figures of each target at the end of `make fuzz`."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    if LINUX:
        resource.setrlimit(resource.RLIMIT_AS, (_memory_kb("VmSize") * 1024 + MOST_ADDRESSES, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)
    if settings.get_current_profile_name() == "fuzz":
        with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            for target, number in inputs.items():
                share = refused[target] / number
                print(f"\n{target:12} {number:7,} inputs, {share:4.0%} refused, {seconds[target]:6.1f} s", end="")


# ------------------------------------------------------------------ damage

PIECES = [
    *(b"", b"0", b"1", b"-1", b"2", b"7", b"1.5", b"nan", b"inf", b"-inf", b"1e-40", b"1e40", b"1e400", b"-0"),
    *(b"99999", b"32768", b"2147483648", b"9223372036854775808", b"9" * 30, b"9" * 5000, b"1_0", b"0x10", b"100/7(3)"),
    *(b"~", b"..", b"../x", b"/etc/passwd", b"x/y", b".", b"*", b"#", b'"', b"'", b"[]", b"{}", b"[/red]", b"$x$"),
    *(b" ", b"\t", b",", b";", b"\n", b"\r", b"\r\n", b"\x0b", b"\x0c", b"\x00", b"\x1b[1m", b"\x85", b"\xff"),
    *("é", "µV", "\u2028", "\u0661", "\u5fc3", "\U0001d7d8"),
    *(b"16", b"212", b"80", b"310", b"8", b"61", b"508", b"516", b"16x4", b"16:5", b"16+24", b"mmHg", b"None"),
    *(b"\xef\xbb\xbf", b"long" * 300),
]  # fmt: skip
PIECES = [piece.encode() if isinstance(piece, str) else piece for piece in PIECES]
BETWEEN = re.compile(rb"([\s,;:/()+x\[\]{}\"']+)")


class Content(bytes):
    """The bytes of a file, cut short where they are printed."""

    def __repr__(self):
        return bytes.__repr__(self[:400])


@st.composite
def damaged(draw, *valid):
    """One of the valid files with one to three changes: of a word, of a range of words, of a byte, or of the end."""
    parts = re.split(BETWEEN, draw(st.sampled_from(valid)))
    for _ in range(draw(st.sampled_from((1, 1, 2, 3)))):
        at = draw(st.integers(0, 2**32)) % len(parts)  # a small range would be drawn at its ends too often
        change = draw(st.sampled_from(("replace", "replace", "replace", "insert", "delete", "repeat", "cut", "byte")))
        if change == "replace":
            parts[at] = draw(st.sampled_from(PIECES))
        elif change == "insert":
            parts.insert(at, draw(st.sampled_from(PIECES)))
        elif change == "delete":
            del parts[at : at + draw(st.integers(1, 12))]
        elif change == "repeat":
            piece = parts[at : at + draw(st.integers(1, 24))]
            parts[at:at] = piece * draw(st.sampled_from((1, 1, 1, 1, 1, 1, 2, 3, 100)))
        elif change == "cut":
            del parts[at:]
        elif parts[at]:
            place, byte = draw(st.integers(0, len(parts[at]) - 1)), draw(st.integers(0, 255))
            parts[at] = parts[at][:place] + bytes([byte]) + parts[at][place + 1 :]
        parts = parts or [b""]
    return Content(b"".join(parts)[:MOST_BYTES])


VALUES = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 0.5, -0.5, 1.5, math.nan, math.inf, -math.inf, 1e308, 5e-324),
    *(2**31, 2**63, 10**30, 10**400, "", "x", "1", "nan", "auto", "../x", "/etc/passwd", "\x00", "\x1b[31m", "[/red]"),
    *("sqlite:///x", "postgresql://u@h/d", "os:system", [], {}, [1], [0], ["x"], [None], [[1]], {"x": 1}, [1] * 1000),
]  # fmt: skip


def _places(tree, path=()):
    yield path
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from _places(value, (*path, key))


@st.composite
def damaged_json(draw, valid):
    """A file of JSON with one to three changes of its values."""
    tree = {"": json.loads(valid)}
    for _ in range(draw(st.sampled_from((1, 1, 2, 3)))):
        places = [path for path in _places(tree) if path]
        *path, last = places[draw(st.integers(0, 2**32)) % len(places)]
        parent = tree
        for key in path:
            parent = parent[key]
        change = draw(st.sampled_from(("replace", "replace", "replace", "delete", "add")))
        if change == "delete" and path:
            del parent[last]
        elif change == "add" and isinstance(parent[last], dict):
            parent[last]["unknown"] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        else:
            parent[last] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    return Content(json.dumps(tree[""]).encode())


NO_JSON = {
    "nested list": b"[" * 100_000,
    "nested object": b'{"x":' * 100_000,
    "long number": b"9" * 5000,
    "open string": b'"',
    "UTF-16": b"\xff\xfe",
    "mark and object": b"\xef\xbb\xbf{}",
}


def json_files(valid):
    """A file of JSON that was damaged as values, as text, or is something else."""
    valid = Content(json.dumps(valid).encode() if not isinstance(valid, bytes) else valid)
    other = st.sampled_from(sorted(NO_JSON)).map(lambda name: Content(NO_JSON[name]))
    return st.one_of(damaged_json(valid), damaged_json(valid), damaged(valid), other)


# ------------------------------------------------------------------ what is read


def assert_finite(value):
    json.dumps(value, allow_nan=False, default=str)


def use_record(record):
    """A record without a number that is none; a rejected one is refused."""
    if isinstance(record, Rejected):
        for text in (record.kind, record.reason, record.remedy):
            assert_one_line(text)
        assert record.kind != "unexpected"
        raise UserError(record.reason)
    assert record.signal_mv.shape == record.missing.shape
    assert record.signal_mv.shape[1] == len(record.leads) > 0
    assert np.isfinite(record.signal_mv).all()
    assert math.isfinite(record.rate_hz)
    assert record.rate_hz > 0
    stored = quantise(record)
    assert np.isfinite(stored.scale_mv).all()
    assert (stored.scale_mv > 0).all()


def use_samples(root):
    record = load(root / "r", leads=("I", "II", "III", "V1"), rate_hz=250)
    use_record(record)
    assert record.rate_hz == 250


def use_listing(source):
    listing = source.listing(rate_hz=100, seed=0, folder=source.root)
    for ref in listing.refs:
        assert ref.path.resolve().is_relative_to(source.root.resolve())
        assert ref.labels <= set(listing.target.names)
        assert ref.fold is None or abs(ref.fold) < 2**31
        assert len(visible(ref.patient)) < 10_000
        assert math.isnan(ref.age) or 0 <= ref.age <= 130
        assert ref.sex in ("", "female", "male")


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


def try_input(root, target, content, **others):
    """Puts contents in the place of the target's file, and of others, and reads them as a user would."""
    name, use = TARGETS[target]
    contents = {name: content, **others}
    for other in [other for other in before if other not in contents]:
        (root / other).write_bytes(before.pop(other))
    for other, damaged_content in contents.items():
        if other not in before:
            before[other] = (root / other).read_bytes()
        (root / other).write_bytes(damaged_content)
    with bounded(target):
        use(root)


def valid(root, name):
    """The content of a file before it was damaged."""
    return Content(before.get(name) or (root / name).read_bytes())


# ------------------------------------------------------------------ the targets


@pytest.mark.parametrize("target", TARGETS)
def test_the_valid_file_is_read(root, target):
    earlier = refused[target]
    try_input(root, target, valid(root, TARGETS[target][0]))
    assert refused[target] == earlier


MEGABYTES = {
    "zeros": bytes(MOST_BYTES),
    "commas": b"," * MOST_BYTES,
    "lines": b"0,1\n" * (MOST_BYTES // 4),
    "lists": b"[" * MOST_BYTES,
    "a list": b"[" + b"1," * (MOST_BYTES // 2 - 2) + b"1]\n",
    "one word": b"r" * MOST_BYTES,
    "comments": b"r 2 100 300\n" + b"# 1\n" * (MOST_BYTES // 4 - 3),
}


@pytest.mark.parametrize("content", MEGABYTES)
@pytest.mark.parametrize("target", TARGETS)
def test_a_megabyte_of_something_else_takes_little_memory_and_time(root, target, content):
    try_input(root, target, MEGABYTES[content])


@given(header=damaged(*HEADERS))
def test_a_damaged_header_is_read_or_rejected(root, header):
    try_input(root, "header", header)


@given(
    header=st.one_of(st.sampled_from(HEADERS), damaged(*HEADERS)),
    samples=st.one_of(damaged(SIGNAL.tobytes()), st.binary(max_size=2000)),
    segment=st.sampled_from(("s1.dat", "p.dat", "s2.hea", "lay.hea")),
    part=st.one_of(st.just(SIGNAL.tobytes()), damaged(b"s2 2 100 300\ns2.dat 16 10 16 0 0 0 0 I\ns2.dat 16 10\n")),
)
def test_damaged_samples_are_brought_to_their_leads_and_rate_or_rejected(root, header, samples, segment, part):
    try_input(root, "record", samples, **{"r.hea": header, segment: part})


@given(table=damaged(*WFDB_TABLES))
def test_a_damaged_table_of_a_folder_is_listed_or_refused(root, table):
    try_input(root, "wfdb table", table)


@given(table=damaged(DATABASE))
def test_a_damaged_database_of_ptb_xl_is_listed_or_refused(root, table):
    try_input(root, "ptb_xl", table)


@given(table=damaged(STATEMENTS))
def test_damaged_statements_of_ptb_xl_are_listed_or_refused(root, table):
    try_input(root, "statements", table)


@given(table=damaged(CLASSES))
def test_a_damaged_table_of_cinc2017_is_listed_or_refused(root, table):
    try_input(root, "cinc2017", table)


@given(header=damaged(CHALLENGE))
def test_damaged_comments_of_a_header_are_listed_or_left_out(root, header):
    try_input(root, "challenge header", header)


@given(table=damaged(RECORD_LIST))
def test_a_damaged_list_of_mimic_is_listed_or_refused(root, table):
    try_input(root, "record list", table)


@given(table=damaged(REPORTS))
def test_damaged_reports_of_mimic_are_listed_or_refused(root, table):
    try_input(root, "reports", table)


@given(text=json_files(to_dict(RunConfig())))
def test_a_damaged_config_is_read_or_refused(root, text):
    try_input(root, "config", text)


@given(text=json_files(RESULT))
@example(text=json.dumps(RESULT | {"metrics": {"macro_auroc": {"low": None, "high": None}}}).encode())
def test_a_damaged_result_is_read_or_refused(root, text):
    try_input(root, "result", text)


@given(first=json_files(LINE), second=json_files(LINE | {"epoch": 2}))
def test_damaged_lines_of_metrics_are_read_or_refused(root, first, second):
    try_input(root, "metrics", b"\n".join([first, json.dumps(LINE).encode(), second, b""]))


@given(table=damaged(PREDICTIONS))
def test_damaged_predictions_are_read_or_refused(root, table):
    try_input(root, "predictions", table)


@given(data=st.data())
def test_a_damaged_description_of_a_set_is_read_or_refused(root, data):
    try_input(root, "prepared", data.draw(json_files(valid(root, f"set/{ABOUT}"))))


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
    try_input(root, "index", content, **{f"set/{ABOUT}": json.dumps(about).encode()})


@pytest.mark.parametrize("change", [{"content": "x"}, {"record_bytes": {"9" * 5000: 1}}, {"record_bytes": {"": 1}}])
def test_a_description_whose_hash_is_none_or_whose_files_are_not_there_is_refused(root, change):
    about = json.loads(valid(root, f"set/{ABOUT}")) | change
    earlier = refused["prepared"]
    try_input(root, "prepared", json.dumps(about).encode())
    assert refused["prepared"] == earlier + 1


@given(data=st.data())
def test_a_damaged_study_is_opened_or_refused(root, data):
    try_input(root, "study", data.draw(json_files(valid(root, "study/study.json"))))


@given(data=st.data())
def test_a_damaged_grid_is_read_or_refused(root, data):
    try_input(root, "grid", data.draw(json_files(valid(root, "study/grids/grid.json"))))


@given(data=st.data())
def test_a_damaged_journal_is_read_or_refused(root, data):
    journal = valid(root, f"study/{JOURNAL}")
    lines = journal.splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    line = data.draw(json_files(lines[at])) + b"\n"
    whole = Content(b"".join([*lines[:at], line, *lines[at + 1 :]]))
    try_input(root, "journal", data.draw(st.one_of(st.just(whole), damaged(journal))))
