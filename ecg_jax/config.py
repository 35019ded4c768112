"""Every knob of a run as frozen dataclasses, with the only defaults there are; JSON in and out; nothing else.

The text under a field is its help on the command line. May import nothing of ours but `errors`.
"""

import dataclasses
import json
from dataclasses import dataclass, field
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
    """Which prepared set, which of its folds, and how much of a record the network sees at once."""

    path: Annotated[Path, tyro.conf.arg(aliases=("--data",))] = Path()
    """Folder of a prepared set."""
    window_seconds: float = 10.0
    """Length of the window that the network sees; shorter records are padded and masked."""
    test_folds: tuple[int, ...] | None = None
    """Folds kept for `evaluate`; without a number none; by default the last fold that is present."""
    validation_folds: tuple[int, ...] | None = None
    """Folds that choose epoch and thresholds; by default the last one before the test folds, cyclically."""
    training_share: float = 1.0
    """Share of the training patients that train: the same ones, and more, in every larger share."""
    feed: Annotated[Literal["auto", "host", "resident"], tyro.conf.arg(aliases=("--feed",))] = "auto"
    """`resident` keeps the set on the device, `host` reads through tf.data; `auto`: resident where it fits."""

    def __post_init__(self) -> None:
        _require(self.window_seconds > 0, f"--data.window-seconds is {self.window_seconds:g}; give more than 0")
        share = self.training_share
        _require(0 < share <= 1, f"--data.training-share is {share:g}; give more than 0, up to 1")


@dataclass(frozen=True)
class ModelConfig:
    """Scale and shape of a 1-D ResNet. Depth, channels and kernel can each be varied alone."""

    depth: int | tuple[int, ...] = 2
    """Residual blocks in each stage (D), one number for all or one for each stage."""
    channels: int = 32
    """Channels of the first stage (C)."""
    kernel: int | tuple[int, ...] = 7
    """Length of the block convolutions in samples (K), one number or one for each convolution of a block."""
    growth: float = 2.0
    """Factor of the channels from stage to stage."""
    strides: tuple[int, ...] = (1, 2, 2, 2)
    """Stride of each stage; there are as many stages as strides."""
    stem_kernel: int = 7
    """Length of the stem's convolutions in samples."""
    stem_stride: int = 2
    """Stride of the stem's first convolution."""
    stem_channels: tuple[int, ...] = ()
    """Channels of each convolution of the stem; by default one convolution with the channels of the first stage."""
    stem_pool: bool = True
    """Maximum pooling (3 samples, stride 2) after the stem."""
    block: Literal["basic", "bottleneck"] = "basic"
    """`basic`: two convolutions; `bottleneck`: 1, kernel, 1 with four times the channels at its end."""
    shortcut: Literal["conv", "pool"] = "conv"
    """Where a block strides: a strided 1x1 convolution, or average pooling (and a 1x1 one if channels change)."""
    dilation: int = 1
    """Spacing of the samples that a block convolution sees."""
    dropout: float = 0.0
    """Share of activations dropped between the convolutions of a block."""
    head: Literal["gap", "concat", "attention", "flatten"] = "gap"
    """From [T, C] to labels: mean over time; maximum and mean, then a hidden layer; attention; all samples."""
    head_hidden: int = 128
    """Width of the hidden layer of the `concat` head."""
    head_dropout: float = 0.0
    """Share dropped before the last layer (in `concat` half of it before the hidden layer too)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of the activations; parameters and normalisation sums stay float32."""

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
    """How long and by which rule the parameters are fitted."""

    epochs: int = 30
    """Passes over the training records, one random window of each a pass."""
    batch_size: int = 64
    """Windows in a step, over all devices together."""
    seed: int = 0
    """Decides parameters, order, crops, augmentation and dropout."""
    loss: Literal["auto", "bce", "cross_entropy", "weighted", "focal"] = "auto"
    """`auto`: cross-entropy where labels exclude each other, else binary; `weighted`: rare classes count more."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or SGD with Nesterov momentum 0.9."""
    learning_rate: float = 3e-3
    """The schedule's highest rate."""
    schedule: Literal["one_cycle", "warmup_cosine"] = "one_cycle"
    """`one_cycle` warms up for 30 % of the steps, `warmup_cosine` for 5 %; both end in a cosine."""
    weight_decay: float = 1e-2
    """Decoupled decay of the convolution and dense kernels; norms and biases are left alone."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; 0 does not clip."""
    ema: float = 0.99
    """Decay of the averaged parameters that are evaluated; 0 evaluates the last ones."""
    best_metric: Literal["macro_auroc", "macro_auprc", "macro_f1", "loss", "cinc2017"] = "macro_auroc"
    """Validation figure that chooses the best epoch."""
    parallel: Annotated[Literal["jit", "pmap"], tyro.conf.arg(aliases=("--parallel",))] = "jit"
    """How a step is spread over devices."""
    tensorboard: bool = False
    """Write event files too (needs the extra [tensorboard])."""

    def __post_init__(self) -> None:
        for knob in ("epochs", "batch_size"):
            value = getattr(self, knob)
            _require(value >= 1, f"--train.{knob.replace('_', '-')} is {value}; give a whole number from 1 up")
        _require(0 <= self.seed < 2**32, f"--train.seed is {self.seed}; give a whole number from 0 up to 2**32 - 1")
        _require(self.learning_rate > 0, f"--train.learning-rate is {self.learning_rate:g}; give more than 0")
        _require(0 <= self.ema < 1, f"--train.ema is {self.ema:g}; give a number from 0 up to 1")


