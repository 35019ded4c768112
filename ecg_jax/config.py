"""All settings of a run as frozen dataclasses, with their defaults; to and from JSON, dotted names and flags.

The text under a field is its help on the command line. May import only `errors` from this package.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import dacite
import tyro

from ecg_jax.errors import ConfigError, reason_of

WIDEST = 2**16  # channels of a layer
MOST_STAGES = 32
FLAT = tyro.conf.arg(name="")  # the fields of a nested config become flags without a prefix


@dataclass(frozen=True)
class Range:
    """The values that a number may have: from `low` to `high`, or between them where a limit is excluded."""

    low: float
    high: float
    whole: bool = False
    above: bool = False
    """Whether `low` is excluded."""
    below: bool = False
    """Whether `high` is excluded."""

    def __contains__(self, value: Any) -> bool:
        inside = self.low <= value <= self.high and not (self.above and value == self.low)  # NaN is not inside
        return inside and not (self.below and value == self.high) and not (self.whole and value != int(value))

    def __str__(self) -> str:
        first = f"more than {self.low}," if self.above else f"{'a whole number from ' if self.whole else ''}{self.low}"
        return f"{first} {'up to, but below,' if self.below else 'up to' if self.above else 'to'} {self.high}"


def _number(default: Any, low: float, high: float, *, above: bool = False, below: bool = False) -> Any:
    """A field whose number, or each number of a tuple, must be in a range; whole if the default is."""
    first = default[0] if isinstance(default, tuple) and default else default
    return field(default=default, metadata={"range": Range(low, high, not isinstance(first, float), above, below)})


def _check_ranges(part: str, config: Any) -> None:
    for knob in dataclasses.fields(config):
        allowed, value = knob.metadata.get("range"), getattr(config, knob.name)
        numbers = value if isinstance(value, tuple) else (value,)
        holds = allowed is None or all(number in allowed for number in numbers)
        _require(holds, f"--{part}.{knob.name.replace('_', '-')} is {value}; give {allowed}")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


@dataclass(frozen=True)
class DataConfig:
    """Which prepared set, which of its folds, and how long a window of a record the network sees."""

    path: Annotated[Path, tyro.conf.arg(aliases=("--data",))] = Path()
    """Folder of a prepared set."""
    window_seconds: float = _number(10.0, 0, 3600, above=True)
    """Length of the window that the network sees, in seconds; shorter records are padded, and the padding is masked."""
    test_folds: tuple[int, ...] | None = None
    """Folds that are only read by `evaluate`; by default the last fold of the set; the flag without a number: none."""
    validation_folds: tuple[int, ...] | None = None
    """Folds on which the epoch and the thresholds are chosen; by default the fold before the test folds, cyclically."""
    normalise: Literal["set", "record"] = "set"
    """Means and deviations: `set`: one pair a lead, of the training records; `record`: those of each window itself."""
    training_share: float = _number(1.0, 0, 1, above=True)
    """Share of the training patients whose records are used; a larger share contains the patients of a smaller one."""
    training_draw: int = _number(0, 0, 2**31 - 1)
    """Which patients that share has: another number draws others."""
    feed: Annotated[Literal["auto", "host", "resident"], tyro.conf.arg(aliases=("--feed",))] = "auto"
    """`resident` keeps the set in device memory, whole on each device or split over them; `host` reads it through
    tf.data; `auto`: resident if the set fits."""

    def __post_init__(self) -> None:
        _check_ranges("data", self)

    def window_samples(self, rate_hz: float) -> int:
        """Length of the window in samples."""
        return max(1, round(self.window_seconds * rate_hz))


@dataclass(frozen=True)
class ModelConfig:
    """Scale and shape of a 1-D ResNet. Depth, channels and kernel can be varied independently."""

    depth: int | tuple[int, ...] = _number(2, 1, 1000)
    """Residual blocks in each stage (D): one number for all stages, or one for each."""
    channels: int = _number(32, 1, WIDEST)
    """Channels in the first stage (C)."""
    kernel: int | tuple[int, ...] = _number(7, 1, 10_000)
    """Kernel length of the block convolutions, in samples (K): one number, or one for each convolution of a block."""
    base_channels: int = _number(0, 0, WIDEST)
    """Above 0: initial values and learning rates change with the channels so that the best rate is that of a network
    with so many channels (muP, for AdamW). 0: they do not."""
    growth: float = _number(2.0, 0, 16, above=True)
    """Factor by which the channels grow from one stage to the next."""
    strides: tuple[int, ...] = _number((1, 2, 2, 2), 1, 1000)
    """Stride of each stage; the number of strides is the number of stages."""
    stem_kernel: int = _number(7, 1, 10_000)
    """Kernel length of the stem convolutions, in samples."""
    stem_stride: int = _number(2, 1, 1000)
    """Stride of the first stem convolution."""
    stem_channels: tuple[int, ...] = _number((), 1, WIDEST)
    """Channels of each stem convolution; by default there is one, with as many channels as the first stage."""
    stem_pool: bool = True
    """Whether maximum pooling (3 samples, stride 2) follows the stem."""
    block: Literal["basic", "bottleneck"] = "basic"
    """`basic`: two convolutions; `bottleneck`: kernels 1, K and 1, and four times as many channels after the last."""
    shortcut: Literal["conv", "pool"] = "conv"
    """Of a block with a stride: a strided 1x1 convolution, or average pooling (and a 1x1 one if channels change)."""
    dilation: int = _number(1, 1, 1000)
    """Distance between the samples that a block convolution reads."""
    dropout: float = _number(0.0, 0, 1, below=True)
    """Dropout probability between the convolutions of a block."""
    head: Literal["gap", "concat", "attention", "flatten"] = "gap"
    """From [T, C] to the labels: mean over T; maximum and mean, then a hidden layer; weighted mean; all samples."""
    head_hidden: int = _number(128, 1, WIDEST)
    """Width of the hidden layer in the `concat` head."""
    head_dropout: float = _number(0.0, 0, 1, below=True)
    """Dropout probability before the last layer (in `concat` also half of it before the hidden layer)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of the activations; parameters and sums for the normalisation are always float32."""

    def __post_init__(self) -> None:
        _check_ranges("model", self)
        convolutions = 2 if self.block == "basic" else 3
        stages = len(self.strides)
        _require(1 <= stages <= MOST_STAGES, f"--model.strides gives {stages} stages; give 1 to {MOST_STAGES} numbers")
        last = self.channels * self.growth ** (stages - 1)
        _require(
            last <= WIDEST,
            f"--model.growth {self.growth} gives stage {stages} {last:.0f} channels; the most are {WIDEST}",
        )
        _require(
            isinstance(self.depth, int) or len(self.depth) == len(self.strides),
            f"--model.depth {self.depth} does not fit --model.strides {self.strides}: give one number a stage",
        )
        _require(
            isinstance(self.kernel, int) or len(self.kernel) == convolutions,
            f"--model.kernel {self.kernel}: a {self.block} block takes one number or {convolutions}",
        )


@dataclass(frozen=True)
class TrainConfig:
    """How the parameters are fitted."""

    epochs: int = _number(30, 1, 100_000)
    """Passes over the training records; each pass takes one random window of every record."""
    batch_size: int = _number(64, 1, 1_000_000)
    """Windows in one step, summed over all devices."""
    seed: int = _number(0, 0, 2**32 - 1)
    """Random seed of the initial parameters, order of records, windows, augmentation and dropout."""
    loss: Literal["auto", "bce", "cross_entropy", "weighted", "focal"] = "auto"
    """`auto`: cross-entropy if the labels exclude each other, else binary; `weighted`: rare classes count more."""
    label_smoothing: float = _number(0.0, 0, 1, below=True)
    """Share of each training label that is spread evenly over its alternatives; not in the validation loss."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or SGD with Nesterov momentum 0.9."""
    learning_rate: float = _number(3e-3, 0, 1000, above=True)
    """The highest learning rate of the schedule."""
    schedule: Literal["one_cycle", "warmup_cosine"] = "one_cycle"
    """`one_cycle` warms up for 30 % of the steps, `warmup_cosine` for 5 %; then both decay as a cosine."""
    restarts: tuple[int, ...] = _number((), 1, 100_000)
    """Epochs after which the schedule begins again; the last cycle ends with the last epoch. A run that has ended at
    the first of them goes on from its last checkpoint."""
    weight_decay: float = _number(1e-2, 0, 100)
    """Decoupled weight decay of convolution and dense kernels; normalisation parameters and biases do not decay."""
    clip_norm: float = _number(1.0, 0, 1_000_000)
    """Largest norm of the gradient; 0: no clipping."""
    ema: float = _number(0.99, 0, 1, below=True)
    """Decay of the moving average of the parameters, which is evaluated; 0: the last parameters are evaluated."""
    start_from: Path | None = None
    """Finished run, or file of `ecg-jax pack`, whose best variables this run begins with, as far as they fit."""
    start_rate: float = _number(1.0, 0, 1000, above=True)
    """Factor of the learning rate for the parameters that were taken."""
    freeze: tuple[str, ...] = ()
    """Parts of the network that stay as they were taken, such as stem stage1: parameters and running statistics. They
    work as in an evaluation, without dropout."""
    start_sha256: Annotated[str, tyro.conf.Suppress] = ""
    """Of the variables in `start_from`; the run itself fills it in."""
    best_metric: Literal[
        "macro_auroc", "macro_auprc", "macro_f1", "loss", "aami", "cinc2017", "cinc2021", "cinc2025", "cpsc2018"
    ] = "macro_auroc"
    """Validation metric by which the best epoch is chosen."""
    parallel: Annotated[Literal["jit", "pmap"], tyro.conf.arg(aliases=("--parallel",))] = "jit"
    """How a step is distributed over devices."""
    tensorboard: bool = False
    """Whether TensorBoard event files are written too (needs the extra [tensorboard])."""

    def __post_init__(self) -> None:
        _check_ranges("train", self)
        cycles = (0, *self.restarts, self.epochs)
        _require(
            all(end < following for end, following in pairwise(cycles)),
            f"--train.restarts is {self.restarts}; give ascending numbers below the {self.epochs} of --train.epochs",
        )


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of the training windows, drawn for each window separately; 0 turns a change off."""

    gain: float = _number(0.0, 0, 1)
    """Largest relative change of amplitude: 0.2 multiplies by 0.8 to 1.2."""
    sign: float = _number(0.0, 0, 1)
    """Probability that the sign of all leads is inverted."""
    noise: float = _number(0.0, 0, 100)
    """Largest standard deviation of white noise, in standard deviations of the signal."""
    baseline: float = _number(0.0, 0, 100)
    """Largest amplitude of a slow wave (0.05-0.5 Hz) added to each lead, in standard deviations of the signal."""
    time_mask: float = _number(0.0, 0, 1)
    """Largest share of the window that is set to zero."""
    lead_drop: float = _number(0.0, 0, 1)
    """Probability that a lead is set to zero (never all leads)."""
    stretch: float = _number(0.0, 0, 1, below=True)
    """Largest relative change of speed: 0.1 makes the signal 0.9 to 1.1 times as fast, from a longer window."""
    mixup: float = _number(0.0, 0, 100)
    """Alpha of the Beta distribution from which the weights of two mixed windows are drawn."""

    def __post_init__(self) -> None:
        _check_ranges("augment", self)


@dataclass(frozen=True)
class EvaluateConfig:
    """How the windows of a record are combined into one prediction."""

    overlap: float = _number(0.5, 0, 1, below=True)
    """Share by which neighbouring windows overlap."""
    pool: Literal["mean", "max"] = "mean"
    """How the probabilities of the windows are combined into that of the record."""
    resamples: int = _number(1000, 20, 100_000)
    """Number of bootstrap resamples of patients for each 95 % interval."""

    def __post_init__(self) -> None:
        _check_ranges("evaluate", self)


@dataclass(frozen=True)
class Functions:
    """The user's own functions, as MODULE:FUNCTION; empty: those of this package."""

    network: str = ""
    """Function of your own that makes the network, as MODULE:FUNCTION on PYTHONPATH."""
    loss: str = ""
    """Loss of your own, likewise."""
    augment: str = ""
    """Augmentation of your own, likewise."""

    @property
    def named(self) -> tuple[str, ...]:
        """The functions that are named."""
        return tuple(name for name in (self.network, self.loss, self.augment) if name)


