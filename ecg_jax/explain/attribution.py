"""What a network's answer is made of: integrated gradients and occlusion. Pure functions of arrays, in JAX.

Both ask the same question of a window [T, L]: how do the log-odds of a label change on the way to another window, its
baseline? Log-odds are log(p / (1 - p)): the logit of a label that is decided by itself; of labels that exclude each
other the logit against all others. They add up over windows and parts, which probabilities do not.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from ecg_jax.target import Target

AT_ONCE = 32  # places on the way to the baseline in one call
MOST_PLACES = 4096
LEAST_CHANGE = 0.1  # log-odds: a smaller change is no smaller scale for the error


class LogOdds(NamedTuple):
    """Compiled functions of the variables of a network."""

    of: Callable[[Any, Any, Any], Array]
    """Log-odds [B, K] of normalised windows [B, T, L], of which the samples `valid` [B, T] are signal."""
    gradient: Callable[..., Array]
    """Mean gradient [T, L] of the log-odds of the label with an index, over places [S] from a window to another."""


def log_odds(network: nn.Module, target: Target) -> LogOdds:
    """The log-odds of a network's labels and their gradients."""

    def of(variables: Mapping[str, Any], windows: Array, valid: Array) -> Array:
        logits = jnp.asarray(network.apply(variables, windows, valid, train=False))
        if target.kind == "multilabel":
            return logits
        own = jnp.eye(logits.shape[1], dtype=bool)
        others = jnp.where(own, -jnp.inf, logits[:, None, :])  # [B, K, K]
        return logits - jax.nn.logsumexp(others, axis=-1)

    def gradient(
        variables: Mapping[str, Any], first: Array, last: Array, valid: Array, label: Array, places: Array
    ) -> Array:
        windows = first + places[:, None, None] * (last - first)  # [S, T, L]
        all_valid = jnp.broadcast_to(valid, (len(places), len(valid)))
        of_windows = jax.grad(lambda some: of(variables, some, all_valid)[:, label].sum())
        return of_windows(windows).mean(axis=0)

    return LogOdds(jax.jit(of), jax.jit(gradient))


def integrated_gradients(
    functions: LogOdds,
    variables: Any,
    window: np.ndarray,
    baseline: np.ndarray,
    valid: np.ndarray,
    label: int,
    *,
    tolerance: float = 0.005,
) -> np.ndarray:
    """The part of each sample in the change of a label's log-odds from the baseline to the window.

    The integral is a mean over places in the middle of equal parts, whose number is doubled until the parts of all
    samples add up to the change, up to `tolerance` of it (completeness).

    Args:
        functions: of the network.
        variables: of the network.
        window: [T, L].
        baseline: [T, L].
        valid: [T], which samples are signal.
        label: index of the label.
        tolerance: largest error that needs no more places.

    Returns:
        The parts [T, L].

    Source: Sundararajan, Taly and Yan 2017 (arXiv 1703.01365), equation 1.
    """
    both = jnp.asarray(np.stack([window, baseline]))
    ends = np.asarray(functions.of(variables, both, jnp.broadcast_to(valid, (2, len(valid)))))[:, label]
    change = float(ends[0] - ends[1])
    n_places = AT_ONCE
    while True:
        n_places *= 2
        places = ((np.arange(n_places) + 0.5) / n_places).astype(np.float32).reshape(-1, AT_ONCE)
        gradients = [functions.gradient(variables, both[1], both[0], valid, label, some) for some in places]
        parts = (window - baseline) * np.mean(np.stack(jax.device_get(gradients)), axis=0, dtype=np.float64)
        error = abs(parts.sum() - change) / max(abs(change), LEAST_CHANGE)
        if error <= tolerance or n_places >= MOST_PLACES:
            return parts


def shuffled(variables: Any, key: Array) -> Any:
    """The variables of a network without what it has learned: each array has its values in a random order.

    An explanation that does not change shows the recording, not the network (Adebayo et al. 2018, arXiv 1810.03292).
    """
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(key, len(leaves))
    pairs = zip(keys, map(jnp.asarray, leaves), strict=True)
    return jax.tree.unflatten(tree, [jax.random.permutation(one, x.ravel()).reshape(x.shape) for one, x in pairs])


def occlusion(
    functions: LogOdds,
    variables: Any,
    window: np.ndarray,
    baseline: np.ndarray,
    valid: np.ndarray,
    label: int,
    parts: np.ndarray,
) -> np.ndarray:
    """How much a label's log-odds fall where a part of the window is replaced by the baseline: [P].

    Args:
        functions: of the network.
        variables: of the network.
        window: [T, L].
        baseline: [T, L].
        valid: [T], which samples are signal.
        label: index of the label.
        parts: [P, T, L], which samples belong to each part.

    Source: Zeiler and Fergus 2014 (arXiv 1311.2901), section 4.2.
    """
    windows = np.concatenate([window[None], np.where(parts, baseline, window)])  # [1 + P, T, L]
    of_all = functions.of(variables, jnp.asarray(windows), jnp.broadcast_to(valid, (len(windows), len(valid))))
    whole, *without = np.asarray(of_all, np.float64)[:, label]
    return whole - np.array(without)
