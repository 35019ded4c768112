"""All settings of a run as frozen dataclasses, with their defaults; to and from JSON, dotted names and flags.

The text under a field is its help on the command line. May import only `errors` from this package.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import dacite
import tyro

from ecg_jax.errors import ConfigError


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


@dataclass(frozen=True)
class DataConfig:
    """Which prepared set, which of its folds, and how long a window of a record the network sees."""

    path: Annotated[Path, tyro.conf.arg(aliases=("--data",))] = Path()
    """Folder of a prepared set."""
    window_seconds: float = 10.0
    """Length of the window that the network sees, in seconds; shorter records are padded, and the padding is masked."""
    test_folds: tuple[int, ...] | None = None
    """Folds that are only read by `evaluate`; by default the last fold of the set; the flag without a number: none."""
    validation_folds: tuple[int, ...] | None = None
    """Folds on which the epoch and the thresholds are chosen; by default the fold before the test folds, cyclically."""
    training_share: float = 1.0
    """Share of the training patients whose records are used; a larger share contains the patients of a smaller one."""
    feed: Annotated[Literal["auto", "host", "resident"], tyro.conf.arg(aliases=("--feed",))] = "auto"
    """`resident` keeps the set in device memory, `host` reads it through tf.data; `auto`: resident if the set fits."""

    def __post_init__(self) -> None:
        _require(self.window_seconds > 0, f"--data.window-seconds is {self.window_seconds:g}; give more than 0")
        share = self.training_share
        _require(0 < share <= 1, f"--data.training-share is {share:g}; give more than 0, up to 1")

    def window_samples(self, rate_hz: float) -> int:
        """Length of the window in samples."""
        return max(1, round(self.window_seconds * rate_hz))


@dataclass(frozen=True)
class ModelConfig:
    """Scale and shape of a 1-D ResNet. Depth, channels and kernel can be varied independently."""

    depth: int | tuple[int, ...] = 2
    """Residual blocks in each stage (D): one number for all stages, or one for each."""
    channels: int = 32
    """Channels in the first stage (C)."""
    kernel: int | tuple[int, ...] = 7
    """Kernel length of the block convolutions, in samples (K): one number, or one for each convolution of a block."""
    growth: float = 2.0
    """Factor by which the channels grow from one stage to the next."""
    strides: tuple[int, ...] = (1, 2, 2, 2)
    """Stride of each stage; the number of strides is the number of stages."""
    stem_kernel: int = 7
    """Kernel length of the stem convolutions, in samples."""
    stem_stride: int = 2
    """Stride of the first stem convolution."""
    stem_channels: tuple[int, ...] = ()
    """Channels of each stem convolution; by default there is one, with as many channels as the first stage."""
    stem_pool: bool = True
    """Whether maximum pooling (3 samples, stride 2) follows the stem."""
    block: Literal["basic", "bottleneck"] = "basic"
    """`basic`: two convolutions; `bottleneck`: kernels 1, K and 1, and four times as many channels after the last."""
    shortcut: Literal["conv", "pool"] = "conv"
    """Of a block with a stride: a strided 1x1 convolution, or average pooling (and a 1x1 one if channels change)."""
    dilation: int = 1
    """Distance between the samples that a block convolution reads."""
    dropout: float = 0.0
    """Dropout probability between the convolutions of a block."""
    head: Literal["gap", "concat", "attention", "flatten"] = "gap"
    """From [T, C] to the labels: mean over T; maximum and mean, then a hidden layer; weighted mean; all samples."""
    head_hidden: int = 128
    """Width of the hidden layer in the `concat` head."""
    head_dropout: float = 0.0
    """Dropout probability before the last layer (in `concat` also half of it before the hidden layer)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of the activations; parameters and sums for the normalisation are always float32."""

    def __post_init__(self) -> None:
        for knob in ("depth", "channels", "kernel", "stem_kernel", "stem_stride", "dilation", "head_hidden"):
            value = getattr(self, knob)
            least = min(value, default=0) if isinstance(value, tuple) else value
            _require(least >= 1, f"--model.{knob.replace('_', '-')} is {value}; give whole numbers from 1 up")
        convolutions = 2 if self.block == "basic" else 3
        _require(bool(self.strides) and min(self.strides) >= 1, "--model.strides: give one whole number a stage")
        _require(
            isinstance(self.depth, int) or len(self.depth) == len(self.strides),
            f"--model.depth {self.depth} does not fit --model.strides {self.strides}: give one number a stage",
        )
        _require(
            isinstance(self.kernel, int) or len(self.kernel) == convolutions,
            f"--model.kernel {self.kernel}: a {self.block} block takes one number or {convolutions}",
        )
        _require(all(c >= 1 for c in self.stem_channels), "--model.stem-channels: give whole numbers from 1 up")
        _require(self.growth > 0, f"--model.growth is {self.growth:g}; give more than 0")
        for knob in ("dropout", "head_dropout"):
            value = getattr(self, knob)
            _require(0 <= value < 1, f"--model.{knob.replace('_', '-')} is {value:g}; give a share from 0 up to 1")


@dataclass(frozen=True)
class TrainConfig:
    """How the parameters are fitted."""

    epochs: int = 30
    """Passes over the training records; each pass takes one random window of every record."""
    batch_size: int = 64
    """Windows in one step, summed over all devices."""
    seed: int = 0
    """Random seed of the initial parameters, order of records, windows, augmentation and dropout."""
    loss: Literal["auto", "bce", "cross_entropy", "weighted", "focal"] = "auto"
    """`auto`: cross-entropy if the labels exclude each other, else binary; `weighted`: rare classes count more."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or SGD with Nesterov momentum 0.9."""
    learning_rate: float = 3e-3
    """The highest learning rate of the schedule."""
    schedule: Literal["one_cycle", "warmup_cosine"] = "one_cycle"
    """`one_cycle` warms up for 30 % of the steps, `warmup_cosine` for 5 %; then both decay as a cosine."""
    weight_decay: float = 1e-2
    """Decoupled weight decay of convolution and dense kernels; normalisation parameters and biases do not decay."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; 0: no clipping."""
    ema: float = 0.99
    """Decay of the moving average of the parameters, which is evaluated; 0: the last parameters are evaluated."""
    best_metric: Literal["macro_auroc", "macro_auprc", "macro_f1", "loss", "cinc2017"] = "macro_auroc"
    """Validation metric by which the best epoch is chosen."""
    parallel: Annotated[Literal["jit", "pmap"], tyro.conf.arg(aliases=("--parallel",))] = "jit"
    """How a step is distributed over devices."""
    tensorboard: bool = False
    """Whether TensorBoard event files are written too (needs the extra [tensorboard])."""

    def __post_init__(self) -> None:
        for knob in ("epochs", "batch_size"):
            value = getattr(self, knob)
            _require(value >= 1, f"--train.{knob.replace('_', '-')} is {value}; give a whole number from 1 up")
        _require(0 <= self.seed < 2**32, f"--train.seed is {self.seed}; give a whole number from 0 up to 2**32 - 1")
        _require(self.learning_rate > 0, f"--train.learning-rate is {self.learning_rate:g}; give more than 0")
        _require(0 <= self.ema < 1, f"--train.ema is {self.ema:g}; give a number from 0 up to 1")


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of the training windows, drawn for each window separately; 0 turns a change off."""

    gain: float = 0.0
    """Largest relative change of amplitude: 0.2 multiplies by 0.8 to 1.2."""
    sign: float = 0.0
    """Probability that the sign of all leads is inverted."""
    noise: float = 0.0
    """Largest standard deviation of white noise, in standard deviations of the signal."""
    baseline: float = 0.0
    """Largest amplitude of a slow wave (0.05-0.5 Hz) added to each lead, in standard deviations of the signal."""
    time_mask: float = 0.0
    """Largest share of the window that is set to zero."""
    lead_drop: float = 0.0
    """Probability that a lead is set to zero (never all leads)."""
    mixup: float = 0.0
    """Alpha of the Beta distribution from which the weights of two mixed windows are drawn."""

    def __post_init__(self) -> None:
        for knob, most in (("gain", 1), ("sign", 1), ("time_mask", 1), ("lead_drop", 1)):
            value = getattr(self, knob)
            _require(0 <= value <= most, f"--augment.{knob.replace('_', '-')} is {value:g}; give 0 to {most}")
        for knob in ("noise", "baseline", "mixup"):
            _require(getattr(self, knob) >= 0, f"--augment.{knob} is {getattr(self, knob):g}; give 0 or more")


@dataclass(frozen=True)
class EvaluateConfig:
    """How the windows of a record are combined into one prediction."""

    overlap: float = 0.5
    """Share by which neighbouring windows overlap."""
    pool: Literal["mean", "max"] = "mean"
    """How the probabilities of the windows are combined into that of the record."""
    resamples: int = 1000
    """Number of bootstrap resamples of patients for each 95 % interval."""

    def __post_init__(self) -> None:
        _require(0 <= self.overlap < 1, f"--evaluate.overlap is {self.overlap:g}; give a share from 0 up to 1")
        _require(self.resamples >= 20, f"--evaluate.resamples is {self.resamples}; an interval needs 20 or more")


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
        return dacite.from_dict(kind, values, dacite.Config(strict=True, cast=[tuple, Path], type_hooks={float: float}))
    except dacite.DaciteError as error:
        raise ConfigError(f"{kind.__name__} cannot be read from this JSON: {error}") from error


def same_run(config: RunConfig) -> RunConfig:
    """The config without the fields that may differ at a restart: data path, feed and parallel mode."""
    return with_fields(config, {"data.path": Path(), "data.feed": "auto", "train.parallel": "jit"})


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
    for part in ("data", "model", "train", "augment", "evaluate", "functions"):
        for knob in dataclasses.fields(getattr(default, part)):
            value = getattr(getattr(same_run(config), part), knob.name)
            if value == getattr(getattr(default, part), knob.name):
                continue
            flag = knob.name.replace("_", "-")
            if isinstance(value, bool):
                found.append(f"--{part}.{flag}" if value else f"--{part}.no-{flag}")
            else:
                found += [f"--{part}.{flag}", *map(str, value if isinstance(value, tuple) else [value])]
    return found
