"""A prepared set that has changed or is damaged is refused with the file and what to do; one as it was made is read."""

import dataclasses
import json
import shutil
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_jax.dataset.flat_signals import Changed, FlatSignals, checksums_of
from ecg_jax.dataset.prepared import INDEX_KINDS, open_prepared
from ecg_jax.errors import DataError

REMEDY = "remove the set and prepare it again"


@pytest.fixture
def made(synthetic_set, tmp_path):
    """A copy of a set, to be damaged."""
    return shutil.copytree(synthetic_set, tmp_path / "set")


def change(path, **values):
    """Sets fields of `prepared.json`; a field of None is removed."""
    about = json.loads((path / "prepared.json").read_text()) | values
    for name in [name for name, value in values.items() if value is None]:
        del about[name]
    (path / "prepared.json").write_text(json.dumps(about))


def as_an_older_version_wrote_it(path):
    """Leaves off what older versions did not write."""
    change(path, content=None, index_sha256=None, record_bytes=None)
    rewrite_index(path, scale_mv=None, checksums=None)
    for name in ("left_out.csv", "warnings.csv", "signals.int16"):
        (path / name).unlink()
    return path


def rewrite_index(path, **arrays):
    """Sets arrays of `index.npz`; one of None is removed."""
    with np.load(path / "index.npz") as index:
        before = {name: index[name] for name in index.files}
    np.savez(path / "index.npz", **{name: array for name, array in (before | arrays).items() if array is not None})


def signals(prepared):
    return [(signal.tolist(), scale_mv.tolist()) for signal, scale_mv in prepared.read(range(5))]


def test_an_older_set_is_opened_as_before(synthetic_set, made):
    before, now = open_prepared(synthetic_set), open_prepared(as_an_older_version_wrote_it(made))
    assert now.flat is None
    for name in (*INDEX_KINDS, "fingerprint", "target", "leads"):
        np.testing.assert_array_equal(getattr(now, name), getattr(before, name))
    assert signals(now) == signals(before)


def test_the_signals_are_those_of_the_tfds_data_set(synthetic_set):
    prepared = open_prepared(synthetic_set)
    everything = range(len(prepared))
    for (signal, scale_mv), (expected, expected_scale_mv) in zip(
        prepared.read(everything), dataclasses.replace(prepared, flat=None).read(everything), strict=True
    ):
        np.testing.assert_array_equal(signal, expected)
        np.testing.assert_array_equal(scale_mv, expected_scale_mv)


@given(places=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 1100)), max_size=5), length=st.integers(1, 1200))
def test_a_crop_is_a_part_of_its_record_alone(synthetic_set, places, length):
    prepared = open_prepared(synthetic_set)
    indices, offsets = zip(*places, strict=True) if places else ((), ())
    for each in (prepared, dataclasses.replace(prepared, flat=None)):
        crops = each.crops(indices, offsets, length)
        for (crop, scale_mv), (signal, expected), offset in zip(crops, prepared.read(indices), offsets, strict=True):
            np.testing.assert_array_equal(crop, signal[offset : offset + length])
            np.testing.assert_array_equal(scale_mv, expected)


def test_of_a_long_record_only_the_crop_is_read(tmp_path):
    signal = np.arange(10**6).reshape(-1, 2).astype("<i2")
    (tmp_path / "flat").write_bytes(signal.tobytes())
    checksums = checksums_of(tmp_path / "flat")
    with (tmp_path / "flat").open("r+b") as file:
        file.seek(10**6)
        file.write(b"?")
    flat = FlatSignals(tmp_path / "flat", np.array([len(signal)]), np.ones((1, 2), np.float32), checksums)
    tracemalloc.start()
    crop = flat.crop(0, 400_000, 5000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(crop, signal[400_000:405_000])
    assert peak < 20_000  # bytes; the record has two million
    with pytest.raises(Changed):
        flat.crop(0, 249_999, 2)


def test_labels_that_were_turned_round_are_noticed(made):
    rewrite_index(made, label=1 - open_prepared(made).label)
    with pytest.raises(DataError, match=rf"index\.npz was changed or cut; {REMEDY}"):
        open_prepared(made)


@pytest.mark.parametrize(("field", "value"), [("labels", "reversed"), ("leads", "reversed"), ("rate_hz", 500.0)])
def test_a_contract_that_is_not_that_of_the_fingerprint_is_noticed(made, field, value):
    about = json.loads((made / "prepared.json").read_text())
    change(made, **{field: about[field][::-1] if value == "reversed" else value})
    with pytest.raises(DataError, match=r"prepared\.json has a rate, leads or labels that are not those of its finger"):
        open_prepared(made)


@pytest.mark.parametrize("length", [0, 100, -100])
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("name", ["prepared.json", "index.npz"])
def test_a_cut_file_is_named(made, name, older, length):
    if older:
        as_an_older_version_wrote_it(made)
    (made / name).write_bytes((made / name).read_bytes()[:length])
    with pytest.raises(DataError, match=f"{name} .*; {REMEDY}"):
        open_prepared(made)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b'{"format": NaN', b"\0" * 50])
