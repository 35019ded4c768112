"""Commands on studies: `study`, `report` and `recommend`."""

import sys
from pathlib import Path
from typing import Literal

import tyro

from ecg_jax.import_path import allow_code_flag
from ecg_jax.terminal import next_step, say

Runtime = Literal["onnx", "tflite", "tflite-int8"]


def study(
    workdir: tyro.conf.Positional[Path],
    storage: str = "",
    storage_file: Path | None = None,
    allow_code: bool = False,
) -> None:
    """Shows the progress of a study: continuously in a terminal, otherwise once.

    Args:
        workdir: Folder of a study (experiments/scale.py makes one).
        storage: PostgreSQL URL of the study, if it has moved.
        storage_file: File that holds this URL, if it needs a password; PGPASSWORD and ~/.pgpass work too.
        allow_code: Import the functions that the study's study.json names, if you trust them.
    """
    from ecg_jax.study.status import show as show_study
    from ecg_jax.study.storage import given_storage

    show_study(workdir, storage=given_storage(storage, storage_file), allow_code=allow_code)
    next_step("ecg-jax", "report", workdir, *allow_code_flag(allow_code))


def report(
    workdir: tyro.conf.Positional[Path],
    data: Path | None = None,
    runtime: Runtime | None = None,
    allow_code: bool = False,
) -> None:
    """Prints the findings of a study and writes its report; of an unfinished study, of its finished trials.

    Args:
        workdir: Folder of a study.
        data: The prepared set, if it has been moved since.
        runtime: Latency and bytes of the files that `export` writes, instead of the latency in JAX.
        allow_code: Import the functions that the study's study.json names, if you trust them.
    """
    from ecg_jax.report.write import write_report

    written = write_report(workdir, data=data, runtime=runtime, allow_code=allow_code)
    say(*written.answer, f"report: {written.page}")
    say(f"next: {written.next}", file=sys.stderr)


def recommend(
    workdir: tyro.conf.Positional[Path],
    max_macs: float | None = None,
    max_parameters: float | None = None,
    max_latency_ms: float | None = None,
    runtime: Runtime | None = None,
    label: str | None = None,
    tolerate: float = 0.005,
    data: Path | None = None,
    allow_code: bool = False,
) -> None:
    """Recommends the cheapest scale that loses little against the best, with the command that trains it.

    Args:
        workdir: Folder of a study.
        max_macs: Largest number of multiply-accumulates for one window.
        max_parameters: Largest number of parameters.
        max_latency_ms: Longest time for one window on this machine, in milliseconds.
        runtime: The time is that of the file that `export` writes, run by ONNX Runtime or LiteRT, instead of JAX.
        label: Choose by the AUROC of this label only.
        tolerate: AUROC that the scale may be expected to lose against the best one within the budget.
        data: The prepared set, if it has been moved since.
        allow_code: Import the functions that the study's study.json names, if you trust them.
    """
    from ecg_jax.report.recommend import advise

    limits = {"macs": max_macs, "parameters": max_parameters, "latency_ms": max_latency_ms}
    budget = {name: limit for name, limit in limits.items() if limit is not None}
    say(*advise(workdir, budget, label=label, tolerate=tolerate, data=data, runtime=runtime, allow_code=allow_code))
