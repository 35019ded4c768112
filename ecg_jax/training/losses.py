"""Losses: functions (logits [B, K], label [B, K]) -> [B], one number a window. Imports jax and optax only."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from ecg_jax.errors import ConfigError

Loss = Callable[[Array, Array], Array]

FOCUS = 2.0  # gamma of the focal loss, as published


def bce(logits: Array, label: Array) -> Array:
    """Binary cross-entropy, mean over the labels."""
    return optax.losses.sigmoid_binary_cross_entropy(logits, label).mean(axis=-1)


def weighted_bce(logits: Array, label: Array, *, positive_weight: Array) -> Array:
    """Binary cross-entropy in which label k's positives count `positive_weight[k]` times."""
    weight = 1 + label * (positive_weight[None] - 1)
    return (optax.losses.sigmoid_binary_cross_entropy(logits, label) * weight).mean(axis=-1)


def focal_bce(logits: Array, label: Array) -> Array:
    """Binary focal loss (Lin et al. 2017, equation 4), mean over the labels."""
    return optax.losses.sigmoid_focal_loss(logits, label, gamma=FOCUS).mean(axis=-1)


def cross_entropy(logits: Array, label: Array) -> Array:
    """Cross-entropy over labels that exclude each other."""
    return optax.losses.softmax_cross_entropy(logits, label)


def weighted_cross_entropy(logits: Array, label: Array, *, class_weight: Array) -> Array:
    """Cross-entropy in which a window of class k counts `class_weight[k]` times."""
    return cross_entropy(logits, label) * (label * class_weight[None]).sum(axis=-1)


def focal_cross_entropy(logits: Array, label: Array) -> Array:
    """Focal loss over labels that exclude each other: cross-entropy times (1 - p)^2 (Lin et al. 2017)."""
    log_p = jax.nn.log_softmax(logits)
    return -(label * (1 - jnp.exp(log_p)) ** FOCUS * log_p).sum(axis=-1)


def make_loss(name: str, *, exclusive: bool, label: np.ndarray) -> Loss:
    """The loss called `name` in the config, its class weights from the training labels [N, K].

    The weights are the square root of negatives over positives (multi-label), or of the inverse frequency, with mean 1
    over the records (exclusive): rare classes count more without drowning the others.

    Raises:
        ConfigError: the loss does not go with whether the labels exclude each other.
    """
    if name == "auto":
        name = "cross_entropy" if exclusive else "bce"
    if (name == "bce" and exclusive) or (name == "cross_entropy" and not exclusive):
        do, other = ("exclude", "cross_entropy") if exclusive else ("do not exclude", "bce")
        raise ConfigError(f"--train.loss {name}: the labels of this set {do} each other; choose {other}")
    if name == "weighted":
        positives = np.maximum(label.sum(axis=0), 1).astype(np.float32)
        if not exclusive:
            return partial(weighted_bce, positive_weight=np.sqrt(np.maximum(len(label) / positives - 1, 1e-3)))
        rarity = np.sqrt(len(label) / positives)
        return partial(weighted_cross_entropy, class_weight=rarity * len(label) / (rarity * positives).sum())
    if name == "focal":
        return focal_cross_entropy if exclusive else focal_bce
    return {"bce": bce, "cross_entropy": cross_entropy}[name]
