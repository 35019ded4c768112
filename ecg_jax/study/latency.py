"""The latency of one window at each scale on this machine, measured once and kept in `latency.json`."""

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from ecg_jax.analysis.axes import Scale
from ecg_jax.errors import RunError
from ecg_jax.files import write_text
from ecg_jax.study.runner import Runner
from ecg_jax.study.workdir import UNREADABLE, StudyFolder, read_object

FILE = "latency.json"


def latencies(folder: StudyFolder, scales: Iterable[Scale], runner: Runner) -> dict[Scale, float]:
    """Milliseconds for one window at each scale on this machine; what is in `latency.json` is not measured again."""
    path = folder.path / FILE
    by_machine = _read(path)
    known = by_machine.setdefault(machine(), {})
    found = {}
    for scale in scales:
        if scale.name not in known:
            known[scale.name] = round(runner.measure_latency(folder.study, scale), 4)
            write_text(path, json.dumps(by_machine, indent=2) + "\n")
        found[scale] = known[scale.name]
    return found


def costs_of_files(
    folder: StudyFolder, scales: Iterable[Scale], runner: Runner, runtime: str
) -> dict[Scale, dict[str, float]]:
    """`latency_ms` and `bytes` of the exported file of each scale, kept as those of `latencies` are."""
    path = folder.path / FILE
    by_machine = _read(path)
    known_ms, known_bytes = (by_machine.setdefault(key, {}) for key in (machine(runtime), f"bytes, {runtime}"))
    found = {}
    for scale in scales:
        if scale.name not in known_ms or scale.name not in known_bytes:
            milliseconds, size = runner.measure_file(folder.study, scale, runtime)
            known_ms[scale.name], known_bytes[scale.name] = round(milliseconds, 4), size
            write_text(path, json.dumps(by_machine, indent=2) + "\n")
        found[scale] = {"latency_ms": known_ms[scale.name], "bytes": known_bytes[scale.name]}
    return found


def forget(path: Path) -> None:
    """Removes the latencies of this machine from the folder of a study, so that they are measured again."""
    by_machine = _read(path / FILE)
    if by_machine.pop(machine(), None) is not None:
        write_text(path / FILE, json.dumps(by_machine, indent=2) + "\n")


def _read(path: Path) -> dict[str, dict[str, float]]:
    """Machine -> name of a scale -> milliseconds; empty if there is no file.

    Raises:
        RunError: the file cannot be read.
    """
    try:
        by_machine = read_object(path)
        if not all(value > 0 for known in by_machine.values() for value in known.values()):
            raise ValueError("a latency is not above 0")
    except FileNotFoundError:
        return {}
    except UNREADABLE as error:
        raise RunError(f"{path} cannot be read ({error}); delete it, and the latencies are measured again") from error
    return by_machine


def machine(runtime: str | None = None) -> str:
    """The names of the processor and accelerator of this machine, without its host name, and a runtime on it."""
    import jax

    device = jax.devices()[0]
    accelerator = "" if device.platform == "cpu" else f", {device.device_kind}"
    name = f"{_processor()}, {os.cpu_count()} cores{accelerator}"
    return name if runtime is None else f"{name}, exported for {runtime}"


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
