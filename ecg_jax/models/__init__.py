"""1-D residual networks of any scale, their presets and their costs.

`ResNet1D` is imported on first use, so presets and costs work without loading JAX.
"""

from typing import TYPE_CHECKING, Any

from ecg_jax.models.cost import Cost, ResNetCost, cost, cost_of
from ecg_jax.models.presets import PRESETS, preset

if TYPE_CHECKING:
    from ecg_jax.models.resnet import ResNet1D

__all__ = ["PRESETS", "Cost", "ResNet1D", "ResNetCost", "cost", "cost_of", "preset"]


def __getattr__(name: str) -> Any:
    if name == "ResNet1D":
        from ecg_jax.models.resnet import ResNet1D

        return ResNet1D
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
