"""One step on one device, on several, with `jit` over a mesh and with `pmap`: all train the same network."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from ecg_jax.config import AugmentConfig, ModelConfig, TrainConfig, to_dict
from ecg_jax.dataset.batch import MISSING, Batch, InputContract
from ecg_jax.models import ResNet1D
from ecg_jax.target import Target
from ecg_jax.training.augment import make_augment, stretch
from ecg_jax.training.devices import Devices
from ecg_jax.training.losses import bce
from ecg_jax.training.optimizer import learning_rates, make_optimizer
from ecg_jax.training.step import init_state, make_predict, make_step

TARGET = Target("multilabel", ("a", "b"))
CONTRACT = InputContract(100.0, ("I", "II", "V1"), TARGET, 120, (0.1, 0.0, -0.1), (0.5, 1.0, 2.0))
MODEL = ModelConfig(depth=1, channels=8, kernel=5, strides=(1, 2), dropout=0.2)
AUGMENT = AugmentConfig(gain=0.2, sign=0.1, noise=0.1, baseline=0.3, time_mask=0.2, lead_drop=0.2, mixup=0.4)
STEPS = 10


def batch_of(n_rows: int, *, seed: int = 0, padding: int = 0) -> Batch:
    """Rows of different lengths, then padding rows with values that must have no influence."""
    random = np.random.default_rng(seed)
    signal = random.integers(-3000, 3000, (n_rows, 120, 3)).astype(np.int16)
    for row, length in enumerate(random.integers(60, 121, n_rows)):
        signal[row, length:] = MISSING
    real = Batch(
        signal=signal,
        scale_mv=np.full((n_rows, 3), 1e-3, np.float32),
        valid=(signal != MISSING).any(-1),
        label=random.integers(0, 2, (n_rows, 2)).astype(np.float32),
        weight=np.ones(n_rows, np.float32),
    )
    junk = Batch(
        signal=np.full((padding, 120, 3), 9000, np.int16),
        scale_mv=np.ones((padding, 3), np.float32),
        valid=np.zeros((padding, 120), bool),
        label=np.ones((padding, 2), np.float32),
        weight=np.zeros(padding, np.float32),
    )
    return jax.tree.map(lambda rows, more: np.concatenate([rows, more]), real, junk)


ONE_DEVICE = Devices("jit", (jax.devices()[0],))


def trained(
    devices: Devices, *, padding: int = 0, n_rows: int = 8, per_call: int = 1, contract=CONTRACT, stretched=None
):
    """The state and the last loss after ten steps on these devices."""
    train = TrainConfig(learning_rate=1e-3, ema=0.9)
    network = ResNet1D(MODEL, n_classes=2, axis_name=devices.axis_name)
    optimizer = make_optimizer(train)
    step = make_step(
        network,
        optimizer,
        bce,
        augment=make_augment(AUGMENT, rate_hz=CONTRACT.rate_hz),
        stretch=stretched,
        mixup_alpha=AUGMENT.mixup,
        ema=train.ema,
        axis_name=devices.axis_name,
    )
    state = devices.put_everywhere(init_state(network, optimizer, jnp.zeros((1, 120, 3)), seed=3, ema=train.ema))
    inputs = devices.put_everywhere((contract.normalisation, learning_rates(train, STEPS)))

    def one(state, inputs, batch):
        return step(state, jax.tree.map(lambda x: x[0], batch), inputs[0], inputs[1][state.step])

    compiled = devices.compile(one)
    for first in range(0, STEPS, per_call):
        batches = [batch_of(n_rows, seed=number, padding=padding) for number in range(first, first + per_call)]
        items = jax.tree.map(lambda *x: np.stack(x)[:, None], *batches)
        count = np.int32(min(per_call, STEPS - first))
        state, metrics = compiled(state, inputs, devices.put_rows(items), devices.put_everywhere(count))
    return jax.device_get(state), float(metrics["loss"][count - 1])


@pytest.fixture(scope="module")
def on_one_device():
    return trained(ONE_DEVICE)


def assert_same_training(one, other):
    (state, loss), (other_state, other_loss) = one, other
    assert other_loss == pytest.approx(loss, rel=1e-4)

    def close(path, expected, found):
        difference = np.linalg.norm(np.asarray(found, np.float64) - expected)
        assert difference <= 1e-4 * max(np.linalg.norm(expected), 1e-2), jax.tree_util.keystr(path)

    for part in ("params", "batch_stats", "averaged"):
        jax.tree_util.tree_map_with_path(close, getattr(state, part), getattr(other_state, part))


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_two_devices_train_as_one(mode, on_one_device):
    assert_same_training(on_one_device, trained(Devices(mode)))


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_a_device_that_holds_only_padding_changes_nothing(mode, on_one_device):
    assert len(jax.devices()) == 2  # 8 rows and 8 padding rows: the second device has no real row
    assert_same_training(on_one_device, trained(Devices(mode), padding=8))


@pytest.fixture(scope="module")
def of_changing_speed():
    """Ten steps with windows that are read faster or slower, and each normalised by itself."""
    changes = {
        "contract": replace(CONTRACT, normalise="record"),
        "stretched": partial(stretch, largest=0.2, samples=100),
    }
    return changes, trained(ONE_DEVICE, **changes)


@pytest.mark.parametrize(("mode", "padding"), [("jit", 8), ("pmap", 0)])
def test_two_devices_stretch_and_normalise_each_window_as_one(mode, padding, of_changing_speed):
    changes, expected = of_changing_speed
    assert_same_training(expected, trained(Devices(mode), padding=padding, **changes))


def test_pmap_on_one_device_trains_as_jit(on_one_device):
    assert_same_training(on_one_device, trained(Devices("pmap", (jax.devices()[0],))))


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_several_steps_in_a_call_train_as_one_by_one(mode, on_one_device):
    assert_same_training(on_one_device, trained(Devices(mode), per_call=4))  # the last call takes two of its four steps


def test_each_step_draws_its_own_random_numbers():
    network = ResNet1D(MODEL, n_classes=2)
    optimizer = make_optimizer(TrainConfig())
    step = jax.jit(make_step(network, optimizer, bce, augment=make_augment(AUGMENT, rate_hz=100.0)))
    state = init_state(network, optimizer, jnp.zeros((1, 120, 3)), seed=0, ema=0)
    given = batch_of(8), CONTRACT.normalisation, 1e-9
    _, first = step(state, *given)
    _, again = step(state, *given)
    _, later = step(state.replace(step=state.step + 1), *given)
    assert first["loss"] == again["loss"]
    assert first["loss"] != later["loss"]


def kept_distances(first_step: int) -> np.ndarray:
    """The distance of averaged variables to resting parameters after each of five steps, divided by that before."""
    network, optimizer = ResNet1D(MODEL, n_classes=2), make_optimizer(TrainConfig(weight_decay=0.0))
    step = jax.jit(make_step(network, optimizer, bce, ema=0.5))
    state = init_state(network, optimizer, jnp.zeros((1, 120, 3)), seed=0, ema=0.5)
    state = state.replace(step=state.step + first_step)
    distances = []
    for rate in (1e-2, 0.0, 0.0, 0.0, 0.0, 0.0):
        state, _ = step(state, batch_of(8), CONTRACT.normalisation, rate)
        squares = jax.tree.map(lambda a, b: np.square(a - b).sum(), state.averaged["params"], state.params)
        distances.append(np.sqrt(sum(jax.tree.leaves(squares))))
    assert state.variables is state.averaged
    return np.array(distances[1:]) / distances[:-1]


def test_averaged_variables_approach_resting_parameters_by_the_decay():
    np.testing.assert_allclose(kept_distances(first_step=20), 0.5, rtol=0.01)


def test_averaged_variables_have_a_shorter_memory_in_the_first_steps():
    kept = kept_distances(first_step=0)
    assert (np.diff(kept) > 0).all()
    assert kept[-1] < 0.5


def test_predictions_do_not_depend_on_the_neighbours_in_a_batch():
    network = ResNet1D(MODEL, n_classes=2)
    variables = network.init(jax.random.key(0), jnp.zeros((1, 120, 3)), train=False)
    predict = partial(jax.jit(make_predict(network, TARGET)), normalisation=CONTRACT.normalisation)
    batch = batch_of(6)
    _, together = predict(variables, batch)
    alone = [predict(variables, jax.tree.map(lambda x, row=row: x[row : row + 1], batch))[1][0] for row in range(6)]
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-5)


def test_probabilities_are_those_of_the_target():
    network = ResNet1D(MODEL, n_classes=2)
    variables = network.init(jax.random.key(0), jnp.zeros((1, 120, 3)), train=False)
    example = variables, batch_of(4), CONTRACT.normalisation
    logits, multilabel = make_predict(network, TARGET)(*example)
    _, exclusive = make_predict(network, Target("exclusive", TARGET.names))(*example)
    np.testing.assert_allclose(multilabel, scipy.special.expit(logits), rtol=1e-5)
    np.testing.assert_allclose(exclusive, scipy.special.softmax(logits, axis=1), rtol=1e-5)


@pytest.mark.parametrize(("exclusive", "kind"), [(False, "multilabel"), (True, "exclusive")])
def test_a_contract_written_before_targets_is_still_read(exclusive, kind):
    contract = replace(CONTRACT, target=Target(kind, ("a", "b")))
    assert InputContract.from_json(to_dict(contract)) == contract
    values = to_dict(contract)
    del values["target"], values["normalise"]
    assert InputContract.from_json(values | {"labels": ["a", "b"], "exclusive": exclusive}) == contract
