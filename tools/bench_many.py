"""Time and memory of listing and preparing many recordings in the form of the CinC Challenges.

    python tools/bench_many.py --records 1000 10000 45000 --json many.json

Each number of recordings is measured in a process of its own. The recordings are links to one file of 10 s with 12
leads at `--rate-hz`; each has a header of its own.
"""

import json
import multiprocessing
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from scipy.io import savemat

from ecg_jax.dataset.prepare import prepare
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.records import STANDARD_LEADS
from ecg_jax.sources import Cinc2021
from ecg_jax.terminal import say

CODES = ("426783006", "426177001", "164889003,59118001", "251146004", "270492004,164934002", "428750005")


@dataclass(frozen=True)
class Measured:
    """What preparing a number of recordings took."""

    records: int
    listing_seconds: float
    prepare_seconds: float
    peak_mb: float  # of the process that prepares
    worker_peak_mb: float  # of the largest process that reads; counts what the first had when it started it


def write_recordings(folder: Path, records: int, rate_hz: int) -> None:
    """Writes `records` headers, a thousand in each folder, and as many links to one file of samples."""
    samples = np.random.default_rng(0).normal(0, 300, (12, 10 * rate_hz)).astype(np.int16)  # [L, T]
    file = folder / "samples.mat"
    savemat(file, {"val": samples}, format="4")
    for number in range(1, records + 1):
        name, group = f"JS{number:05}", folder / f"g{number // 1000 + 1}"
        group.mkdir(exist_ok=True)
        lines = [f"{name} 12 {rate_hz} {samples.shape[1]} 23-Mar-2021 20:21:30"]
        for lead, signal in zip(STANDARD_LEADS, samples, strict=True):
            total = int(signal.astype(int).sum() % 65536)
            lines.append(f"{name}.mat 16+24 1000/mV 16 0 {signal[0]} {total} 0 {lead}")
        lines += [f"#Age: {number % 90}", "#Sex: Female", f"#Dx: {CODES[number % len(CODES)]}", "#Rx: Unknown"]
        (group / f"{name}.hea").write_text("\n".join(lines) + "\n")
        os.link(file, group / f"{name}.mat")


def measure(records: int, rate_hz: int, workers: int | None) -> Measured:
    """Writes, lists and prepares recordings in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "from"
        root.mkdir()
        write_recordings(root, records, rate_hz)
        began = time.perf_counter()
        Cinc2021(root).listing(rate_hz=100, seed=0, folder=root)
        listing_seconds = time.perf_counter() - began
        began = time.perf_counter()
        config = PrepareConfig(Cinc2021(root), Path(folder) / "set", workers=workers)
        prepared = prepare(config, Console(quiet=True, stderr=True))
        if len(prepared) != records:
            raise RuntimeError(f"{len(prepared)} of {records} recordings were prepared")
        seconds = time.perf_counter() - began
    peaks_mb = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Measured(records, listing_seconds, seconds, *peaks_mb)


def main(
    records: tuple[int, ...] = (1_000, 10_000, 45_000),
    rate_hz: int = 100,
    workers: int | None = None,
    json_path: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Measures listing and preparing.

    Args:
        records: Numbers of recordings.
        rate_hz: Sampling rate of the recordings; the prepared set has 100 Hz.
        workers: Processes that read; by default one for each processor core.
        json_path: Output file for the results.
    """
    every = []
    for number in records:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            every.append(pool.submit(measure, number, rate_hz, workers).result())
        last = every[-1]
        say(
            f"{last.records:,} recordings: listed in {last.listing_seconds:.1f} s, prepared in "
            f"{last.prepare_seconds:.1f} s ({1000 * last.prepare_seconds / last.records:.2f} s a thousand), "
            f"{last.peak_mb:,.0f} MB at most, {last.worker_peak_mb:,.0f} MB in the largest reading process"
        )
    if json_path is not None:
        json_path.write_text(json.dumps([asdict(each) for each in every], indent=2) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
