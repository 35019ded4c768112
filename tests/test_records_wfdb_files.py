"""The files of a WFDB record: which are opened, what they must be, and how their samples become millivolts."""

import os
import struct

import numpy as np
import pytest
import scipy.io
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from wfdb_writing import edit_header, packed, write_record

from ecg_jax.records import Record, Rejected, read_wfdb
from ecg_jax.records.wfdb_files import plain_samples, read_header, samples_by_wfdb, signal_files

BITS = {8: 7, 16: 16, 24: 24, 32: 25, 61: 16, 80: 8, 160: 16, 212: 12, 310: 10, 311: 10}
MARKED = [16, 24, 61, 80, 160, 212, 310, 311]  # by the lowest value where nothing was recorded


@pytest.mark.parametrize("form", BITS)
@settings(max_examples=30)
@given(data=st.data())
def test_every_format_is_read_to_its_last_bit(tmp_path_factory, form, data):
    leads, samples = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 12))
    lowest = -(2 ** (BITS[form] - 1))
    values = st.integers(lowest + (form not in MARKED), -lowest - 1)
    flat = data.draw(st.lists(values, min_size=leads * samples, max_size=leads * samples))
    digital = np.array(flat).reshape(samples, leads)
    path = write_record(
        tmp_path_factory.mktemp("format"),
        digital=digital,
        leads=("I", "II", "III")[:leads],
        gain="1/mV",
        form=str(form),
        data=packed(digital, form),
    )
    record = read_wfdb(path)
    assert isinstance(record, Record), record
    assert record.warnings == ()
    expected_missing = (digital == lowest) & (form in MARKED)
    assert (record.missing == expected_missing).all()
    np.testing.assert_array_equal(record.signal_mv, np.where(expected_missing, 0, digital))


def check_against_wfdb(path, channels=None):
    """Whether the record at `path` has plain samples; those are compared with wfdb's, bit by bit."""
    header = read_header(path)
    plain = [file for file in signal_files(path.parent, header, header.signals) if file.format == 16]
    for file in plain:
        numbers = range(len(file.signals)) if channels is None else channels
        frames = header.length or file.frames
        ours, theirs = (read(file, numbers, frames) for read in (plain_samples, samples_by_wfdb))
        assert [each.tobytes() for each in ours] == [each.tobytes() for each in theirs], path
        assert {each.dtype for each in ours} == {each.dtype for each in theirs}
    return bool(plain)


def test_plain_samples_of_every_real_record_are_those_of_wfdb(real_data):
    paths = sorted(real_data.rglob("*.hea"))
    assert sum(check_against_wfdb(path) for path in paths) >= 1000


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_plain_samples_of_any_file_are_those_of_wfdb(tmp_path_factory, data):
    leads, samples = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 9))
    values = st.one_of(st.sampled_from([-32768, -32767, 0, 32767]), st.integers(-32768, 32767))
    flat = data.draw(st.lists(values, min_size=leads * samples, max_size=leads * samples))
    offset, beyond = data.draw(st.integers(0, 30)), data.draw(st.binary(max_size=4))
    path = write_record(
        tmp_path_factory.mktemp("plain"),
        digital=np.array(flat).reshape(samples, leads),
        leads=("I", "II", "III", "V1", "V2")[:leads],
        gain=data.draw(st.sampled_from(["1000/mV", "4.88(-3)/uV"])),
        first_line=data.draw(st.sampled_from([None, f"r1 {leads} 100"])),
        form=data.draw(st.sampled_from(["16", "16x1", "16:3"])) + (f"+{offset}" if offset else ""),
        data=bytes(offset) + np.array(flat, "<i2").tobytes() + beyond,
    )
    channels = data.draw(st.lists(st.integers(0, leads - 1), min_size=1, max_size=leads, unique=True))
    assert check_against_wfdb(path.with_suffix(".hea"), sorted(channels))


@pytest.mark.parametrize(
    ("form", "samples", "needed"),
    [(16, 7, 14), (24, 7, 21), (80, 7, 7), (212, 7, 11), (212, 8, 12), (310, 7, 10), (310, 8, 12), (311, 7, 10)],
)
def test_a_file_needs_the_bytes_of_its_samples_and_not_one_less(tmp_path, form, samples, needed):
    digital = np.arange(samples)[:, None]
    data = packed(digital, form)[:needed]
    whole = write_record(tmp_path, "whole", digital=digital, leads=("I",), gain="1/mV", form=str(form), data=data)
    assert read_wfdb(whole).signal_mv[:, 0].tolist() == list(range(samples))
    cut = write_record(tmp_path, "cut", digital=digital, leads=("I",), form=str(form), data=data[:-1])
    assert read_wfdb(cut).reason == f"file shortened: cut.dat has {needed - 1} of {needed} bytes"


