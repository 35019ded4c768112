"""The whole network: against a plain NumPy network, masked against cropped, presets against published counts."""

import subprocess
import sys
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_models_conv import plain_convolution

from ecg_jax.config import ModelConfig
from ecg_jax.errors import ConfigError
from ecg_jax.models import PRESETS, ResNet1D, cost, preset

SMALL = ModelConfig(depth=1, channels=4, kernel=3, strides=(1, 2), head_hidden=6)
VARIANTS = {
    "gap": SMALL,
    "concat": replace(SMALL, head="concat", kernel=(4, 2), stem_channels=(3, 4), growth=1.0, shortcut="pool"),
    "attention": replace(SMALL, head="attention", block="bottleneck", strides=(1, 3), dilation=2, stem_pool=False),
}


def random_variables(config, labels=3, leads=2, samples=32, seed=0):
    """Variables with nothing left at zero or one, so that every one of them matters."""
    init = partial(ResNet1D(config, labels).init, train=False)
    shapes = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, samples, leads)))
    random = np.random.default_rng(seed)
    drawn = jax.tree.map(lambda a: jnp.asarray(random.normal(0, 0.4, a.shape), a.dtype), shapes)
    return drawn | {"batch_stats": jax.tree.map(lambda a: abs(a) + 0.1, drawn["batch_stats"])}


def trained_once(config, variables, x, valid):
    """Logits and changed statistics."""
    apply = partial(ResNet1D(config, 3).apply, train=True, mutable=["batch_stats"])
    return jax.jit(apply)(variables, x, valid)


def evaluated(config, variables, x, valid=None):
    return jax.jit(partial(ResNet1D(config, 3).apply, train=False))(variables, x, valid)


def parameters(config, labels, leads=12, samples=250):
    """Counted on the built network, without computing any."""
    init = partial(ResNet1D(config, labels).init, train=False)
    shapes = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, samples, leads)))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


# --- what it computes


class PlainResNet:
    """One row at a time, in float64, by the textbook: evaluation only."""

    def __init__(self, variables):
        exact = jax.tree.map(partial(np.asarray, dtype=np.float64), variables)
        self.params, self.stats = exact["params"], exact["batch_stats"]

    def norm(self, x, *path):
        params, stats = self.params, self.stats
        for part in path:
            params, stats = params[part], stats[part]
        return (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5) * params["scale"] + params["bias"]

    def layer(self, x, part, i, stride, dilation=1):
        y = plain_convolution(x, self.params[part][f"Conv1D_{i}"]["kernel"], stride, dilation)
        return self.norm(y, part, f"MaskedBatchNorm_{i}")

    def block(self, x, part, strides, pooled, dilation):
        y = x
        for i, stride in enumerate(strides):
            y = self.layer(y, part, i, stride, dilation)
            y = np.maximum(y, 0) if i + 1 < len(strides) else y
        stride = max(strides)
        if pooled:
            x, stride = np.stack([x[t : t + stride].mean(0) for t in range(0, len(x), stride)]), 1
        if "shortcut_conv" in self.params[part]:
            x = plain_convolution(x, self.params[part]["shortcut_conv"]["kernel"], stride, 1)
            x = self.norm(x, part, "shortcut_norm")
        return np.maximum(x + y, 0)

    def dense(self, x, name):
        return x @ self.params["head"][name]["kernel"] + self.params["head"][name]["bias"]


def test_a_basic_network_is_the_textbooks():
    variables = random_variables(VARIANTS["gap"])
    x = np.random.default_rng(1).normal(size=(37, 2))
    plain = PlainResNet(variables)
    y = np.maximum(plain.layer(x, "stem", 0, 2), 0)
    y = np.stack([y[max(t - 1, 0) : t + 2].max(0) for t in range(0, len(y), 2)])
    y = plain.block(y, "stage1_block1", (1, 1), False, 1)
    y = plain.block(y, "stage2_block1", (2, 1), False, 1)
    logits = evaluated(VARIANTS["gap"], variables, jnp.asarray(x[None], jnp.float32))
    np.testing.assert_allclose(logits[0], plain.dense(y.mean(0), "logits"), rtol=1e-4, atol=1e-5)


def test_pooled_shortcuts_and_the_concat_head_are_the_benchmarks():
    config = VARIANTS["concat"]
    variables = random_variables(config)
    x = np.random.default_rng(1).normal(size=(37, 2))
    plain = PlainResNet(variables)
    y = np.maximum(plain.layer(x, "stem", 0, 2), 0)
    y = np.maximum(plain.layer(y, "stem", 1, 1), 0)
    y = np.stack([y[max(t - 1, 0) : t + 2].max(0) for t in range(0, len(y), 2)])
    y = plain.block(y, "stage1_block1", (1, 1), False, 1)
    y = plain.block(y, "stage2_block1", (2, 1), True, 1)
    y = plain.norm(np.concatenate([y.max(0), y.mean(0)]), "head", "MaskedBatchNorm_0")
    y = plain.norm(np.maximum(plain.dense(y, "hidden"), 0), "head", "MaskedBatchNorm_1")
    logits = evaluated(config, variables, jnp.asarray(x[None], jnp.float32))
    np.testing.assert_allclose(logits[0], plain.dense(y, "logits"), rtol=1e-4, atol=1e-5)


