"""The optimiser and its learning rates. Imports jax, optax, the config and errors only."""

from functools import lru_cache
from itertools import pairwise
from typing import Literal

import jax
import numpy as np
import optax

from ecg_jax.config import ModelConfig, TrainConfig
from ecg_jax.errors import ConfigError
from ecg_jax.models.layout import is_part


def learning_rates(config: TrainConfig, *ends: int) -> np.ndarray:
    """The learning rate of each step, [steps] float32, in cycles that end after these numbers of steps.

    `one_cycle`: from 1/25 of the highest rate up by a cosine for 30 % of the steps, then down by a cosine to 1/250,000
    of it (Smith and Topin 2018). `warmup_cosine`: linearly up for 5 % of the steps, then down by a cosine to 0.
    """
    shares = [_shares(config.schedule, end - start) for start, end in pairwise((0, *ends))]
    return (config.learning_rate * np.concatenate(shares)).astype(np.float32)


@lru_cache(maxsize=64)
def _shares(kind: Literal["one_cycle", "warmup_cosine"], steps: int) -> np.ndarray:
    """The learning rate of each step as a share of the highest one, [steps] float64."""
    if kind == "one_cycle":
        schedule = optax.schedules.cosine_onecycle_schedule(steps, 1.0)
    else:
        warmup = max(round(0.05 * steps), 1)
        schedule = optax.schedules.warmup_cosine_decay_schedule(0.0, 1.0, warmup, max(steps, warmup + 1))
    # as one compiled function: compiling each operation by itself takes ten times as long
    return np.asarray(jax.jit(jax.vmap(schedule))(np.arange(steps)), np.float64)


def decays(path: tuple, _leaf: object) -> bool:
    """Whether weight decay applies to the parameter at this path: only to kernels, not to norms and biases."""
    return getattr(path[-1], "key", None) == "kernel"


def make_optimizer(config: TrainConfig, model: ModelConfig | None = None) -> optax.GradientTransformation:
    """Clipping, then AdamW (Loshchilov and Hutter 2019), or SGD with Nesterov momentum 0.9 and decoupled decay.

    The updates are for a learning rate of 1: the step multiplies them, so that runs at all rates share a compiled step.
    With `base_channels` in the model, updates of kernels whose fan-in grows with the channels are divided by how much
    it has grown (Yang et al. 2022, arXiv 2203.03466, table 8: Adam). Frozen parameters, whose gradient is 0, do not
    decay either.

    Raises:
        ConfigError: `base_channels` is given with another optimiser than AdamW.
    """

    def mask(params: optax.Params) -> optax.Params:
        decaying = jax.tree_util.tree_map_with_path(decays, params)
        if not config.freeze:
            return decaying
        kept = {name: is_part(name, config.freeze) for name in decaying}
        return {name: jax.tree.map(lambda yes, kept=kept[name]: yes and not kept, of) for name, of in decaying.items()}

    if config.optimizer == "adamw":
        rule = optax.adamw(1.0, weight_decay=config.weight_decay, mask=mask)
    else:
        rule = optax.chain(
            optax.trace(decay=0.9, nesterov=True),
            optax.add_decayed_weights(config.weight_decay, mask=mask),
            optax.scale_by_learning_rate(1.0),
        )
    if model is not None and model.base_channels > 0:
        if config.optimizer != "adamw":
            raise ConfigError("--model.base-channels needs --train.optimizer adamw")
        rule = optax.chain(rule, _for_width(model))
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), rule) if config.clip_norm > 0 else rule


def _for_width(model: ModelConfig) -> optax.GradientTransformation:
    """Multiplies the updates of the kernels behind the stem by base channels / channels."""
    share = model.base_channels / model.channels

    def grows(path: tuple) -> bool:
        names = [getattr(part, "key", None) for part in path]
        fixed = names[0] == "stem" or (
            model.head == "concat" and "logits" in names
        )  # the hidden layer has its own width
        return names[-1] == "kernel" and not fixed

    def scaled(updates: optax.Updates, params: optax.Params | None = None) -> optax.Updates:
        del params
        return jax.tree_util.tree_map_with_path(lambda path, u: share * u if grows(path) else u, updates)

    return optax.stateless(scaled)