@pytest.mark.parametrize("first_line", ["r1 1 100", "r1 1 100 0"])
@pytest.mark.parametrize("form", [16, 212, 310])
def test_without_a_length_all_whole_frames_of_the_file_are_read(tmp_path, first_line, form):
    digital = np.arange(12)[:, None]
    data = packed(digital, form) + b"\0"
    path = write_record(
        tmp_path, digital=digital, leads=("I",), gain="1/mV", first_line=first_line, form=str(form), data=data
    )
    assert read_wfdb(path).signal_mv[:, 0].tolist() == list(range(12))


def test_skewed_samples_are_shifted_and_count_in_the_checksum(tmp_path):
    digital = np.arange(400).reshape(200, 2)
    path = write_record(tmp_path, digital=digital, gain="1/mV")
    edit_header(path, "r1.dat 16 ", "r1.dat 16:5 ")
    record = read_wfdb(path)
    assert record.warnings == ()
    assert record.signal_mv[:195, 0].tolist() == digital[5:, 0].tolist()
    assert record.missing[:, 0].nonzero()[0].tolist() == [195, 196, 197, 198, 199]
    assert record.signal_mv[:, 1].tolist() == digital[:, 1].tolist()


def test_a_mark_of_16_bits_far_from_all_else_in_a_wider_format_is_a_warning(tmp_path):
    digital = np.arange(200)[:, None] - 100
    for name, mark, form, expected in (
        ("marked", -32768, 24, ("samples of -32768, perhaps not recorded: lead I",)),
        ("near", -110, 24, ()),
        ("narrow", -32768, 16, ()),  # there it is missing
    ):
        marked = digital.copy()
        marked[50:60] = mark
        data = packed(marked, form)
        path = write_record(tmp_path, name, digital=marked, leads=("I",), form=str(form), data=data)
        assert read_wfdb(path).warnings == expected
    wide = digital * 1000  # -32768 is one value among others
    wide[50] = -32768
    path = write_record(tmp_path, "wide", digital=wide, leads=("I",), form="24", data=packed(wide, 24))
    assert read_wfdb(path).warnings == ()


@pytest.fixture
def flac(tmp_path):
    signal_mv = np.sin(np.arange(3000) / 9)[:, None] * [1.0, 0.5]
    wfdb.wrsamp("r1", 250, ["mV"] * 2, ["I", "II"], signal_mv, fmt=["516"] * 2, write_dir=os.fspath(tmp_path))
    return tmp_path / "r1", signal_mv


def test_flac_is_read_with_its_length_or_without(flac):
    path, signal_mv = flac
    np.testing.assert_allclose(read_wfdb(path).signal_mv, signal_mv, atol=1e-4)
    edit_header(path, " 250 3000", " 250")
    np.testing.assert_allclose(read_wfdb(path).signal_mv, signal_mv, atol=1e-4)


def test_a_damaged_flac_file_is_refused(flac):
    path, _ = flac
    data = path.with_suffix(".dat").read_bytes()
    edit_header(path, " 250 3000", " 250 3001")
    assert read_wfdb(path).reason == "file shortened: r1.dat has 3,000 of 3,001 samples"
    claimed = int.from_bytes(data[18:26], "big") - 3000 + 9 * 10**9
    path.with_suffix(".dat").write_bytes(data[:18] + claimed.to_bytes(8, "big") + data[26:])
    edit_header(path, " 250 3001", " 250 9000000000")
    assert read_wfdb(path).kind == "too large"
    edit_header(path, " 250 9000000000", " 250 3000")
    path.with_suffix(".dat").write_bytes(data[:100])
    assert read_wfdb(path).reason == "file damaged: r1.dat cannot be decoded in format 516"
    path.with_suffix(".dat").write_bytes(data[:40])
    assert read_wfdb(path).reason == "file damaged: r1.dat is no FLAC file, as format 516 says"


# ------------------------------------------------------------------ names


