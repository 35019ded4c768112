"""One training step and one evaluation step: functions of values, which `devices.py` compiles.

May import jax, flax, optax and our models; nothing that reads files.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array, lax
from jax.typing import ArrayLike

from ecg_jax.dataset.batch import Batch, Normalisation, to_input
from ecg_jax.target import Target
from ecg_jax.training.augment import Augment, mixup
from ecg_jax.training.losses import Loss
from ecg_jax.training.state import TrainState, Variables

Metrics = dict[str, Array]
Step = Callable[[TrainState, Batch, Normalisation, ArrayLike], tuple[TrainState, Metrics]]
Predict = Callable[[Variables, Batch, Normalisation], tuple[Array, Array]]


def make_step(
    network: nn.Module,
    optimizer: optax.GradientTransformation,
    loss: Loss,
    *,
    augment: Augment | None = None,
    mixup_alpha: float = 0.0,
    ema: float = 0.0,
    masked: bool = True,
    axis_name: str | None = None,
) -> Step:
    """Builds `step(state, batch, normalisation, learning_rate) -> (state, metrics)`.

    Means over the batch are a weighted sum divided by a sum of weights, both over all devices (`axis_name`), so padding
    rows and uneven distribution have no influence. Random keys come from seed, step and the index of the row in the
    global batch, never from the device.

    Args:
        optimizer: gives updates for a learning rate of 1.
        augment: applied to each window.
        mixup_alpha: parameter of the Beta distribution of mixup; 0: no mixup.
        ema: decay of the averaged variables; 0 keeps none.
        masked: whether a window may contain invalid samples; without masking a step is faster.
        axis_name: the mapped axis under `pmap`.
    """

    def total(x: Array) -> Array:
        return lax.psum(x, axis_name) if axis_name else x

    def gathered(x: Array) -> Array:
        return lax.all_gather(x, axis_name, tiled=True) if axis_name else x

    def examples(key: Array, batch: Batch, normalisation: Normalisation) -> tuple[Array, Array, Array]:
        signal, measured = to_input(batch, normalisation)
        valid, label = batch.valid, batch.label
        for_augment, for_mixup = jax.random.split(key)
        n_rows = signal.shape[0]
        rows = jnp.arange(n_rows) + (lax.axis_index(axis_name) * n_rows if axis_name else 0)
        if augment is not None:
            keys = jax.vmap(jax.random.fold_in, (None, 0))(for_augment, rows)
            signal = jnp.where(measured, jax.vmap(augment)(keys, signal), 0.0)
        if mixup_alpha:
            signal, label, share_valid = mixup(
                for_mixup,
                rows,
                (signal, label, valid.astype(jnp.float32)),
                batch.weight,
                alpha=mixup_alpha,
                gather=gathered,
            )
            valid = share_valid > 0
        return signal, valid, label

    def step(
        state: TrainState, batch: Batch, normalisation: Normalisation, learning_rate: ArrayLike
    ) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        for_examples, for_dropout = jax.random.split(key)
        signal, valid, label = examples(for_examples, batch, normalisation)
        rows = jnp.maximum(total(batch.weight.sum()), 1)

        def loss_of(params: Any) -> tuple[Array, Any]:
            logits, changed = network.apply(
                {"params": params, "batch_stats": state.batch_stats},
                signal,
                valid if masked else None,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": for_dropout},
            )
            return (loss(logits, label) * batch.weight).sum() / rows, changed.get("batch_stats", {})

        (local_loss, batch_stats), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.params)
        gradient = jax.tree.map(total, gradient)
        update, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, optax.tree.scale(learning_rate, update))
        averaged = state.averaged
        if ema:
            decay = jnp.minimum(ema, (1 + state.step) / (10 + state.step))  # shorter memory in the first steps
            now = {"params": params, "batch_stats": batch_stats}
            averaged = optax.incremental_update(now, averaged, 1 - decay)
        return TrainState(state.step + 1, state.key, params, batch_stats, opt_state, averaged), {
            "loss": total(local_loss)
        }

    return step


def make_predict(network: nn.Module, loss: Loss, target: Target) -> Predict:
    """Builds `predict(variables, batch, normalisation) -> (probability [B, K], loss [B])`.

    The outputs of padding rows have no meaning; the probabilities of exclusive labels sum to 1.
    """

    def predict(variables: Variables, batch: Batch, normalisation: Normalisation) -> tuple[Array, Array]:
        signal, _ = to_input(batch, normalisation)
        logits = jnp.asarray(network.apply(variables, signal, batch.valid, train=False))
        probability = jax.nn.softmax(logits) if target.activation == "softmax" else jax.nn.sigmoid(logits)
        return probability, loss(logits, batch.label)

    return predict
