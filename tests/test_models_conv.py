"""Convolution, pooling and masks along time, against plain loops in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_jax.models.conv import Conv1D, average_pool, coarser, max_pool, relu

lengths = st.sampled_from((1, 2, 7, 12))  # each new one is compiled
masks = lengths.flatmap(lambda length: st.lists(st.booleans(), min_size=length, max_size=length))
few = settings(max_examples=20, deadline=None)


def plain_convolution(x, kernel, stride, dilation):
    """Output i is the sum over taps j of x[i * stride + j * dilation - left] @ kernel[j], nothing beyond the ends."""
    taps, _, channels = kernel.shape
    left = (taps - 1) * dilation // 2
    places = range(0, len(x), stride)
    y = np.zeros((len(places), channels))
    for i, place in enumerate(places):
        for tap in range(taps):
            source = place + tap * dilation - left
            if 0 <= source < len(x):
                y[i] += x[source] @ kernel[tap]
    return y


def mask_of(valid):
    return jnp.asarray(np.asarray(valid, np.float32)[:, :, None])


@few
@given(
    st.sampled_from(("direct", "matmul")),
    lengths,
    st.sampled_from((1, 4, 7)),
    st.integers(1, 3),
    st.sampled_from((1, 3)),
    st.integers(0, 99),
)
def test_convolution_equals_the_plain_sum(formulation, length, taps, stride, dilation, seed):
    x = np.random.default_rng(seed).normal(size=(length, 2))
    layer = Conv1D(3, taps, stride, dilation, formulation)
    variables = layer.init(jax.random.key(seed), jnp.zeros((1, length, 2)))
    y = layer.apply(variables, jnp.asarray(x[None], jnp.float32))
    expected = plain_convolution(x, np.asarray(variables["params"]["kernel"], np.float64), stride, dilation)
    np.testing.assert_allclose(y[0], expected, rtol=0, atol=1e-5)  # float32 sums of up to 16 products


@few
@given(masks, st.integers(0, 99))
def test_pools_see_valid_samples_only(valid, seed):
    x = np.random.default_rng(seed).random((len(valid), 3)).astype(np.float32) * np.array(valid)[:, None]
    mask = mask_of([valid])
    highest, mean = max_pool(jnp.asarray(x[None]), mask)[0], average_pool(jnp.asarray(x[None]), mask, 3)[0]
    assert len(highest) == -(-len(valid) // 2)
    assert len(mean) == -(-len(valid) // 3)
    for i in range(len(highest)):
        seen = [x[t] for t in (2 * i - 1, 2 * i, 2 * i + 1) if 0 <= t < len(valid) and valid[t]]
        kept = any(valid[2 * i : 2 * i + 2])
        np.testing.assert_array_equal(highest[i], np.max(seen, axis=0) if kept else np.zeros(3))
    for i in range(len(mean)):
        seen = [x[t] for t in range(3 * i, min(3 * i + 3, len(valid))) if valid[t]]
        np.testing.assert_allclose(mean[i], np.mean(seen, axis=0) if seen else np.zeros(3), rtol=1e-6)


@few
@given(lengths, st.integers(0, 99))
def test_pools_without_a_mask_equal_pools_with_all_valid(length, seed):
    x = jnp.asarray(np.random.default_rng(seed).random((1, length, 2)), jnp.float32)
    mask = mask_of(np.ones((1, length)))
    np.testing.assert_array_equal(max_pool(x, None), max_pool(x, mask))
    np.testing.assert_array_equal(average_pool(x, None, 2), average_pool(x, mask, 2))


@few
@given(st.integers(1, 12), st.integers(1, 4))
def test_after_a_stride_signal_keeps_as_many_samples_as_without_padding(signal, stride):
    padding = 13 - signal
    kept = coarser(mask_of([[1] * signal + [0] * padding]), stride)
    assert kept is not None
    assert kept.shape[1] == -(-(signal + padding) // stride)
    assert kept[0, :, 0].tolist() == [float(i < -(-signal // stride)) for i in range(kept.shape[1])]


@few
@given(masks, st.integers(1, 4))
def test_a_row_loses_its_last_valid_sample_at_no_stride(valid, stride):
    kept = coarser(mask_of([valid]), stride)
    assert kept is not None
    assert bool(kept.any()) == any(valid)


def test_relu_keeps_a_nan_where_there_is_signal_and_drops_what_stands_elsewhere():
    x = jnp.array([[[1.0], [-1.0], [jnp.nan], [5.0]]])
    np.testing.assert_array_equal(relu(x, mask_of([[1, 1, 1, 0]]))[0, :, 0], [1, 0, np.nan, 0])