def test_a_description_that_is_none_is_refused(made, content):
    (made / "prepared.json").write_bytes(content)
    with pytest.raises(DataError, match=rf"prepared\.json .*; {REMEDY}"):
        open_prepared(made)


WRONG = {
    "rate_hz": [None, "100", 0.0, -1.0, float("nan"), float("inf")],
    "leads": [None, 1, "I", [1], [], {"I": 1}],
    "labels": [None, 1, "AF", [1], [], {"AF": 1}],
    "target": [1, "both"],
    "score": [1, ["x"]],
    "source": [None, 1],
    "request": [None, 1, []],
    "fingerprint": [None, 1],
    "counts": [None, [], {"kept": 1}, {"kept": "1", "left_out": {}, "rejected": {}, "warnings": {}}],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_a_field_that_is_missing_or_of_another_type_is_refused(made, field, value):
    change(as_an_older_version_wrote_it(made), **{field: value})
    with pytest.raises(DataError, match=rf"prepared\.json (has|cannot be read:) .*; {REMEDY}"):
        open_prepared(made)


def test_the_field_that_is_wrong_is_named(made):
    counts = json.loads((made / "prepared.json").read_text())["counts"]
    change(made, counts=counts | {"warnings": {"lead I missing": "all"}})
    with pytest.raises(DataError, match=r"prepared\.json has no usable counts\.warnings"):
        open_prepared(made)


@pytest.mark.parametrize(
    "arrays",
    [
        {"label": np.zeros((3, 5), np.uint8)},
        {"folds": np.array(["1"])},
        {"record_ids": np.zeros(0, "U1")},
        {"samples": np.array([{}], object)},
        {"scale_mv": np.ones((1, 12), np.float32), "checksums": np.ones(1, np.uint32)},
    ],
)
def test_an_index_with_other_arrays_is_refused(made, arrays):
    as_an_older_version_wrote_it(made)
    rewrite_index(made, **arrays)
    with pytest.raises(DataError, match=rf"index\.npz .*; {REMEDY}"):
        open_prepared(made)


@pytest.mark.parametrize("files", ["*.array_record*", "signals.int16"])
def test_signals_that_were_cut_are_noticed_without_reading_them(made, files):
    (file,) = made.glob(files)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=f"{file.name} has .* of .* bytes; {REMEDY}"):
        open_prepared(made)
    file.unlink()
    with pytest.raises(DataError, match=f"{file.name} has 0 of .* bytes; {REMEDY}"):
        open_prepared(made)


def test_signals_that_were_changed_are_named_when_they_are_read(made):
    content = bytearray((made / "signals.int16").read_bytes())
    content[-1] ^= 1
    (made / "signals.int16").write_bytes(content)
    prepared = open_prepared(made)
    with pytest.raises(DataError, match=rf"signals\.int16 was changed or cut; {REMEDY}"):
        prepared.read([len(prepared) - 1])


@pytest.mark.parametrize("files", ["*.array_record*", "signals.int16"])
@settings(max_examples=40)
@given(data=st.data())
def test_damaged_signals_are_refused_or_read_as_they_were(synthetic_set, tmp_path_factory, files, data):
    (file,) = synthetic_set.glob(files)
    content = bytearray(file.read_bytes())
    damaged = tmp_path_factory.mktemp("damaged")
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= data.draw(st.integers(1, 255))
    else:
        del content[at:]
    (damaged / file.name).write_bytes(content)
    whole = open_prepared(synthetic_set)
    flat = dataclasses.replace(whole.flat, path=damaged / file.name) if files == "signals.int16" else None
    try:
        read = signals(dataclasses.replace(whole, path=damaged, flat=flat))
    except DataError:
        return
    assert read == signals(whole)


def test_signals_of_another_set_are_refused(made, tmp_path):
    (file,) = made.glob("*.array_record*")
    prepared = dataclasses.replace(open_prepared(made), flat=None)
    swapped = dataclasses.replace(prepared, record_ids=np.roll(prepared.record_ids, 1))
    with pytest.raises(DataError, match=f"has another record where {swapped.record_ids[0]} should be"):
        swapped.read([0])
    file.unlink()
    with pytest.raises(DataError, match="has damaged files of signals"):
        prepared.read([0])


def test_nothing_that_a_set_names_is_imported(made, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    features = (made / "features.json").read_text()
    for name in ("tensorflow_datasets.core.features.features_dict.FeaturesDict", "FeaturesDict"):
        assert name.rpartition(".")[2] in features
    (made / "features.json").write_text(features.replace("tensorflow_datasets.core.features.", "evil."))
    assert signals(open_prepared(made))
