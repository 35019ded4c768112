"""Damaged files of samples, of devices and of annotations, and damaged tables of the sets that name such files."""

import io

import h5py
import numpy as np
import pytest
import wfdb
from file_writing import aecg, edf, ishne
from fuzzing import MEGABYTES, Content, damaged, figures, refused, try_input, use_listing, use_record, valid
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat
from wfdb_writing import write_record

from ecg_jax.file_layout import FileLayout, reader_of
from ecg_jax.records import load
from ecg_jax.sources import Code15, Cpsc2018, Hefei, Mitdb, Sph

__all__ = ["figures"]  # a fixture of every test here

DIGITAL = np.random.default_rng(0).integers(-1500, 1500, (600, 2)).astype(np.int16)
LEADS = ("I", "II")
TABLES = {
    "cpsc2018/REFERENCE.csv": b"Recording,First_label,Second_label,Third_label\nA1,5,,\nA2,1,8,\n",
    "sph/metadata.csv": b"ECG_ID,AHA_Code,Patient_ID,Age,Sex,N\nA1,22;60+310,S1,55,M,5000\nA2,1,S2,9,F,1\n",
    "hefei/hf_round2_train.txt": "1.txt\t47\tMALE\t\u5fc3\u7387\tQRS\n2.txt\t\t\tQRS\n".encode(),
    "hefei/hf_round2_arrythmia.txt": "\u5fc3\u7387\nQRS\n".encode(),
    "code15/exams.csv": b"exam_id,age,is_male,1dAVb,RBBB,LBBB,SB,ST,AF,patient_id,trace_file\n"
    b"1,38,True,True,False,False,False,False,False,7,part0.hdf5\n2,73,0,0,1,0,0,0,0,7,part0.hdf5\n",
}


def use_file(name):
    """Reads a file as a folder of files is prepared."""
    leads = () if name.endswith((".csv", ".edf", ".xml", ".ecg")) else LEADS
    layout = FileLayout(rate_hz=500.0, mv_per_unit=0.001, leads=leads)
    return lambda root: use_record(
        load(root / name, leads=LEADS, rate_hz=250, reader=reader_of(root / name), layout=layout)
    )


def use_row(root):
    """Reads a row of a file of many recordings."""
    layout = FileLayout(rate_hz=500.0, mv_per_unit=1.0, leads=LEADS, variable="tracings", time_axis=0, is_padded=True)
    use_record(load(root / "code15/part0.hdf5", leads=LEADS, rate_hz=250, reader="array", key="1", layout=layout))


def use_annotations(root):
    for beats in (False, True):
        use_listing(Mitdb(root / "mitdb", beats=beats, window_seconds=0.5, before_seconds=0.1, after_seconds=0.1))


FILES = ("r.npy", "r.npz", "r.csv", "r.txt", "r.mat", "r.h5", "r.edf", "r.xml", "r.ecg")
TARGETS = {
    **{f"array {name}": (name, use_file(name)) for name in FILES},
    "array part0.hdf5": ("code15/part0.hdf5", use_row),
    "annotations": ("mitdb/100.atr", use_annotations),
    "long header": ("mitdb/100.hea", lambda root: use_listing(Mitdb(root / "mitdb", beats=True))),
    **{
        name: (name, lambda root, source=source: use_listing(source(root / source.name)))
        for name, source in zip(TABLES, (Cpsc2018, Sph, Hefei, Hefei, Code15), strict=True)
    },
    "exams": ("code15/part0.hdf5", lambda root: use_listing(Code15(root / "code15"))),
}
"""Of each target the file that is damaged and what reads it, in a folder with a valid file of every kind."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with a valid file of every kind."""
    root = tmp_path_factory.mktemp("fuzz")
    for name in ("cpsc2018", "sph", "hefei", "code15"):
        (root / name).mkdir()
    for name, content in TABLES.items():
        (root / name).write_bytes(content)
    for name in ("cpsc2018/A1.mat", "cpsc2018/A2.mat", "sph/A1.h5", "sph/A2.h5", "hefei/1.txt", "hefei/2.txt"):
        (root / name).write_bytes(b"0")
    np.save(root / "r.npy", DIGITAL)
    np.savez_compressed(root / "r.npz", ecg=DIGITAL)
    text = io.StringIO()
    np.savetxt(text, DIGITAL[:60], fmt="%d", delimiter=",")
    (root / "r.csv").write_text("I,II\n" + text.getvalue())
    (root / "r.txt").write_text(text.getvalue().replace(",", " "))
    savemat(root / "r.mat", {"ECG": {"data": DIGITAL, "age": 50}})
    with h5py.File(root / "r.h5", "w") as file:
        file["ecg"] = DIGITAL
    with h5py.File(root / "code15/part0.hdf5", "w") as file:
        file["exam_id"], file["tracings"] = [1, 2], np.stack([DIGITAL, DIGITAL]) / 1000
    (root / "r.xml").write_text(aecg(DIGITAL, LEADS))
    (root / "r.ecg").write_bytes(ishne(DIGITAL))
    (root / "r.edf").write_bytes(edf(dict(zip(LEADS, DIGITAL.T, strict=True))))
    write_record(root / "mitdb", "100", digital=DIGITAL, leads=("MLII", "V1"), rate="100")
    marks = np.array([0, 120, 300, 450, 460]), ["+", "N", "V", "+", "A"]
    wfdb.wrann("100", "atr", *marks, aux_note=["(N", "", "", "(AFIB", ""], write_dir=str(root / "mitdb"))
    return root


@pytest.mark.parametrize("target", TARGETS)
def test_the_valid_file_is_read(root, target):
    earlier = refused[target]
    try_input(root, TARGETS, target, valid(root, TARGETS[target][0]))
    assert refused[target] == earlier


@pytest.mark.parametrize("content", MEGABYTES)
@pytest.mark.parametrize("target", TARGETS)
def test_a_megabyte_of_something_else_takes_little_memory_and_time(root, target, content):
    try_input(root, TARGETS, target, MEGABYTES[content])


@st.composite
def changed_bytes(draw, content):
    """A file with bytes that are replaced, removed or repeated at up to three places, or that ends early."""
    raw = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        early = st.integers(0, min(len(raw), 600))  # where most formats say what follows
        at, count = draw(st.one_of(early, st.integers(0, len(raw)))), draw(st.integers(0, 8))
        raw[at : at + count] = draw(st.one_of(st.binary(max_size=8), st.just(bytes(raw[at : at + 40]) * count)))
    return Content(raw[: draw(st.one_of(st.just(len(raw)), st.integers(0, len(raw))))])


@pytest.mark.parametrize("target", TARGETS)
@given(data=st.data())
def test_a_damaged_recording_or_table_is_read_or_refused(root, target, data):
    content = valid(root, TARGETS[target][0])
    try_input(root, TARGETS, target, data.draw(st.one_of(damaged(content), changed_bytes(content))))
