"""Computed costs against the built network, XLA's own count, and gradients."""

from dataclasses import replace
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_jax.config import Functions, ModelConfig, RunConfig
from ecg_jax.models import PRESETS, ResNet1D, cost, preset
from ecg_jax.models import cost_of as run_cost
from ecg_jax.models.cost import traced_cost

BASE = ModelConfig(depth=1, channels=4, kernel=3)
VARIANTS = {
    "default": BASE,
    "even_kernel": replace(BASE, kernel=4, stem_kernel=6),
    "tuple_kernel": replace(BASE, kernel=(5, 2)),
    "dilated": replace(BASE, dilation=3, strides=(1, 2)),
    "strides": replace(BASE, strides=(3, 1, 2), stem_stride=3, stem_pool=False, depth=(2, 1, 1)),
    "bottleneck": replace(BASE, block="bottleneck", kernel=5, strides=(2, 2), head="attention"),
    "pooled_shortcut": replace(BASE, shortcut="pool", growth=1.0, head="concat", stem_channels=(3, 4)),
    "only_shortcut_sees": replace(BASE, shortcut="pool", kernel=1, strides=(3, 2), stem_pool=False, head="flatten"),
}


def cost_of(config, samples=200):
    return cost(config, leads=3, labels=2, window_samples=samples, rate_hz=100)


def shapes_of(config, samples):
    init = partial(ResNet1D(config, 2).init, train=False)
    return jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, samples, 3)))


@pytest.mark.parametrize("name", VARIANTS)
@settings(max_examples=3, deadline=None)
@given(samples=st.integers(1, 120))
def test_the_formula_counts_what_xla_counts_on_the_traced_network(name, samples):
    traced = traced_cost(ResNet1D(VARIANTS[name], 2), leads=3, window_samples=samples)
    formula = cost_of(VARIANTS[name], samples)
    assert (formula.macs, formula.parameters) == (traced.macs, traced.parameters)


@pytest.mark.parametrize("name", PRESETS)
def test_the_formula_counts_what_xla_counts_on_presets(name):
    traced = traced_cost(ResNet1D(preset(name), 2), leads=3, window_samples=250)
    formula = cost_of(preset(name), 250)
    assert (formula.macs, formula.parameters) == (traced.macs, traced.parameters)


class Recurrent(nn.Module):
    """Two heads of the features of an Elman network: [B, T, L] -> [B, 2]."""

    @nn.compact
    def __call__(self, x, valid=None, *, train):
        del valid, train
        features = nn.RNN(nn.SimpleCell(features=8))(x)[:, -1]
        return nn.Dense(2)(features)


def recurrent(config, n_classes, axis_name):
    del config, axis_name
    assert n_classes == 2
    return Recurrent()


def test_a_network_of_ones_own_is_traced_and_its_receptive_field_is_unknown():
    config = RunConfig(functions=Functions(network="test_cost:recurrent"))
    known = run_cost(config, leads=3, labels=2, window_samples=50, rate_hz=100)
    assert known.macs == 50 * (3 * 8 + 8 * 8) + 8 * 2  # the cell once for each sample
    assert known.parameters == (3 + 8 + 1) * 8 + (8 + 1) * 2
    assert (known.receptive_field_samples, known.receptive_field_ms) == (None, None)


def seen_from(config, features, samples):
    """First and last input sample with a gradient from each of `features` before pooling, over many random inputs.

    The head `flatten` with a single weight picks the feature; positive weights and inputs keep every ReLU open, and
    over many inputs each place of a maximum pool is the maximum once.
    """
    config = replace(config, head="flatten")
    drawn = np.random.default_rng(0)
    shapes = shapes_of(config, samples)
    variables = jax.tree.map(lambda a: jnp.asarray(drawn.uniform(0.1, 1, a.shape), a.dtype), shapes)
    head = variables["params"]["head"]["logits"]
    every_feature = jnp.zeros_like(head["kernel"]).reshape(-(-samples // cost_of(config).total_stride), -1)

    @jax.jit
    @jax.grad
    def slope(x, kernel):
        head["kernel"] = kernel
        return ResNet1D(config, 2).apply(variables, x, train=False).sum()

    x = jnp.asarray(drawn.uniform(0, 1, (32, samples, 3)), jnp.float32)
    for at in features:
        reached = np.flatnonzero(np.asarray(slope(x, every_feature.at[at].set(1).reshape(-1, 2))).any(axis=(0, 2)))
        yield int(reached[0]), int(reached[-1])


@pytest.mark.parametrize("name", VARIANTS)
def test_receptive_field_and_stride_are_what_gradients_reach(name):
    known = cost_of(VARIANTS[name])
    at = known.receptive_field_samples // known.total_stride + 1
    (first, last), after = seen_from(VARIANTS[name], (at, at + 1), samples=(2 * at + 2) * known.total_stride)
    assert last - first + 1 == known.receptive_field_samples
    assert after == (first + known.total_stride, last + known.total_stride)


def test_receptive_fields_of_presets_are_the_published_ones():
    published = {"resnet1d_wang": 37, "xresnet1d18": 873, "xresnet1d34": 1801, "xresnet1d50": 857, "xresnet1d101": 1945}
    published |= {"resnet18_1d": 435, "resnet34_1d": 899}
    assert {name: cost_of(preset(name)).receptive_field_samples for name in published} == published
    assert cost_of(preset("resnet1d_wang")).receptive_field_ms == 370
    assert {cost_of(preset(name)).total_stride for name in published} == {4, 32}


@pytest.mark.parametrize("name", ["default", "bottleneck"])
def test_activation_bytes_are_about_what_xla_sets_aside_for_another_row(name):
    config = replace(VARIANTS[name], channels=16, strides=(1, 2), head="gap")
    model = ResNet1D(config, 2)
    variables = shapes_of(config, 1000)

    def loss(params, stats, x):
        logits, _ = model.apply({"params": params, "batch_stats": stats}, x, train=True, mutable=["batch_stats"])
        return (logits**2).sum()

    def set_aside(rows):
        x = jax.ShapeDtypeStruct((rows, 1000, 3), jnp.float32)
        compiled = jax.jit(jax.grad(loss)).lower(variables["params"], variables["batch_stats"], x).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    per_row = (set_aside(24) - set_aside(8)) / 16
    assert 0.5 < cost_of(config, 1000).activation_bytes / per_row < 2  # the compiler recomputes some, copies others


def test_bfloat16_halves_the_activation_bytes():
    half = replace(BASE, precision="bfloat16")
    assert cost_of(BASE).activation_bytes == 2 * cost_of(half).activation_bytes
