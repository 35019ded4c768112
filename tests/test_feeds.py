"""Both feeds give the step the same windows, byte for byte, and each loads only what it needs."""

import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from ecg_jax.dataset import feeds, sampler
from ecg_jax.dataset.batch import MISSING
from ecg_jax.dataset.feeds import HostFeed, ResidentFeed, make_feed
from ecg_jax.dataset.sampler import Rows
from ecg_jax.errors import ConfigError, DataError
from ecg_jax.training.devices import Devices

WINDOW = 90
SAMPLES = np.array([200, 40, 91, 90, 333, 60, 120])
SELECTED = np.array([0, 1, 3, 4, 6])


def some_set():
    """Records of many lengths, one with a missing lead, one with a gap in all leads."""
    random = np.random.default_rng(0)
    signals = [random.integers(-30000, 30000, (length, 2)).astype(np.int16) for length in SAMPLES]
    signals[3][:, 1] = MISSING
    signals[4][100:140] = MISSING
    scales = random.random((len(SAMPLES), 2)).astype(np.float32)

    def crops(indices, offsets, length):
        return [(signals[i][offset:][:length], scales[i]) for i, offset in zip(indices, offsets, strict=True)]

    return SimpleNamespace(
        leads=("I", "II"),
        samples=SAMPLES,
        label=random.integers(0, 2, (len(SAMPLES), 3)).astype(np.uint8),
        signals=signals,
        scales=scales,
        read=lambda indices: [(signals[i], scales[i]) for i in indices],
        crops=crops,
    )


SET = some_set()
SPLIT = partial(ResidentFeed, split=True)  # one part of the samples on each of the two devices
TRAINING = partial(sampler.training_rows, samples=SAMPLES[SELECTED], window=WINDOW, batch_size=6, seed=3)


def evaluation(step):
    windows = sampler.evaluation_windows(SAMPLES[SELECTED], window=WINDOW, overlap=0.5)
    return sampler.evaluation_rows(step, windows, batch_size=6)


def batches(kind, rows_at, first, stop):
    feed = kind(SET, SELECTED, WINDOW, Devices())
    take = jax.jit(feed.take)
    calls = feed.stream(lambda step: Rows(*(column[None] for column in rows_at(first + step))), stop - first)
    items = [type(items)(*(x[0, 0] for x in jax.tree.leaves(items))) for items, _, _ in calls]  # one step in each call
    return [jax.device_get(take(feed.arrays, item)) for item in items]


@pytest.mark.parametrize("kind", [ResidentFeed, SPLIT], ids=["whole", "split"])
@pytest.mark.parametrize("rows_at", [TRAINING, evaluation], ids=["training", "evaluation"])
def test_both_feeds_give_the_same_bytes(rows_at, kind):
    for resident, host in zip(batches(kind, rows_at, 0, 3), batches(HostFeed, rows_at, 0, 3), strict=True):
        for name in ("signal", "scale_mv", "valid", "label", "weight"):
            a, b = getattr(resident, name), getattr(host, name)
            assert a.dtype == b.dtype, name
            assert a.tobytes() == b.tobytes(), name


@pytest.mark.parametrize("kind", [ResidentFeed, HostFeed])
def test_a_window_is_the_record_from_its_offset_on(kind):
    rows = TRAINING(2)
    (batch,) = batches(kind, TRAINING, 2, 3)
    for row, (record, offset) in enumerate(zip(rows.record, rows.offset, strict=True)):
        index = SELECTED[record]
        part = SET.signals[index][offset : offset + WINDOW]
        np.testing.assert_array_equal(batch.signal[row, : len(part)], part)
        assert (batch.signal[row, len(part) :] == MISSING).all()
        np.testing.assert_array_equal(batch.valid[row, : len(part)], (part != MISSING).any(axis=1))
        assert not batch.valid[row, len(part) :].any()
        np.testing.assert_array_equal(batch.scale_mv[row], SET.scales[index])
        np.testing.assert_array_equal(batch.label[row], SET.label[index])


