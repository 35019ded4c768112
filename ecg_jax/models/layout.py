"""What blocks a `ModelConfig` stands for: read by `resnet.py`, which builds them, and `cost.py`, which counts them.

Whole numbers only. May import `config`.
"""

from dataclasses import dataclass

from ecg_jax.config import ModelConfig

EXPANSION = 4  # channels at the end of a bottleneck, over those inside it


@dataclass(frozen=True)
class Block:
    """One residual block: channels after and length of each of its convolutions, and which of them strides."""

    name: str
    widths: tuple[int, ...]
    kernels: tuple[int, ...]
    stride: int
    strided: int


@dataclass(frozen=True)
class Layout:
    """Channels of the stem's convolutions, and the blocks in order."""

    stem_channels: tuple[int, ...]
    blocks: tuple[Block, ...]


def layout(config: ModelConfig) -> Layout:
    """The blocks of a config, stage by stage; the first block of a stage strides.

    A bottleneck strides on its middle convolution, as torchvision and fastai do (He et al. strode on the first).
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
    return Layout(config.stem_channels or (config.channels,), tuple(blocks))