def test_dilated_bottlenecks_and_the_attention_head_are_the_textbooks():
    config = VARIANTS["attention"]
    variables = random_variables(config)
    x = np.random.default_rng(1).normal(size=(37, 2))
    plain = PlainResNet(variables)
    y = np.maximum(plain.layer(x, "stem", 0, 2), 0)
    y = plain.block(y, "stage1_block1", (1, 1, 1), False, 2)
    y = plain.block(y, "stage2_block1", (1, 3, 1), False, 2)
    share = np.exp(plain.dense(y, "score"))
    logits = evaluated(config, variables, jnp.asarray(x[None], jnp.float32))
    np.testing.assert_allclose(logits[0], plain.dense((share * y).sum(0) / share.sum(), "logits"), rtol=1e-4, atol=1e-5)


# --- masks


@pytest.mark.parametrize("name", VARIANTS)
@settings(max_examples=5, deadline=None)
@given(signal=st.sampled_from((1, 2, 13, 37, 40)), seed=st.integers(0, 99))
def test_a_padded_window_gives_what_the_cropped_one_gives(name, signal, seed):
    variables = random_variables(VARIANTS[name])
    x = jnp.asarray(np.random.default_rng(seed).normal(size=(1, 40, 2)), jnp.float32).at[:, signal:].set(jnp.nan)
    padded = evaluated(VARIANTS[name], variables, x, jnp.arange(40)[None] < signal)
    cropped = evaluated(VARIANTS[name], variables, x[:, :signal])
    np.testing.assert_allclose(padded, cropped, rtol=1e-5, atol=1e-6)  # sums over more zeros round apart


@pytest.mark.parametrize("head", ["gap", "concat", "attention", "flatten"])
def test_training_sees_nothing_of_invalid_samples_and_padding_rows(head):
    config = replace(SMALL, head=head, strides=(2,), stem_pool=head == "gap")
    variables = random_variables(config)
    x = np.random.default_rng(0).normal(size=(5, 32, 2)).astype(np.float32)
    valid = np.arange(32)[None] < np.array([32, 20, 1, 0, 0])[:, None]
    label = np.random.default_rng(1).integers(0, 2, (5, 3))

    def loss(params, x, valid):
        everything = variables | {"params": params}
        logits, changed = ResNet1D(config, 3).apply(everything, x, valid, train=True, mutable=["batch_stats"])
        return (logits[:3] * label[:3]).sum(), (changed, logits)

    gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))
    alone = gradient(variables["params"], jnp.asarray(x[:3]), jnp.asarray(valid[:3]))
    x[~valid] = np.nan
    padded = gradient(variables["params"], jnp.asarray(x), jnp.asarray(valid))
    assert np.isfinite(padded[0][1][1]).all()
    close = partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)  # statistics over few samples magnify roundings
    jax.tree.map(close, padded[1], alone[1])
    jax.tree.map(close, padded[0][1][0], alone[0][1][0])
    close(padded[0][1][1][:3], alone[0][1][1])


def test_a_mask_that_is_all_true_changes_nothing():
    variables = random_variables(SMALL)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 33, 2)), jnp.float32)
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    all_true = trained_once(SMALL, variables, x, jnp.ones((3, 33), bool))
    jax.tree.map(close, all_true, trained_once(SMALL, variables, x, None))


def test_a_mask_does_not_hide_parameters_that_are_not_numbers():
    variables = random_variables(SMALL)
    variables["params"]["stem"]["Conv1D_0"]["kernel"] *= jnp.nan
    assert np.isnan(evaluated(SMALL, variables, jnp.ones((1, 32, 2)), jnp.ones((1, 32), bool))).all()


# --- parameters and number formats


def test_the_default_has_the_parameters_of_its_layers():
    def layer(kernel, inputs, outputs):
        return kernel * inputs * outputs + 2 * outputs  # a convolution without bias, and its norm

    by_hand = layer(7, 12, 32) + 4 * layer(7, 32, 32)  # the stem, and two blocks that keep the channels
    for half in (32, 64, 128):  # a block that doubles the channels, with its shortcut, and one that keeps them
        by_hand += layer(7, half, 2 * half) + layer(1, half, 2 * half) + 3 * layer(7, 2 * half, 2 * half)
    assert parameters(ModelConfig(), 5, samples=1000) == by_hand + (256 + 1) * 5


@pytest.mark.parametrize("head", ["gap", "concat", "attention"])
def test_parameters_do_not_depend_on_the_length_of_the_window(head):
    config = replace(SMALL, head=head)
    assert parameters(config, 3, samples=1) == parameters(config, 3, samples=77)


