"""How a step is distributed over devices: `jit` or `pmap`. No other module uses devices."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ecg_jax.errors import RunError

AXIS = "data"


def keep_compiled(folder: Path) -> None:
    """Makes JAX keep compiled functions in a folder, so that later runs of the same scale reuse them."""
    folder.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder.resolve()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    reset_cache()  # JAX decides at its first compilation whether there is a cache


class Devices:
    """Places values on the devices and compiles functions for them, under `jit` or `pmap`.

    A function `f(everywhere, arrays, item)` gets its first two arguments whole on each device and the rows of its third
    one split over the devices. Its results are whole on each device, or with `rows=True` split by rows. Under `jit` it
    is written for the global batch and the compiler adds the communication. Under `pmap` it sees the rows of one device
    and communicates over the axis `axis_name`; this is `jax.shard_map`, on which `jax.pmap` is built since JAX 0.8.
    """

    def __init__(self, mode: Literal["jit", "pmap"] = "jit", devices: Sequence[Any] | None = None):
        """Takes all devices by default.

        Raises:
            RunError: JAX runs in several processes.
        """
        if jax.process_count() > 1:
            raise RunError("training in several processes is not supported; start one process on one host")
        self._mesh = Mesh(np.array(devices or jax.devices()), (AXIS,))
        self.axis_name = AXIS if mode == "pmap" else None

    def __len__(self) -> int:
        return self._mesh.size

    def put_everywhere(self, tree: Any) -> Any:
        """Copies a pytree to every device."""
        return jax.device_put(tree, NamedSharding(self._mesh, P()))

    def put_rows(self, tree: Any) -> Any:
        """Splits the rows of the arrays of a pytree over the devices."""
        return jax.device_put(tree, NamedSharding(self._mesh, P(AXIS)))

    def compile(self, function: Callable[..., Any], *, rows: bool = False, donate: bool = False) -> Callable[..., Any]:
        """Compiles `function(everywhere, arrays, item)`; `donate` gives the memory of `everywhere` to the result."""
        result = P(AXIS) if rows else P()
        if self.axis_name is not None:
            specs = {"in_specs": (P(), P(), P(AXIS)), "out_specs": result}
            function = jax.shard_map(function, mesh=self._mesh, **specs, check_vma=False)
        donated = (0,) if donate else ()
        return jax.jit(function, donate_argnums=donated, out_shardings=NamedSharding(self._mesh, result))
