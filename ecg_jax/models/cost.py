"""What a network costs and how many samples it sees, before it is trained.

`cost` is arithmetic on whole numbers and loads no JAX; `traced_cost` works for a network of any kind.
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from ecg_jax.config import ModelConfig, RunConfig
from ecg_jax.models.layout import Block, layout, stem_channels


@dataclass(frozen=True)
class Cost:
    """Cost of one row of a batch; `result.json` has these fields."""

    parameters: int
    """Trained numbers, without running statistics."""
    macs: int
    """Multiply-accumulates of convolutions and dense layers, without products with padding."""
    receptive_field_samples: int | None
    """From the first to the last input sample on which one sample before the head depends; None if it is unknown."""
    receptive_field_ms: float | None
    """The same in milliseconds."""


@dataclass(frozen=True)
class ResNetCost(Cost):
    """What is known of `ResNet1D` besides."""

    total_stride: int
    """Input samples from one sample before the head to the next."""
    activation_bytes: int
    """Kept from the forward to the backward pass: outputs of convolutions, of their norms and ReLUs, and of pools."""


@cache
def cost_of(config: RunConfig, *, leads: int, labels: int, window_samples: int, rate_hz: float) -> Cost:
    """Cost of the network of a run: `ResNet1D` by arithmetic, a user's own network by tracing it.

    Raises:
        RunError: the user's own function cannot be imported.
    """
    if not config.functions.network:
        return cost(config.model, leads=leads, labels=labels, window_samples=window_samples, rate_hz=rate_hz)
    from ecg_jax.models.resnet import build_network

    return traced_cost(build_network(config, labels), leads=leads, window_samples=window_samples)


def traced_cost(network: Any, *, leads: int, window_samples: int) -> Cost:
    """Counts the parameters and MACs of any Flax network on windows of [window_samples, leads].

    The MACs are half of the operations that XLA counts for each convolution and matrix product; those of a scanned
    body count once for each iteration, of the branches of a condition all, of a loop of unknown length one iteration.
    """
    import jax

    window = jax.ShapeDtypeStruct((1, window_samples, leads), "float32")
    variables = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, train=False), window)
    traced = jax.make_jaxpr(lambda variables, x: network.apply(variables, x, train=False))(variables, window)
    times: dict[str, int] = {}
    example: dict[str, Any] = {}
    for equation, n in _products(traced.jaxpr, 1):
        key = str(([v.aval for v in equation.invars], equation.params))  # equal equations are lowered once
        times[key], example[key] = times.get(key, 0) + n, equation
    operations = 0.0
    for key, equation in example.items():
        operands = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in equation.invars]
        bind = partial(equation.primitive.bind, **equation.params)
        analysis: Any = jax.jit(bind).lower(*operands).cost_analysis()
        operations += times[key] * analysis["flops"]
    parameters = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    return Cost(parameters, round(operations / 2), receptive_field_samples=None, receptive_field_ms=None)


def _products(jaxpr: Any, times: int) -> Any:
    """Yields the convolutions and matrix products of a jaxpr, and how often each is computed."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("conv_general_dilated", "dot_general"):
            yield equation, times
        inner = times * equation.params["length"] if equation.primitive.name == "scan" else times
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                if hasattr(part, "eqns") or hasattr(part, "jaxpr"):
                    yield from _products(getattr(part, "jaxpr", part), inner)


def cost(config: ModelConfig, *, leads: int, labels: int, window_samples: int, rate_hz: float) -> ResNetCost:
    """Cost of `ResNet1D(config, labels)` on windows of [window_samples, leads]."""
    count = _Count(window_samples, leads)
    for i, channels in enumerate(stem_channels(config)):
        count.convolution(channels, config.stem_kernel, config.stem_stride if i == 0 else 1)
    if config.stem_pool:
        count.pool(before=1, after=1, stride=2)
    for block in layout(config):
        _add_block(count, block, config)
    _add_head(count, config, labels)
    receptive_field = count.before + 1 + count.after
    return ResNetCost(
        parameters=count.parameters,
        macs=count.macs,
        receptive_field_samples=receptive_field,
        receptive_field_ms=1000 * receptive_field / rate_hz,
        total_stride=count.stride,
        activation_bytes=count.activations * (4 if config.precision == "float32" else 2),
    )


class _Count:
    """Adds up the layers from the input on; holds the shape [T, C] and the receptive field at the current layer."""

    def __init__(self, samples: int, channels: int) -> None:
        self.samples, self.channels = samples, channels
        self.before = self.after = 0  # input samples before and after its own that one sample here depends on
        self.stride = 1
        self.parameters = self.macs = self.activations = 0

    def convolution(self, channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        """Adds a convolution and its norm."""
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
    """Number of outputs i, in the range 0 <= i * stride < samples, for which a sample exists at i * stride + offset."""
    outputs = -(-samples // stride)
    first = max(0, -(offset // stride))
    last = min(outputs - 1, (samples - 1 - offset) // stride)
    return max(0, last - first + 1)


def _add_block(count: _Count, block: Block, config: ModelConfig) -> None:
    start = count.samples, count.channels, count.before, count.after, count.stride
    stride = block.stride
    if config.shortcut == "pool" and stride > 1:
        count.pool(before=0, after=stride - 1, stride=stride)
        stride = 1
    if count.channels != block.widths[-1] or stride > 1:
        count.convolution(block.widths[-1], 1, stride)
    after_of_shortcut = count.after  # a shortcut depends on later samples only
    count.samples, count.channels, count.before, count.after, count.stride = start
    for i, (width, kernel) in enumerate(zip(block.widths, block.kernels, strict=True)):
        count.convolution(width, kernel, block.stride if i == block.strided else 1, config.dilation)
    count.after = max(count.after, after_of_shortcut)


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
