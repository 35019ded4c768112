"""How steps are distributed over devices: `jit` or `pmap`. No other module uses devices."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import psutil
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ecg_jax.errors import ConfigError, reason_of
from ecg_jax.training.processes import agreed

AXIS = "data"
ROWS = P(None, None, AXIS)  # items are [S, R, B, ...]: steps, runs, rows
STEPS_PER_CALL = 32  # on accelerators, where Python cannot start steps as fast as they end


def use_only(numbers: Sequence[int]) -> None:
    """Restricts this process to some devices of its machine, given by their numbers, before JAX uses any.

    JAX takes most of the memory of every GPU that it sees, and all chips of a TPU. Devices of a CPU are virtual: there
    this process gets as many as there are numbers.

    Raises:
        ConfigError: there are no such devices.
    """
    text, given = ",".join(map(str, numbers)), f"--devices {' '.join(map(str, numbers))}"
    if len(set(numbers)) < len(numbers) or min(numbers) < 0:
        raise ConfigError(f"{given}: give different numbers, from 0 up")
    os.environ.update(TPU_VISIBLE_CHIPS=text, TPU_PROCESS_BOUNDS="1,1,1")
    for name in ("jax_cuda_visible_devices", "jax_rocm_visible_devices"):
        jax.config.update(name, text)
    jax.config.update("jax_num_cpu_devices", len(numbers))
    try:
        found = len(jax.devices())
    except RuntimeError as error:
        raise ConfigError(f"{given}: JAX cannot use these devices ({reason_of(error)})") from error
    if found != len(numbers):
        raise ConfigError(f"{given}: JAX finds {found} {jax.default_backend()} devices; give numbers of devices here")


@dataclass(frozen=True)
class Devices:
    """Places values on devices and compiles steps for them, under `jit` or `pmap`; by default on all devices.

    Under `jit` a step is written for the global batch and the compiler adds the communication. Under `pmap` it sees the
    rows of one device and communicates over the axis `axis_name`; this is `jax.shard_map`, on which `jax.pmap` is built
    since JAX 0.8.
    """

    mode: Literal["jit", "pmap"] = "jit"
    devices: tuple[Any, ...] = ()

    @property
    def axis_name(self) -> str | None:
        """The mapped axis under `pmap`."""
        return AXIS if self.mode == "pmap" else None

    @property
    def steps_per_call(self) -> int:
        """Largest number of steps in one call; 1 on CPU, where a loop over convolutions is slow."""
        return 1 if self._all[0].platform == "cpu" else STEPS_PER_CALL

    @property
    def memory_bytes(self) -> int:
        """Memory of one device, or of the machine if that is not known."""
        stats = jax.local_devices()[0].memory_stats() or {}
        return agreed(lambda: stats.get("bytes_limit") or psutil.virtual_memory().total)

    @cached_property
    def _all(self) -> tuple[Any, ...]:
        return self.devices or tuple(sorted(jax.devices(), key=lambda device: (device.process_index, device.id)))

    @cached_property
    def _own(self) -> tuple[int, int]:
        """The first of the devices of this process, and that after the last one."""
        local = jax.local_devices()
        own = [place for place, device in enumerate(self._all) if device in local]
        return own[0], own[-1] + 1

    @property
    def _mesh(self) -> Mesh:
        return Mesh(np.array(self._all), (AXIS,))

    def __len__(self) -> int:
        return len(self._all)

    def put_everywhere(self, tree: Any) -> Any:
        """Copies a pytree, which is the same in all processes, to every device."""
        return self._put(tree, P())

    def own_rows(self, tree: Any) -> Any:
        """The rows of the arrays [R, B, ...] of a pytree that are on the devices of this process."""
        first, end = self._own
        rows = len(jax.tree.leaves(tree)[0][0]) // len(self)
        return jax.tree.map(lambda x: x[:, first * rows : end * rows], tree)

    def put_rows(self, tree: Any) -> Any:
        """Splits the rows of this process, arrays [S, R, B, ...], over its devices, as a part of the global batch."""
        return self._put(tree, ROWS)

    @property
    def parts(self) -> int:
        """Number of devices over which `put_parts` splits an array: all of them; under `pmap` 1."""
        return len(self) if self.mode == "jit" else 1

    def put_parts(self, array: np.ndarray, *, fill: Any) -> Any:
        """Splits an array [N, ...], which is the same in all processes, over the devices; `fill` makes parts equal."""
        padded = np.pad(array, ((0, -len(array) % self.parts), *[(0, 0)] * (array.ndim - 1)), constant_values=fill)
        size, (first, end) = len(padded) // self.parts, self._own
        return self._put(padded[first * size : end * size], P(AXIS))

    def _put(self, tree: Any, spec: P) -> Any:
        sharding = NamedSharding(self._mesh, spec)
        if jax.process_count() == 1:
            return jax.device_put(tree, sharding)

        def put(x: Any) -> Any:
            own = np.asarray(x)
            return jax.make_array_from_process_local_data(sharding, own, own.shape if spec == P() else None)

        with jax.transfer_guard("allow"):  # JAX does not count it among the explicit transfers
            return jax.tree.map(put, tree)

    def compile(self, step: Callable[..., Any], *, rows: bool = False) -> Callable[..., Any]:
        """Compiles `step(carry, inputs, item) -> (carry, output)` into a function that takes several steps in a call.

        Args:
            step: takes one item [R, B, ...]; carry and inputs are whole on each device.
            rows: whether the outputs have rows [R, B, ...], as the items.

        Returns:
            `steps(carry, inputs, items, count) -> (carry, outputs)`: the first `count` of the items [S, R, B, ...] are
            used, and the results are whole on each device. The memory of the carry is given to the result.
        """

        def steps(carry: Any, inputs: Any, items: Any, count: Any) -> Any:
            size = len(jax.tree.leaves(items)[0])
            if size == 1:
                carry, output = step(carry, inputs, _at(items, 0))
                return carry, jax.tree.map(lambda x: x[None], output)
            shapes = jax.eval_shape(step, carry, inputs, _at(items, 0))[1]
            outputs = jax.tree.map(lambda x: jnp.zeros((size, *x.shape), x.dtype), shapes)

            def one(place: Any, results: Any) -> Any:
                carry, output = step(results[0], inputs, _at(items, place))
                return carry, jax.tree.map(lambda all_, x: all_.at[place].set(x), results[1], output)

            return lax.fori_loop(0, count, one, (carry, outputs))

        function: Callable[..., Any] = steps
        if self.axis_name is not None:
            specs = {"in_specs": (P(), P(), ROWS, P()), "out_specs": (P(), ROWS if rows else P())}
            function = jax.shard_map(steps, mesh=self._mesh, **specs, check_vma=False)
        return jax.jit(function, donate_argnums=0, out_shardings=NamedSharding(self._mesh, P()))


def _at(tree: Any, place: Any) -> Any:
    return jax.tree.map(lambda x: x[place], tree)
