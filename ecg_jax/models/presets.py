"""Published networks as `ModelConfig`; `dataclasses.replace` changes them. May import `config` and `errors`.

The number beside each is its parameters at 12 leads and 5 labels. The ResNets are those of He et al. 2016 (arXiv
1512.03385, table 1; padding and stride of torchvision) in one dimension. `resnet1d_wang` is the best network on
superdiagnostic PTB-XL in the benchmark of Strodthoff et al. 2021 (arXiv 2004.13701), based on Wang et al. 2017 (arXiv
1611.06455). The XResNets are those of the same benchmark (He et al. 2019, arXiv 1812.01187, with equal widths).
"""

from dataclasses import replace

from ecg_jax.config import ModelConfig
from ecg_jax.errors import ConfigError

_RESNET = ModelConfig(depth=2, channels=64, kernel=3)
_WANG = ModelConfig(
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
_XRESNET = ModelConfig(
    depth=2,
    channels=64,
    kernel=5,
    growth=1,
    stem_kernel=5,
    stem_channels=(32, 32, 64),
    shortcut="pool",
    head="concat",
    head_dropout=0.5,
)

PRESETS = {
    "resnet18_1d": _RESNET,  # 3,851,397
    "resnet34_1d": replace(_RESNET, depth=(3, 4, 6, 3)),  # 7,225,733
    "resnet50_1d": replace(_RESNET, depth=(3, 4, 6, 3), block="bottleneck"),  # 15,969,413
    "resnet1d_wang": _WANG,  # 473,349
    "xresnet1d18": replace(_XRESNET, depth=(2, 2, 2, 2)),  # 364,933
    "xresnet1d34": replace(_XRESNET, depth=(3, 4, 6, 3)),  # 694,661
    "xresnet1d50": replace(_XRESNET, depth=(3, 4, 6, 3), block="bottleneck"),  # 953,989
    "xresnet1d101": replace(_XRESNET, depth=(3, 4, 23, 3), block="bottleneck"),  # 1,872,261
}


def preset(name: str) -> ModelConfig:
    """The settings of a published network.

    Raises:
        ConfigError: there is no preset of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"there is no model preset {name!r}; choose from {', '.join(PRESETS)}")
    return PRESETS[name]
