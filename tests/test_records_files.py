"""Files of samples: millivolts as written, the axis of time by the shape, and whatever is damaged is named."""

import io
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from file_writing import edf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ecg_jax.errors import ConfigError, Rejected
from ecg_jax.file_layout import FileLayout, LayoutFlags, reader_of
from ecg_jax.records import Record, load

THREE = ("I", "II", "V1")
LAYOUT = LayoutFlags(rate_hz_of_files=250, unit="uV", lead_names=THREE).layout()
NUMBERS = np.random.default_rng(0).integers(-900, 900, (200, 3)).astype(float)  # [T, L] µV


def text(array, header="", separator=","):
    lines = [separator.join("" if np.isnan(cell) else repr(float(cell)) for cell in row) for row in array]
    return "\n".join([*filter(None, [header]), *lines]).encode()


def saved(save, array):
    content = io.BytesIO()
    save(content, array)
    return content.getvalue()


def hdf5(content, array, name="ecg"):
    with h5py.File(content, "w") as file:
        file[name] = array
        file["about/rate"] = 250.0


WRITERS = {
    ".npy": lambda array: saved(np.save, array),
    ".npz": lambda array: saved(lambda to, array: np.savez_compressed(to, ecg=array, rate=250), array),
    ".csv": text,
    ".txt": lambda array: text(array, separator="\t"),
    ".mat": lambda array: saved(lambda to, array: scipy.io.savemat(to, {"ecg": array, "rate": 250}), array),
    ".h5": lambda array: saved(hdf5, array),
}


def read(folder, content, suffix=".npy", layout=LAYOUT, leads=THREE, **options):
    path = Path(folder, f"r1{suffix}")
    path.write_bytes(content)
    options = {"rate_hz": 250, "reader": reader_of(path)} | options
    return load(path, leads=leads, record_id="r1", layout=layout, **options)


signals = hnp.arrays(
    np.float64,
    st.tuples(st.integers(20, 60), st.integers(2, 12)),
    elements=st.one_of(st.integers(-40, 40).map(float), st.just(np.nan)),
)


@given(signals, st.sampled_from(sorted(WRITERS)), st.booleans(), st.sampled_from([1.0, 1000.0, 4.88]))
def test_millivolts_come_back_from_every_format_with_time_along_either_axis(
    tmp_path_factory, array, suffix, transposed, microvolts
):
    array[:2] = [[0.0], [1.0]]  # no lead is without a recorded sample, or flat
    names = tuple(f"L{column}" for column in range(array.shape[1]))
    layout = LayoutFlags(250, f"{microvolts:g}uV", names).layout()
    content = WRITERS[suffix](array.T if transposed else array)
    record = read(tmp_path_factory.mktemp("file"), content, suffix, layout, names)
    assert isinstance(record, Record), record
    np.testing.assert_array_equal(record.missing, np.isnan(array))
    np.testing.assert_allclose(record.signal_mv, np.nan_to_num(array) * microvolts / 1000, rtol=1e-6)
    assert record.warnings == (
        f"each row is {'a lead' if transposed else 'a sample'}: {content_shape(array, transposed)}",
    )


def content_shape(array, transposed):
    return " x ".join(map(str, array.shape[::-1] if transposed else array.shape))


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("quoted", ["I{0}II{0}V1", '"I"{0}"II"{0}"V1"', "# I{0}II{0}V1"])
def test_leads_of_a_text_are_those_of_its_first_line(tmp_path, separator, quoted):
    layout = FileLayout(rate_hz=250, mv_per_unit=1e-3)
    record = read(tmp_path, text(NUMBERS, quoted.format(separator), separator), ".csv", layout, ("V1", "I"))
    np.testing.assert_allclose(record.signal_mv, NUMBERS[:, [2, 0]] / 1000, rtol=1e-6)
    assert (record.warnings, record.unused_leads) == ((), ("II",))


def test_numbers_that_pandas_gives_to_columns_without_names_are_no_sample(tmp_path):
    record = read(tmp_path, text(NUMBERS, "0,1,2"), ".csv")
    np.testing.assert_allclose(record.signal_mv, NUMBERS / 1000, rtol=1e-6)


def test_one_lead_needs_no_second_axis(tmp_path):
    layout = LayoutFlags(250, "mV", ("ECG",)).layout()
    for array in (NUMBERS[:, 0], NUMBERS[:, :1], NUMBERS[:, :1].T):
        record = read(tmp_path, WRITERS[".npy"](array / 1000), layout=layout, leads=("ECG",))
        np.testing.assert_allclose(record.signal_mv[:, 0], NUMBERS[:, 0] / 1000, rtol=1e-6)


