"""The design of a study: its axes, and scales, rates and seeds as run configs, names and keys.

Values only: no file, no clock, no storage, no JAX.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ecg_jax.analysis.axes import READY_MADE, Axis, Level, Scale, default_kind
from ecg_jax.config import ModelConfig, RunConfig, beginnings, from_dict, get_field, same_run, to_dict, with_fields
from ecg_jax.errors import ConfigError
from ecg_jax.models import cost_of, preset

if TYPE_CHECKING:
    from ecg_jax.dataset.prepared import PreparedSet

MODEL_PRESET = "model.preset"  # not a field of a run: it replaces the whole model
SHORT_FLAGS = {"model.depth": "depths", "model.channels": "channels", "model.kernel": "kernels"}
LATER = (
    "data.normalise",
    "data.training_draw",
    "model.base_channels",
    "train.label_smoothing",
    "train.restarts",
    "train.start_from",
    "train.start_rate",
    "train.freeze",
    "train.start_sha256",
    "augment.stretch",
)
"""Fields that are not in the keys of the first studies."""
MOST_AXES = 6
MOST_TRIALS = 100_000
MOST = 1_000_000  # Hz, leads or labels
PILOT_SEED = 2**32 - 1  # chooses the learning rates and counts in no result
STEPS_BEYOND = 3  # rates that are tried beyond each edge of those that were given


def without_stem_pool(model: ModelConfig) -> ModelConfig:
    """The base `local`: three stages, no pooling in the stem, total stride 8; depth 1 and kernel 3 see 51 samples."""
    return replace(model, depth=ModelConfig().depth, strides=(1, 2, 2), stem_pool=False)


@dataclass(frozen=True)
class Grid:
    """All combinations of the levels of some axes, for seeds 0, 1, ... below `seeds`."""

    axes: tuple[Axis, ...]
    seeds: int
    learning_rates: tuple[float, ...]

    def scales(self) -> list[Scale]:
        """Every scale; the level of the first axis changes most slowly."""
        names = tuple(axis.name for axis in self.axes)
        return [Scale(names, levels) for levels in itertools.product(*(axis.levels for axis in self.axes))]

    def to_dict(self) -> dict[str, Any]:
        """As it is written to `grids/`: depth, channels and kernel have keys of their own."""
        levels = {axis.field: list(axis.levels) for axis in self.axes}
        short = {key: levels.pop(name) for name, key in SHORT_FLAGS.items() if name in levels}
        more = {"axes": levels} if levels else {}
        return {**short, "seeds": self.seeds, "learning_rates": list(self.learning_rates), **more}

    def flags(self) -> list[str]:
        """The command-line flags that give this grid."""
        found: list[str] = []
        for axis in self.axes:
            kind = "" if axis.kind == default_kind(axis.levels) else f":{axis.kind}"
            flag = [f"--{SHORT_FLAGS[axis.field]}"] if axis.field in SHORT_FLAGS else ["--axis", axis.field + kind]
            found += [*flag, *map(str, axis.levels)]
        return [*found, "--learning-rates", *map(str, self.learning_rates), "--seeds", str(self.seeds)]


def make_grid(axes: Iterable[Axis], seeds: int, learning_rates: Iterable[float]) -> Grid:
    """A grid in one form: each level and rate once, numbers in ascending order.

    Raises:
        ConfigError: there is no level, or a value is out of its range.
    """
    axes, rates = tuple(axis.with_levels(axis.levels) for axis in axes), tuple(sorted(set(learning_rates)))
    if not 1 <= len(axes) <= MOST_AXES:
        raise ConfigError(f"a study has 1 to {MOST_AXES} axes, not {len(axes)}; leave some of them out")
    if empty := [axis.field for axis in axes if not axis.levels]:
        raise ConfigError(f"axis {empty[0]} has no levels; give one or more")
    if not rates or not all(0 < rate <= 1000 for rate in rates):
        raise ConfigError(f"--learning-rates is {list(rates)}; give numbers above 0 and up to 1,000")
    if seeds < 1:
        raise ConfigError(f"--seeds is {seeds}; give a whole number from 1 up")
    trials = math.prod(len(axis.levels) for axis in axes) * (seeds + len(rates))
    if trials > MOST_TRIALS:
        raise ConfigError(f"the study would have {trials:,} trials; give fewer levels or seeds, up to {MOST_TRIALS:,}")
    return Grid(axes, seeds, rates)


def read_grid(
    study_axes: Sequence[Axis],
    *,
    seeds: int,
    learning_rates: Iterable[float],
    axes: Mapping[str, Iterable[Level]] | None = None,
    **short: Iterable[Level],
) -> Grid:
    """The grid that `Grid.to_dict` turned into these keys; `study_axes` are those of its study.

    Raises:
        ConfigError: a key is unknown, or the axes are not those of the study.
    """
    field_of = {key: field for field, key in SHORT_FLAGS.items()}
    levels = {**{field_of.get(key, key): given for key, given in short.items()}, **(axes or {})}
    fields = [axis.field for axis in study_axes]
    if set(levels) != set(fields):
        raise ConfigError(f"its axes are {', '.join(levels)}, those of the study {', '.join(fields)}")
    return make_grid([replace(a, levels=tuple(levels[a.field])) for a in study_axes], seeds, learning_rates)


@dataclass(frozen=True)
class Plan:
    """The union of all grids of a study: the sorted learning rates and the number of seeds of each scale."""

    rates: dict[Scale, tuple[float, ...]]
    seeds: dict[Scale, int]
    rate_seed: int = 0
    """The seed that chooses the rates: that of the pilot, or 0, which counts, too, in studies of earlier versions."""


def merge_grids(grids: Iterable[Grid]) -> Plan:
    """The grids as one plan."""
    rates: dict[Scale, set[float]] = {}
    seeds: dict[Scale, int] = {}
    for grid in grids:
        for scale in grid.scales():
            rates.setdefault(scale, set()).update(grid.learning_rates)
            seeds[scale] = max(seeds.get(scale, 0), grid.seeds)
    order = sorted(rates)
    return Plan({scale: tuple(sorted(rates[scale])) for scale in order}, {scale: seeds[scale] for scale in order})


@dataclass(frozen=True)
class Trial:
    """One scale at one learning rate from one seed."""

    scale: Scale
    learning_rate: float
    seed: int

    @property
    def name(self) -> str:
        """The name of its folder, which no other trial of the study has."""
        of_seed = "pilot" if self.seed == PILOT_SEED else f"s{self.seed}"
        return f"{self.scale.name}_lr{self.learning_rate}_{of_seed}"


@dataclass(frozen=True)
class StartOfTrial:
    """A finished run with whose variables a trial of a scale begins, and the hash of these variables."""

    scale: str
    run: Path
    sha256: str


@dataclass(frozen=True)
class Study:
    """The settings that all trials have in common. Different settings make different studies.

    `base` is the config of every trial, except for the axes, the learning rate and the seed. With `folds` a trial is
    cross-fitted: each of these folds is the test fold of one run.
    """

    base: RunConfig
    axes: tuple[Axis, ...]
    folds: tuple[int, ...]
    fingerprint: str
    rate_hz: float
    leads: int
    labels: int
    paired_seeds: bool = False
    """A run is trained from the seed of its trial itself, which all scales have in common; else from one of its own."""
    rate_seed: int = 0
    """As in `Plan`; files of earlier versions do not have it."""
    reference_macs: float | None = None
    """MACs of a window of a network that trains for the base's epochs; all others train for more or fewer, so that
    trainings take equally many MACs. None: all train for the base's epochs."""
    starts: tuple[StartOfTrial, ...] = ()
    """What the trials begin with: of each scale a run for each of the seeds 0, 1, ..., and again from the first one on
    for further seeds. Empty: all begin as the base does."""

    def __post_init__(self) -> None:
        if self.rate_seed not in (0, PILOT_SEED):
            raise ConfigError(f"a study cannot choose its rates with seed {self.rate_seed}")
        if not (0 < self.rate_hz < MOST and 1 <= self.leads < MOST and 1 <= self.labels < MOST):
            raise ConfigError(
                f"a study of {self.leads} leads, {self.labels} labels and {self.rate_hz} Hz is impossible"
            )
        if len({axis.field for axis in self.axes}) < len(self.axes):
            raise ConfigError("the study has an axis twice; give all its levels once")

    def config(self, scale: Scale, learning_rate: float | None = None, seed: int = 0) -> RunConfig:
        """The run of a scale before a test fold is chosen; the default learning rate is that of the base.

        Its `train.seed` follows from the scale and the seed of the trial: were it the seed alone, scales would start
        from equal parameters and batches, and go wrong together, which looks like an effect of an axis. The pilot does
        not go on where a study was extended.

        Raises:
            ConfigError: the run refuses a level.
        """
        levels: dict[str, Any] = {axis.field: scale[axis.name] for axis in self.axes}
        base = self.base
        if MODEL_PRESET in levels:
            base = replace(base, model=preset(levels.pop(MODEL_PRESET)))
        rate = base.train.learning_rate if learning_rate is None else learning_rate
        own_seed = seed if self.paired_seeds else _seed_of(scale, seed)
        own = {**levels, "train.learning_rate": rate, "train.seed": own_seed, **self._start(scale, seed)}
        config = with_fields(base, own)
        if self.reference_macs is not None:
            config = with_share_of_epochs(config, self.reference_macs / self._macs(config))
        return beginnings(config)[0] if seed == PILOT_SEED and config.train.restarts else config

    def _start(self, scale: Scale, seed: int) -> dict[str, Any]:
        runs = [start for start in self.starts if start.scale == scale.name]
        if self.starts and not runs:
            raise ConfigError(f"there is no run with which {scale.name} could begin; leave that scale out")
        if not runs:
            return {}
        start = runs[seed % len(runs)]
        return {"train.start_from": start.run, "train.start_sha256": start.sha256}

    def _macs(self, config: RunConfig) -> int:
        shape = {"leads": self.leads, "labels": self.labels}
        window_samples = config.data.window_samples(self.rate_hz)
        return cost_of(config, **shape, window_samples=window_samples, rate_hz=self.rate_hz).macs

    def fold_configs(self, config: RunConfig) -> dict[str, RunConfig]:
        """The runs of a config: folder below that of the trial -> config.

        There is one run for each test fold; the fold before it, cyclically, is the validation fold.
        """
        if not self.folds:
            return {"": config}
        configs = (with_fields(config, {"data.test_folds": (fold,)}) for fold in self.folds)
        return dict(zip(self.run_names, configs, strict=True))

    @property
    def run_names(self) -> tuple[str, ...]:
        """The folder of each run of a trial, below that of the trial; "" without cross-fitting."""
        return tuple(f"fold_{fold}" for fold in self.folds) or ("",)

    def runs(self, trial: Trial) -> dict[str, RunConfig]:
        """The runs of a trial: folder below its own -> config."""
        return self.fold_configs(self.config(trial.scale, trial.learning_rate, trial.seed))

    def trial_key(self, trial: Trial) -> str:
        """Hash of the trial's configs, without data path, feed and parallel mode, and of the set's fingerprint."""
        parts = [*(_key_values(config) for config in self.runs(trial).values()), self.fingerprint]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def beginnings(self) -> "list[Study]":
        """The studies that go on as this one, because only their epochs end earlier."""
        return [replace(self, base=base) for base in beginnings(self.base)]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, without the fields of the base that the trials set themselves."""
        values = to_dict(self)
        for name in self.varied:
            part, _, knob = name.partition(".")
            if name == MODEL_PRESET:
                del values["base"]["model"]
            else:
                values["base"].get(part, {}).pop(knob, None)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Study":
        """The study that `to_dict` turned into `values`; files of earlier versions name no axes, and pair the seeds.

        Raises:
            ConfigError: a key is unknown or missing.
        """
        return from_dict(cls, {"axes": [asdict(axis) for axis in READY_MADE], "paired_seeds": True, **values})

    @property
    def varied(self) -> tuple[str, ...]:
        """The fields of a run that a trial sets."""
        return (*(axis.field for axis in self.axes), "train.learning_rate", "train.seed")


def _key_values(config: RunConfig) -> dict[str, Any]:
    """The fields that make a trial's key; those of `LATER` only where they have another value than the default."""
    config = same_run(config)
    values = to_dict(config)
    for name in LATER:
        if get_field(config, name) == get_field(RunConfig(), name):
            part, _, knob = name.partition(".")
            del values[part][knob]
    return values


