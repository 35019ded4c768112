"""Losses, schedules and augmentations: each against an oracle that does not share its formula."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import log_loss

from ecg_jax.config import AugmentConfig, ModelConfig, RunConfig, TrainConfig, with_fields
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import ConfigError
from ecg_jax.models import ResNet1D
from ecg_jax.target import Target
from ecg_jax.training import augment, losses
from ecg_jax.training.devices import Devices
from ecg_jax.training.evaluator import Evaluator
from ecg_jax.training.optimizer import learning_rates, make_optimizer
from ecg_jax.training.setup import make_plan

LOGITS = arrays(np.float32, (6, 3), elements=st.floats(-8, 8, width=32))
BINARY = arrays(np.float32, (6, 3), elements=st.sampled_from([0.0, 1.0]))


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


@given(LOGITS, BINARY)
def test_binary_cross_entropy_equals_scikit_learn(logits, label):
    p = sigmoid(logits)
    rows = zip(label, p, strict=True)
    expected = [np.mean([log_loss([y], [q], labels=[0, 1]) for y, q in zip(*row, strict=True)]) for row in rows]
    np.testing.assert_allclose(losses.bce(logits, label), expected, rtol=1e-4, atol=1e-6)


@given(LOGITS, BINARY)
def test_focal_loss_is_cross_entropy_times_the_squared_miss(logits, label):
    p = sigmoid(logits)
    of_truth = np.where(label == 1, p, 1 - p)
    expected = (-((1 - of_truth) ** 2) * np.log(of_truth)).mean(axis=1)
    np.testing.assert_allclose(losses.focal_bce(logits, label), expected, rtol=1e-3, atol=1e-6)


@given(LOGITS, arrays(np.int64, 6, elements=st.integers(0, 2)))
def test_exclusive_losses_agree_with_the_softmax(logits, truth):
    p = np.exp(logits.astype(np.float64))
    p = (p / p.sum(axis=1, keepdims=True))[np.arange(6), truth]
    label = np.eye(3, dtype=np.float32)[truth]
    np.testing.assert_allclose(losses.cross_entropy(logits, label), -np.log(p), rtol=1e-4, atol=1e-5)
    focal = losses.focal_cross_entropy(logits, label)
    np.testing.assert_allclose(focal, -((1 - p) ** 2) * np.log(p), rtol=1e-3, atol=1e-5)


def test_rare_classes_weigh_more():
    truth = np.array([0] * 90 + [1] * 10)
    label = np.eye(2, dtype=np.float32)[truth]
    target = Target("exclusive", ("a", "b"))
    loss = losses.make_loss("weighted", target)
    weight = np.asarray(loss(np.zeros((100, 2), np.float32), label, losses.label_weights(target, label))) / np.log(2)
    assert weight[-1] / weight[0] == pytest.approx(3, rel=1e-5)  # the square root of 9
    assert weight.mean() == pytest.approx(1, rel=1e-5)


def test_weighted_positives_of_a_rare_label_weigh_the_root_of_the_odds():
    label = np.zeros((100, 1), np.float32)
    label[:10] = 1
    target = Target("multilabel", ("a",))
    loss = losses.make_loss("weighted", target)
    each = loss(np.zeros((100, 1), np.float32), label, losses.label_weights(target, label))
    assert float(each[0] / each[-1]) == pytest.approx(3, rel=1e-5)


@pytest.mark.parametrize("schedule", ["one_cycle", "warmup_cosine"])
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 1000])
def test_a_schedule_rises_to_the_peak_and_falls_to_nothing(schedule, steps):
    config = TrainConfig(learning_rate=0.01, schedule=schedule)
    rates = learning_rates(config, steps)
    assert rates.shape == (steps,)
    assert np.isfinite(rates).all()
    assert rates.max() <= 0.01 * (1 + 1e-6)
    if steps == 1000:
        top = int(rates.argmax())
        assert rates[top] == pytest.approx(0.01, rel=1e-3)
        assert top == {"one_cycle": 300, "warmup_cosine": 50}[schedule]
        assert (np.diff(rates[: top + 1]) > 0).all()
        assert (np.diff(rates[top:]) < 0).all()
        assert rates[-1] < 1e-6


def test_a_schedule_that_begins_again_is_one_schedule_after_the_other():
    config = TrainConfig(learning_rate=0.01)
    both = np.concatenate([learning_rates(config, 60), learning_rates(config, 40)])
    np.testing.assert_array_equal(learning_rates(config, 60, 100), both)


@pytest.mark.parametrize("restarts", [(0,), (2, 2), (3, 2), (30,), (31,)])
def test_a_schedule_begins_again_at_ascending_epochs_before_the_last(restarts):
    with pytest.raises(ConfigError, match=r"--train\.restarts is"):
        TrainConfig(epochs=30, restarts=restarts)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_only_kernels_decay(optimizer):
    config = TrainConfig(optimizer=optimizer, weight_decay=0.5, learning_rate=0.1)
    params = {"conv": {"kernel": jnp.ones(3)}, "norm": {"scale": jnp.ones(3), "bias": jnp.ones(3)}}
    rule = make_optimizer(config)
    update, _ = rule.update(jax.tree.map(jnp.zeros_like, params), rule.init(params), params)
    assert (update["conv"]["kernel"] < 0).all()
    assert (update["norm"]["scale"] == 0).all()
    assert (update["norm"]["bias"] == 0).all()


def test_a_large_gradient_is_clipped():
    params = {"kernel": jnp.zeros(4)}
    updates = []
    for size in (10.0, 1000.0):
        rule = make_optimizer(TrainConfig(optimizer="sgd", clip_norm=1.0))
        updates.append(rule.update({"kernel": jnp.full(4, size)}, rule.init(params), params)[0]["kernel"])
    np.testing.assert_allclose(updates[0], updates[1], rtol=1e-6)


SIGNAL = jnp.asarray(np.random.default_rng(0).normal(size=(200, 3)), jnp.float32)
CHANGES = {
    "gain": partial(augment.gain, largest=0.3),
    "sign": partial(augment.sign, probability=0.5),
    "noise": partial(augment.noise, std=0.2),
    "baseline": partial(augment.baseline, largest=0.5, rate_hz=100.0),
    "time_mask": partial(augment.time_mask, longest=0.4),
    "lead_drop": partial(augment.lead_drop, probability=0.5),
}


def drawn(name, count=200):
    return np.asarray(jax.vmap(lambda key: CHANGES[name](key, SIGNAL))(jax.random.split(jax.random.key(1), count)))


@pytest.mark.parametrize("name", CHANGES)
def test_an_augmentation_is_a_pure_function_of_key_and_signal(name):
    key = jax.random.key(5)
    np.testing.assert_array_equal(CHANGES[name](key, SIGNAL), CHANGES[name](key, SIGNAL))
    assert len({row.tobytes() for row in drawn(name)}) > 1


def test_gain_scales_all_leads_by_one_factor_within_its_bounds():
    factors = drawn("gain") / np.asarray(SIGNAL)
    np.testing.assert_allclose(factors, factors[:, :1, :1].repeat(200, 1).repeat(3, 2), rtol=1e-4)
    assert factors.min() >= 0.7 - 1e-4
    assert factors.max() <= 1.3 + 1e-4
    assert factors.max() - factors.min() > 0.5


def test_sign_turns_about_its_share():
    turned = [np.array_equal(each, -np.asarray(SIGNAL)) for each in drawn("sign")]
    kept = [np.array_equal(each, np.asarray(SIGNAL)) for each in drawn("sign")]
    assert np.logical_xor(turned, kept).all()
    assert 60 < sum(turned) < 140


def test_noise_is_white_and_no_stronger_than_asked():
    added = drawn("noise") - np.asarray(SIGNAL)
    strength = added.std(axis=(1, 2))
    assert strength.max() < 0.22
    assert strength.max() > 0.15
    assert abs((added[:, 1:] * added[:, :-1]).mean() / added.var()) < 0.02


def test_baseline_wander_is_slow():
    added = drawn("baseline") - np.asarray(SIGNAL)
    assert np.abs(added).max() <= 0.5 + 1e-5
    assert np.abs(np.diff(added, axis=1)).max() <= 0.5 * 2 * np.pi * 0.5 / 100 * 1.05  # the steepest sine of 0.5 Hz


def test_a_time_mask_blanks_one_span_of_all_leads():
    for each in drawn("time_mask", 50):
        blank = (each == 0).all(axis=1)
        assert (each[~blank] == np.asarray(SIGNAL)[~blank]).all()
        assert np.abs(np.diff(blank.astype(int))).sum() <= 2
        assert blank.sum() <= 0.4 * 200 + 1


def test_lead_drop_blanks_whole_leads_and_never_all():
    blank = (drawn("lead_drop") == 0).all(axis=1)  # [draws, L]
    assert ((drawn("lead_drop") == 0).any(axis=1) == blank).all()
    assert not blank.all(axis=1).any()
    assert 0.2 < blank.mean() < 0.5


def test_the_config_asks_for_none_by_default():
    assert augment.make_augment(AugmentConfig(), rate_hz=100.0) is None


def mixed(weight, alpha=0.5, seed=0):
    rows = jnp.arange(len(weight))
    signal = jnp.broadcast_to(rows[:, None].astype(jnp.float32), (len(weight), 4))
    label = jax.nn.one_hot(rows, len(weight))
    weight = jnp.asarray(weight, jnp.float32)
    key = jax.random.key(seed)
    return augment.mixup(key, rows, (signal, label), weight, alpha=alpha, gather=lambda x: x)


@given(seed=st.integers(0, 1000))
def test_mixup_mixes_signal_and_label_with_the_same_shares(seed):
    signal, label = mixed([1] * 6, seed=seed)
    np.testing.assert_allclose(label.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(signal[:, 0], label @ np.arange(6), rtol=1e-4, atol=1e-5)
    assert ((label > 1e-6).sum(axis=1) <= 2).all()


@given(seed=st.integers(0, 1000))
def test_mixup_never_takes_a_padding_row(seed):
    _, label = mixed([1, 1, 1, 0, 0], seed=seed)
    assert (label[:3, 3:] == 0).all()
    np.testing.assert_array_equal(label[3:], np.eye(5)[3:])


def test_shares_of_mixup_follow_the_beta_distribution():
    shares = []
    for seed in range(40):
        _, label = mixed([1] * 50, alpha=0.4, seed=seed)
        shares.append(np.diag(label))
    found = np.concatenate(shares)
    expected = np.random.default_rng(0).beta(0.4, 0.4, 100_000)
    quantiles = np.linspace(0.1, 0.9, 9)
    np.testing.assert_allclose(np.quantile(found, quantiles), np.quantile(expected, quantiles), atol=0.05)


def test_one_real_row_stays_as_it_is():
    signal, label = mixed([1])
    assert float(label[0, 0]) == pytest.approx(1)
    assert float(signal[0, 0]) == 0


def test_the_optimizer_updates_for_a_rate_of_one():
    config = TrainConfig(optimizer="sgd", weight_decay=0.0, clip_norm=0.0, learning_rate=0.1)
    rule = make_optimizer(config)
    params = {"kernel": jnp.zeros(1)}
    state = rule.init(params)
    update, state = rule.update({"kernel": jnp.ones(1)}, state, params)
    assert float(update["kernel"][0]) == pytest.approx(-1.9, rel=1e-5)  # Nesterov: 1 + 0.9
    assert isinstance(rule, optax.GradientTransformation)


@pytest.mark.parametrize("devices", [1, 2])
def test_batches_follow_the_split_however_large_the_setting_is(synthetic_set, devices):
    prepared = open_prepared(synthetic_set)
    settings = {"data.path": synthetic_set, "train.batch_size": 100_000, "data.window_seconds": 2.0}
    plan = make_plan(with_fields(RunConfig(), settings), prepared)
    assert plan.batch_size == len(plan.splits.training)
    split = plan.splits.validation
    evaluator = Evaluator(
        prepared, [split], plan.config, [plan.contract], Devices(devices=tuple(jax.devices()[:devices]))
    )
    length, hop = prepared.samples[split], plan.contract.window_samples // 2
    windows = sum(-(-max(int(samples) - 2 * hop, 0) // hop) + 1 for samples in length)
    assert evaluator._rows_at(0).record.size < 2 * windows + devices


def change_of_logits(channels: int, base_channels: int) -> float:
    """How much one step of AdamW at a rate of 0.01 changes the logits of a window, in the root mean square."""
    model = ModelConfig(depth=1, channels=channels, kernel=3, strides=(1, 2), base_channels=base_channels)
    network, random = ResNet1D(model, 4), np.random.default_rng(0)
    x, label = jnp.array(random.normal(size=(16, 64, 2)), jnp.float32), jnp.array(random.integers(2, size=(16, 4)))
    rule = make_optimizer(TrainConfig(clip_norm=0), model)

    def logits(params, stats):
        return network.apply({"params": params, "batch_stats": stats}, x, train=True, mutable=["batch_stats"])[0]

    def change(key):
        variables = network.init(key, x, train=False)
        params, stats = variables["params"], variables["batch_stats"]

        def loss(p):
            return optax.sigmoid_binary_cross_entropy(logits(p, stats), label).mean()

        updates, _ = rule.update(jax.grad(loss)(params), rule.init(params), params)
        after = optax.apply_updates(params, jax.tree.map(lambda u: 0.01 * u, updates))
        return jnp.sqrt(jnp.mean((logits(after, stats) - logits(params, stats)) ** 2))

    return float(jnp.mean(jax.jit(jax.vmap(change))(jax.random.split(jax.random.key(1), 4))))


def test_with_base_channels_a_step_changes_the_logits_as_much_at_every_width():
    standard = change_of_logits(64, 0) / change_of_logits(8, 0)
    scaled = change_of_logits(64, 8) / change_of_logits(8, 8)
    assert standard > 3
    assert 0.5 < scaled < 1.5


def test_base_channels_equal_to_the_channels_change_nothing_and_need_adamw():
    assert change_of_logits(8, 8) == pytest.approx(change_of_logits(8, 0), rel=1e-6)
    with pytest.raises(ConfigError, match=r"--model\.base-channels needs"):
        make_optimizer(TrainConfig(optimizer="sgd"), ModelConfig(base_channels=8))
