"""WFDB files: silent defaults of wfdb are detected and named; common irregularities of real sets are read."""

import os
import tracemalloc

import numpy as np
import pytest
import wfdb
from hypothesis import given
from hypothesis import strategies as st
from wfdb_writing import checksum, damaged, edit_header, write_record

from ecg_jax.formatting import visible
from ecg_jax.records import STANDARD_LEADS, Record, Rejected, load, read_wfdb


@pytest.mark.parametrize("unit", ["mV", "mv", "MV", "uV", "UV", "µV", "μV", "nV", "V", "v"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_signals_are_in_mv_whatever_the_unit(tmp_path, unit, encoding):
    if unit == "μV" and encoding == "latin-1":
        pytest.skip("the Greek letter is not in latin-1")
    per_mv = {"m": 1, "u": 1e3, "µ": 1e3, "μ": 1e3, "n": 1e6, "v": 1e-3}[unit[0].lower()]
    path = write_record(tmp_path, gain=f"{1000 / per_mv:.10g}/{unit}", encoding=encoding)
    record = read_wfdb(path)
    assert isinstance(record, Record)
    np.testing.assert_allclose(record.signal_mv, np.tile([1.0, 2.0], (200, 1)), rtol=1e-6)


def test_a_gain_without_unit_is_per_mv(tmp_path):
    assert read_wfdb(write_record(tmp_path, gain="500")).signal_mv[0].tolist() == [2, 4]


def test_a_baseline_is_taken_off(tmp_path):
    assert read_wfdb(write_record(tmp_path, gain="1000(500)/mV")).signal_mv[0].tolist() == [0.5, 1.5]


def cut(path, bytes_kept):
    with path.with_name(f"{path.name}.dat").open("r+b") as file:
        file.truncate(bytes_kept)
    return path


def edit_lines(path, old, new):
    header = path.with_name(f"{path.name}.hea")
    header.write_text(header.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return path


SPOILED = {
    "gain 0": (lambda path: edit_header(path, "1000/mV", "0/mV"), "gain unusable"),
    "gain nan": (lambda path: edit_header(path, "1000/mV", "nan/mV"), "gain unusable"),
    "gain inf": (lambda path: edit_header(path, "1000/mV", "inf/mV"), "gain unusable"),
    "gain with a comma": (lambda path: edit_header(path, "1000/mV", "1000,0/mV"), "gain unusable"),
    "gain too small for a voltage": (lambda path: edit_header(path, "1000/mV", "1e-40/mV"), "gain unusable"),
    "baseline no whole number": (lambda path: edit_header(path, "1000/mV", "1000(12.5)/mV"), "baseline unusable"),
    "blank in the gain": (lambda path: edit_header(path, "1000/mV", "1000 /mV"), "header unreadable"),
    "unit of pressure": (lambda path: edit_header(path, "/mV", "/mmHg"), "unit unknown"),
    "rate 0": (lambda path: edit_header(path, " 100 ", " 0 "), "rate unusable"),
    "rate absent": (lambda path: edit_header(path, " 100 200", ""), "rate unusable"),
    "rate negative": (lambda path: edit_header(path, " 100 ", " -100 "), "rate unusable"),
    "file cut off": (lambda path: cut(path, 600), "file shortened"),
    "file cut off within a sample": (lambda path: cut(path, 601), "file shortened"),
    "file empty": (lambda path: cut(path, 0), "file shortened"),
    "signal file absent": (lambda path: (path.with_suffix(".dat").unlink(), path)[1], "file missing"),
    "header absent": (lambda path: (path.with_suffix(".hea").unlink(), path)[1], "file missing"),
    "header empty": (lambda path: (path.with_suffix(".hea").write_text(""), path)[1], "header unreadable"),
    "header of bytes": (
        lambda path: (path.with_suffix(".hea").write_bytes(bytes(range(256))), path)[1],
        "header unreadable",
    ),
    "more signals announced": (lambda path: edit_header(path, "r1 2", "r1 3"), "header unreadable"),
    "fewer signals announced": (lambda path: edit_header(path, "r1 2", "r1 1"), "header unreadable"),
    "format unknown": (lambda path: edit_lines(path, ".dat 16 ", ".dat 17 "), "format unknown"),
    "formats mixed": (lambda path: edit_header(path, ".dat 16 ", ".dat 61 "), "header unreadable"),
    "offsets mixed": (lambda path: edit_header(path, ".dat 16 ", ".dat 16+2 "), "header unreadable"),
    "no FLAC file": (lambda path: edit_lines(path, ".dat 16 ", ".dat 516 "), "file damaged"),
    "sampled too rarely": (lambda path: edit_header(path, " 100 ", " 9 "), "rate unusable"),
    "sampled too often": (lambda path: edit_header(path, " 100 ", " 100001 "), "rate unusable"),
    "announces too much": (lambda path: edit_header(path, " 100 200", " 100 1000000000"), "file shortened"),
    "format no number": (lambda path: edit_header(path, ".dat 16 ", ".dat x "), "header unreadable"),
    "no signals": (lambda path: edit_header(path, "r1 2", "r1 0"), "no signals"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_spoiled_record_is_rejected_with_its_reason(tmp_path, what):
    spoil, kind = SPOILED[what]
    result = read_wfdb(spoil(write_record(tmp_path / "folder")), "name")
    assert isinstance(result, Rejected), f"read as {result}"
    assert (result.record, result.kind) == ("name", kind), result.reason
    assert result.remedy
    assert "wfdb says" not in result.reason


def test_a_record_of_no_samples_is_rejected(tmp_path):
    path = edit_header(cut(write_record(tmp_path), 0), " 100 200", " 100 0")
    assert isinstance(read_wfdb(path), Rejected)


@pytest.mark.parametrize("suffix", ["", ".hea", ".dat", ".mat"])
def test_a_record_may_be_named_with_its_extension(tmp_path, suffix):
    path = write_record(tmp_path)
    assert isinstance(read_wfdb(path.with_name(path.name + suffix)), Record)


@pytest.mark.parametrize(
    "first_line",
    [
        "r1.mat 2 100 200 05-May-2020 09:49:17",
        "r1 2 100 200 12-May-2020 12:33:59",
        "r1 2 100 200 9:05:52 31/02/2000",
        "r1 2 100/100(0) 200",
        "r.1 2 100.0 200",
        "beats/r1 2 100 200",
        "r1 2 1.0e2 200",
        "r1 2 100 0",
        "r1 2 100",
        "r1 2 100 200 12:00:00 1/1/199",
    ],
)
def test_record_lines_that_wfdb_stumbles_over_are_read(tmp_path, first_line):
    record = read_wfdb(write_record(tmp_path, first_line=first_line))
    assert isinstance(record, Record), record
    assert (record.rate_hz, record.signal_mv.shape, record.leads) == (100, (200, 2), ("I", "II"))
    assert record.warnings == ()


def test_a_comment_that_looks_like_the_record_line_changes_nothing(tmp_path):
    line = "r1.mat 2 100 200"
    path = edit_header(write_record(tmp_path, first_line=line), line, f"# {line}\n\n{line}\r")
    assert read_wfdb(path).signal_mv[0].tolist() == [1, 2]


def test_the_mark_of_a_missing_sample_becomes_missing_and_zero(tmp_path):
    digital = np.full((200, 2), 1000, np.int16)
    digital[5:9, 1] = -32768
    record = read_wfdb(write_record(tmp_path, digital=digital))
    assert np.argwhere(record.missing).tolist() == [[5, 1], [6, 1], [7, 1], [8, 1]]
    assert (record.signal_mv[record.missing] == 0).all()


def test_a_wrong_checksum_is_a_warning(tmp_path):
    path = write_record(tmp_path)
    edit_header(path, f" {checksum(np.full(200, 1000))} 0 I", " 0 0 I")
    assert read_wfdb(path).warnings == ("wrong checksum",)


def test_a_signal_file_that_is_too_long_is_a_warning(tmp_path):
    path = write_record(tmp_path)
    with path.with_name("r1.dat").open("ab") as file:
        file.write(bytes(400))
    assert read_wfdb(path).warnings == ("signal file longer than its header says",)


def test_a_lead_that_stands_twice_is_taken_once_and_said(tmp_path):
    record = read_wfdb(write_record(tmp_path, leads=("I", "i")), leads=("I",))
    assert (record.leads, record.signal_mv[0].tolist()) == (("I",), [1])
    assert record.warnings == ("a lead twice, the first is used",)


def test_a_negative_gain_turns_the_lead_over_and_is_said(tmp_path):
    path = edit_header(write_record(tmp_path), "1000/mV", "-1000/mV")
    assert read_wfdb(path).signal_mv[0].tolist() == [-1, 2]
    assert read_wfdb(path).warnings == ("negative gain: lead I",)


@pytest.mark.parametrize("gain", ["1E3/mV", "+1000./mV", "1000", "1000/", "1000(0.0)/mV"])
def test_a_gain_is_a_number_in_any_form(tmp_path, gain):
    assert read_wfdb(write_record(tmp_path, gain=gain)).signal_mv[0].tolist() == [1, 2]


def test_a_rejected_gain_is_shown_as_it_stands(tmp_path):
    reason = read_wfdb(write_record(tmp_path, gain="1000,0/mV")).reason
    assert reason == "gain unusable: lead I has gain 1000,0/mV, so its voltage is unknown"


def test_signals_beyond_the_announced_ones_are_left_out_where_the_file_fits(tmp_path):
    path = write_record(tmp_path, leads=("I",))
    with path.with_suffix(".hea").open("a") as header:
        header.write("r1.dat 16 1000/mV 16 0 0 0 0 II\n")
    record = read_wfdb(path)
    assert (record.leads, record.signal_mv[0].tolist()) == (("I",), [1])
    assert record.warnings == ("more signals described than announced, which are left out",)
    path = edit_header(write_record(tmp_path, "r2"), "r2 2", "r2 1")
    assert read_wfdb(path).reason == "header unreadable: it announces 1 signals and describes 2"


def test_the_signals_of_a_file_stand_together(tmp_path):
    path = write_record(tmp_path, leads=("I", "II", "III"))
    edit_header(path, f"1000/mV 16 0 2000 {checksum(np.full(200, 2000))}", "1000/mV 16 0 2000 0")
    header = path.with_suffix(".hea")
    first, one, two, three = header.read_text().splitlines()
    header.write_text("\n".join([first, one, two.replace("r1.dat", "~"), three]))
    assert read_wfdb(path).reason == "header unreadable: the signals of r1.dat do not stand together"


def test_a_signal_without_a_file_is_missing(tmp_path):
    path = write_record(tmp_path, leads=("I",), first_line="r1 2 100 200")
    with path.with_suffix(".hea").open("a") as header:
        header.write("~ 0 1000/mV 16 0 0 0 0 II\n")
    assert read_wfdb(path).missing.all(axis=0).tolist() == [False, True]


def test_a_lead_without_a_name_is_told_and_can_be_read(tmp_path):
    path = write_record(tmp_path, leads=("",))
    result = read_wfdb(path, leads=("I",))
    assert result.reason == "leads absent: it has a lead without a name"
    assert '--leads ""' in result.remedy
    assert read_wfdb(path, leads=("",)).signal_mv[0].tolist() == [1]


def test_a_pressure_beside_the_ecg_does_no_harm_where_it_is_not_asked_for(tmp_path):
    path = write_record(tmp_path, leads=("ABP", "II"))
    edit_header(path, "/mV", "/mmHg")
    assert isinstance(read_wfdb(path), Rejected)
    assert read_wfdb(path, leads=("II",)).signal_mv[0].tolist() == [2]


def test_leads_with_several_samples_a_frame_keep_their_own_rate(tmp_path):
    time = np.arange(800) / 400
    fast, slow = np.sin(2 * np.pi * 5 * time), np.sin(2 * np.pi * 2 * time[::4])
    frames = np.concatenate([fast.reshape(200, 4), slow[:, None]], axis=1)
    (tmp_path / "r1.dat").write_bytes(np.rint(frames * 1000).astype("<i2").tobytes())
    lines = ["r1 2 100 200", "r1.dat 16x4 1000/mV 16 0 0 0 0 I", "r1.dat 16 1000/mV 16 0 0 0 0 II"]
    (tmp_path / "r1.hea").write_text("\n".join(lines))
    record = read_wfdb(tmp_path / "r1")
    assert (record.rate_hz, record.signal_mv.shape) == (400, (800, 2))
    np.testing.assert_allclose(record.signal_mv[:, 0], fast, atol=1e-3)  # one unit
    inner = slice(60, -60)
    np.testing.assert_allclose(record.signal_mv[inner, 1], np.sin(2 * np.pi * 2 * time)[inner], atol=5e-3)


def test_a_record_in_segments_is_read_as_one_with_its_gap_missing(tmp_path):
    write_record(tmp_path, "s1", digital=np.full((100, 2), 1000, np.int16))
    write_record(tmp_path, "s2", digital=np.full((50, 2), 600, np.int16), gain="200/mV")
    (tmp_path / "all.hea").write_text("all/4 2 100 180\nlayout 0\ns1 100\n~ 30\ns2 50\n")
    layout = ["layout 2 100 0", "~ 0 1000/mV 16 0 0 0 0 I", "~ 0 1000/mV 16 0 0 0 0 II"]
    (tmp_path / "layout.hea").write_text("\n".join(layout))
    record = read_wfdb(tmp_path / "all")
    assert isinstance(record, Record), record
    expected = np.repeat([1.0, 0.0, 3.0], [100, 30, 50])
    np.testing.assert_allclose(record.signal_mv[:, 0], expected, rtol=1e-6)
    assert record.missing[:, 1].tolist() == (expected == 0).tolist()


def write_segments(folder, lines, *, record_line):
    """Segments s1 with 100 samples of 1 and 2 mV and s2 with 200 of 3 and 6 mV, and a record r of these `lines`."""
    write_record(folder, "s1", digital=np.full((100, 2), [1000, 2000]))
    write_record(folder, "s2", digital=np.full((200, 2), [600, 1200]), gain="200/mV")
    (folder / "r.hea").write_text("\n".join([record_line, *lines]) + "\n")
    return folder / "r"


@pytest.mark.parametrize("first", [[], ["~ 100"]])
def test_a_gap_is_missing_in_a_record_without_a_layout_too(tmp_path, first):
    lines = [*first, "s1 100", "~ 50", "s2 200"]
    record = read_wfdb(write_segments(tmp_path, lines, record_line=f"r/{len(lines)} 2 100 {350 + 100 * len(first)}"))
    assert isinstance(record, Record), record
    expected = np.repeat([0.0, 1, 0, 3], [100 * len(first), 100, 50, 200])
    np.testing.assert_allclose(record.signal_mv, expected[:, None] * [1, 2], rtol=1e-6)
    assert (record.missing == (expected == 0)[:, None]).all()


def test_a_segment_may_stand_in_a_record_twice(tmp_path):
    path = write_segments(tmp_path, ["s1 100", "s2 200", "s1 100"], record_line="r/3 2 100 400 12-May-2020 12:33:59")
    np.testing.assert_allclose(read_wfdb(path).signal_mv[:, 0], np.repeat([1, 3, 1], [100, 200, 100]), rtol=1e-6)


def test_a_lead_has_another_place_and_unit_in_each_segment_of_a_record_with_a_layout(tmp_path):
    path = write_segments(tmp_path, ["layout 0", "s1 100", "s2 200"], record_line="r/3 3 100 300")
    write_record(tmp_path, "s1", digital=np.full((100, 2), [2000, 1000]), leads=("II", "I"), gain="1000(-500)/uV")
    layout = ["layout 3 100", *(f"~ 0 7/mmHg 0 0 0 0 0 {lead}" for lead in ("ABP", "I", "II"))]
    (tmp_path / "layout.hea").write_text("\n".join(layout))
    record = read_wfdb(path, leads=("I", "II"))
    assert isinstance(record, Record), record
    assert record.unused_leads == ("ABP",)
    np.testing.assert_allclose(record.signal_mv[:, 0], np.repeat([0.0015, 3], [100, 200]), rtol=1e-6)
    np.testing.assert_allclose(record.signal_mv[:, 1], np.repeat([0.0025, 6], [100, 200]), rtol=1e-6)


SEGMENTS_REFUSED = {
    "fewer than announced": ("r/3 2 100 300", ["s1 100", "s2 200"], "it announces 3 segments and lists 2"),
    "more, and no length": ("r/1 2 100", ["s1 100", "s2 200"], "it announces 1 segments and lists 2"),
    "lengths that do not add up": ("r/2 2 100 400", ["s1 100", "s2 200"], "300 samples together"),
    "shorter than its header": ("r/2 2 100 250", ["s1 50", "s2 200"], "s1 has 50 samples by the record's header, 100"),
    "longer than its header": ("r/2 2 100 350", ["s1 150", "s2 200"], "s1 has 150 samples by the record's header, 100"),
    "another rate": ("r/2 2 125 300", ["s1 100", "s2 200"], "s1 has 100 Hz, the record 125 Hz"),
    "segments in a segment": ("r/1 2 100 100", ["r 100"], "r consists of segments"),
    "a layout with samples": ("r/2 2 100 200", ["s1 0", "s2 200"], "s1 is 0 samples long, but has signal files"),
    "a segment that is away": ("r/2 2 100 200", ["s1 100", "s3 100"], "file missing: s3.hea"),
    "gaps alone": ("r/1 2 100 200", ["~ 200"], "no signals"),
    "a gap of 100 million": ("r/3 2 100", ["s1 100", "~ 100000000", "s2 200"], "too large: it would have 200,000,000"),
    "a segment a million times": ("r/99999 2 100", ["s1 100"] * 99999, "too large: it would have 19,999,600 samples"),
}


@pytest.mark.parametrize("what", SEGMENTS_REFUSED)
def test_segments_that_contradict_each_other_are_refused_with_the_reason(tmp_path, what):
    record_line, lines, fault = SEGMENTS_REFUSED[what]
    result = read_wfdb(write_segments(tmp_path, lines, record_line=record_line))
    assert isinstance(result, Rejected)
    assert fault in result.reason
    assert result.remedy


def test_segments_of_other_leads_need_a_layout(tmp_path):
    path = write_segments(tmp_path, ["s1 100", "s2 200"], record_line="r/2 2 100 300")
    edit_header(tmp_path / "s2", "0 II", "0 V1")
    assert read_wfdb(path).reason == "segments unusable: s2 has the leads i, v1, the segment before it has others"


def test_a_lead_keeps_its_samples_per_frame_in_all_segments(tmp_path):
    path = write_segments(tmp_path, ["s1 100", "s2 200"], record_line="r/2 2 100 300")
    (tmp_path / "s2.dat").write_bytes(bytes(200 * 10))
    header = tmp_path / "s2.hea"
    header.write_text(header.read_text().replace(".dat 16 ", ".dat 16x2 "))
    assert "lead I changes its number of samples per frame" in read_wfdb(path).reason


def test_segments_beyond_the_announced_ones_are_left_out_and_said(tmp_path):
    record = read_wfdb(write_segments(tmp_path, ["s1 100", "s2 200"], record_line="r/1 2 100 100"))
    assert record.warnings == ("more segments listed than announced, which are left out",)
    assert len(record.signal_mv) == 100


def test_a_wrong_checksum_in_any_segment_is_a_warning(tmp_path):
    path = write_segments(tmp_path, ["s1 100", "s2 200"], record_line="r/2 2 100 300")
    edit_header(tmp_path / "s2", f" {checksum(np.full(200, 1200))} 0 II", " 1 0 II")
    assert read_wfdb(path).warnings == ("wrong checksum",)


def test_memory_follows_the_files_and_not_what_a_header_claims(tmp_path):
    path = write_segments(tmp_path, ["s1 100", "~ 4900000", "s2 200"], record_line="r/3 2 100")
    assert isinstance(read_wfdb(path), Record)  # just within the limit
    for asked, gap in ((("I", "II"), 10**8), (STANDARD_LEADS, 4_900_000)):
        (tmp_path / "r.hea").write_text(f"r/3 2 100\ns1 100\n~ {gap}\ns2 200\n")
        tracemalloc.start()
        result = read_wfdb(path, leads=asked)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert result.kind == "too large"
        assert peak < 1e6


def test_a_segment_without_gain_rejects_the_whole_record(tmp_path):
    path = write_segments(tmp_path, ["s1 100", "s2 200"], record_line="r/2 2 100 300")
    edit_header(tmp_path / "s2", "200/mV", "0/mV")
    assert read_wfdb(path).kind == "gain unusable"


@pytest.mark.parametrize("form", ["212", "80", "24", "32", "508", "516", "524"])
def test_other_formats_are_read_as_wfdb_writes_them(tmp_path, form):
    signal_mv = np.random.default_rng(3).uniform(-0.5, 0.5, (300, 2))
    wfdb.wrsamp("r1", 360, ["mV", "mV"], ["MLII", "V1"], signal_mv, fmt=[form, form], write_dir=os.fspath(tmp_path))
    record = read_wfdb(tmp_path / "r1")
    assert isinstance(record, Record), record
    np.testing.assert_allclose(record.signal_mv, signal_mv, atol=0.006)  # half a step of 8 bits
    assert record.warnings == ()


HEADERS = (
    b"r1 2 100 20\nr1.dat 16 1000/mV 16 0 0 0 0 I\nr1.dat 16 1000/mV 16 0 0 0 0 II\n",
    b"r1 2 50 10 9:00:00\nr1.dat 212x2:1 200/mV 12 0 0 0 0 I\nr1.dat 212 200/mV 12 0 0 0 0 II\n",
    b"r1 1 500\nr1.dat 80 100(5)/uV 8 0 0 0 0 II\n",
    b"r1/3 2 100 70\nr2 20\n~ 30\nr2 20\n",
)


@given(
    header=damaged(HEADERS),
    data=st.one_of(st.binary(max_size=99), st.binary(min_size=80, max_size=80)),
    leads=st.sampled_from([("I", "II"), ("III", "V1"), STANDARD_LEADS]),
)
def test_whatever_the_files_hold_a_record_is_finite_or_refused_in_one_line(tmp_path_factory, header, data, leads):
    folder = tmp_path_factory.mktemp("damaged")
    write_record(folder, "r2", digital=np.arange(40).reshape(20, 2))
    (folder / "r1.hea").write_bytes(header)
    (folder / "r1.dat").write_bytes(data)
    result = load(folder / "r1", leads=leads, rate_hz=100)
    if isinstance(result, Rejected):
        assert result.reason == visible(result.reason)
        assert result.kind != "unexpected"
        assert "Error" not in result.reason
    else:
        assert result.signal_mv.shape == result.missing.shape == (len(result.signal_mv), len(leads))
        assert np.isfinite(result.signal_mv).all()


def test_real_records_are_as_wfdb_reads_them(real_data):
    sets = ("ptb_xl/records100", "ptb_xl/records500", "cinc2017", "cinc2021", "cinc2025", "ludb", "mitdb")
    for path in (path for name in sets for path in sorted((real_data / name).rglob("*.hea"))[:6]):
        try:
            official = wfdb.rdrecord(os.fspath(path.with_suffix("")))
        except ValueError:  # a record called E00271.mat, or a month as a word
            continue
        record = read_wfdb(path)
        assert record.leads == tuple(official.sig_name)
        assert record.rate_hz == official.fs
        np.testing.assert_allclose(record.signal_mv, np.nan_to_num(official.p_signal), atol=1e-6)
        assert (record.missing == np.isnan(official.p_signal)).all()


def test_every_real_record_can_be_read(real_data):
    paths = sorted(real_data.rglob("*.hea"))
    results = [read_wfdb(path) for path in paths]
    assert [result for result in results if isinstance(result, Rejected)] == []
    assert len(results) >= 1000
    assert {warning for result in results for warning in result.warnings} == {"wrong checksum"}


def test_real_records_of_format_16_equal_their_bytes(real_data):
    for path in sorted(real_data.glob("ptb_xl/records100/0*/*.dat"))[:50]:
        plain = np.fromfile(path, "<i2").reshape(1000, 12) / 1000
        np.testing.assert_allclose(read_wfdb(path).signal_mv, plain, atol=1e-6)


def test_real_records_of_format_212_equal_their_bits(real_data):
    packed = np.fromfile(real_data / "mitdb" / "119.dat", np.uint8).reshape(-1, 3).astype(int)
    twelve = np.stack([packed[:, 0] + (packed[:, 1] % 16 << 8), packed[:, 2] + (packed[:, 1] // 16 << 8)], -1)
    signed = np.where(twelve > 2047, twelve - 4096, twelve)
    np.testing.assert_allclose(read_wfdb(real_data / "mitdb" / "119").signal_mv, (signed - 1024) / 200, atol=1e-6)


def test_our_100_hz_of_a_500_hz_recording_is_like_the_official_one(real_data):
    for path in sorted(real_data.glob("ptb_xl/records500/*/*.hea")):
        official = read_wfdb(real_data / "ptb_xl/records100/00000" / path.name.replace("_hr.hea", "_lr"))
        ours = load(path, leads=official.leads, rate_hz=100)
        inner = slice(50, -50)
        for lead in range(12):
            alike = np.corrcoef(ours.signal_mv[inner, lead], official.signal_mv[inner, lead])[0, 1]
            assert alike > 0.99, (path.name, official.leads[lead], alike)
