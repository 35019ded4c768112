"""The compiled functions of runs, kept for the life of the process, so that nothing is compiled twice.

Whatever may differ between runs of one scale (seed, learning rate, folds, class weights) is an argument of these
functions. Several runs can be trained as one program: then all arguments of a run have a leading axis of runs.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ecg_jax.config import DataConfig, EvaluateConfig, RunConfig, TrainConfig
from ecg_jax.dataset.batch import InputContract
from ecg_jax.import_path import function_at
from ecg_jax.models.resnet import build_network
from ecg_jax.target import Target
from ecg_jax.training.augment import make_augment, stretch
from ecg_jax.training.devices import Devices
from ecg_jax.training.losses import WeightedLoss, make_loss, smoothed, unweighted
from ecg_jax.training.optimizer import make_optimizer
from ecg_jax.training.step import TrainState, init_state, make_predict, make_step

KEPT = 64  # programs whose compiled functions stay in memory
MAPPED = 0.5  # share of the memory areas of a process beyond which compiled functions are forgotten


def shared_config(config: RunConfig) -> RunConfig:
    """The part of a config that decides what is compiled; runs can be trained together if theirs are equal."""
    train = config.train
    names = ("loss", "label_smoothing", "optimizer", "weight_decay", "clip_norm", "ema", "parallel")
    names += ("freeze", "start_rate")
    kept = {name: getattr(train, name) for name in names}
    data = DataConfig(normalise=config.data.normalise)
    return replace(config, data=data, train=TrainConfig(**kept), evaluate=EvaluateConfig())


def program(
    config: RunConfig, contract: InputContract, take: Callable[..., Any], devices: Devices, *, runs: int = 1
) -> "Program":
    """The program of a config; runs with the same settings, functions, shapes and devices get the same object."""
    shape, own = (contract.window_samples, len(contract.leads)), vars(config.functions).items()
    functions = tuple(function_at(name, what) for what, name in own if name)
    return _program(shared_config(config), contract.target, contract.rate_hz, shape, take, devices, runs, functions)


@lru_cache(maxsize=KEPT)
def _program(*key: Any) -> "Program":
    if mapped_share() > MAPPED:
        _program.cache_clear()
        training_steps.cache_clear()
    return Program(*key)


def mapped_share() -> float:
    """Share of the memory areas that this process has, of those that Linux allows it; elsewhere 0.

    On CPU XLA takes one to two thousand areas for a scale, and ends the process when none is left.
    """
    used = most = 0
    with suppress(OSError, ValueError):
        most = int(Path("/proc/sys/vm/max_map_count").read_text())
        used = Path("/proc/self/maps").read_text().count("\n")
    return used / most if most else 0.0


@dataclass(frozen=True)
class Program:
    """Functions of a config, compiled when they are first used."""

    config: RunConfig
    target: Target
    rate_hz: float
    window: tuple[int, int]
    """Samples and leads of a window."""
    take: Callable[..., Any]
    """From the arrays of a feed and the item of one run to its batch."""
    devices: Devices
    runs: int
    functions: tuple[Callable[..., Any], ...]
    """The user's own functions: one that was defined again under its name makes another program."""

    @cached_property
    def network(self) -> nn.Module:
        """The network; together, runs have batched kernels, for which convolutions are formulated differently."""
        formulation = "direct" if self.runs == 1 else "matmul"
        axis_name = self.devices.axis_name
        return build_network(self.config, len(self.target.names), axis_name=axis_name, formulation=formulation)

    @cached_property
    def loss(self) -> WeightedLoss:
        """The user's own loss, or the one that the config names."""
        own = self.config.functions.loss
        return unweighted(function_at(own, "loss")) if own else make_loss(self.config.train.loss, self.target)

    @cached_property
    def initial(self) -> Callable[..., Any]:
        """`initial(seed) -> state` of one run before the first step; the formulation changes no parameter."""
        optimizer, example = make_optimizer(self.config.train, self.config.model), jnp.zeros((1, *self.window))
        network, ema = build_network(self.config, len(self.target.names)), self.config.train.ema
        return jax.jit(lambda seed: init_state(network, optimizer, example, seed=seed, ema=ema))

    @cached_property
    def evaluation(self) -> Callable[..., Any]:
        """Predictions `(None, (variables, arrays, (normalisation, weights)), items, count) -> (None, outputs)`.

        The outputs are the probabilities [S, R, B, K] and losses [S, R, B] of the windows.
        """
        predict, loss = make_predict(self.network, self.target), self.loss

        def predict_run(variables: Any, arrays: Any, of_run: Any, item: Any) -> Any:
            normalisation, weights = of_run
            batch = self.take(arrays, item)
            logits, probability = predict(variables, batch, normalisation)
            return probability, loss(logits, batch.label, weights)

        step = self.together(predict_run, (0, None, 0, 0))
        return self.devices.compile(lambda none, inputs, item: (none, step(*inputs, item)), rows=True)

    def together(self, function: Callable[..., Any], in_axes: tuple[int | None, ...]) -> Callable[..., Any]:
        """The function over the axis of runs; one run is not mapped, so that it is computed as without the axis."""
        if self.runs > 1:
            return jax.vmap(function, in_axes)

        def one(*arguments: Any) -> Any:
            alone = [_first(a) if axis == 0 else a for a, axis in zip(arguments, in_axes, strict=True)]
            return jax.tree.map(lambda x: x[None], function(*alone))

        return one


def _first(tree: Any) -> Any:
    return jax.tree.map(lambda x: x[0], tree)


@lru_cache(maxsize=KEPT)
def training_steps(program: Program, *, masked: bool) -> Callable[..., Any]:
    """Training steps `(state, (arrays, (normalisation, weights, rates, factors)), items, count) -> (state, losses)`.

    The losses are [S, R]; `factors` are None, or those of the learning rate for each parameter.

    `masked` is False if no window has an invalid sample, which saves the work of masking.
    """
    config, optimizer, own = (
        program.config,
        make_optimizer(program.config.train, program.config.model),
        program.config.functions.augment,
    )
    augment = function_at(own, "augment") if own else make_augment(config.augment, rate_hz=program.rate_hz)
    largest, smoothing = config.augment.stretch, config.train.label_smoothing
    stretched = partial(stretch, largest=largest, samples=program.window[0]) if largest else None

    def step_of_run(state: TrainState, arrays: Any, of_run: Any, item: Any) -> Any:
        normalisation, weights, rates, factors = of_run

        def loss(logits: Any, label: Any) -> Any:
            target = smoothed(label, smoothing, program.target) if smoothing else label
            return program.loss(logits, target, weights)

        step = make_step(
            program.network,
            optimizer,
            loss,
            augment=augment,
            stretch=stretched,
            mixup_alpha=config.augment.mixup,
            ema=config.train.ema,
            masked=masked,
            frozen=config.train.freeze,
            axis_name=program.devices.axis_name,
        )
        state, metrics = step(state, program.take(arrays, item), normalisation, rates[state.step], factors)
        return state, metrics["loss"]

    step = program.together(step_of_run, (0, None, 0, 0))
    return program.devices.compile(lambda state, inputs, item: step(state, *inputs, item))
