"""Computed costs against the built network, XLA's own count, and gradients."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_jax.config import ModelConfig
from ecg_jax.models import PRESETS, ResNet1D, cost, preset

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


def xla_macs(config, samples):
    """Half of the operations that XLA counts for each convolution and matrix product of the network, alone."""
    model = ResNet1D(config, 2)
    forward = partial(model.apply, train=False)
    traced = jax.make_jaxpr(forward)(shapes_of(config, samples), jnp.zeros((1, samples, 3)))
    found: dict[str, list[Any]] = {}
    for eqn in equations(traced.jaxpr):
        found.setdefault(str(([v.aval for v in eqn.invars], eqn.params)), []).append(eqn)
    return sum(xla_flops(alike[0]) * len(alike) for alike in found.values()) // 2


def equations(jaxpr):
    for eqn in jaxpr.eqns:
        inner = [p.jaxpr for p in eqn.params.values() if hasattr(p, "jaxpr")]
        for sub in inner:
            yield from equations(sub)
        if eqn.primitive.name in ("conv_general_dilated", "dot_general"):
            yield eqn


def xla_flops(eqn):
    operands = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in eqn.invars]
    return jax.jit(lambda *args: eqn.primitive.bind(*args, **eqn.params)).lower(*operands).cost_analysis()["flops"]


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_are_those_of_the_built_network(name):
    built = sum(leaf.size for leaf in jax.tree.leaves(shapes_of(VARIANTS[name], 200)["params"]))
    assert cost_of(VARIANTS[name]).parameters == built


@pytest.mark.parametrize("name", VARIANTS)
@settings(max_examples=3, deadline=None)
@given(samples=st.integers(1, 120))
def test_macs_are_those_that_xla_counts(name, samples):
    assert cost_of(VARIANTS[name], samples).macs == xla_macs(VARIANTS[name], samples)


@pytest.mark.parametrize("name", PRESETS)
def test_macs_of_presets_are_those_that_xla_counts(name):
    assert cost_of(preset(name), 250).macs == xla_macs(preset(name), 250)


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
