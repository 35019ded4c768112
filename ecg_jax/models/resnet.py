"""ResNet1D: a 1-D residual network of any scale, from a `ModelConfig`.

May import jax, flax, `config` and this room; nothing that reads files, knows labels or trains.
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from ecg_jax.config import ModelConfig, RunConfig
from ecg_jax.import_path import function_at
from ecg_jax.models.blocks import ResidualBlock, Stem
from ecg_jax.models.conv import Formulation
from ecg_jax.models.heads import Head
from ecg_jax.models.layout import is_part, layout


class ResNet1D(nn.Module):
    """Stem, stages of residual blocks, head (He et al. 2016, arXiv 1512.03385, in one dimension).

    `axis_name` is the name of the `pmap` axis over which the batch is distributed, None without `pmap`; `formulation`
    is how the convolutions are computed; the parts in `frozen` work in training as they do in an evaluation.
    """

    config: ModelConfig
    n_classes: int
    axis_name: str | None = None
    formulation: Formulation = "direct"
    frozen: tuple[str, ...] = ()

    @nn.compact
    def __call__(self, x: Array, valid: Array | None = None, *, train: bool) -> Array:
        """Logits [B, K] float32 of normalised `x` [B, T, L]; `valid` [B, T] bool is True where a sample is signal.

        The values of invalid samples, NaN included, have no influence; all samples of a padding row are invalid.
        Training with a dropout rate above 0 needs the random stream "dropout".
        """
        config = self.config
        dtype = jnp.dtype(config.precision)
        mask = None
        if valid is not None:
            x = jnp.where(valid[:, :, None], x, 0)
            mask = valid[:, :, None].astype(dtype)  # [B, T, 1]
        x = x.astype(dtype)

        def learns(module: str) -> bool:
            return train and not is_part(module, self.frozen)

        stem = Stem(config, self.axis_name, self.formulation, name="stem")
        x, mask = stem(x, mask, train=learns("stem"))  # [B, T', C]
        for block in layout(config):
            residual = ResidualBlock(config, block, self.axis_name, self.formulation, name=block.name)
            x, mask = residual(x, mask, train=learns(block.name))
        return Head(config, self.n_classes, self.axis_name, name="head")(x, mask, train=learns("head"))


Network = Callable[[ModelConfig, int, str | None], nn.Module]
"""`network(config, n_classes, axis_name)` returns a module that is called like `ResNet1D`."""


def build_network(
    config: RunConfig, n_classes: int, *, axis_name: str | None = None, formulation: Formulation = "direct"
) -> nn.Module:
    """Builds the network of a run: `ResNet1D`, or the user's own, which is called in the same way.

    `formulation` is that of the convolutions of `ResNet1D`.

    Raises:
        RunError: the user's own function cannot be imported.
    """
    name = config.functions.network
    if not name:
        return ResNet1D(config.model, n_classes, axis_name, formulation, config.train.freeze)
    make: Network = function_at(name, "network")
    return make(config.model, n_classes, axis_name)
