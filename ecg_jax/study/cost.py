"""Costs of the trials of a study, in operations and in seconds. Loads no JAX, except for a user's own network."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ecg_jax import models
from ecg_jax.analysis.axes import Scale
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.dataset.splits import split_records
from ecg_jax.models import Cost, ResNetCost
from ecg_jax.study.design import Grid, Study

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


def grids_of_equal_parameters(study: Study, grid: Grid, within: str) -> list[Grid]:
    """The scales of a grid that differ from the plain one in one axis at most, with channels for equal parameters.

    Whole channels give them nearly as many parameters as the plain scale has, and never more channels.

    Args:
        study: over depth, channels and kernel, and other axes.
        grid: its first scale is the plain one.
        within: an axis in which scales may differ besides, since each of its levels has a plain scale of its own.

    Returns:
        A grid for each scale.
    """
    scales = grid.scales()
    found = []
    for scale in scales:
        plain = {**scales[0].to_dict(), within: scale[within]}
        if sum(scale[name] != level for name, level in plain.items() if name != "channels") <= 1:
            found.append(_with_parameters_of(study, Scale.of(plain, study.axes), scale))
    return [
        replace(grid, axes=tuple(replace(axis, levels=(scale[axis.name],)) for axis in grid.axes))
        for scale in dict.fromkeys(found)
    ]


def _with_parameters_of(study: Study, plain: Scale, scale: Scale) -> Scale:
    numbers = range(1, int(plain["channels"]) + 1)
    candidates = [Scale.of({**scale.to_dict(), "channels": number}, study.axes) for number in numbers]
    parameters = cost_of(study, plain).parameters
    return min(candidates, key=lambda candidate: abs(cost_of(study, candidate).parameters - parameters))


def middle_macs(study: Study, grids: Iterable[Grid]) -> float:
    """The geometric mean of the MACs of the smallest and the largest scale for one window."""
    macs = [cost_of(study, scale).macs for grid in grids for scale in grid.scales()]
    return math.sqrt(min(macs) * max(macs))


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