@pytest.mark.parametrize("record_line", ["r1 2 100 200", "r1.mat 2 100 200"])
@pytest.mark.parametrize(
    "name", ["../r1.dat", "data/../../r1.dat", "/r1.dat", "\\r1.dat", "c:\\data\\r1.dat", "..", ".", "a/b/r1.dat"]
)
def test_a_signal_file_outside_the_folder_of_the_record_is_refused(tmp_path, record_line, name):
    path = write_record(tmp_path / "x" / "rec", first_line=record_line, file=name)
    for folder in (tmp_path / "x", tmp_path):
        (folder / "r1.dat").write_bytes(path.with_suffix(".dat").read_bytes())
    (path.parent / "a" / "b").mkdir(parents=True)
    path.with_suffix(".dat").rename(path.parent / "a" / "b" / "r1.dat")
    result = read_wfdb(path)
    assert isinstance(result, Rejected)
    assert result.kind == "file name unusable"


def test_a_segment_outside_the_folder_of_the_record_is_refused(tmp_path):
    write_record(tmp_path, "s1")
    header = tmp_path / "rec" / "all.hea"
    header.parent.mkdir()
    header.write_text("all/1 2 100 200\n../s1 200\n")
    assert read_wfdb(header).kind == "file name unusable"


@pytest.mark.parametrize("record_line", ["r1 2 100 200", "r1 2 100 200 12-May-2020 12:33:59"])
@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("data/r1.dat", "data/r1.dat"),
        ("data\\r1.dat", "data/r1.dat"),
        ("./r1.dat", "r1.dat"),
        ("beats/r1.dat", "r1.dat"),  # a path of where the record once lay
        ("set/beats/r1.dat", "r1.dat"),
        ("two.dots.dat", "two.dots.dat"),
        ("心电图.dat", "心电图.dat"),
        ("R1.DAT", "R1.DAT"),
    ],
)
def test_a_signal_file_has_any_name_and_lies_beside_its_header_or_one_folder_below(tmp_path, record_line, name, place):
    path = write_record(tmp_path, first_line=record_line, file=name)
    (tmp_path / "data").mkdir()
    path.with_suffix(".dat").rename(tmp_path / place)
    record = read_wfdb(path)
    assert isinstance(record, Record), record
    assert record.signal_mv[0].tolist() == [1, 2]


def test_a_record_has_a_name_with_blanks(tmp_path):
    record = read_wfdb(write_record(tmp_path, "patient 12"))
    assert isinstance(record, Record), record
    assert (record.rate_hz, record.signal_mv[0].tolist()) == (100, [1, 2])


def test_a_file_that_lost_its_extension_in_the_header_is_named(tmp_path):
    result = read_wfdb(write_record(tmp_path, file="r1"))
    assert result.reason == "file missing: r1 is not there, r1.dat is"
    assert result.remedy.startswith("write r1.dat into the signal lines")


@pytest.mark.parametrize("name", ["r1.edf", "r1.dcm", "r1.XML", "r1.npy"])
def test_a_file_of_another_format_that_is_read_is_named_with_the_command_that_reads_it(tmp_path, name):
    (tmp_path / name).write_bytes(b"0".ljust(256))
    result = read_wfdb(tmp_path / name)
    assert result.reason == f"no WFDB record: {name} is a file of another format"
    assert "ecg-jax prepare folder" in result.remedy


def test_a_file_of_a_format_that_is_not_read_is_named_with_a_way_to_convert_it(tmp_path):
    (tmp_path / "r1.gdf").write_bytes(b"0".ljust(256))
    result = read_wfdb(tmp_path / "r1.gdf")
    assert result.reason == "no WFDB record: GDF is not read"
    assert result.remedy.startswith("convert it to EDF")


def test_files_of_leads_that_are_not_asked_for_need_not_be_there(tmp_path):
    path = write_record(tmp_path, leads=("I",), first_line="r1 2 100 200")
    with path.with_suffix(".hea").open("a") as header:
        header.write("r1.xyz 16 1000/mV 16 0 0 0 0 vx\n")
    assert read_wfdb(path).reason == "file missing: r1.xyz"
    assert read_wfdb(path, leads=("I",)).signal_mv[0].tolist() == [1]


def test_a_pipe_a_device_or_a_folder_is_no_file_of_a_record(tmp_path):
    for suffix in (".hea", ".dat"):
        for what, make in {
            "pipe": os.mkfifo,
            "device": lambda path: path.symlink_to("/dev/zero"),
            "folder": lambda path: path.mkdir(),
        }.items():
            path = write_record(tmp_path / f"{what}{suffix}")
            path.with_suffix(suffix).unlink()
            make(path.with_suffix(suffix))
            assert read_wfdb(path).reason == f"file unreadable: r1{suffix} is no plain file"