def with_share_of_epochs(config: RunConfig, share: float) -> RunConfig:
    """The run with a share of its epochs, 2 for twice as many; at least one in each cycle of its schedule."""
    ends = [0]
    for end in (*config.train.restarts, config.train.epochs):
        ends.append(max(round(share * end), ends[-1] + 1))
    return with_fields(config, {"train.epochs": ends[-1], "train.restarts": tuple(ends[1:-1])})


def on_halves(base: RunConfig) -> RunConfig:
    """The run on half of its training patients, for twice the epochs, so with about as many steps."""
    return with_share_of_epochs(with_fields(base, {"data.training_share": base.data.training_share / 2}), 2)


def make_study(
    base: RunConfig, axes: Iterable[Axis], folds: Sequence[int], prepared: "PreparedSet", *, paired_seeds: bool = False
) -> Study:
    """A study in one form: the base has the default value of every field that the trials set.

    Of an axis only the order of its categories is kept; the levels of numbers are those of the grids.

    Raises:
        ConfigError: the test folds are given twice.
    """
    if folds and (base.data.test_folds is not None or base.data.validation_folds is not None):
        raise ConfigError("--folds gives the test and validation folds; leave out --data.test-folds and the like")
    kept = tuple(axis if axis.kind == "categorical" else replace(axis, levels=()) for axis in axes)
    about = (prepared.fingerprint, prepared.rate_hz, len(prepared.leads), len(prepared.labels))
    study = Study(base, kept, tuple(sorted(set(folds))), *about, paired_seeds, rate_seed=PILOT_SEED)
    fields = [name for name in study.varied if name != MODEL_PRESET]
    defaults = {name: get_field(RunConfig(), name) for name in fields}
    if MODEL_PRESET in study.varied:
        base = replace(base, model=ModelConfig())
    return replace(study, base=with_fields(base, defaults))


