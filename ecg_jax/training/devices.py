"""How a step is spread over devices: `jit` over a mesh, or `pmap`. The one place that knows devices."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ecg_jax.errors import RunError

AXIS = "data"


def keep_compiled(folder: Path) -> None:
    """Has JAX keep what it compiles in a folder, for later runs of the same scale, on one kind of machine."""
    folder.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder.resolve()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    reset_cache()  # what was compiled before may have settled that there is none


class Devices:
    """Places values and compiles functions for `jit` over a mesh or for `pmap`, so that callers need not know which.

    A function `f(everywhere, arrays, item)` gets its first two arguments whole on each device and its third one's rows
    split; its results are all whole on each device again, or with `rows=True` all split by rows.
    """

    def __init__(self, mode: Literal["jit", "pmap"] = "jit", devices: Sequence[Any] | None = None):
        """By default all devices.

        Raises:
            RunError: there are several processes, which this loop does not write files for.
        """
        if jax.process_count() > 1:
            raise RunError("training over several processes is not there yet; start one process on one host")
        self.mode = mode
        self.devices = list(devices or jax.devices())
        self._mesh = Mesh(np.array(self.devices), (AXIS,))
        self.axis_name = AXIS if mode == "pmap" else None

    def __len__(self) -> int:
        return len(self.devices)

    def put_everywhere(self, tree: Any) -> Any:
        """Copies a pytree to every device, explicitly."""
        if self.mode == "pmap":
            stacked = jax.tree.map(lambda x: np.stack([np.asarray(x)] * len(self)), tree)
            return self._put(stacked, PartitionSpec(AXIS))
        return self._put(tree, PartitionSpec())

    def put_rows(self, tree: Any) -> Any:
        """Splits the rows of arrays over the devices, explicitly."""
        if self.mode == "pmap":
            tree = jax.tree.map(lambda x: np.reshape(x, (len(self), -1, *np.shape(x)[1:])), tree)
        return self._put(tree, PartitionSpec(AXIS))

    def _put(self, tree: Any, spec: PartitionSpec) -> Any:
        return jax.device_put(tree, NamedSharding(self._mesh, spec))

    def first(self, tree: Any) -> Any:
        """One copy, on the first device, of what lies on every device."""
        if self.mode == "pmap":
            return jax.tree.map(lambda x: x.addressable_shards[0].data[0], tree)
        return jax.tree.map(lambda x: x.addressable_shards[0].data, tree)

    def fetch_rows(self, tree: Any) -> Any:
        """All rows as NumPy arrays."""
        tree = jax.device_get(tree)
        if self.mode == "pmap":
            return jax.tree.map(lambda x: np.reshape(x, (-1, *x.shape[2:])), tree)
        return tree

    def compile(self, function: Callable[..., Any], *, rows: bool = False, donate: bool = False) -> Callable[..., Any]:
        """Compiles `function(everywhere, arrays, item)`; `donate` gives the first argument's memory to the result."""
        donated = (0,) if donate else ()
        if self.mode == "pmap":
            return jax.pmap(function, axis_name=AXIS, devices=self.devices, donate_argnums=donated)
        spec = PartitionSpec(AXIS) if rows else PartitionSpec()
        return jax.jit(function, donate_argnums=donated, out_shardings=NamedSharding(self._mesh, spec))
