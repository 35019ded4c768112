"""What a scale costs and sees, before anyone builds it: arithmetic on whole numbers.

May import `config` and `layout`.
"""

from dataclasses import dataclass

from ecg_jax.config import ModelConfig
from ecg_jax.models.layout import Block, layout


@dataclass(frozen=True)
class Cost:
    """Cost of one row of a batch, and the reach of one sample before the head pools."""

    parameters: int
    """Trained numbers; running statistics are not counted."""
    macs: int
    """Multiply-accumulates of convolutions and dense layers, products with padding left out."""
    receptive_field_samples: int
    """From the first to the last input sample that one output sample sees."""
    receptive_field_ms: float
    """The same in milliseconds: samples over rate."""
    total_stride: int
    """Input samples from one output sample to the next."""
    activation_bytes: int
    """Held from the forward to the backward pass: results of convolutions, of their norms and ReLUs, and of pools."""


def cost(config: ModelConfig, *, leads: int, labels: int, window_samples: int, rate_hz: float) -> Cost:
    """Cost of `ResNet1D(config, labels)` on windows of [window_samples, leads]."""
    count = _Count(window_samples, leads)
    plan = layout(config)
    for i, channels in enumerate(plan.stem_channels):
        count.convolution(channels, config.stem_kernel, config.stem_stride if i == 0 else 1)
    if config.stem_pool:
        count.pool(before=1, after=1, stride=2)
    for block in plan.blocks:
        _add_block(count, block, config)
    _add_head(count, config, labels)
    seen = count.before + 1 + count.after
    return Cost(
        parameters=count.parameters,
        macs=count.macs,
        receptive_field_samples=seen,
        receptive_field_ms=1000 * seen / rate_hz,
        total_stride=count.stride,
        activation_bytes=count.activations * (4 if config.precision == "float32" else 2),
    )


class _Count:
    """Walks down the network: where it is ([T, C] and reach), and what it has met."""

    def __init__(self, samples: int, channels: int) -> None:
        self.samples, self.channels = samples, channels
        self.before = self.after = 0  # input samples that one sample here sees on either side of its own
        self.stride = 1
        self.parameters = self.macs = self.activations = 0

    def convolution(self, channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        """A convolution and its norm."""
        reach = (kernel - 1) * dilation
        before = reach // 2
        products = sum(_hits(self.samples, tap * dilation - before, stride) for tap in range(kernel))
        self.macs += products * self.channels * channels
        self.parameters += kernel * self.channels * channels + 2 * channels
        self._move(before, reach - before, stride)
        self.channels = channels
        self.activations += 2 * self.samples * channels

    def pool(self, *, before: int, after: int, stride: int) -> None:
        self._move(before, after, stride)
        self.activations += self.samples * self.channels

    def dense(self, inputs: int, outputs: int, times: int = 1) -> None:
        self.macs += times * inputs * outputs
        self.parameters += inputs * outputs + outputs

    def _move(self, before: int, after: int, stride: int) -> None:
        self.before += before * self.stride
        self.after += after * self.stride
        self.stride *= stride
        self.samples = -(-self.samples // stride)


def _hits(samples: int, offset: int, stride: int) -> int:
    """How many i >= 0, with i * stride below `samples`, have a sample at i * stride + offset."""
    outputs = -(-samples // stride)
    first = max(0, -(offset // stride))
    last = min(outputs - 1, (samples - 1 - offset) // stride)
    return max(0, last - first + 1)


def _add_block(count: _Count, block: Block, config: ModelConfig) -> None:
    samples, channels, before, after, stride = count.samples, count.channels, count.before, count.after, count.stride
    for i, (width, kernel) in enumerate(zip(block.widths, block.kernels, strict=True)):
        count.convolution(width, kernel, block.stride if i == block.strided else 1, config.dilation)

    beside = _Count(samples, channels)
    beside.before, beside.after, beside.stride = before, after, stride
    left = block.stride
    if config.shortcut == "pool" and left > 1:
        beside.pool(before=0, after=left - 1, stride=left)
        left = 1
    if channels != block.widths[-1] or left > 1:
        beside.convolution(block.widths[-1], 1, left)
    count.parameters += beside.parameters
    count.macs += beside.macs
    count.activations += beside.activations
    count.after = max(count.after, beside.after)  # a shortcut looks ahead only


def _add_head(count: _Count, config: ModelConfig, labels: int) -> None:
    features = count.channels
    if config.head == "flatten":
        features *= count.samples
    elif config.head == "attention":
        count.dense(features, 1, times=count.samples)
    elif config.head == "concat":
        count.dense(2 * features, config.head_hidden)
        count.parameters += 2 * (2 * features + config.head_hidden)  # two norms
        features = config.head_hidden
    count.dense(features, labels)
