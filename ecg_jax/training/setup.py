"""A run assembled from its config: records on the devices, compiled steps, first state. Writes nothing."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ecg_jax.config import RunConfig
from ecg_jax.dataset import sampler
from ecg_jax.dataset.batch import Batch, InputContract, Normalisation
from ecg_jax.dataset.feeds import make_feed, shared_size
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.dataset.splits import Splits
from ecg_jax.dataset.statistics import mean_and_std_mv
from ecg_jax.import_path import function_at
from ecg_jax.models.resnet import build_network
from ecg_jax.training.augment import make_augment
from ecg_jax.training.devices import Devices
from ecg_jax.training.evaluator import Evaluator
from ecg_jax.training.losses import Loss, make_loss
from ecg_jax.training.optimizer import learning_rates, make_optimizer
from ecg_jax.training.step import TrainState, Variables, init_state, make_predict, make_step

AHEAD = 3  # steps that may wait for the device: enough to keep it busy, few enough for a correct progress bar


def make_contract(config: RunConfig, prepared: PreparedSet, splits: Splits) -> InputContract:
    """The input that a network trained by this run expects, normalised with the numbers of its training records."""
    mean_mv, std_mv = mean_and_std_mv(prepared, splits.training)
    return InputContract(
        rate_hz=prepared.rate_hz,
        leads=prepared.leads,
        target=prepared.target,
        window_samples=config.data.window_samples(prepared.rate_hz),
        mean_mv=tuple(mean_mv.tolist()),
        std_mv=tuple(std_mv.tolist()),
    )


class TrainingSetup:
    """Everything that a run computes with, except the state of the training."""

    def __init__(self, config: RunConfig, prepared: PreparedSet, splits: Splits):
        """Reads the records, unless the feed reads them later, and builds the steps."""
        self.config, self.prepared, self.splits = config, prepared, splits
        self.contract = make_contract(config, prepared, splits)
        self.batch_size = min(config.train.batch_size, len(splits.training))
        self._samples = prepared.samples[splits.training]
        self._devices = Devices(config.train.parallel)
        window, target = self.contract.window_samples, self.contract.target
        self._network = build_network(config, len(target.names), axis_name=self._devices.axis_name)
        self._optimizer = make_optimizer(config.train)
        self._feed = make_feed(config.data.feed, prepared, splits.training, window, self._devices)
        steps = self.steps_until(config.train.epochs)
        self.learning_rates = learning_rates(config.train, steps)
        padded_rates = np.pad(self.learning_rates, (0, shared_size(steps) - steps))
        placed = self._devices.put_everywhere((self.contract.normalisation, padded_rates))
        self._inputs = (self._feed.arrays, *placed)
        loss = self._loss()
        self._step = self._compile_step(loss)

        self.validation = Evaluator(prepared, splits.validation, config, self.contract, self._devices)
        predict = make_predict(self._network, target)

        def predict_with_loss(variables: Variables, batch: Batch, normalisation: Normalisation) -> Any:
            logits, probability = predict(variables, batch, normalisation)
            return probability, loss(logits, batch.label)

        self._predict = self.validation.compile(predict_with_loss)

    def _loss(self) -> Loss:
        """The user's own loss, or the one that the config names."""
        if self.config.functions.loss:
            return function_at(self.config.functions.loss, "loss")
        return make_loss(self.config.train.loss, self.contract.target, self.prepared.label[self.splits.training])

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
            axis_name=self._devices.axis_name,
        )

        def step_of_run(state: TrainState, inputs: Any, item: Any) -> Any:
            arrays, normalisation, rates = inputs
            return step(state, take(arrays, item), normalisation, rates[state.step])

        return self._devices.compile(step_of_run, donate=True)

    def _may_be_invalid(self) -> bool:
        """Whether a training batch can have an invalid sample: short record, gap in all leads, or padding row."""
        gapless = self.prepared.gapless[self.splits.training].all()
        long_enough = self._samples.min() >= self.contract.window_samples
        return not (gapless and long_enough and self.batch_size % len(self._devices) == 0)

    def steps_until(self, epoch: int) -> int:
        """The number of steps that complete the first `epoch` epochs."""
        return sampler.steps_until(epoch, n_records=len(self._samples), batch_size=self.batch_size)

    def _rows_at(self, step: int) -> sampler.Rows:
        rows = sampler.training_rows(
            step,
            samples=self._samples,
            window=self.contract.window_samples,
            batch_size=self.batch_size,
            seed=self.config.train.seed,
        )
        return sampler.padded(rows, len(self._devices))

    def initial_state(self) -> TrainState:
        """The state before the first step, on all devices."""
        example = jnp.zeros((1, self.contract.window_samples, len(self.contract.leads)))
        train = self.config.train
        return self.place(init_state(self._network, self._optimizer, example, seed=train.seed, ema=train.ema))

    def place(self, tree: Any) -> Any:
        """Copies a state or variables to all devices."""
        return self._devices.put_everywhere(tree)

    def train(
        self, state: TrainState, first: int, stop: int, advance: Callable[[], None]
    ) -> tuple[TrainState, np.ndarray]:
        """Takes the steps from `first` up to `stop` and calls `advance` after each; returns state and losses.

        Nothing is copied from the devices between the steps.
        """
        losses: list[Any] = []
        with jax.transfer_guard("disallow"):
            for item in self._feed.stream(self._rows_at, first, stop):
                state, metrics = self._step(state, self._inputs, item)
                losses.append(metrics["loss"])
                if len(losses) > AHEAD:
                    jax.block_until_ready(losses[-1 - AHEAD])
                advance()
        return state, np.array(jax.device_get(losses))

    def validate(self, variables: Variables) -> tuple[np.ndarray, float]:
        """Probabilities [N, K] of the validation records and mean loss of their windows; variables on all devices."""
        probability, losses = self.validation.predict(self._predict, variables)
        return probability, float(losses.astype(np.float64).mean())
