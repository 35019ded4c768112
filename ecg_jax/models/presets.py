"""Published networks as `ModelConfig`; `dataclasses.replace` changes them. May import `config` and `errors`.

Parameter counts are those at 12 leads and 5 labels.
"""

from collections.abc import Callable

from ecg_jax.config import ModelConfig
from ecg_jax.errors import ConfigError


def resnet18_1d() -> ModelConfig:
    """ResNet-18 (He et al. 2016, arXiv 1512.03385, table 1; torchvision's padding) along time: 3,851,397 parameters."""
    return ModelConfig(depth=2, channels=64, kernel=3)


def resnet34_1d() -> ModelConfig:
    """ResNet-34, adapted like `resnet18_1d`: 7,225,733 parameters."""
    return ModelConfig(depth=(3, 4, 6, 3), channels=64, kernel=3)


def resnet50_1d() -> ModelConfig:
    """ResNet-50 with the stride in the middle convolution, as in torchvision: 15,969,413 parameters."""
    return ModelConfig(depth=(3, 4, 6, 3), channels=64, kernel=3, block="bottleneck")


def resnet1d_wang() -> ModelConfig:
    """The best network of Strodthoff et al. 2021 (arXiv 2004.13701) on superdiagnostic PTB-XL: 473,349 parameters.

    Based on Wang et al. 2017 (arXiv 1611.06455): three blocks of 128 channels, receptive field 37 samples.
    """
    return ModelConfig(
        depth=1,
        channels=128,
        kernel=(5, 3),
        growth=1,
        strides=(1, 2, 2),
        stem_kernel=7,
        stem_stride=1,
        stem_pool=False,
        head="concat",
        head_dropout=0.5,
    )


def xresnet1d18() -> ModelConfig:
    """XResNet-18 of the same benchmark (He et al. 2019, arXiv 1812.01187, with equal widths): 364,933 parameters."""
    return _xresnet1d((2, 2, 2, 2))


def xresnet1d34() -> ModelConfig:
    """XResNet-34 of the same benchmark: 694,661 parameters."""
    return _xresnet1d((3, 4, 6, 3))


def xresnet1d50() -> ModelConfig:
    """XResNet-50 of the same benchmark: 953,989 parameters."""
    return _xresnet1d((3, 4, 6, 3), bottleneck=True)


def xresnet1d101() -> ModelConfig:
    """XResNet-101 of the same benchmark: 1,872,261 parameters."""
    return _xresnet1d((3, 4, 23, 3), bottleneck=True)


def _xresnet1d(depth: tuple[int, ...], *, bottleneck: bool = False) -> ModelConfig:
    return ModelConfig(
        depth=depth,
        channels=64,
        kernel=5,
        growth=1,
        stem_kernel=5,
        stem_channels=(32, 32, 64),
        block="bottleneck" if bottleneck else "basic",
        shortcut="pool",
        head="concat",
        head_dropout=0.5,
    )


_RESNETS = (resnet18_1d, resnet34_1d, resnet50_1d, resnet1d_wang)
_XRESNETS = (xresnet1d18, xresnet1d34, xresnet1d50, xresnet1d101)
_BY_NAME: dict[str, Callable[[], ModelConfig]] = {make.__name__: make for make in (*_RESNETS, *_XRESNETS)}

PRESETS = tuple(_BY_NAME)


def preset(name: str) -> ModelConfig:
    """The settings of a published network.

    Raises:
        ConfigError: there is no preset of that name.
    """
    if name not in _BY_NAME:
        raise ConfigError(f"there is no model preset {name!r}; choose from {', '.join(PRESETS)}")
    return _BY_NAME[name]()