def _seed_of(scale: Scale, seed: int) -> int:
    """The seed of a training, below 2^32, that no other scale of the study has."""
    text = json.dumps([scale.to_dict(), seed], sort_keys=True)  # the axes may be given in any order
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def chosen_rate(tried: Mapping[float, float | None]) -> float | None:
    """The rate with the best validation metric, the smaller of two equal ones; None if all failed (are None)."""
    worked = {rate: value for rate, value in tried.items() if value is not None}
    return min(worked, key=lambda rate: (-worked[rate], rate), default=None)


def default_rates(rate: float) -> tuple[float, ...]:
    """Four rates around one, each three times the one before: a third of it, itself, three and nine times it."""
    return tuple(_rounded(rate * 3.0**step) for step in (-1, 0, 1, 2))


def rate_beyond(tried: Mapping[float, float | None], given: Sequence[float]) -> float | None:
    """The rate to try next: one step beyond the edge at which the best of those tried stands.

    None if the best stands at no edge, all failed, or the most steps were taken beyond this edge of those `given`.
    """
    best, order = chosen_rate(tried), sorted(tried)
    if best is None or len(order) < 2 or rate_edge(best, order) is None:
        return None
    edge, inner = (order[-1], order[-2]) if best == order[-1] else (order[0], order[1])
    beyond = [rate for rate in order if (rate > max(given) if best == order[-1] else rate < min(given))]
    following = _rounded(edge * edge / inner)
    return following if len(beyond) < STEPS_BEYOND and 0 < following <= 1000 else None


def rate_edge(rate: float, tried: Iterable[float]) -> Literal["low", "high"] | None:
    """At which edge of the rates tried this one stands; None if at none, or if there was no choice."""
    order = sorted(tried)
    if len(order) < 2 or rate not in (order[0], order[-1]):
        return None
    return "low" if rate == order[0] else "high"


def _rounded(rate: float) -> float:
    return float(f"{rate:.3g}")
