"""Seed variances of scales that were seen two times, or once: each learns from the others. NumPy and SciPy.

A variance with a single degree of freedom says little. The logarithms of the variances of all scales follow a linear
trend over the axes, with scatter of a t distribution with three degrees of freedom; the posterior is drawn with a Gibbs
sampler of many short chains. Intervals must use all draws: the most probable variances alone make them too short.
"""

import numpy as np
from scipy import special

CHAINS, BURN_IN, KEPT = 40, 60, 100
TREND_SD = 3.0  # of the log variance, over the whole range of an axis; e^3 in variance is a factor of 4.5 in sd
SCATTER_SD = 1.0  # of the half-normal prior of the scatter's size
SCATTER_DOF = 3
SCATTER_SIZES = np.geomspace(0.05, 5, 50)
LEAST = 1e-4  # of the mean variance: equal values of two seeds are an accident, not a proof of no noise
MOST_DOF = 1e6


def draw_variances(variance: np.ndarray, dof: np.ndarray, place: np.ndarray, *, seed: int) -> np.ndarray:
    """Draws [DRAWS, scales] of the posterior of the true variances.

    Args:
        variance: [scales], as estimated; without meaning where `dof` is 0.
        dof: [scales], its degrees of freedom.
        place: [scales, columns], where each scale lies on the axes, each column from -1/2 to 1/2.
        seed: of the draws.
    """
    mean = float(variance @ dof / dof.sum())
    if mean == 0:
        return np.zeros((CHAINS * KEPT, len(variance)))
    rng = np.random.default_rng([seed, 2])
    seen = np.maximum(variance / mean, LEAST) * dof / 2  # [scales]
    design = np.column_stack([np.ones(len(place)), place])  # [scales, 1 + columns]
    known = np.where(dof > 0, np.log(np.maximum(variance / mean, LEAST)), 0.0)
    theta = known + rng.normal(size=(CHAINS, len(variance)))  # log variance
    mixing = np.ones_like(theta)  # the t distribution is a normal one whose variance is drawn
    size = rng.choice(SCATTER_SIZES, (CHAINS, 1))
    prior = np.full(design.shape[1], TREND_SD**-2)
    draws = []
    for number in range(BURN_IN + KEPT):
        weight = 1 / (size**2 * mixing)  # [chains, scales]
        precision = np.einsum("hc,ci,cj->hij", weight, design, design) + np.diag(prior)
        root = np.linalg.cholesky(precision)
        middle = np.linalg.solve(precision, ((weight * theta) @ design)[..., None])
        noise = np.linalg.solve(root.transpose(0, 2, 1), rng.normal(size=(CHAINS, len(prior), 1)))
        trend = (middle + noise)[..., 0] @ design.T
        square = (theta - trend) ** 2
        mixing = (SCATTER_DOF + square / size**2) / 2 / rng.standard_gamma((SCATTER_DOF + 1) / 2, theta.shape)
        scaled = (square / mixing).sum(axis=1, keepdims=True)
        log_density = -theta.shape[1] * np.log(SCATTER_SIZES) - scaled / (2 * SCATTER_SIZES**2)
        log_density = log_density - SCATTER_SIZES**2 / (2 * SCATTER_SD**2) + np.log(SCATTER_SIZES)  # even in the log
        size = SCATTER_SIZES[(log_density + rng.gumbel(size=log_density.shape)).argmax(axis=1)][:, None]
        sd = size * np.sqrt(mixing)
        step = 2 / np.sqrt(dof / 2 + 1 / sd**2)

        def log_posterior(at: np.ndarray, trend: np.ndarray = trend, sd: np.ndarray = sd) -> np.ndarray:
            return -dof * at / 2 - seen * np.exp(-at) - ((at - trend) / sd) ** 2 / 2

        density = log_posterior(theta)
        for _ in range(3):
            proposed = theta + step * rng.normal(size=theta.shape)
            of_proposed = log_posterior(proposed)
            taken = of_proposed - density > -rng.standard_exponential(theta.shape)
            theta, density = np.where(taken, proposed, theta), np.where(taken, of_proposed, density)
        if number >= BURN_IN:
            draws.append(theta)
    return mean * np.exp(np.concatenate(draws))


def as_estimate(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draws [DRAWS, Q] of variances as estimates [Q] with degrees of freedom [Q]: equal mean and variance in the log.

    A normal number with the drawn variance is then nearly a t distributed one of that scale and degrees of freedom.
    """
    logs = np.log(np.maximum(draws, 1e-300))
    spread = np.maximum(logs.var(axis=0), 2 / MOST_DOF)
    half = 0.5 + 1 / spread  # of the degrees of freedom: the variance of the log is trigamma(half)
    for _ in range(20):  # Newton's method for 1 / trigamma, which is nearly linear
        value, slope = special.polygamma(1, half), special.polygamma(2, half)
        half = half + value * (1 - value / spread) / slope
    scale = np.exp(logs.mean(axis=0) - np.log(half) + special.digamma(half))
    return np.where(draws.any(axis=0), scale, 0.0), 2 * half