def test_a_link_to_a_file_elsewhere_is_followed_as_in_a_data_set_of_links(tmp_path):
    path = write_record(tmp_path / "rec")
    for suffix in (".hea", ".dat"):
        path.with_suffix(suffix).rename(tmp_path / f"object{suffix}")
        path.with_suffix(suffix).symlink_to(f"../object{suffix}")
    assert isinstance(read_wfdb(path), Record)
    (tmp_path / "object.dat").unlink()
    assert read_wfdb(path).reason == "file missing: r1.dat is a link to a file that is not there"


# ------------------------------------------------------------------ MATLAB


def matlab_record(folder, save, *, form="16+24"):
    """A record of 3 leads in r1.mat, which `save` writes from the path and the samples [leads, T]."""
    digital = np.arange(600).reshape(200, 3)
    path = write_record(folder, digital=digital, leads=("I", "II", "III"), gain="1/mV", file="r1.mat", form=form)
    path.with_suffix(".dat").unlink()
    save(path.with_suffix(".mat"), digital.T.astype(np.int16))
    return path, digital


def version_4(path, values):
    scipy.io.savemat(path, {"val": values}, format="4")


def test_a_matlab_file_of_version_4_is_read(tmp_path):
    path, digital = matlab_record(tmp_path, version_4)
    assert read_wfdb(path).signal_mv.tolist() == digital.tolist()
    assert read_wfdb(path).warnings == ()


UNUSABLE_MATLAB = {
    "version 5": (lambda path, values: scipy.io.savemat(path, {"val": values}), "is of version 5 or later"),
    "version 5, compressed": (
        lambda path, values: scipy.io.savemat(path, {"val": values}, do_compression=True),
        "is of version 5 or later",
    ),
    "version 7.3": (
        lambda path, values: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2000)),
        "is of version 5 or later",
    ),
    "doubles": (lambda path, values: version_4(path, values.astype(float)), "holds doubles"),
    "int32": (lambda path, values: version_4(path, values.astype(np.int32)), "holds int32"),
    "transposed": (lambda path, values: version_4(path, values.T), "has 200 x 3 samples, 3 rows are expected"),
    "another name": (
        lambda path, values: scipy.io.savemat(path, {"ecg_mv": values}, format="4"),
        "has its samples from byte 27 on, the header says 24",
    ),
    "big-endian": (
        lambda path, values: path.write_bytes(
            struct.pack(">5i", 1030, 3, 200, 0, 4) + b"val\0" + values.T.astype(">i2").tobytes()
        ),
        "holds big-endian int16",
    ),
    "no MATLAB file": (lambda path, values: path.write_bytes(bytes(range(256)) * 5), "is not of version 4"),
}


@pytest.mark.parametrize("what", UNUSABLE_MATLAB)
def test_a_matlab_file_that_is_not_what_its_header_says_is_refused(tmp_path, what):
    save, fault = UNUSABLE_MATLAB[what]
    result = read_wfdb(matlab_record(tmp_path, save)[0])
    assert isinstance(result, Rejected)
    assert result.kind == "MATLAB file unusable"
    assert fault in result.reason
    assert "MATLAB version 4 with an int16 matrix" in result.remedy or "write 16+27" in result.remedy


@pytest.mark.parametrize("suffix", [".mat", ".dat"])
def test_a_matlab_file_is_never_read_as_plain_samples(tmp_path, suffix):
    path, _ = matlab_record(tmp_path, UNUSABLE_MATLAB["version 5"][0], form="16")
    path.with_suffix(".mat").rename(path.with_suffix(suffix))
    edit_header(path, "r1.mat", f"r1{suffix}")
    header = path.with_suffix(".hea")
    header.write_text(header.read_text().replace("r1.mat", f"r1{suffix}"))
    assert read_wfdb(path).kind == "MATLAB file unusable"


def test_a_matlab_file_without_its_offset_is_refused_with_the_format_to_write(tmp_path):
    assert read_wfdb(matlab_record(tmp_path, version_4, form="16")[0]).remedy.startswith("write 16+24 as its format")


@pytest.mark.parametrize("begin", [b"", b"# Created by Octave", bytes(124) + b"\0\1IM"])
def test_a_file_called_mat_is_read_as_a_matlab_file_or_not_at_all(tmp_path, begin):
    path, _ = matlab_record(tmp_path, lambda path, values: path.write_bytes(begin + values.T.tobytes()), form="16")
    assert read_wfdb(path).reason == "MATLAB file unusable: r1.mat is not of version 4"