def test_a_structure_of_matlab_and_a_group_of_hdf5_are_named_as_they_are_listed(tmp_path):
    scipy.io.savemat(tmp_path / "s.mat", {"ECG": {"data": NUMBERS, "noise": NUMBERS}})
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["ECG/data"], file["ECG/noise"] = NUMBERS, NUMBERS
    for name, variable in (("s.mat", "ECG.data"), ("s.h5", "ECG/data")):
        unclear = load(tmp_path / name, leads=THREE, rate_hz=250, reader="array", layout=LAYOUT)
        assert (unclear.kind, unclear.remedy) == ("array unclear", "name one with --variable")
        assert f"{variable} (200 x 3)" in unclear.reason
        layout = LayoutFlags(250, "uV", THREE, variable).layout()
        record = load(tmp_path / name, leads=THREE, rate_hz=250, reader="array", layout=layout)
        np.testing.assert_allclose(record.signal_mv, NUMBERS / 1000, rtol=1e-6)


def test_a_matlab_file_beside_a_wfdb_header_is_a_wfdb_record(tmp_path):
    for name in ("a.mat", "b.mat", "b.hea"):
        (tmp_path / name).touch()
    assert [reader_of(tmp_path / name) for name in ("a.mat", "b.mat", "b", "a.EDF")] == ["array", "wfdb", "wfdb", "edf"]


@pytest.mark.parametrize(
    ("array", "layout", "kind", "says"),
    [
        (NUMBERS[:3], {}, "shape unclear", "3 x 3 for 3 leads"),
        (NUMBERS[:, :2], {}, "shape unusable", "200 x 2 for 3 leads"),
        (NUMBERS[None, None, :5, :2], {}, "shape unusable", "1 x 1 x 5 x 2"),
        (np.array(1.0), {}, "shape unusable", "a single number"),
        (NUMBERS > 0, {}, "array unusable", "no numbers but bool"),
        (NUMBERS.astype("U8"), {}, "array unusable", "no numbers but"),
        (NUMBERS + 1j, {}, "array unusable", "complex128"),
        (NUMBERS[:0], {}, "empty", "no samples"),
        (NUMBERS * np.nan, {}, "no sample recorded", "I, II, V1"),
        (NUMBERS * np.inf, {}, "amplitude impossible", "inf"),
        (NUMBERS, {"rate_hz": None}, "rate unknown", "--rate-hz-of-files"),
        (NUMBERS, {"mv_per_unit": None}, "unit unknown", "--unit"),
        (NUMBERS, {"leads": ()}, "leads unknown", "--lead-names"),
        (NUMBERS, {"leads": ("V4", "V5", "V6")}, "leads absent", "V4, V5, V6"),
    ],
)
def test_an_array_that_cannot_be_meant_is_rejected_with_what_to_do(tmp_path, array, layout, kind, says):
    known = {"rate_hz": 250.0, "mv_per_unit": 1e-3, "leads": THREE} | layout
    rejected = read(tmp_path, WRITERS[".npy"](array), layout=FileLayout(**known))
    assert (rejected.record, rejected.kind) == ("r1", kind)
    assert says in f"{rejected.reason}; {rejected.remedy}"


EDF = edf({name: NUMBERS[:, column] for column, name in enumerate(THREE)})
VALID = {suffix: write(NUMBERS) for suffix, write in WRITERS.items()} | {".edf": EDF}


