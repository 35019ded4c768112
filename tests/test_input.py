"""From int16 samples to the network's input: each window's own normalisation, changes of speed, smoothed labels."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ecg_jax.config import with_fields
from ecg_jax.dataset.batch import MISSING, Batch, Normalisation, to_input
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.inference import load
from ecg_jax.records import Quantised
from ecg_jax.target import Target
from ecg_jax.training import run
from ecg_jax.training.augment import stretch, stretched_from
from ecg_jax.training.losses import smoothed
from ecg_jax.training.setup import TrainingSetup, make_plan

BY_RECORD = Normalisation(np.full(3, 7.0, np.float32), np.full(3, 9.0, np.float32), "record")


def window_of(signal, scale_mv=1e-3):
    signal = np.asarray(signal, np.int16)[None]
    label, weight = np.zeros((1, 1), np.float32), np.ones(1, np.float32)
    scale = np.full(signal.shape[::2], scale_mv, np.float32)
    return Batch(signal, scale, (signal != MISSING).any(-1), label, weight)


def normalised_window(signal, scale_mv=1e-3):
    values, measured = to_input(window_of(signal, scale_mv), BY_RECORD)
    return np.asarray(values)[0], np.asarray(measured)[0]


@given(seed=st.integers(0, 10_000), length=st.integers(1, 90), offset=st.integers(-8000, 8000))
def test_a_window_is_normalised_by_the_samples_of_each_lead_that_were_measured(seed, length, offset):
    random = np.random.default_rng(seed)
    signal = (random.normal(size=(90, 3)) * [2000, 50, 300] + offset).astype(np.int16)
    signal[length:] = MISSING  # padding
    signal[random.random((90, 3)) < 0.1] = MISSING  # gaps of single leads
    values, measured = normalised_window(signal)
    for lead in range(3):
        known = signal[:, lead] != MISSING
        own = signal[known, lead].astype(np.float64)
        expected = (own - own.mean()) / max(own.std(), 1) if known.any() else own  # one unit is 1 µV
        np.testing.assert_allclose(values[known, lead], expected, atol=2e-3)
        assert (values[~known, lead] == 0).all()
        assert (measured[:, lead] == known).all()


@given(level=st.integers(-32_000, 32_000), samples=st.sampled_from([1, 100, 9000]), scale_mv=st.floats(1e-4, 1e-3))
def test_a_flat_lead_stays_flat_at_any_level(level, samples, scale_mv):
    values, _ = normalised_window(np.full((samples, 3), level), scale_mv)
    assert np.abs(values).max() < 0.02


def test_a_window_without_a_measured_sample_is_zero():
    assert (normalised_window(np.full((20, 3), MISSING))[0] == 0).all()


def test_amplitude_and_level_of_a_window_are_gone():
    signal = np.random.default_rng(0).integers(-1000, 1000, (200, 3))
    np.testing.assert_allclose(normalised_window(signal)[0], normalised_window(3 * signal + 500)[0], atol=1e-4)


def test_a_network_of_such_windows_predicts_the_same_at_any_gain(config, tmp_path):
    fields = {"data.normalise": "record", "train.epochs": 1}
    result = run(with_fields(config, fields), tmp_path, console=Console(quiet=True), plots=False)
    model = load(result.workdir)
    assert model.contract.normalise == "record"
    signal, scale_mv = open_prepared(config.data.path).read([5])[0]
    own, louder = (model.probability(Quantised(signal, factor * scale_mv, ())) for factor in (1, 2.5))
    np.testing.assert_allclose(own, louder, atol=1e-5)
    model.contract = replace(model.contract, normalise="set")
    assert np.abs(model.probability(Quantised(signal, scale_mv, ())) - own).max() > 1e-3


def stretched(largest, samples, seed=0, measured=None):
    """A ramp, which shows the factor, beside noise: the factor, the noise read, and what was measured of both."""
    longer = stretched_from(samples, largest)
    noise = np.random.default_rng(seed).normal(size=longer)
    signal = np.stack([np.arange(longer), noise], axis=1).astype(np.float32)
    measured = np.ones(signal.shape, bool) if measured is None else measured
    values, known = stretch(
        jax.random.key(seed), jnp.asarray(signal), jnp.asarray(measured), largest=largest, samples=samples
    )
    return float(values[1, 0]), signal, np.asarray(values), np.asarray(known)


@given(
    seed=st.integers(0, 1000), largest=st.sampled_from([0.01, 0.1, 0.3, 0.9]), samples=st.sampled_from([2, 101, 300])
)
def test_a_stretched_window_is_the_signal_read_at_another_speed(seed, largest, samples):
    factor, signal, values, known = stretched(largest, samples, seed)
    assert known.all()
    assert values.shape == (samples, 2)
    assert 1 - largest - 1e-6 <= factor <= 1 + largest + 1e-6
    place = np.arange(samples) * factor
    np.testing.assert_allclose(values[:, 0], place, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(values[:, 1], np.interp(place, np.arange(len(signal)), signal[:, 1]), atol=2e-3)


def test_speeds_are_spread_over_their_range():
    factors = [stretched(0.2, 50, seed)[0] for seed in range(60)]
    assert min(factors) < 0.85
    assert max(factors) > 1.15


@given(seed=st.integers(0, 1000), length=st.integers(1, 120))
def test_of_a_short_record_only_what_was_measured_is_read(seed, length):
    measured = np.arange(stretched_from(100, 0.3)) < length
    *_, known = stretched(0.3, 100, seed, measured=np.repeat(measured[:, None], 2, axis=1))
    factor = stretched(0.3, 100, seed)[0]
    place = np.arange(100) * factor
    sure = np.abs(place - (length - 1)) > 1e-3  # rounding decides for a place at the last sample
    assert (known[sure, 0] == (place <= length - 1)[sure]).all()


def test_longer_crops_are_read_where_the_speed_changes_and_windows_of_long_records_stay_full(config):
    still = make_plan(config, open_prepared(config.data.path))
    moving = make_plan(with_fields(config, {"augment.stretch": 0.25}), still.prepared)
    assert (still.crop_samples, moving.crop_samples, moving.contract.window_samples) == (200, 250, 200)
    assert not TrainingSetup([moving])._may_be_invalid()
    ends = moving.rows_at(0).offset + moving.crop_samples
    assert (ends <= moving.samples[moving.rows_at(0).record]).all()


@pytest.mark.parametrize(("kind", "rest"), [("multilabel", 1 / 2), ("exclusive", 1 / 3)])
def test_labels_are_smoothed_towards_what_is_right_by_chance(kind, rest):
    label = np.eye(3, dtype=np.float32)
    found = np.asarray(smoothed(label, 0.3, Target(kind, ("a", "b", "c"))))
    np.testing.assert_allclose(np.diag(found), 0.7 + 0.3 * rest, rtol=1e-6)
    np.testing.assert_allclose(found[label == 0], 0.3 * rest, rtol=1e-6)
    if kind == "exclusive":
        np.testing.assert_allclose(found, optax.losses.smooth_labels(label, 0.3), rtol=1e-6)


def test_smoothing_changes_the_loss_of_the_training_alone(config):
    prepared = open_prepared(config.data.path)
    losses, validated = [], []
    for share in (0.0, 0.5):
        setup = TrainingSetup([make_plan(with_fields(config, {"train.label_smoothing": share}), prepared)])
        state = setup.initial_state()
        validated.append(setup.validate(state.variables)[0][1])
        losses.append(setup.train(state, [0], 1, lambda steps: None)[1].item())
    assert validated[0] == validated[1]
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)