@pytest.mark.parametrize("kind", [ResidentFeed, HostFeed])
def test_any_step_can_be_had_without_those_before(kind):
    in_turn = batches(kind, TRAINING, 0, 5)
    alone = batches(kind, TRAINING, 4, 5)
    np.testing.assert_array_equal(alone[0].signal, in_turn[4].signal)


@pytest.mark.parametrize("kind", [ResidentFeed, HostFeed])
def test_padding_rows_hold_nothing(kind):
    last = batches(kind, evaluation, 2, 3)[0]
    padding = last.weight == 0
    assert padding.any()
    assert (last.signal[padding] == MISSING).all()
    assert not last.valid[padding].any()
    assert not last.label[padding].any()


@pytest.mark.parametrize("kind", [ResidentFeed, HostFeed])
def test_a_record_that_cannot_be_read_is_the_error_of_its_reader(kind, monkeypatch):
    def read(*_):
        raise DataError("the set is damaged; prepare it again")

    for name in ("read", "crops"):
        monkeypatch.setattr(SET, name, read)
    with pytest.raises(DataError, match=r"^the set is damaged; prepare it again$"):
        batches(kind, TRAINING, 0, 1)


def test_a_split_set_is_never_whole_on_a_device():
    feed, devices = SPLIT(SET, SELECTED, WINDOW, Devices()), Devices()
    assert [len(part.data) for part in feed.arrays.signal.addressable_shards] == [len(feed.arrays.signal) / 2] * 2
    rows = devices.put_rows(Rows(*(column[None, None] for column in TRAINING(0))))
    compiled = jax.jit(lambda arrays, item: feed.take(arrays, Rows(*(x[0, 0] for x in item))).signal)
    signal = jax.ShapeDtypeStruct((2**20, 2), np.int16, sharding=feed.arrays.signal.sharding)
    program = compiled.lower(feed.arrays.replace(signal=signal), rows).compile().as_text()
    assert "s16[524288,2]" in program
    assert "s16[1048576,2]" not in program, "all samples are copied to each device"


@pytest.mark.parametrize(
    ("mode", "share_of_set", "made", "split"),
    [
        ("jit", 1.1, ResidentFeed, False),
        ("jit", 0.6, ResidentFeed, True),
        ("jit", 0.4, HostFeed, False),
        ("pmap", 1.1, ResidentFeed, False),
        ("pmap", 0.6, HostFeed, False),
    ],
)
def test_a_set_that_does_not_fit_a_device_is_split_and_one_that_does_not_fit_all_is_read_from_disk(
    monkeypatch, mode, share_of_set, made, split
):
    used = 2 * int(SAMPLES[SELECTED].sum()) * 2
    monkeypatch.setattr(feeds, "RESIDENT_SHARE", used * share_of_set / Devices().memory_bytes)
    feed = make_feed("auto", SET, SELECTED, WINDOW, Devices(mode=mode))
    assert isinstance(feed, made)
    assert made is HostFeed or feed.arrays.split is split


def test_without_tensorflow_the_host_feed_names_the_package_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # so every import of it fails
    with pytest.raises(ConfigError, match=r"^--feed host needs TensorFlow.* pip install tensorflow-cpu .*$"):
        batches(HostFeed, TRAINING, 0, 1)


def test_a_run_with_the_resident_feed_never_loads_tensorflow(synthetic_set, tmp_path):
    flags = ["--train.epochs", "1", "--model.depth", "1", "--model.channels", "4", "--data.window-seconds", "2"]
    code = (
        "import sys; from ecg_jax.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'jax' in sys.modules; assert 'tensorflow' not in sys.modules"
    )
    command = ["train", "--data", str(synthetic_set), "--workdir", str(tmp_path / "run"), "--feed", "resident", *flags]
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