@pytest.mark.parametrize("suffix", VALID)
@pytest.mark.parametrize("damage", ["empty", "cut", "other", "renamed"])
def test_a_damaged_file_is_rejected_in_one_line_by_name(tmp_path, suffix, damage):
    content = VALID[suffix]
    other = VALID[".npz" if suffix == ".npy" else ".npy"]
    damaged = {"empty": b"", "cut": content[: len(content) // 2], "other": b"\x00\xff" * 700, "renamed": other}[damage]
    result = read(tmp_path, damaged, suffix)
    if damage == "cut" and suffix in (".csv", ".txt"):  # nothing says how long it was
        assert isinstance(result, (Record, Rejected))
        return
    assert isinstance(result, Rejected)
    assert result.record == "r1"
    assert result.kind != "unexpected"
    assert "\n" not in f"{result.reason}{result.remedy}"


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_nothing_is_unpickled(tmp_path):
    trap = tmp_path / "trap"
    hostile = np.array([[Touch(trap)] * 3] * 20, dtype=object)
    for suffix in (".npy", ".npz"):
        result = read(tmp_path, WRITERS[suffix](hostile), suffix)
        assert result.kind == "file unreadable"
    assert read(tmp_path, pickle.dumps(Touch(trap)), ".npy").kind == "file unreadable"
    assert not trap.exists()


def test_an_archive_of_zeros_that_would_fill_the_memory_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "r1.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("ecg.npy", "w") as to:
        np.lib.format.write_array_header_1_0(to, {"descr": "<f8", "fortran_order": False, "shape": (10**7 * 5, 3)})
        for _ in range(1200):
            to.write(bytes(10**6))
    with h5py.File(tmp_path / "r1.h5", "w") as file:
        file.create_dataset("ecg", (10**9, 3), "f8", chunks=(10**4, 3))
    for suffix in (".npz", ".h5"):
        result = load(tmp_path / f"r1{suffix}", leads=THREE, rate_hz=250, reader="array", layout=LAYOUT)
        assert result.kind == "too large"


def test_a_record_of_an_hdf5_file_of_many_is_read_by_its_number_and_the_file_is_opened_once(tmp_path, monkeypatch):
    tracings = np.random.default_rng(0).normal(0, 0.5, (20, 50, 3)).astype(np.float32)
    with h5py.File(tmp_path / "many.h5", "w") as file:
        file["tracings"] = tracings
    opened, real = [], h5py.File
    monkeypatch.setattr(h5py, "File", lambda *args, **options: opened.append(args) or real(*args, **options))
    layout = FileLayout(250, 1.0, THREE, "tracings", time_axis=0)
    for number in range(20):
        options = {"reader": "array", "key": str(number), "layout": layout}
        record = load(tmp_path / "many.h5", leads=THREE, rate_hz=250, **options)
        np.testing.assert_array_equal(record.signal_mv, tracings[number])
    assert len(opened) == 1


def test_zeros_on_both_sides_are_taken_off_and_zeros_inside_are_kept(tmp_path):
    signal_mv = np.random.default_rng(0).normal(0, 0.5, (50, 3))
    signal_mv[20:25], signal_mv[0, :2] = 0, 0
    padded = np.pad(signal_mv, ((30, 7), (0, 0)))
    layout = FileLayout(250, 1.0, THREE, time_axis=0, is_padded=True)
    record = read(tmp_path, WRITERS[".npy"](padded), layout=layout)
    np.testing.assert_allclose(record.signal_mv, signal_mv, rtol=1e-6)
    assert read(tmp_path, WRITERS[".npy"](padded * 0), layout=layout).kind == "empty"


def test_edf_is_read_in_millivolts_by_its_ranges(tmp_path):
    digital = {f"ECG {name}": NUMBERS[:, column] for column, name in enumerate(THREE)}
    for unit, mv in (("uV", 1e-3), ("mV", 1.0), ("nV", 1e-6)):
        content = edf(digital, unit=unit, physical=(-100, 300), limits=(-1000, 1000))
        record = read(tmp_path, content, ".edf", FileLayout(), rate_hz=100)
        expected = (-100 + (NUMBERS + 1000) * 400 / 2000) * mv  # the line through both pairs of limits
        if unit == "mV":
            assert record.kind == "amplitude impossible"
        else:
            assert record.leads == THREE
            np.testing.assert_allclose(record.signal_mv, expected, rtol=1e-5)


def test_edf_leads_of_different_rates_come_to_the_highest(tmp_path):
    slow = np.sin(np.arange(100) / 100 * 2 * np.pi * 3) * 5000
    fast = np.sin(np.arange(500) / 500 * 2 * np.pi * 3) * 5000
    record = read(tmp_path, edf({"I": slow, "II": fast}), ".edf", FileLayout(), ("I", "II"), rate_hz=250)
    assert record.signal_mv.shape == (500, 2)
    np.testing.assert_allclose(record.signal_mv[50:450, 0], record.signal_mv[50:450, 1], atol=0.01)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"unit": "bpm"}, "unit unknown"),
        ({"unit": ""}, "unit unknown"),
        ({"physical": (5, 5)}, "gain unusable"),
        ({"limits": (7, 7)}, "gain unusable"),
        ({"reserved": "EDF+D"}, "gaps"),
        ({"records": 9}, "file unreadable"),
        ({"seconds": 100}, "rate unusable"),
        ({"seconds": 0}, "file unreadable"),
    ],
)
def test_an_edf_that_does_not_tell_voltage_or_time_is_rejected(tmp_path, changes, kind):
    content = edf({name: NUMBERS[:, column] for column, name in enumerate(THREE)}, **changes)
    assert read(tmp_path, content, ".edf", FileLayout()).kind == kind


def test_a_signal_of_another_unit_that_nobody_asked_for_does_no_harm(tmp_path):
    content = edf({"I": NUMBERS[:, 0], "Resp": NUMBERS[:, 1]}).replace(b"uV      uV      ", b"uV      l/min   ")
    record = read(tmp_path, content, ".edf", FileLayout(), ("I",))
    assert (record.leads, record.unused_leads) == (("I",), ("Resp",))


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"rate_hz_of_files": 0}, "--rate-hz-of-files is 0; give 10 to 100000"),
        ({"rate_hz_of_files": float("nan")}, "--rate-hz-of-files is nan"),
        ({"unit": "volt"}, "--unit is volt; give V, mV, uV or nV"),
        ({"unit": "0uV"}, "--unit is 0uV"),
        ({"lead_names": ("I", "i")}, "--lead-names I i names a lead twice"),
    ],
)
def test_an_impossible_flag_is_refused_by_name(flags, says):
    with pytest.raises(ConfigError, match=says):
        LayoutFlags(**flags)


@given(st.floats(1e-3, 1e3), st.sampled_from(["V", "mV", "uV", "µV", "nV", "UV"]))
def test_a_multiple_of_a_unit_is_that_many_millivolts(number, unit):
    mv = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "µv": 1e-3, "nv": 1e-6}[unit.lower()]
    assert LayoutFlags(unit=f"{number!r}{unit}").layout().mv_per_unit == pytest.approx(number * mv)