def test_scales_start_at_one_and_kernels_with_variance_two_over_fan_in():
    init = partial(ResNet1D(ModelConfig(depth=1, channels=64, kernel=9, strides=(1,)), 5).init, train=False)
    params = jax.jit(init)(jax.random.key(0), jnp.zeros((1, 40, 12)))["params"]["stage1_block1"]
    assert all((params[norm]["scale"] == 1).all() for norm in ("MaskedBatchNorm_0", "MaskedBatchNorm_1"))
    kernel = np.asarray(params["Conv1D_0"]["kernel"])
    assert kernel.var() == pytest.approx(2 / (9 * 64), rel=0.05)  # 4 standard errors of 36,864 draws are 3 %


def test_bfloat16_activations_keep_float32_parameters_and_give_nearly_the_same_logits():
    variables = random_variables(SMALL)
    half = replace(SMALL, precision="bfloat16")
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 64, 2)), jnp.float32)
    valid = jnp.arange(64)[None] < jnp.array([64, 31, 0])[:, None]
    logits, changed = trained_once(half, variables, x, valid)
    exact, _ = trained_once(SMALL, variables, x, valid)
    drawn = jax.eval_shape(partial(ResNet1D(half, 3).init, train=False), jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves((drawn, changed, logits))} == {jnp.dtype("float32")}
    np.testing.assert_allclose(logits, exact, rtol=0.05, atol=0.05)  # 8 bits a rounding, some ten layers


# --- presets


BENCHMARK = (5, 71, 44, 23, 19, 12, 9, 26)
TORCHVISION = (5, 26, 71)
COUNTS = {
    ("resnet18_1d", TORCHVISION): (3_851_397, 3_862_170, 3_885_255),
    ("resnet34_1d", TORCHVISION): (7_225_733, 7_236_506, 7_259_591),
    ("resnet50_1d", TORCHVISION): (15_969_413, 16_012_442, 16_104_647),
    ("resnet1d_wang", BENCHMARK): (473_349, 481_863, 478_380, 475_671, 475_155, 474_252, 473_865, 476_058),
    ("xresnet1d18", BENCHMARK): (364_933, 373_447, 369_964, 367_255, 366_739, 365_836, 365_449, 367_642),
    ("xresnet1d34", BENCHMARK): (694_661, 703_175, 699_692, 696_983, 696_467, 695_564, 695_177, 697_370),
    ("xresnet1d50", BENCHMARK): (953_989, 962_503, 959_020, 956_311, 955_795, 954_892, 954_505, 956_698),
    ("xresnet1d101", BENCHMARK): (
        *(1_872_261, 1_880_775, 1_877_292, 1_874_583),
        *(1_874_067, 1_873_164, 1_872_777, 1_874_970),
    ),
}
KERNELS = {
    "resnet18_1d": {5: 6_292_613, 7: 8_733_829, 9: 11_175_045, 15: 18_498_693},
    "resnet34_1d": {5: 11_911_557, 7: 16_597_381, 9: 21_283_205, 15: 35_340_677},
    "resnet50_1d": {5: 18_484_357, 7: 20_999_301, 9: 23_514_245, 15: 31_059_077},
    "xresnet1d18": {3: 233_861, 7: 496_005, 9: 627_077, 15: 1_020_293},
    "xresnet1d50": {3: 822_917, 7: 1_085_061, 9: 1_216_133, 15: 1_609_349},
}


def test_every_preset_has_its_counts_here():
    assert sorted(name for name, _ in COUNTS) == sorted(PRESETS)


@pytest.mark.parametrize(("name", "labels"), COUNTS, ids=lambda value: value if isinstance(value, str) else "")
def test_presets_have_the_published_parameter_counts(name, labels):
    by_arithmetic = [cost(preset(name), leads=12, labels=n, window_samples=250, rate_hz=100).parameters for n in labels]
    built = [parameters(preset(name), n) for n in labels[:2]]
    assert tuple(by_arithmetic) == COUNTS[name, labels]
    assert tuple(built) == COUNTS[name, labels][:2]


@pytest.mark.parametrize("name", KERNELS)
def test_presets_with_other_kernels_have_the_published_parameter_counts(name):
    assert {k: parameters(replace(preset(name), kernel=k), 5) for k in KERNELS[name]} == KERNELS[name]


def test_an_unknown_preset_is_refused_with_the_names_there_are():
    with pytest.raises(ConfigError, match=r"'resnet99'.*resnet1d_wang"):
        preset("resnet99")


def test_presets_and_costs_are_had_without_jax():
    code = "import sys; from ecg_jax.models import preset, cost; preset('xresnet1d18'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"jax", "flax"} & set(loaded.split())


def test_the_network_loads_nothing_that_reads_files():
    code = "import sys; from ecg_jax.models import ResNet1D; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"tensorflow", "wfdb", "pandas", "h5py", "array_record"} & set(loaded.split())
