"""A run assembled: records on the devices, compiled steps, state. It computes; `loop.py` writes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ecg_jax.config import RunConfig
from ecg_jax.dataset import sampler
from ecg_jax.dataset.batch import InputContract, Rows
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.dataset.resident_feed import shared_size
from ecg_jax.dataset.splits import Splits
from ecg_jax.import_path import function_at
from ecg_jax.training.augment import make_augment
from ecg_jax.training.devices import Devices
from ecg_jax.training.evaluator import Evaluator, choose_feed, make_feed
from ecg_jax.training.losses import Loss, make_loss
from ecg_jax.training.network import build_network
from ecg_jax.training.optimizer import make_optimizer, make_schedule
from ecg_jax.training.state import TrainState, init_state
from ecg_jax.training.step import make_predict, make_step

AHEAD = 3  # steps that may wait for the device: enough to keep it busy, few enough for honest progress


def chosen_loss(config: RunConfig, contract: InputContract, label: np.ndarray) -> Loss:
    """The user's own loss, or the one that the config names, with class weights from the training labels [N, K]."""
    if config.functions.loss:
        return function_at(config.functions.loss, "loss")
    return make_loss(config.train.loss, contract.target, label)


class TrainingSetup:
    """What a run computes with; holds no state of the training itself."""

    def __init__(self, config: RunConfig, prepared: PreparedSet, splits: Splits, contract: InputContract):
        """Reads the records where the feed is resident, and builds the steps."""
        self.config, self.prepared, self.splits, self.contract = config, prepared, splits, contract
        self.devices = Devices(config.train.parallel)
        self.batch_size = min(config.train.batch_size, len(splits.training))
        self._n_records = len(splits.training)
        self._samples = prepared.samples[splits.training]
        steps = self.steps_until(config.train.epochs)
        self.schedule = make_schedule(config.train, steps)
        self._optimizer = make_optimizer(config.train)
        self._network = build_network(config, len(contract.target.names), axis_name=self.devices.axis_name)

        window = contract.window_samples
        feed = choose_feed(prepared, splits.training, config.data.feed)
        self._feed = make_feed(prepared, splits.training, feed=feed, window=window, devices=self.devices)
        self.validation = Evaluator(prepared, splits.validation, config=config, contract=contract, devices=self.devices)
        loss = chosen_loss(config, contract, prepared.label[splits.training])
        self._step = self._compile_step(loss)
        padding = shared_size(steps) - steps
        rates = np.pad(np.asarray(self.schedule(np.arange(steps)), np.float32), (0, padding))
        self._inputs = (self._feed.arrays, *self.devices.put_everywhere((contract.normalisation, rates)))
        predict = make_predict(build_network(config, len(contract.target.names)), loss, contract.target)
        self.compiled_predict = self.validation.compile(predict)

    def _compile_step(self, loss: Loss) -> Callable[..., Any]:
        config, take = self.config, self._feed.take
        own = config.functions.augment
        step = make_step(
            self._network,
            self._optimizer,
            loss,
            augment=function_at(own, "augment") if own else make_augment(config.augment, rate_hz=self.contract.rate_hz),
            mixup_alpha=config.augment.mixup,
            ema=config.train.ema,
            masked=self._may_be_invalid(),
            axis_name=self.devices.axis_name,
        )

        def at_rate(state: TrainState, inputs: Any, item: Any) -> Any:
            arrays, normalisation, rates = inputs
            return step(state, take(arrays, item), normalisation, rates[state.step])

        return self.devices.compile(at_rate, donate=True)

    def _may_be_invalid(self) -> bool:
        """Whether a training window can hold an invalid sample: a short record, a gap in all leads, a padding row."""
        training = self.splits.training
        whole = self.prepared.gapless[training].all() and self._samples.min() >= self.contract.window_samples
        return not whole or self.batch_size % len(self.devices) != 0

    def steps_until(self, epoch: int) -> int:
        """Steps after which the first `epoch` epochs have been seen whole."""
        return sampler.steps_until(epoch, n_records=self._n_records, batch_size=self.batch_size)

    def rows_at(self, step: int) -> Rows:
        """The rows of a training step, padded to the number of devices."""
        rows = sampler.training_rows(
            step,
            samples=self._samples,
            window=self.contract.window_samples,
            batch_size=self.batch_size,
            seed=self.config.train.seed,
        )
        return sampler.padded(rows, len(self.devices))

    def initial_state(self) -> TrainState:
        """The state before the first step, on all devices."""
        example = jnp.zeros((1, self.contract.window_samples, len(self.contract.leads)))
        train = self.config.train
        return self.place(init_state(self._network, self._optimizer, example, seed=train.seed, ema=train.ema))

    def place(self, state: TrainState) -> TrainState:
        """The state copied to all devices."""
        return self.devices.put_everywhere(state)

    def one_copy(self, tree: Any) -> Any:
        """One copy of what lies on all devices."""
        return self.devices.first(tree)

    def train(
        self, state: TrainState, first: int, stop: int, advance: Callable[[], None]
    ) -> tuple[TrainState, np.ndarray]:
        """Steps from `first` up to `stop`; the new state and the losses. Nothing is fetched between the steps."""
        losses: list[Any] = []
        with jax.transfer_guard("disallow"):
            for item in self._feed.stream(self.rows_at, first, stop):
                state, metrics = self._step(state, self._inputs, item)
                losses.append(metrics["loss"])
                if len(losses) > AHEAD:
                    jax.block_until_ready(losses[-1 - AHEAD])
                advance()
        return state, np.array([jax.device_get(self.one_copy(loss)) for loss in losses])

    def validate(self, state: TrainState) -> tuple[np.ndarray, float]:
        """Probabilities [N, K] of the validation records, and their windows' mean loss."""
        return self.validation.predict(self.compiled_predict, state.variables)
