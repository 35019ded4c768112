"""Writes StableHLO with `jax.export`: for CPU, CUDA and TPU in one file, for any batch size.

The file is what `jax.export.deserialize` reads. JAX keeps such files readable for at least six months.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export, lax

from ecg_jax.export.function import Precision, WindowFunction

PLATFORMS = ("cpu", "cuda", "tpu")


def batch_of_windows(function: WindowFunction) -> jax.ShapeDtypeStruct:
    """The input of the function for any number of windows."""
    (batch,) = export.symbolic_shape("batch")
    return jax.ShapeDtypeStruct((batch, function.samples, function.leads), jnp.float32)


def write(function: WindowFunction, precision: Precision) -> bytes:
    """The function as StableHLO; in `float16` its kernels are stored in 16 bits, and computed with in float32."""

    def stored(leaf: Any) -> np.ndarray:
        return np.asarray(leaf, np.float16 if precision == "float16" and np.ndim(leaf) > 1 else np.float32)

    variables = jax.tree.map(stored, function.variables)

    def call(signal_mv: Any) -> Any:
        return function.apply(jax.tree.map(lambda x: lax.convert_element_type(x, jnp.float32), variables), signal_mv)

    exported = export.export(jax.jit(call), platforms=PLATFORMS)(batch_of_windows(function))
    return bytes(exported.serialize())
