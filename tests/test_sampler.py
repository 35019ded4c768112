"""The sampler: which window is in which row, as a pure function of seed and step."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ecg_jax.dataset import sampler

SETS = st.lists(st.integers(1, 500), min_size=2, max_size=60).map(np.array)


@given(samples=SETS, batch_size=st.integers(1, 40), seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 3))
def test_an_epoch_visits_every_record_once(samples, batch_size, seed, epoch):
    n = len(samples)
    steps = range(epoch * n // batch_size, (epoch + 1) * n // batch_size + 1)
    rows = [
        sampler.training_rows(s, samples=samples, window=50, batch_size=batch_size, seed=seed).record for s in steps
    ]
    walk = np.concatenate(rows)
    first = epoch * n - steps[0] * batch_size  # the epoch may begin in the middle of a batch
    assert sorted(walk[first : first + n].tolist()) == list(range(n))


@given(samples=SETS, window=st.integers(1, 300), step=st.integers(0, 50), seed=st.integers(0, 2**32 - 1))
def test_crops_lie_inside_their_records(samples, window, step, seed):
    rows = sampler.training_rows(step, samples=samples, window=window, batch_size=16, seed=seed)
    length = samples[rows.record]
    assert (rows.offset >= 0).all()
    assert (rows.offset[length <= window] == 0).all()
    assert (rows.offset + window <= length)[length > window].all()


def test_a_step_needs_nothing_from_the_steps_before():
    samples = np.full(30, 100)
    alone = sampler.training_rows(1000, samples=samples, window=50, batch_size=8, seed=7)
    sampler._epoch.cache_clear()
    for step in range(990, 1001):
        in_turn = sampler.training_rows(step, samples=samples, window=50, batch_size=8, seed=7)
    np.testing.assert_array_equal(alone.record, in_turn.record)
    np.testing.assert_array_equal(alone.offset, in_turn.offset)


def test_neighbouring_seeds_share_no_epoch():
    orders = [
        tuple(sampler.training_rows(epoch, samples=np.full(40, 9), window=9, batch_size=40, seed=seed).record)
        for seed in range(4)
        for epoch in range(4)
    ]
    assert len(set(orders)) == len(orders)


def test_crops_reach_both_ends_of_a_record():
    offsets = {
        int(sampler.training_rows(step, samples=np.full(2, 12), window=10, batch_size=2, seed=0).offset[0])
        for step in range(60)
    }
    assert offsets == {0, 1, 2}


@given(samples=SETS, window=st.integers(1, 200), overlap=st.floats(0, 0.9))
def test_evaluation_windows_cover_every_sample_of_every_record(samples, window, overlap):
    windows = sampler.evaluation_windows(samples, window=window, overlap=overlap)
    for record, length in enumerate(samples):
        offsets = windows.offset[windows.record == record]
        seen = np.zeros(length, bool)
        for offset in offsets:
            seen[offset : offset + window] = True
        assert seen.all()
        assert (offsets[:-1] < offsets[1:]).all()
        assert (offsets + window <= max(length, window)).all()
        assert (np.diff(offsets) <= max(1, round(window * (1 - overlap)))).all()


@given(samples=SETS, batch_size=st.integers(1, 30))
def test_evaluation_rows_are_all_windows_in_order_and_then_padding(samples, batch_size):
    windows = sampler.evaluation_windows(samples, window=40, overlap=0.5)
    steps = -(-len(windows.record) // batch_size)
    rows = [sampler.evaluation_rows(step, windows, batch_size=batch_size) for step in range(steps)]
    assert all(len(r.record) == batch_size for r in rows)
    weight = np.concatenate([r.weight for r in rows])
    assert weight.sum() == len(windows.record)
    np.testing.assert_array_equal(np.concatenate([r.record for r in rows])[weight > 0], windows.record)


@given(epochs=st.integers(1, 20), n=st.integers(1, 200), batch_size=st.integers(1, 64))
def test_after_its_steps_an_epoch_has_been_seen_whole_and_no_step_earlier(epochs, n, batch_size):
    steps = sampler.steps_until(epochs, n_records=n, batch_size=batch_size)
    assert steps * batch_size >= epochs * n > (steps - 1) * batch_size
