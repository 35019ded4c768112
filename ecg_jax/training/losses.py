"""Losses: functions (logits [B, K], label [B, K]) -> [B], one number for each window. Imports jax and optax only."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from ecg_jax.errors import ConfigError
from ecg_jax.target import Target

Loss = Callable[[Array, Array], Array]

FOCUS = 2.0  # gamma of the focal loss, as published


def bce(logits: Array, label: Array) -> Array:
    """Binary cross-entropy, mean over the labels."""
    return optax.losses.sigmoid_binary_cross_entropy(logits, label).mean(axis=-1)


def weighted_bce(logits: Array, label: Array, *, positive_weight: np.ndarray) -> Array:
    """Binary cross-entropy in which the positives of label k have the weight `positive_weight[k]`."""
    weight = 1 + label * (positive_weight[None] - 1)
    return (optax.losses.sigmoid_binary_cross_entropy(logits, label) * weight).mean(axis=-1)


def focal_bce(logits: Array, label: Array) -> Array:
    """Binary focal loss (Lin et al. 2017, equation 4), mean over the labels."""
    return optax.losses.sigmoid_focal_loss(logits, label, gamma=FOCUS).mean(axis=-1)


def cross_entropy(logits: Array, label: Array) -> Array:
    """Cross-entropy over labels that exclude each other."""
    return optax.losses.softmax_cross_entropy(logits, label)


def weighted_cross_entropy(logits: Array, label: Array, *, class_weight: np.ndarray) -> Array:
    """Cross-entropy in which the windows of class k have the weight `class_weight[k]`."""
    return cross_entropy(logits, label) * (label * class_weight[None]).sum(axis=-1)


def focal_cross_entropy(logits: Array, label: Array) -> Array:
    """Focal loss over labels that exclude each other: cross-entropy times (1 - p)^2 (Lin et al. 2017)."""
    log_p = jax.nn.log_softmax(logits)
    return -(label * (1 - jnp.exp(log_p)) ** FOCUS * log_p).sum(axis=-1)


def make_loss(name: str, target: Target, label: np.ndarray) -> Loss:
    """The loss with the name in the config; class weights are computed from the training labels [N, K].

    Multilabel: the weight of the positives of a label is the square root of negatives divided by positives. Exclusive:
    the weight of a class is the square root of its inverse frequency, scaled to mean 1 over the records. The square
    root prevents rare classes from dominating the loss.

    Raises:
        ConfigError: the loss is for the other kind of target.
    """
    exclusive = target.kind == "exclusive"
    if name == "auto":
        name = target.default_loss
    if name in ("bce", "cross_entropy") and name != target.default_loss:
        do = "exclude" if exclusive else "do not exclude"
        raise ConfigError(f"--train.loss {name}: the labels of this set {do} each other; choose {target.default_loss}")
    if name == "weighted":
        positives = np.maximum(label.sum(axis=0), 1).astype(np.float32)
        if not exclusive:
            return partial(weighted_bce, positive_weight=np.sqrt(np.maximum(len(label) / positives - 1, 1e-3)))
        rarity = np.sqrt(len(label) / positives)
        return partial(weighted_cross_entropy, class_weight=rarity * len(label) / (rarity * positives).sum())
    if name == "focal":
        return focal_cross_entropy if exclusive else focal_bce
    return {"bce": bce, "cross_entropy": cross_entropy}[name]
