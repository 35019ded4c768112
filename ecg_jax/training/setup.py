"""Runs assembled from their configs: records on the devices, compiled steps, first state. Writes nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import jax
import numpy as np

from ecg_jax.config import RunConfig
from ecg_jax.dataset import sampler
from ecg_jax.dataset.batch import InputContract
from ecg_jax.dataset.feeds import make_feed, shared_size
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.dataset.splits import Splits, split_records
from ecg_jax.dataset.statistics import mean_and_std_mv
from ecg_jax.errors import RunError
from ecg_jax.training.augment import stretched_from
from ecg_jax.training.devices import Devices
from ecg_jax.training.evaluator import Evaluator, stacked
from ecg_jax.training.losses import label_weights
from ecg_jax.training.optimizer import learning_rates
from ecg_jax.training.processes import agreed
from ecg_jax.training.programs import KEPT, program, shared_config, training_steps
from ecg_jax.training.start import Fitted, fitted, read_start
from ecg_jax.training.step import TrainState

AHEAD = 3  # calls that may wait for the device: enough to keep it busy, few enough for a correct progress bar


@dataclass(frozen=True)
class _Records:
    """Records of a prepared set, by its fingerprint: whatever was read from them is still true for equal ones."""

    fingerprint: str
    indices: bytes
    prepared: PreparedSet = field(compare=False)


@lru_cache(maxsize=KEPT)
def _mean_and_std_mv(records: _Records) -> tuple[np.ndarray, np.ndarray]:
    return mean_and_std_mv(records.prepared, np.frombuffer(records.indices, int))


@dataclass(frozen=True)
class RunPlan:
    """What a run reads at each step, and the learning rate of each step."""

    config: RunConfig
    prepared: PreparedSet
    splits: Splits

    @cached_property
    def contract(self) -> InputContract:
        """The input that the trained network expects, normalised by the training records or by each window."""
        training, normalise = self.splits.training, self.config.data.normalise
        mean_mv, std_mv = np.zeros(len(self.prepared.leads)), np.ones(len(self.prepared.leads))
        if normalise == "set":
            mean_mv, std_mv = _mean_and_std_mv(
                _Records(self.prepared.fingerprint, training.astype(int).tobytes(), self.prepared)
            )
        return InputContract(
            rate_hz=self.prepared.rate_hz,
            leads=self.prepared.leads,
            target=self.prepared.target,
            window_samples=self.config.data.window_samples(self.prepared.rate_hz),
            mean_mv=tuple(mean_mv.tolist()),
            std_mv=tuple(std_mv.tolist()),
            normalise=normalise,
        )

    @property
    def crop_samples(self) -> int:
        """Samples that are read of a record in training: of a window, or more of them if the speed is changed."""
        return stretched_from(self.contract.window_samples, self.config.augment.stretch)

    @cached_property
    def validation_label(self) -> np.ndarray:
        """The labels of the validation records [N, K]."""
        return self.prepared.label[self.splits.validation]

    @property
    def batch_size(self) -> int:
        """Windows in a step."""
        return min(self.config.train.batch_size, len(self.splits.training))

    @cached_property
    def samples(self) -> np.ndarray:
        """Length of each training record [N]."""
        return self.prepared.samples[self.splits.training]

    @cached_property
    def learning_rates(self) -> np.ndarray:
        """The learning rate of each step."""
        train = self.config.train
        return learning_rates(train, *(self.steps_until(end) for end in (*train.restarts, train.epochs)))

    def steps_until(self, epoch: int) -> int:
        """The number of steps that complete the first `epoch` epochs."""
        return sampler.steps_until(epoch, n_records=len(self.samples), batch_size=self.batch_size)

    def rows_at(self, step: int) -> sampler.Rows:
        """The rows of a step."""
        return sampler.training_rows(
            step,
            samples=self.samples,
            window=self.crop_samples,
            batch_size=self.batch_size,
            seed=self.config.train.seed,
        )


def make_plan(config: RunConfig, prepared: PreparedSet) -> RunPlan:
    """The plan of a run on a prepared set.

    Raises:
        ConfigError: the folds of the config cannot be used.
    """
    return RunPlan(config, prepared, split_records(prepared, config.data))


def _begun(state: TrainState, start: Fitted | None) -> TrainState:
    """A state before the first step, with the variables of another run if it begins with those."""
    if start is None:
        return state
    return replace(state, **start.variables, averaged=start.variables if state.averaged else {})


def _factors(plan: RunPlan, start: Fitted | None) -> Any:
    """A factor of the learning rate for each parameter; None if all have the same rate."""
    factor = plan.config.train.start_rate
    if start is None or factor == 1:
        return None
    return jax.tree.map(lambda is_taken: np.float32(factor if is_taken else 1), start.taken)


def _together(plan: RunPlan) -> tuple[Any, ...]:
    """What must be equal in runs that are trained together."""
    evaluate, window = plan.config.evaluate, plan.contract.window_samples
    return shared_config(plan.config), id(plan.prepared), window, evaluate.overlap, evaluate.pool


class TrainingSetup:
    """Everything that some runs compute with together, except the states of their trainings."""

    def __init__(self, plans: Sequence[RunPlan]):
        """Reads the records, unless the feed reads them later. The runs differ in seed, learning rate and folds alone.

        Raises:
            RunError: the runs differ in more than that.
        """
        self.plans, first = plans, plans[0]
        for plan in plans[1:]:
            if _together(plan) != _together(first):
                raise RunError(
                    "runs that are trained together may differ in seed, learning rate, epochs and folds alone"
                )
        self.devices = Devices(first.config.train.parallel)
        self.batch_size = max(plan.batch_size for plan in plans)
        used = np.unique(np.concatenate([plan.splits.training for plan in plans]))
        self._places = [np.searchsorted(used, plan.splits.training) for plan in plans]
        self._feed = make_feed(first.config.data.feed, first.prepared, used, first.crop_samples, self.devices)
        self._program = program(first.config, first.contract, self._feed.take, self.devices, runs=len(plans))
        self._train = training_steps(self._program, masked=self._may_be_invalid())
        most = max(len(plan.learning_rates) for plan in plans)
        rates = [np.pad(plan.learning_rates, (0, shared_size(most) - len(plan.learning_rates))) for plan in plans]
        normalisation = stacked([plan.contract.normalisation for plan in plans])
        label = first.prepared.label
        weights = np.stack([label_weights(first.contract.target, label[plan.splits.training]) for plan in plans])
        self.starts = [self._start(plan) for plan in plans]
        factors = stacked([_factors(plan, start) for plan, start in zip(plans, self.starts, strict=True)])
        placed = self.devices.put_everywhere((normalisation, weights, np.stack(rates), factors))
        self._inputs = (self._feed.arrays, placed)
        self.validation = Evaluator(
            first.prepared,
            [plan.splits.validation for plan in plans],
            first.config,
            [plan.contract for plan in plans],
            self.devices,
            weights,
        )

    def _may_be_invalid(self) -> bool:
        """Whether a training batch can have an invalid sample: short record, gap in all leads, or padding row."""
        gapless = all(plan.prepared.gapless[plan.splits.training].all() for plan in self.plans)
        long_enough = all(plan.samples.min() >= plan.crop_samples for plan in self.plans)
        full = (
            all(plan.batch_size == self.batch_size for plan in self.plans) and self.batch_size % len(self.devices) == 0
        )
        return not (gapless and long_enough and full)

    def initial_state(self) -> TrainState:
        """The states before the first step, on all devices; all arrays have a leading axis of runs."""
        states = [_begun(self._initial(plan), start) for plan, start in zip(self.plans, self.starts, strict=True)]
        return self.place(stacked(states))

    def _initial(self, plan: RunPlan) -> TrainState:
        return self._program.initial(np.uint32(plan.config.train.seed))

    def _start(self, plan: RunPlan) -> Fitted | None:
        folder = plan.config.train.start_from
        if folder is None:
            return None
        state = jax.device_get(self._initial(plan))
        initial = {"params": state.params, "batch_stats": state.batch_stats}
        return fitted(agreed(lambda: read_start(folder)), plan.config, plan.contract, initial)

    def place(self, tree: Any) -> Any:
        """Copies states or variables to all devices."""
        return self.devices.put_everywhere(tree)

    def train(
        self, state: TrainState, steps: Sequence[int], number: int, advance: Callable[[int], None]
    ) -> tuple[TrainState, np.ndarray]:
        """Takes the next `number` steps of each run and calls `advance` with the number of steps taken since.

        Nothing is copied from the devices between the steps.

        Args:
            state: of all runs.
            steps: the number of steps that each run has taken before.
            number: of steps.
            advance: shows the progress.

        Returns:
            The states, and the losses [number, R].
        """

        def rows_at(step: int) -> sampler.Rows:
            rows = []
            for plan, places, before in zip(self.plans, self._places, steps, strict=True):
                own = plan.rows_at(before + step)
                size = -(-self.batch_size // len(self.devices)) * len(self.devices)
                rows.append(sampler.padded(own._replace(record=places[own.record].astype(np.int32)), size))
            return stacked(rows)

        losses: list[Any] = []
        with jax.transfer_guard("disallow"):
            for items, count, taken in self._feed.stream(rows_at, number):
                state, loss = self._train(state, self._inputs, items, count)
                losses.append((loss, taken))
                if len(losses) > AHEAD:
                    jax.block_until_ready(losses[-1 - AHEAD][0])
                advance(taken)
        return state, np.concatenate([np.asarray(jax.device_get(loss))[:taken] for loss, taken in losses])

    def validate(self, variables: Any) -> list[tuple[np.ndarray, float]]:
        """Probabilities [N, K] of the validation records of each run, and mean loss of their windows."""
        predicted = self.validation.predict(variables)
        return [(probability, float(losses.astype(np.float64).mean())) for probability, losses in predicted]
