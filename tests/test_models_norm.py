"""Batch normalisation and dropout: against NumPy on the valid samples, and two devices against one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_jax.models.dropout import RowDropout
from ecg_jax.models.norm import MaskedBatchNorm

VARIABLES = {
    "params": {"scale": jnp.array([1.5, -0.5, 2.0]), "bias": jnp.array([0.1, 0.2, -0.3])},
    "batch_stats": {"mean": jnp.array([1.0, 2.0, 3.0]), "var": jnp.array([4.0, 5.0, 6.0])},
}
lists_of_masks = st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=4, max_size=4)


def example(seed=0, rows=4):
    return np.random.default_rng(seed).normal(2, 3, (rows, 5, 3)).astype(np.float32)


def normalise(x, valid, axis_name=None):
    mask = None if valid is None else jnp.asarray(valid, jnp.float32)[:, :, None]
    layer = MaskedBatchNorm(train=True, axis_name=axis_name)
    return layer.apply(VARIABLES, jnp.asarray(x), mask, mutable=["batch_stats"])


@settings(max_examples=20, deadline=None)
@given(lists_of_masks.filter(lambda rows: any(map(any, rows))), st.integers(0, 99))
def test_only_valid_samples_move_the_statistics(valid, seed):
    valid, x = np.array(valid), example(seed)
    x[~valid] = 1e6
    y, changed = normalise(x, valid)
    taken = x[valid].astype(np.float64)  # [N, C]
    mean, var = taken.mean(0), taken.var(0)
    expected = (taken - mean) / np.sqrt(var + 1e-5) * VARIABLES["params"]["scale"] + VARIABLES["params"]["bias"]
    # the variance is a difference of squares: it is wrong by some roundings of the mean square
    tolerance = 1e-5 + 1e-6 * (taken**2).mean(0) / (var + 1e-5)
    assert (np.abs(np.asarray(y)[valid] - expected) <= tolerance * (1 + np.abs(expected))).all()
    np.testing.assert_allclose(changed["batch_stats"]["mean"], 0.9 * np.array([1, 2, 3]) + 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(changed["batch_stats"]["var"], 0.9 * np.array([4, 5, 6]) + 0.1 * var, rtol=1e-5)


def test_a_batch_without_signal_leaves_the_statistics_alone():
    y, changed = normalise(example(), np.zeros((4, 5)))
    assert np.isfinite(y).all()
    jax.tree.map(np.testing.assert_array_equal, changed["batch_stats"], VARIABLES["batch_stats"])


def test_without_a_mask_equals_all_valid():
    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=1e-6),
        normalise(example(), None),
        normalise(example(), np.ones((4, 5))),
    )


def test_evaluation_uses_the_running_statistics_and_changes_nothing():
    x = example()
    y = MaskedBatchNorm(train=False).apply(VARIABLES, jnp.asarray(x), None)
    stats, params = VARIABLES["batch_stats"], VARIABLES["params"]
    expected = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) * params["scale"] + params["bias"]
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("second", [[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], ids=["uneven", "only_padding"])
def test_two_devices_agree_with_one_in_values_statistics_and_gradients(second):
    x, valid = example(), np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], second, second])
    weight = example(1)

    def loss(x, valid, weight, axis_name=None):
        y, changed = normalise(x, valid, axis_name)
        return (jnp.where(valid[:, :, None], y, 0) * weight).sum(), changed["batch_stats"]

    gradient = jax.value_and_grad(loss, has_aux=True)
    (one, stats), slope = gradient(jnp.asarray(x), jnp.asarray(valid) > 0, jnp.asarray(weight))
    split = [jnp.asarray(a).reshape(2, 2, *a.shape[1:]) for a in (x, valid > 0, weight)]
    (two, both), slopes = jax.pmap(partial(gradient, axis_name="data"), axis_name="data")(*split)
    np.testing.assert_allclose(two.sum(), one, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(slopes).reshape(x.shape), slope, rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, np.stack([b, b]), rtol=1e-6), both, stats)


def test_one_pass_moments_hold_as_far_from_zero_as_activations_are():
    # 30 standard deviations from zero: the sum of squares loses 30^2 * 6e-8, a twenty-thousandth of the variance
    x = np.random.default_rng(0).normal(30, 1, (64, 500, 3)).astype(np.float32)
    _, changed = normalise(x, None)
    var = 10 * (np.asarray(changed["batch_stats"]["var"]) - 0.9 * np.array([4, 5, 6]))
    np.testing.assert_allclose(var, x.astype(np.float64).var((0, 1)), rtol=2e-3)


def dropped(x, axis_name=None):
    layer = RowDropout(0.25, train=True, axis_name=axis_name)
    return layer.apply({}, x, rngs={"dropout": jax.random.key(0)})


def test_a_row_loses_the_same_activations_on_one_device_and_on_two():
    x = jnp.asarray(example(rows=6))
    apart = jax.pmap(partial(dropped, axis_name="data"), axis_name="data")(x.reshape(2, 3, 5, 3))
    np.testing.assert_array_equal(np.asarray(apart).reshape(x.shape), dropped(x))


def test_a_row_loses_the_same_activations_whatever_rows_come_after_it():
    x = jnp.asarray(example(rows=6))
    np.testing.assert_array_equal(dropped(x)[:4], dropped(x[:4]))


def test_dropout_drops_its_share_differently_in_each_row_and_keeps_the_mean():
    y = np.asarray(dropped(jnp.ones((20, 2000))))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert len(np.unique(y, axis=0)) == 20
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.01)  # 4.6 standard errors of 40,000 draws


def test_dropout_draws_each_activation_by_itself():
    rows, shape = 4000, (7, 3)  # an odd number of activations
    y = np.asarray(dropped(jnp.ones((rows, *shape)))).reshape(rows, -1) == 0
    error = 5 / np.sqrt(rows)
    np.testing.assert_allclose(y.mean(0), 0.25, atol=error * np.sqrt(0.25 * 0.75))
    np.testing.assert_allclose(np.corrcoef(y.T), np.eye(y.shape[1]), atol=error)
