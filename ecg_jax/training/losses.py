"""Losses: functions (logits [B, K], label [B, K]) -> [B], one number for each window. Imports jax and optax only."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from ecg_jax.errors import ConfigError
from ecg_jax.target import Target

Loss = Callable[[Array, Array], Array]
WeightedLoss = Callable[[Array, Array, Array], Array]
"""`loss(logits [B, K], label [B, K], weight [K]) -> [B]`; runs with other weights share a compilation."""

FOCUS = 2.0  # gamma of the focal loss, as published


def bce(logits: Array, label: Array) -> Array:
    """Binary cross-entropy, mean over the labels."""
    return optax.losses.sigmoid_binary_cross_entropy(logits, label).mean(axis=-1)


def weighted_bce(logits: Array, label: Array, weight: Array) -> Array:
    """Binary cross-entropy in which the positives of label k have the weight `weight[k]`."""
    positive = 1 + label * (weight[None] - 1)
    return (optax.losses.sigmoid_binary_cross_entropy(logits, label) * positive).mean(axis=-1)


def focal_bce(logits: Array, label: Array) -> Array:
    """Binary focal loss (Lin et al. 2017, equation 4), mean over the labels."""
    return optax.losses.sigmoid_focal_loss(logits, label, gamma=FOCUS).mean(axis=-1)


def cross_entropy(logits: Array, label: Array) -> Array:
    """Cross-entropy over labels that exclude each other."""
    return optax.losses.softmax_cross_entropy(logits, label)


def weighted_cross_entropy(logits: Array, label: Array, weight: Array) -> Array:
    """Cross-entropy in which the windows of class k have the weight `weight[k]`."""
    return cross_entropy(logits, label) * (label * weight[None]).sum(axis=-1)


def focal_cross_entropy(logits: Array, label: Array) -> Array:
    """Focal loss over labels that exclude each other: cross-entropy times (1 - p)^2 (Lin et al. 2017)."""
    log_p = jax.nn.log_softmax(logits)
    return -(label * (1 - jnp.exp(log_p)) ** FOCUS * log_p).sum(axis=-1)


def smoothed(label: Array, share: float, target: Target) -> Array:
    """Labels [B, K] of which this share is spread evenly: over yes and no, or over labels that exclude each other."""
    return label * (1 - share) + share / (len(target.names) if target.kind == "exclusive" else 2)


def make_loss(name: str, target: Target) -> WeightedLoss:
    """The loss with the name in the config, as a function of logits, label and the weights of `label_weights`.

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
        return weighted_cross_entropy if exclusive else weighted_bce
    if name == "focal":
        return unweighted(focal_cross_entropy if exclusive else focal_bce)
    return unweighted({"bce": bce, "cross_entropy": cross_entropy}[name])


def unweighted(loss: Loss) -> WeightedLoss:
    """A loss that does not use the weights."""
    return lambda logits, label, weight: loss(logits, label)


def label_weights(target: Target, label: np.ndarray) -> np.ndarray:
    """The weights [K] float32 of a weighted loss, from the training labels [N, K].

    Multilabel: the weight of the positives of a label is the square root of negatives divided by positives. Exclusive:
    the weight of a class is the square root of its inverse frequency, scaled to mean 1 over the records. The square
    root prevents rare classes from dominating the loss.
    """
    positives = np.maximum(label.sum(axis=0), 1).astype(np.float32)
    if target.kind == "multilabel":
        return np.sqrt(np.maximum(len(label) / positives - 1, 1e-3)).astype(np.float32)
    rarity = np.sqrt(len(label) / positives)
    return (rarity * len(label) / (rarity * positives).sum()).astype(np.float32)