@dataclass(frozen=True)
class RunConfig:
    """All settings of a run. The command line is generated from it, and a workdir holds it as `config.json`."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    functions: Functions = field(default_factory=Functions)


def to_dict(config: Any) -> dict[str, Any]:
    """A config as plain JSON values."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))


def from_dict(kind: type, values: dict[str, Any]) -> Any:
    """The config of type `kind` that `to_dict` turned into `values`.

    Raises:
        ConfigError: a key is unknown or missing, or a value has the wrong type.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{kind.__name__} cannot be read from this JSON: it is not an object")
    try:
        return dacite.from_dict(kind, values, _READING)
    except (dacite.DaciteError, ArithmeticError, TypeError, ValueError) as error:
        raise ConfigError(f"{kind.__name__} cannot be read from this JSON: {reason_of(error)}") from error


def _as_int(value: Any) -> Any:
    if isinstance(value, bool):  # Python counts it among the whole numbers
        raise dacite.WrongTypeError(int, value)
    return value


def _as_float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):  # 1.0 may be written as 1
        raise dacite.WrongTypeError(float, value)
    return float(value)


def _as_list(value: Any) -> Any:
    if not isinstance(value, list | tuple):  # a text would become its letters
        raise dacite.WrongTypeError(list, value)
    return value


_LISTS = (tuple[int, ...], tuple[float, ...], tuple[str, ...])
_HOOKS = {int: _as_int, float: _as_float, **dict.fromkeys(_LISTS, _as_list)}
_READING = dacite.Config(strict=True, cast=[tuple, Path], type_hooks=_HOOKS)


def same_run(config: RunConfig) -> RunConfig:
    """The config without the fields that may differ at a restart: paths, feed and parallel mode."""
    free = {"data.path": Path(), "data.feed": "auto", "train.parallel": "jit", "train.start_from": None}
    return with_fields(config, free)


def extended(config: RunConfig, more_epochs: Iterable[int]) -> RunConfig:
    """The config of a run that goes on, once or several times, for more epochs, each time with another cycle of rates.

    Raises:
        ConfigError: a number of epochs is refused.
    """
    for more in more_epochs:
        train = config.train
        fields = {"train.restarts": (*train.restarts, train.epochs), "train.epochs": train.epochs + more}
        config = with_fields(config, fields)
    return config


def beginnings(config: RunConfig) -> list[RunConfig]:
    """The configs whose runs go on as this one: those that end where the schedule of this one begins again."""
    ends = config.train.restarts
    return [
        with_fields(config, {"train.epochs": end, "train.restarts": ends[:place]}) for place, end in enumerate(ends)
    ]


def get_field(config: Any, name: str) -> Any:
    """The value of a field by its dotted name, such as `model.depth`."""
    for part in name.split("."):
        config = getattr(config, part)
    return config


def with_fields(config: Any, values: Mapping[str, Any]) -> Any:
    """A copy of the config with other values of some fields, given by dotted names.

    Raises:
        ConfigError: a value is refused by the config.
    """
    changed: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        first, _, rest = name.partition(".")
        if rest:
            inner.setdefault(first, {})[rest] = value
        else:
            changed[first] = value
    parts = {first: with_fields(getattr(config, first), fields) for first, fields in inner.items()}
    return replace(config, **changed, **parts)


def flags(config: RunConfig) -> list[str]:
    """The command-line flags that make a config from the default one, without data path, feed and parallel mode."""
    found: list[str] = []
    default = same_run(RunConfig())
    config = with_fields(same_run(config), {"train.start_from": config.train.start_from, "train.start_sha256": ""})
    for part in ("data", "model", "train", "augment", "evaluate", "functions"):
        for knob in dataclasses.fields(getattr(default, part)):
            value = getattr(getattr(config, part), knob.name)
            if value == getattr(getattr(default, part), knob.name):
                continue
            flag = knob.name.replace("_", "-")
            if isinstance(value, bool):
                found.append(f"--{part}.{flag}" if value else f"--{part}.no-{flag}")
            else:
                found += [f"--{part}.{flag}", *map(str, value if isinstance(value, tuple) else [value])]
    return found
