"""Settings of a study from its data and its time: each rule, and that no other design that fits is better."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_jax.config import RunConfig
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import ConfigError
from ecg_jax.study.from_data import (
    SHARE_PLANNED,
    Design,
    base_for,
    design_seconds,
    fit_to_time,
    kernels_for,
    largest_design,
    run_for,
)

LARGEST = Design((1, 2, 4), (8, 16, 32), (3, 7, 15), tuple(range(1, 11)), 40)


@pytest.fixture(scope="module")
def set_of(synthetic_set):
    prepared = open_prepared(synthetic_set)

    def make(records: int, seconds: float = 10.0, rate_hz: float = 100.0, folds: int = 10):
        values = {"samples": np.full(records, round(seconds * rate_hz)), "folds": np.arange(records) % folds + 1}
        return replace(prepared, rate_hz=rate_hz, record_ids=np.arange(records).astype(str), **values)

    return make


@pytest.mark.parametrize(
    ("seconds", "rate_hz", "window", "base"),
    [(10, 100, 2.5, "local"), (30, 300, 7.5, "resnet"), (60, 500, 10, "resnet"), (1.5, 500, 1.5, "local")],
)
def test_window_and_base_follow_length_and_rate(set_of, seconds, rate_hz, window, base):
    prepared = set_of(300, seconds, rate_hz)
    assert run_for(prepared, RunConfig()).data.window_seconds == window
    assert base_for(prepared, window) == base


@pytest.mark.parametrize(
    ("records", "batch", "epochs"), [(400, 32, 40), (2000, 32, 20), (20_000, 64, 10), (100_000, 64, 10)]
)
def test_batch_and_epochs_follow_the_training_records(set_of, records, batch, epochs):
    train = run_for(set_of(records), RunConfig()).train
    assert (train.batch_size, train.epochs) == (batch, epochs)


@pytest.mark.parametrize(
    ("rate_hz", "kernels"), [(50, (3, 7, 15)), (100, (3, 7, 15)), (250, (7, 15, 31)), (500, (15, 31, 63))]
)
def test_kernels_keep_their_length_in_time(rate_hz, kernels):
    assert kernels_for(rate_hz) == kernels


def test_small_sets_are_cross_fitted_and_large_ones_are_not(set_of):
    assert largest_design(set_of(1000), 20).folds == tuple(range(1, 11))
    assert largest_design(set_of(30_000), 20).folds == ()
    assert largest_design(set_of(100, folds=2), 20).folds == ()


def seconds_of(scale, epochs):
    depth, channels, kernel = scale
    return 0.001 * depth * channels * kernel * epochs, 5.0


@given(st.floats(600, 1e6))
def test_the_design_fits_into_the_time_and_none_that_fits_has_more_scales_and_records(available):
    design, seeds = fit_to_time(LARGEST, seconds_of, available, records_of, {})
    assert design_seconds(design, seconds_of, seeds) <= SHARE_PLANNED * available
    more = {"depths": LARGEST.depths, "channels": LARGEST.channels, "kernels": LARGEST.kernels, "folds": LARGEST.folds}
    for name, value in more.items():
        larger = replace(design, **{name: value})
        fits = design_seconds(larger, seconds_of, seeds) <= SHARE_PLANNED * available
        assert larger == design or not fits


def records_of(folds):
    return 100 * max(len(folds), 1)


def test_what_is_fixed_stays_and_a_time_that_is_too_short_says_how_long_it_takes():
    fixed = {"depths": None, "folds": None, "epochs": None}
    design, _ = fit_to_time(LARGEST, seconds_of, 1e5, records_of, fixed)
    assert (design.depths, design.folds, design.epochs) == (LARGEST.depths, LARGEST.folds, 40)
    with pytest.raises(ConfigError, match="after 7 s of measuring; give --hours") as refused:
        fit_to_time(LARGEST, seconds_of, 10, records_of, {}, spent_seconds=7)
    hours = float(str(refused.value).split()[-3])
    fit_to_time(LARGEST, seconds_of, 3600 * hours - 7, records_of, {})
