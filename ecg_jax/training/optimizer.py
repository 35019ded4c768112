"""The optimiser and its schedule, made from the config. Imports optax and the config only."""

import jax
import optax

from ecg_jax.config import TrainConfig


def make_schedule(config: TrainConfig, steps: int) -> optax.Schedule:
    """The learning rate at each of `steps` steps.

    `one_cycle`: from a 25th of the highest rate up by a cosine for 30 % of the steps, then down by one to a 250,000th
    of it (Smith and Topin 2018); `warmup_cosine`: up by a line for 5 % of the steps, then down by a cosine to 0.
    """
    peak = config.learning_rate
    if config.schedule == "one_cycle":
        warmup, start, end = round(0.3 * steps), peak / 25, peak / 250_000
        up = optax.schedules.cosine_decay_schedule(start - peak, max(warmup, 1))
        return _joined(lambda step: peak + up(step), start, warmup, steps, peak, end)
    warmup = max(round(0.05 * steps), 1)
    return optax.schedules.warmup_cosine_decay_schedule(0.0, peak, warmup, max(steps, warmup + 1))


def _joined(up: optax.Schedule, start: float, warmup: int, steps: int, peak: float, end: float) -> optax.Schedule:
    down = optax.schedules.cosine_decay_schedule(peak, max(steps - warmup, 1), alpha=end / peak)
    return optax.schedules.join_schedules([up, down], [warmup]) if warmup else down


def decays(path: tuple, _leaf: object) -> bool:
    """Whether weight decay applies to the parameter at this path: to kernels, by name; not to norms and biases."""
    return getattr(path[-1], "key", None) == "kernel"


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """Clipping, then AdamW (Loshchilov and Hutter 2019), or SGD with Nesterov momentum 0.9 and decoupled decay.

    The updates are for a learning rate of 1: the step scales them, so that runs of all rates share a compiled step.
    """

    def mask(params: optax.Params) -> optax.Params:
        return jax.tree_util.tree_map_with_path(decays, params)

    if config.optimizer == "adamw":
        rule = optax.adamw(1.0, weight_decay=config.weight_decay, mask=mask)
    else:
        rule = optax.chain(
            optax.trace(decay=0.9, nesterov=True),
            optax.add_decayed_weights(config.weight_decay, mask=mask),
            optax.scale_by_learning_rate(1.0),
        )
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), rule) if config.clip_norm > 0 else rule
