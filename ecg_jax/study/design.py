"""The trials of a study: scales, rates and seeds as run configs, folders and keys, and what each will cost.

Values only: knows no file, no clock and no storage, and loads no JAX.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ecg_jax.config import ModelConfig, RunConfig, TrainConfig, same_run, to_dict
from ecg_jax.errors import ConfigError
from ecg_jax.models import Cost, cost

VARIED = {"model": ("depth", "channels", "kernel"), "train": ("learning_rate", "seed")}  # what a trial sets


def resnet(model: ModelConfig) -> ModelConfig:
    """The model as it is: the default one, or the preset's."""
    return model


def local(model: ModelConfig) -> ModelConfig:
    """Three stages, no stem pool, total stride 8: depth 1 and kernel 3 see 51 samples."""
    return replace(model, depth=ModelConfig().depth, strides=(1, 2, 2), stem_pool=False)


BASES = {"resnet": resnet, "local": local}


@dataclass(frozen=True, order=True)
class Scale:
    """Depth, channels and kernel of a network."""

    depth: int
    channels: int
    kernel: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Scale":
        """The scale of a trial or a row of a table."""
        return cls(row["depth"], row["channels"], row["kernel"])

    @property
    def name(self) -> str:
        """As it stands in folders and tables."""
        return f"d{self.depth}_c{self.channels}_k{self.kernel}"


@dataclass(frozen=True)
class Grid:
    """All combinations of these, for seeds 0, 1, ... below `seeds`."""

    depths: tuple[int, ...]
    channels: tuple[int, ...]
    kernels: tuple[int, ...]
    seeds: int
    learning_rates: tuple[float, ...]

    def __post_init__(self) -> None:
        for knob in ("depths", "channels", "kernels", "learning_rates"):
            values = getattr(self, knob)
            flag = f"--{knob.replace('_', '-')}"
            most = 1000 if knob == "learning_rates" else 2**20
            if not values or not all(0 < value <= most for value in values):
                raise ConfigError(f"{flag} is {list(values)}; give numbers above 0 and up to {most:,}")
            object.__setattr__(self, knob, tuple(sorted(set(values))))
        if self.seeds < 1:
            raise ConfigError(f"--seeds is {self.seeds}; give a whole number from 1 up")

    def scales(self) -> list[Scale]:
        """Every scale, depth varying slowest."""
        return [Scale(d, c, k) for d in self.depths for c in self.channels for k in self.kernels]


@dataclass(frozen=True)
class Plan:
    """What all grids of a study ask for together: the rates [sorted] and the number of seeds of each scale."""

    rates: dict[Scale, tuple[float, ...]]
    seeds: dict[Scale, int]


def merged(grids: Iterable[Grid]) -> Plan:
    """The grids as one plan: whatever any of them asks for."""
    rates: dict[Scale, set[float]] = {}
    seeds: dict[Scale, int] = {}
    for grid in grids:
        for scale in grid.scales():
            rates.setdefault(scale, set()).update(grid.learning_rates)
            seeds[scale] = max(seeds.get(scale, 0), grid.seeds)
    order = sorted(rates)
    return Plan({scale: tuple(sorted(rates[scale])) for scale in order}, {scale: seeds[scale] for scale in order})


@dataclass(frozen=True)
class Study:
    """What all trials have in common; two of these that differ are two studies.

    `base` is each trial's config but for what is `VARIED`; with `folds` a trial is cross-fitted over these test folds.
    """

    base: RunConfig
    folds: tuple[int, ...]
    fingerprint: str
    rate_hz: float
    leads: int
    labels: int


def make_study(
    base: RunConfig, folds: Sequence[int], *, fingerprint: str, rate_hz: float, leads: int, labels: int
) -> Study:
    """A study in one form, whatever the base says of depth, channels, kernel, rate and seed.

    Raises:
        ConfigError: the folds are given twice over.
    """
    if folds and not base.data.test_folds is base.data.validation_folds is None:
        raise ConfigError("--folds says which folds test and choose; leave --data.test-folds and the like out")
    empty = {"model": ModelConfig(), "train": TrainConfig()}
    parts = {
        part: replace(getattr(base, part), **{knob: getattr(empty[part], knob) for knob in knobs})
        for part, knobs in VARIED.items()
    }
    return Study(replace(base, **parts), tuple(sorted(set(folds))), fingerprint, rate_hz, leads, labels)


@dataclass(frozen=True)
class Trial:
    """One scale at one learning rate from one seed."""

    scale: Scale
    learning_rate: float
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder; within a study it stands for the key."""
        return f"{self.scale.name}_lr{self.learning_rate}_s{self.seed}"

    def runs(self, study: Study) -> dict[str, RunConfig]:
        """Its trainings: folder below the trial's own -> config. The fold before a test fold chooses the epoch."""
        base, scale = study.base, self.scale
        model = replace(base.model, depth=scale.depth, channels=scale.channels, kernel=scale.kernel)
        train = replace(base.train, learning_rate=self.learning_rate, seed=self.seed)
        whole = replace(base, model=model, train=train)
        if not study.folds:
            return {"": whole}
        return {f"fold_{fold}": replace(whole, data=replace(base.data, test_folds=(fold,))) for fold in study.folds}

    def key(self, study: Study) -> str:
        """Hash of its configs, without data path, feed and parallel mode, and of the set's fingerprint."""
        parts = [*(to_dict(same_run(config)) for config in self.runs(study).values()), study.fingerprint]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def chosen_rate(tried: dict[float, float | None]) -> float | None:
    """The rate with the best validation figure, of two equal ones the smaller; None where all failed (are None)."""
    worked = {rate: value for rate, value in tried.items() if value is not None}
    return min(worked, key=lambda rate: (-worked[rate], rate), default=None)


def window_samples(study: Study) -> int:
    """Length of the window that the networks see."""
    return max(1, round(study.base.data.window_seconds * study.rate_hz))


def cost_of(study: Study, scale: Scale) -> Cost:
    """What a scale costs and sees in this study."""
    config = next(iter(Trial(scale, 1.0, 0).runs(study).values())).model
    window = window_samples(study)
    return cost(config, leads=study.leads, labels=study.labels, window_samples=window, rate_hz=study.rate_hz)


def marks(study: Study, scale: Scale) -> list[str]:
    """What makes a scale hard to compare with the others."""
    known, window = cost_of(study, scale), window_samples(study)
    last = -(-window // known.total_stride)
    reach = (scale.kernel - 1) * study.base.model.dilation + 1
    found = []
    if known.receptive_field_samples > window:
        found.append(f"sees beyond the window of {window} samples")
    if reach > last:
        found.append(f"its kernel is longer than the last stage of {last}")
    return found


def fit_seconds(measured: Sequence[tuple[float, float]]) -> Callable[[float], float]:
    """Seconds as a + b MACs, a and b not negative, by least squares of the relative errors over (MACs, seconds)."""
    import numpy as np
    from scipy.optimize import nnls

    macs, seconds = np.maximum(np.array(measured, float).T, 1e-9)
    largest = macs.max()
    if len(set(macs)) == 1:
        return lambda wanted: float(seconds.mean() * wanted / largest)
    (fixed, slope), _ = nnls(np.stack([1 / seconds, macs / largest / seconds], axis=1), np.ones(len(macs)))
    return lambda wanted: float(fixed + slope * wanted / largest)
