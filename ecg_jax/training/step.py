"""One training step and one prediction, as functions of values, for `devices.py` to compile.

May import jax, flax, optax and our networks; nothing that reads files.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from jax import Array, lax
from jax.typing import ArrayLike

from ecg_jax.dataset.batch import Batch, Normalisation, normalised, to_input, to_mv
from ecg_jax.models.layout import is_part
from ecg_jax.target import Target
from ecg_jax.training.augment import Augment, Stretch, mixup
from ecg_jax.training.losses import Loss

Variables = Mapping[str, Any]
Metrics = dict[str, Array]
Predict = Callable[[Variables, Batch, Normalisation], tuple[Array, Array]]


@struct.dataclass
class TrainState:
    """All values that a step changes, and the random key of the run, which stays the same."""

    step: Array  # [] int32
    key: Array  # raw random key
    params: Any
    batch_stats: Any
    opt_state: Any
    averaged: Any  # {"params", "batch_stats"} averaged over steps; empty without averaging

    @property
    def variables(self) -> Variables:
        """The variables to evaluate: the averaged ones, or the latest ones without averaging."""
        return self.averaged or {"params": self.params, "batch_stats": self.batch_stats}


Step = Callable[..., tuple[TrainState, Metrics]]


def init_state(
    network: nn.Module, optimizer: optax.GradientTransformation, example: Array, *, seed: ArrayLike, ema: float
) -> TrainState:
    """Makes the state before the first step; only the shape of `example` [B, T, L] is used."""
    key = jax.random.key(seed)
    variables = network.init(key, jnp.zeros_like(example), train=False)
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    averaged = {"params": params, "batch_stats": batch_stats} if ema else {}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=jax.random.key_data(key),
        params=params,
        batch_stats=batch_stats,
        opt_state=optimizer.init(params),
        averaged=jax.tree.map(jnp.copy, averaged),
    )


def make_step(
    network: nn.Module,
    optimizer: optax.GradientTransformation,
    loss: Loss,
    *,
    augment: Augment | None = None,
    stretch: Stretch | None = None,
    mixup_alpha: float = 0.0,
    ema: float = 0.0,
    masked: bool = True,
    frozen: tuple[str, ...] = (),
    axis_name: str | None = None,
) -> Step:
    """Builds `step(state, batch, normalisation, learning_rate, factors) -> (state, metrics)`.

    `factors` is None, or a tree of factors of the learning rate like the parameters.

    A mean over the batch is a weighted sum divided by the sum of weights, both over all devices. So padding rows, and
    different numbers of rows per device, change nothing. Random keys depend on the seed, the step and the position of
    a row in the global batch, not on the device.

    Args:
        network: called as `ResNet1D` is.
        optimizer: gives updates for a learning rate of 1.
        loss: of each window.
        augment: changes each window independently of the others.
        stretch: changes the speed of each window, which is longer in the batch than for the network.
        mixup_alpha: mixes pairs of windows; 0: no mixup.
        ema: decay of the averaged variables; 0: no averaging.
        masked: False if no window has an invalid sample, which saves the work of masking.
        frozen: parts of the network that do not change.
        axis_name: the mapped axis under `pmap`.
    """

    def total(x: Array) -> Array:
        return lax.psum(x, axis_name) if axis_name else x

    def gathered(x: Array) -> Array:
        return lax.all_gather(x, axis_name, tiled=True) if axis_name else x

    def examples(key: Array, batch: Batch, normalisation: Normalisation) -> tuple[Array, Array, Array]:
        (signal, measured), valid, label = to_mv(batch), batch.valid, batch.label
        for_augment, for_mixup, *for_stretch = jax.random.split(key, 2 if stretch is None else 3)
        n_rows = signal.shape[0]
        rows = jnp.arange(n_rows) + (lax.axis_index(axis_name) * n_rows if axis_name else 0)
        of_rows = jax.vmap(jax.random.fold_in, (None, 0))
        if stretch is not None:
            measured &= valid[:, :, None]
            signal, measured = jax.vmap(stretch)(of_rows(for_stretch[0], rows), signal, measured)
            valid = measured.any(axis=-1)
        signal = normalised(signal, measured, normalisation)
        if augment is not None:
            signal = jnp.where(measured, jax.vmap(augment)(of_rows(for_augment, rows), signal), 0.0)
        if mixup_alpha:
            arrays = (signal, label, valid.astype(jnp.float32))
            mixed = mixup(for_mixup, rows, arrays, batch.weight, alpha=mixup_alpha, gather=gathered)
            signal, label, valid = mixed[0], mixed[1], mixed[2] > 0
        return signal, valid, label

    def step(
        state: TrainState, batch: Batch, normalisation: Normalisation, learning_rate: ArrayLike, factors: Any = None
    ) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        for_examples, for_dropout = jax.random.split(key)
        signal, valid, label = examples(for_examples, batch, normalisation)
        n_rows = jnp.maximum(total(batch.weight.sum()), 1)

        def loss_of(params: Any) -> tuple[Array, Any]:
            if frozen:  # without a gradient, which costs nothing and counts in no norm
                params = with_frozen(params, lax.stop_gradient(params), frozen)
            logits, changed = network.apply(
                {"params": params, "batch_stats": state.batch_stats},
                signal,
                valid if masked else None,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": for_dropout},
            )
            return (loss(logits, label) * batch.weight).sum() / n_rows, changed.get("batch_stats", {})

        (local_loss, batch_stats), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.params)
        gradient = jax.tree.map(total, gradient)
        update, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        update = update if factors is None else optax.tree.mul(factors, update)
        params = optax.apply_updates(state.params, optax.tree.scale(learning_rate, update))
        averaged = state.averaged
        if ema:
            decay = jnp.minimum(ema, (1 + state.step) / (10 + state.step))  # a shorter memory in the first steps
            current = {"params": params, "batch_stats": batch_stats}
            averaged = optax.incremental_update(current, averaged, 1 - decay)
            if frozen:  # an average of equal numbers is not always the same number
                averaged = _frozen_variables(averaged, current, frozen)
        new_state = TrainState(state.step + 1, state.key, params, batch_stats, opt_state, averaged)
        return new_state, {"loss": total(local_loss)}

    return step


def with_frozen(tree: Any, source: Any, frozen: tuple[str, ...]) -> Any:
    """A tree of modules, with the frozen ones from another tree."""
    return {name: source[name] if is_part(name, frozen) else of_module for name, of_module in tree.items()}


def _frozen_variables(variables: Any, source: Any, frozen: tuple[str, ...]) -> Any:
    return {kind: with_frozen(variables[kind], of_kind, frozen) for kind, of_kind in source.items()}


def make_predict(network: nn.Module, target: Target) -> Predict:
    """Builds `predict(variables, batch, normalisation) -> (logits [B, K], probability [B, K])`.

    The outputs of padding rows have no meaning.
    """
    activation = jax.nn.softmax if target.activation == "softmax" else jax.nn.sigmoid

    def predict(variables: Variables, batch: Batch, normalisation: Normalisation) -> tuple[Array, Array]:
        signal, _ = to_input(batch, normalisation)
        logits = jnp.asarray(network.apply(variables, signal, batch.valid, train=False))
        return logits, activation(logits)

    return predict
