"""How good each scale probably is, if scales with similar levels are similarly good: a judgement. NumPy only.

A Gaussian process over the axes (log2 of the values of a `log2` axis), with an unevenness of every single scale beside
it. It describes the differences between scales only: with a level of its own, scales of low AUROC, which are noisy,
would shift it. The posterior is averaged over a grid of hyperparameters and over what the seed variances of the scales
may be. It is no confidence set: of scales that are exactly equal it may prefer one.
"""

from dataclasses import dataclass

import numpy as np

from ecg_jax.analysis.axes import Axis, Scale
from ecg_jax.analysis.variance import VarianceModel

POINTS = 512  # of the grid of hyperparameters
DRAWS = 4000  # of the posterior
AMPLITUDE = (0.001, 0.5)  # standard deviation of the smooth part, AUROC
UNEVENNESS = (0.0003, 0.03)  # standard deviation of the scales around it, AUROC
LENGTH = (0.3, 6.0)  # over which the smooth part changes, in ranges of an axis


@dataclass(frozen=True)
class Surface:
    """What is probable of each scale."""

    best_probability: np.ndarray
    """[scales], of being the best."""
    expected_loss: np.ndarray
    """[scales], how much worse it is than the best, on average over the posterior."""


def response_surface(model: VarianceModel, *, seed: int) -> Surface | None:
    """The posterior of the scales of a study; None if the noise of the seeds is not known."""
    predictions = model.predictions
    weights, n_scales = predictions.mean_weights(), len(predictions.scales)
    if n_scales == 1:
        return Surface(np.ones(1), np.zeros(1))
    if not (model.contrasts(weights).dof > 0).all():
        return None
    rng = np.random.default_rng([seed, 3])
    distances = np.array([_squared_distances(axis, predictions.scales) for axis in predictions.axes])
    grid = _grid(2 + len(distances))
    amplitude, unevenness = (
        np.exp(np.interp(grid[:, i], (0, 1), np.log(limits))) for i, limits in ((0, AMPLITUDE), (1, UNEVENNESS))
    )
    length = np.exp(np.interp(grid[:, 2:], (0, 1), np.log(LENGTH)))  # [POINTS, axes]
    smooth = np.exp(-np.einsum("pa,aij->pij", length**-2.0, distances) / 2)
    prior = amplitude[:, None, None] ** 2 * smooth + unevenness[:, None, None] ** 2 * np.eye(n_scales)
    noise = _noise(model, weights, rng)  # [POINTS, scales, scales]

    basis = np.linalg.svd(np.ones((1, n_scales)))[2][1:]  # [scales - 1, scales], of all differences
    prior, noise = (basis @ covariance @ basis.T for covariance in (prior, noise))
    difference = basis @ weights @ model.estimate.value
    gain = np.linalg.solve(prior + noise, prior)  # [POINTS, scales - 1, scales - 1]
    mean = difference @ gain
    covariance = prior - prior @ gain
    log_det = np.linalg.slogdet(prior + noise)[1]
    log_likelihood = -(log_det + np.einsum("i,pi->p", difference, np.linalg.solve(prior + noise, difference))) / 2
    likelihood = np.exp(log_likelihood - log_likelihood.max())

    value = []
    for point, count in enumerate(rng.multinomial(DRAWS, likelihood / likelihood.sum())):
        if count:
            size, axes = np.linalg.eigh(covariance[point])
            normal = rng.normal(size=(count, len(size))) * np.sqrt(np.maximum(size, 0))
            value.append((mean[point] + normal @ axes.T) @ basis)
    drawn = np.concatenate(value)  # [DRAWS, scales], around their mean
    best = np.bincount(drawn.argmax(axis=1), minlength=n_scales) / DRAWS
    return Surface(best, (drawn.max(axis=1, keepdims=True) - drawn).mean(axis=0))


def _noise(model: VarianceModel, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Covariances [POINTS, scales, scales] of the scales' means: each has other draws of the seed variances."""
    influence, noise = weights @ model.estimate.influence, model.noise
    seeds = np.zeros((POINTS, len(weights)))
    if model.one_seed:
        seeds += noise.between
    else:
        seeds += rng.choice(noise.draws, POINTS)
    own = np.maximum(seeds - noise.shared, 0.0) * (weights**2).sum(axis=1)
    return influence @ influence.T + own[:, None, :] * np.eye(len(weights)) + 1e-12 * np.eye(len(weights))


def _squared_distances(axis: Axis, scales: list[Scale]) -> np.ndarray:
    """[scales, scales], in ranges of the axis; two categories are one range apart."""
    levels = [scale[axis.name] for scale in scales]
    if axis.kind == "categorical":
        return np.array([[float(one != other) for other in levels] for one in levels])
    place = axis.coordinates(levels)
    return (np.subtract.outer(place, place) / max(float(np.ptp(place)), 1e-12)) ** 2


def _grid(dimensions: int) -> np.ndarray:
    """Points [POINTS, dimensions] that fill the unit cube evenly: a lattice by the generalised golden ratio."""
    ratio = 2.0
    for _ in range(50):  # the root of x^(dimensions + 1) = x + 1
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    return (0.5 + np.outer(np.arange(POINTS), ratio ** -np.arange(1.0, dimensions + 1))) % 1