@dataclass(frozen=True)
class AugmentConfig:
    """Changes of the training windows, each drawn anew for every window; 0 leaves one out."""

    gain: float = 0.0
    """Largest change of amplitude: 0.2 scales by 0.8 to 1.2."""
    sign: float = 0.0
    """Chance of turning all leads upside down."""
    noise: float = 0.0
    """Largest standard deviation of white noise, in standard deviations of the signal."""
    baseline: float = 0.0
    """Largest amplitude of a slow wave (0.05-0.5 Hz) in each lead, in standard deviations of the signal."""
    time_mask: float = 0.0
    """Longest share of the window that is blanked."""
    lead_drop: float = 0.0
    """Chance of blanking each lead (never all)."""
    mixup: float = 0.0
    """Alpha of the Beta distribution from which two windows' shares are drawn."""

    def __post_init__(self) -> None:
        for knob, most in (("gain", 1), ("sign", 1), ("time_mask", 1), ("lead_drop", 1)):
            value = getattr(self, knob)
            _require(0 <= value <= most, f"--augment.{knob.replace('_', '-')} is {value:g}; give 0 to {most}")
        for knob in ("noise", "baseline", "mixup"):
            _require(getattr(self, knob) >= 0, f"--augment.{knob} is {getattr(self, knob):g}; give 0 or more")


@dataclass(frozen=True)
class EvaluateConfig:
    """How a record's windows become one prediction."""

    overlap: float = 0.5
    """Share that neighbouring windows have in common."""
    pool: Literal["mean", "max"] = "mean"
    """How the windows' probabilities become the record's."""
    resamples: int = 1000
    """Bootstrap resamples of patients behind each 95 % interval."""

    def __post_init__(self) -> None:
        _require(0 <= self.overlap < 1, f"--evaluate.overlap is {self.overlap:g}; give a share from 0 up to 1")
        _require(self.resamples >= 20, f"--evaluate.resamples is {self.resamples}; an interval needs 20 or more")


@dataclass(frozen=True)
class Functions:
    """Functions of the user's own that take the place of ours, as `module:name`; empty: ours."""

    network: str = ""
    loss: str = ""
    augment: str = ""


@dataclass(frozen=True)
class RunConfig:
    """All that decides a run. The command line is made from it, and `config.json` in a workdir is it."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    functions: Annotated[Functions, tyro.conf.Suppress] = field(default_factory=Functions)


def to_dict(config: Any) -> dict[str, Any]:
    """A config as plain JSON values."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))


def from_dict(kind: type, values: dict[str, Any]) -> Any:
    """The config of type `kind` that `to_dict` turned into `values`.

    Raises:
        ConfigError: a key is unknown or missing, or a value has the wrong type.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{kind.__name__} cannot be read from this JSON: it is no object")
    try:
        return dacite.from_dict(kind, values, dacite.Config(strict=True, cast=[tuple, Path], type_hooks={float: float}))
    except dacite.DaciteError as error:
        raise ConfigError(f"{kind.__name__} cannot be read from this JSON: {error}") from error


def same_run(config: RunConfig) -> RunConfig:
    """The config without what may differ at a restart: the data's path, the feed and the parallel mode."""
    data = dataclasses.replace(config.data, path=Path(), feed="auto")
    return dataclasses.replace(config, data=data, train=dataclasses.replace(config.train, parallel="jit"))
