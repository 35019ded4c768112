"""How many recordings a second a run predicts, together and one at a time; and how long a Holter of 24 hours takes."""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import wfdb

from ecg_jax.answers import recordings_of
from ecg_jax.inference import Model, load
from ecg_jax.synthetic.cohort import visits
from ecg_jax.synthetic.recordings import RATE_HZ, signal_mv

HOLTER_HZ = 250
Result = TypeVar("Result")
PARTS = 60  # different stretches of 10 s, from which a Holter is put together


@dataclass(frozen=True)
class Speed:
    """Recordings a second, and what was compared."""

    records: int
    errors: int
    together_per_second: float
    alone_per_second: float
    largest_difference: float
    """Of a probability between both ways."""
    same_lines: int
    """How many of the recordings that were asked both ways have the same probabilities in all digits."""
    asked_alone: int

    @property
    def ratio(self) -> float:
        """How many times as fast together."""
        return self.together_per_second / self.alone_per_second


def measure_many(workdir: Path, folder: Path, alone: int, workers: int | None) -> Speed:
    """Predicts all recordings below a folder together, and the first ones one at a time, with the same loaded run."""
    model, paths = load(workdir), recordings_of([str(folder)])
    some = paths[:: max(1, len(paths) // alone)][:alone]
    model.predict(some[0])  # compiles
    seconds, by_itself = _timed(lambda: [model.predict(path) for path in some])
    together_seconds, together = _timed(lambda: list(model.answers(paths, workers=workers)))
    of_path = {answer["record"]: answer.get("probabilities", {}) for answer in together}
    differences = [_difference(answer.get("probabilities", {}), of_path[answer["record"]]) for answer in by_itself]
    return Speed(
        records=len(paths),
        errors=sum("error" in answer for answer in together),
        together_per_second=len(paths) / together_seconds,
        alone_per_second=len(some) / seconds,
        largest_difference=max(differences),
        same_lines=sum(difference == 0 for difference in differences),
        asked_alone=len(some),
    )


def _timed(call: Callable[[], Result]) -> tuple[float, Result]:
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def _difference(one: dict[str, float], other: dict[str, float]) -> float:
    return max((abs(one[name] - other[name]) for name in one), default=0.0)


def write_holter(folder: Path, leads: tuple[str, ...], hours: float) -> Path:
    """Writes a synthetic recording of one or two leads: stretches of 10 s of different patients in random order."""
    columns = [1, 10][: len(leads)]  # II and V5
    found = visits(seed=0)
    parts = np.stack([signal_mv(next(found), 0)[:: RATE_HZ // HOLTER_HZ, columns] for _ in range(PARTS)])
    order = np.random.default_rng(0).integers(PARTS, size=round(hours * 360))
    digital = np.clip(np.rint(1000 * parts), -32000, 32000).astype(np.int16)[order].reshape(-1, len(leads))
    wfdb.wrsamp(
        "holter",
        fs=HOLTER_HZ,
        units=["mV"] * len(leads),
        sig_name=list(leads),
        d_signal=digital,
        fmt=["16"] * len(leads),
        adc_gain=[1000.0] * len(leads),
        baseline=[0] * len(leads),
        write_dir=str(folder),
    )
    return folder / "holter"


def measure_holter(workdir: Path, folder: Path, *, leads: int, hours: float) -> dict[str, float]:
    """Seconds of the whole command that answers each 10 s of a Holter and draws the answers over time.

    The seconds of the processors count what the command itself used, on a machine that others use, too.
    """
    model: Model = load(workdir)
    record = write_holter(folder, model.contract.leads[:leads], hours)
    flags = ["--every", "10", "--format", "csv", "--out", "holter.csv", "--pictures", "."]
    command = [sys.executable, "-m", "ecg_jax", "predict", "--workdir", str(workdir.resolve()), str(record), *flags]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, _ = _timed(lambda: subprocess.run(command, cwd=folder, check=True, capture_output=True))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cores_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "processor_seconds": cores_seconds, "peak_mb": after.ru_maxrss / 1024}
