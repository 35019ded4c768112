"""The latency of one window at each scale on this machine, measured once and kept in `latency.json`."""

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from ecg_jax.analysis.axes import Scale
from ecg_jax.files import write_text
from ecg_jax.study.runner import Runner
from ecg_jax.study.workdir import StudyFolder

FILE = "latency.json"


def latencies(folder: StudyFolder, scales: Iterable[Scale], runner: Runner) -> dict[Scale, float]:
    """Milliseconds for one window at each scale on this machine; what is in `latency.json` is not measured again."""
    path = folder.path / FILE
    by_machine = json.loads(path.read_text()) if path.is_file() else {}
    known: dict[str, float] = by_machine.setdefault(machine(), {})
    found = {}
    for scale in scales:
        if scale.name not in known:
            known[scale.name] = round(runner.measure_latency(folder.study, scale), 4)
            write_text(path, json.dumps(by_machine, indent=2) + "\n")
        found[scale] = known[scale.name]
    return found


def forget(path: Path) -> None:
    """Removes the latencies of this machine from the folder of a study, so that they are measured again."""
    file = path / FILE
    if file.is_file():
        by_machine = json.loads(file.read_text())
        by_machine.pop(machine(), None)
        write_text(file, json.dumps(by_machine, indent=2) + "\n")


def machine() -> str:
    """The names of the processor and accelerator of this machine, without its host name."""
    import jax

    device = jax.devices()[0]
    accelerator = "" if device.platform == "cpu" else f", {device.device_kind}"
    return f"{_processor()}, {os.cpu_count()} cores{accelerator}"


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
