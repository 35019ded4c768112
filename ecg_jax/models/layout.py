"""The blocks that a `ModelConfig` describes; `resnet.py` builds them, `cost.py` counts them.

Numbers only, no arrays. May import `config`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ecg_jax.config import ModelConfig

EXPANSION = 4  # channels at the end of a bottleneck, divided by those inside it


@dataclass(frozen=True)
class Block:
    """One residual block: output channels and length of each convolution, its stride, and which convolution has it."""

    name: str
    widths: tuple[int, ...]
    kernels: tuple[int, ...]
    stride: int
    strided: int


def stem_channels(config: ModelConfig) -> tuple[int, ...]:
    """The channels of each convolution of the stem."""
    return config.stem_channels or (config.channels,)


def is_part(module: str, parts: Iterable[str]) -> bool:
    """Whether a module of the network is one of some parts, or a block of one: stage1_block1 is a part of stage1."""
    return any(module == part or module.startswith(f"{part}_") for part in parts)


def layout(config: ModelConfig) -> list[Block]:
    """The blocks of a config, stage by stage; the first block of a stage has the stride.

    A bottleneck has its stride in the middle convolution, as in torchvision and fastai (He et al.: in the first one).
    """
    stages = len(config.strides)
    depths = (config.depth,) * stages if isinstance(config.depth, int) else config.depth
    bottleneck = config.block == "bottleneck"
    kernels = config.kernel
    if isinstance(kernels, int):
        kernels = (1, kernels, 1) if bottleneck else (kernels, kernels)
    blocks = []
    for stage, (depth, stride) in enumerate(zip(depths, config.strides, strict=True)):
        width = max(1, round(config.channels * config.growth**stage))
        widths = (width, width, width * EXPANSION) if bottleneck else (width, width)
        for i in range(depth):
            name = f"stage{stage + 1}_block{i + 1}"
            blocks.append(Block(name, widths, kernels, stride if i == 0 else 1, strided=int(bottleneck)))
    return blocks
