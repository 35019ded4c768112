"""The header parser: what the specification allows is understood, all else is refused in one line."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wfdb_writing import damaged

from ecg_jax.errors import Unusable, UserError
from ecg_jax.formatting import visible
from ecg_jax.records.wfdb_header import MOST_BYTES, MOST_SEGMENTS, MOST_SIGNALS, Segment, parse_header

LINE = "r.dat 16 1000(5)/mV 12 3 -7 -22131 0 lead II "


def header_of(*lines, name=""):
    return parse_header("\n".join(lines).encode(), name)


def signal_of(line):
    return header_of("r 1 100 200", line).signals[0]


def test_every_field_of_the_record_line_is_kept():
    header = header_of("rec/r_1 1 360.5/720(-3.5) 650000 13:5:0 25/4/1989", LINE, "# 69 M", "#<x> ", name="r_1")
    assert (header.name, header.signal_count, header.length, header.segments) == ("r_1", 1, 650000, ())
    assert (header.frames_hz, header.counter_hz, header.counter_base) == (360.5, 720, -3.5)
    assert (header.start, header.comments, header.extra_lines) == ("13:5:0 25/4/1989", ("69 M", "<x>"), 0)


def test_every_field_of_a_signal_line_is_kept():
    signal = signal_of("rec/r.dat 212x4:5+24 -1e3(5)/uV 12 3 -7 -22131 512 a lead  of mine")
    assert (signal.number, signal.file, signal.format) == (0, "rec/r.dat", 212)
    assert (signal.samples_per_frame, signal.skew_frames, signal.offset_bytes) == (4, 5, 24)
    assert (signal.calibration, signal.gain, signal.baseline, signal.unit) == ("-1e3(5)/uV", -1000, 5, "uV")
    assert (signal.adc_resolution, signal.adc_zero, signal.initial_value) == (12, 3, -7)
    assert (signal.checksum, signal.block_size, signal.lead) == (-22131, 512, "a lead  of mine")


def test_what_a_signal_line_leaves_out_is_as_the_specification_says():
    signal = signal_of("r.dat 16")
    assert (signal.samples_per_frame, signal.skew_frames, signal.offset_bytes) == (1, 0, 0)
    assert math.isnan(signal.gain)
    assert (signal.baseline, signal.unit, signal.initial_value, signal.checksum) == (0, "mV", 0, None)
    assert signal.lead == ""
    assert signal_of("r.dat 16 200 12 1024").baseline == 1024  # the ADC zero
    assert signal_of("r.dat 16 200 12 1024").initial_value == 1024


@pytest.mark.parametrize("number", ["360", "360.", "360.0", "3.6e2", "+360", "0.36E+3"])
def test_a_rate_and_a_gain_are_numbers_as_c_reads_them(number):
    assert header_of(f"r 0 {number}").frames_hz == 360
    assert signal_of(f"r.dat 16 {number}").gain == 360


@pytest.mark.parametrize("line", ["r 0 100", "r 0 100 0", "r 0"])
def test_a_length_of_zero_is_an_unspecified_one(line):
    assert header_of(line).length is None


def test_lines_end_in_bytes_at_carriage_return_and_line_feed_alone():
    raw = (
        b"\xef\xbb\xbf\r\n# one \x0c\x0b\x1c\x85 \xe2\x80\xa8 comment\rr 1 100 200\r\n\n" + LINE.encode() + b"\r\n\x1a"
    )
    header = parse_header(raw)
    assert len(header.comments) == 1
    assert (header.length, header.signals[0].lead, header.extra_lines) == (200, "lead II", 0)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252"])
def test_each_line_has_its_own_encoding(encoding):
    raw = "r 1 100 200\nr.dat 16 1/μV 12 0 0 0 0 心电图\n".encode() + "# 37.2 °C".encode(encoding)
    header = parse_header(raw)
    assert (header.signals[0].unit, header.signals[0].lead, header.comments) == ("μV", "心电图", ("37.2 °C",))


@pytest.mark.parametrize(
    ("first_field", "own_name", "expected"),
    [
        ("beats/a", "a", ("a", 0)),
        ("c:\\data\\a.mat", "a", ("a.mat", 0)),
        ("a/2", "a", ("a", 2)),
        ("beats/a/2", "a", ("a", 2)),
        ("mitdb/100", "100", ("100", 0)),  # a path, as the file is called 100.hea
        ("100/2", "100", ("100", 2)),
        ("2/2", "2", ("2", 2)),
        ("a b c", "a b c", ("a b c", 0)),
        ("a b/2", "a b", ("a b", 2)),
        ("記録", "記録", ("記録", 0)),
    ],
)
def test_a_record_name_may_have_a_path_or_blanks(first_field, own_name, expected):
    header = header_of(f"{first_field} 0 100 200", "s1 100", "s2 100", name=own_name)
    assert (header.name, len(header.segments)) == expected


def test_a_signal_file_may_have_the_blanks_of_the_record():
    header = header_of("patient 12 1 100 300", "patient 12.dat 16 1000/mV 16 0 0 0 0 I", name="patient 12")
    assert (header.frames_hz, header.signals[0].file, header.signals[0].lead) == (100, "patient 12.dat", "I")


def test_segments_are_listed_with_their_gaps():
    header = header_of("r/3 2 100 400", "s1 100", "~ 100", "#", "s2 200")
    assert header.segments == (Segment("s1", 100), Segment("~", 100), Segment("s2", 200))
    assert header.signals == ()


def test_lines_beyond_the_announced_ones_are_counted_and_not_parsed():
    assert header_of("r 1 100 200", LINE, "anything else").extra_lines == 1


REFUSED = {
    "": "it is empty",
    "# only a comment": "it is empty",
    "PK\x03\x04 zip": "no WFDB record line",
    "r two 100": "no WFDB record line",
    "r -1 100": "announces -1 signals",
    "r 1 100\nr.dat": "no format",
    "r 1 100\nr.dat x": "no format",
    "r 1 100\nr.dat 16x0": "0 samples per frame",
    "r 1 100\nr.dat 16x1000001": "1000001 samples per frame",
    "r 1 100\nr.dat 16 1000 /mV": "'/mV' stands for the ADC resolution",
    "r 1 100\nr.dat 16 1000/mV I": "'I' stands for the ADC resolution",
    "r 1 100\nr.dat 16 1 12 0 0 x": "'x' stands for the checksum",
    "r 1 100\nr.dat 16 1 12 " + "9" * 5000: "stands for the ADC zero",
    "r 1 100 -5": "announces -5 samples",
    "r 1 100 12:00:00": "'12:00:00' stands for the number of samples",
    "r 1 100 1000000000001": "announces 1,000,000,000,001 samples",
    "r 1 100 ٣": "stands for the number of samples",
    "r 0 0": "rate unusable: the header says 0",
    "r 0 -100": "rate unusable: the header says -100",
    "r 0 nan": "rate unusable: the header says nan",
    "r 0 1_000": "rate unusable",
    "r 0 1e999": "rate unusable",
    "r 2 100 200\n" + LINE: "announces 2 signals and describes 1",
    "r/3 2 100 400\ns1 100\ns2 200": "announces 3 segments and lists 2",
    "r/2 2 100 400\ns1 100\ns2 200": "segments have 300 samples together, its record line says 400",
    "r/0 2 100 400": "announces 0 segments",
    f"r {MOST_SIGNALS + 1} 100": "announces 1,025 signals",
    f"r/{MOST_SEGMENTS + 1} 2 100": "announces 100,001 segments",
    "r/1 2 100\ns1 -5": "announces -5 samples of segment s1",
    "#" * (MOST_BYTES + 1): "more than 4,194,304 bytes",
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_header_is_refused_with_its_reason(text):
    with pytest.raises(Unusable) as refusal:
        parse_header(text.encode())
    assert REFUSED[text] in refusal.value.reason
    assert refusal.value.remedy


def test_a_header_in_utf_16_is_refused_by_name():
    with pytest.raises(Unusable, match="UTF-16 text; save"):
        parse_header("r 0 100".encode("utf-16"))


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="#~/\\()"), min_size=1)
WHOLE = st.integers(-(10**9), 10**9)


@given(
    name=WORDS,
    rate_hz=st.floats(1e-3, 1e5),
    length=st.integers(1, 10**12),
    gain=st.floats(-1e6, 1e6),
    numbers=st.tuples(WHOLE, WHOLE, WHOLE, WHOLE),
    form=st.tuples(st.integers(0, 600), st.integers(1, 1000), st.integers(0, 99), st.integers(0, 999)),
    unit=WORDS,
    lead=WORDS,
)
def test_what_is_written_by_the_rules_is_read_back(name, rate_hz, length, gain, numbers, form, unit, lead):
    baseline, zero, initial, checksum = numbers
    fields = f"{name}.dat {form[0]}x{form[1]}:{form[2]}+{form[3]} {gain!r}({baseline})/{unit}"
    header = header_of(f"{name} 1 {rate_hz!r} {length}", f"{fields} 12 {zero} {initial} {checksum} 0 {lead}")
    (signal,) = header.signals
    assert (header.name, header.frames_hz, header.length) == (name, rate_hz, length)
    assert (signal.file, signal.lead, signal.unit, signal.gain) == (f"{name}.dat", lead, unit, gain)
    assert (signal.baseline, signal.adc_zero, signal.initial_value, signal.checksum) == numbers
    assert (signal.format, signal.samples_per_frame, signal.skew_frames, signal.offset_bytes) == form


VALID = (
    b"r1 2 100 200\nr1.dat 16 1000(5)/mV 16 0 1000 3392 0 I\nr1.dat 16x4:5+24 1000/mV 16 0 2000 6784 0 II\n# c\n",
    b"r1/3 2 62.5/999.56(1) 230 12:00:00\r\nlayout 0\r\ns1 200\r\n~ 30\r\n",
)


@given(raw=st.one_of(damaged(VALID), st.binary()), name=st.text(max_size=9))
@example(raw=b"\0" * 99, name="")
@example(raw=b"r 1 1\nr.dat 16 " + b"(" * 999, name="r")
@example(raw=b"r/1 1\n" + b"/" * 9999 + b" 1", name="r")
def test_any_bytes_are_a_header_or_refused_in_one_readable_line(raw, name):
    try:
        header, refusal = parse_header(raw, name), "none"
    except UserError as error:
        header, refusal = None, str(error)
    assert refusal == visible(refusal)
    assert len(refusal) < 400
    assert header is None or len(header.signals) == (0 if header.segments else header.signal_count)
