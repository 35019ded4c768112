"""How long one window takes each network on this machine: measured once, then kept in `latency.json`."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ecg_jax.files import write_text
from ecg_jax.study.design import Scale, Study, Trial, window_samples

CALLS = 100
WARM_UP = 10
FILE = "latency.json"

Measure = Callable[[Study, Scale], float]


def latencies(
    workdir: Path, study: Study, scales: Iterable[Scale], measure: Measure | None = None
) -> dict[Scale, float]:
    """Milliseconds for one window at each scale on this machine; what `latency.json` knows is not measured again.

    Args:
        workdir: of the study.
        study: what the scales have in common.
        scales: which to measure.
        measure: in place of `measured`, for tests.
    """
    path, here = workdir / FILE, machine()
    every = json.loads(path.read_text()) if path.is_file() else {}
    known: dict[str, float] = every.setdefault(here, {})
    scales = list(scales)
    for scale in scales:
        if scale.name not in known:
            known[scale.name] = round((measure or measured)(study, scale), 4)
            write_text(path, json.dumps(every, indent=2) + "\n")
    return {scale: known[scale.name] for scale in scales}


def forget(workdir: Path) -> None:
    """Lets this machine's latencies be measured anew."""
    path = workdir / FILE
    if path.is_file():
        every = json.loads(path.read_text())
        every.pop(machine(), None)
        write_text(path, json.dumps(every, indent=2) + "\n")


def measured(study: Study, scale: Scale) -> float:
    """Milliseconds from one window in memory to its logits: the median of 100 calls, after some that do not count."""
    import jax
    import jax.numpy as jnp

    from ecg_jax.training.network import build_network

    config = next(iter(Trial(scale, 1e-3, 0).runs(study).values()))
    network = build_network(config, study.labels)
    window = jnp.zeros((1, window_samples(study), study.leads), jnp.float32)
    shapes = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, train=False), window)
    variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.01, leaf.dtype), shapes)
    forward = jax.jit(lambda variables, window: network.apply(variables, window, train=False))
    taken = []
    for _ in range(WARM_UP + CALLS):
        began = time.perf_counter()
        jax.block_until_ready(forward(variables, window))
        taken.append(time.perf_counter() - began)
    return 1000 * statistics.median(taken[WARM_UP:])


def machine() -> str:
    """The processor and accelerator of this machine, as a reader knows them; no name of a host."""
    import jax

    device = jax.devices()[0]
    accelerator = "" if device.platform == "cpu" else f", {device.device_kind}"
    return f"{_processor()}, {os.cpu_count()} cores{accelerator}"


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
