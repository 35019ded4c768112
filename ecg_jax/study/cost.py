"""Costs of the trials of a study, in operations and in seconds. Loads no JAX, except for a user's own network."""

from collections.abc import Callable, Sequence

from ecg_jax import models
from ecg_jax.analysis.axes import Scale
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.dataset.splits import split_records
from ecg_jax.models import Cost, ResNetCost
from ecg_jax.study.design import Study

PASSES = 3  # forward, and backward through activations and through parameters


def window_samples(study: Study, scale: Scale) -> int:
    """Length of the window that the network of a scale sees."""
    return study.config(scale).data.window_samples(study.rate_hz)


def cost_of(study: Study, scale: Scale) -> Cost:
    """The cost of a scale for one window, and its receptive field."""
    shape = {"leads": study.leads, "labels": study.labels, "window_samples": window_samples(study, scale)}
    return models.cost_of(study.config(scale), **shape, rate_hz=study.rate_hz)


def marks(study: Study, scale: Scale) -> list[str]:
    """Properties of a scale that make it hard to compare with the others."""
    known, window, model = cost_of(study, scale), window_samples(study, scale), study.config(scale).model
    if not isinstance(known, ResNetCost) or known.receptive_field_samples is None:
        return []
    last = -(-window // known.total_stride)
    kernel = model.kernel if isinstance(model.kernel, int) else max(model.kernel)
    found = []
    if known.receptive_field_samples > window:
        found.append(f"its receptive field exceeds the window of {window} samples")
    if (kernel - 1) * model.dilation + 1 > last:
        found.append(f"its kernel exceeds the last stage of {last} samples")
    return found


def training_macs(study: Study, prepared: PreparedSet, scale: Scale, *, runs: int | None = None) -> float:
    """Multiply-accumulates of the training of a trial, or of its first `runs` runs."""
    configs = list(study.fold_configs(study.config(scale)).values())[:runs]
    windows = sum(config.train.epochs * len(split_records(prepared, config.data).training) for config in configs)
    return float(PASSES * cost_of(study, scale).macs * windows)


def fit_seconds(measured: Sequence[tuple[float, float]]) -> Callable[[float], float]:
    """Seconds as a function of MACs, a + b MACs with a, b >= 0, fitted to pairs (MACs, seconds).

    The fit is by least squares of the relative errors.
    """
    import numpy as np
    from scipy.optimize import nnls

    macs, seconds = np.maximum(np.array(measured, float).T, 1e-9)
    largest = macs.max()
    if len(set(macs)) == 1:
        return lambda new: float(seconds.mean() * new / largest)
    (fixed, slope), _ = nnls(np.stack([1 / seconds, macs / largest / seconds], axis=1), np.ones(len(macs)))
    return lambda new: float(fixed + slope * new / largest)
