"""How many workers the storage of a study carries: its operations one by one, and simulated workers that only sleep."""

import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import TrialState, create_trial
from rich.console import Console
from rich.table import Table

from ecg_jax.config import DataConfig, RunConfig, TrainConfig
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import UserError
from ecg_jax.evaluation.thresholds import fit_thresholds
from ecg_jax.models import Cost
from ecg_jax.study.design import Grid, Trial, make_grid, make_study
from ecg_jax.study.runner import Runner
from ecg_jax.study.storage import JOURNAL, open_storage
from ecg_jax.study.tasks import Task
from ecg_jax.study.trial_queue import TrialQueue
from ecg_jax.study.workdir import StudyFolder, create_or_open
from ecg_jax.study.worker import work
from ecg_jax.training.result import RunResult, SplitPredictions, TrainStats, make_result
from ecg_jax.training.writer import RunWriter

PROCESSES = 4  # over which the simulated workers are distributed, as threads
MEASURED_SECONDS = 2.0  # of each operation
QUIET = Console(quiet=True)


def operations(folder: Path, storage: str, attempts: int) -> dict[str, float]:
    """Milliseconds of each operation of one worker, on a study with this many earlier attempts."""
    place, name = open_storage(folder, storage or JOURNAL), f"operations-{time.time_ns()}"
    queue = TrialQueue(place, name)
    study = place.get_study_id_from_name(name)
    entries = {
        "key": "k",
        "trial": "t",
        "stage": "whole",
        "worker": "machine:1",
        "began": 0.0,
        "beat": 0.0,
        "lease": 60.0,
    }
    before = create_trial(state=TrialState.COMPLETE, value=0.5, user_attrs=entries)
    for _ in range(attempts):
        place.create_new_trial(study, before)
    task, done = Task(_grid(1).scales()[0], 1e-3, 0, "whole", "free"), []

    def claim_and_complete() -> None:
        attempt = queue.claim(task, key="k", worker="machine:1")
        assert attempt is not None
        queue.complete(attempt, 0.5)

    timed = {"listing": _milliseconds(queue.attempts), "claim and end": _milliseconds(claim_and_complete)}
    done.append(queue.claim(task, key="k", worker="machine:1"))
    return timed | {"heartbeat": _milliseconds(lambda: queue.heartbeat(done[0]))}


def _milliseconds(call: Callable[[], Any]) -> float:
    began, number = time.perf_counter(), 0
    while time.perf_counter() - began < MEASURED_SECONDS:
        call()
        number += 1
    return 1000 * (time.perf_counter() - began) / number


def _grid(seeds: int) -> Grid:
    from ecg_jax.analysis.axes import READY_MADE

    levels = {"depth": (1, 2), "channels": (8, 16), "kernel": (3, 5)}
    return make_grid([replace(axis, levels=levels[axis.name]) for axis in READY_MADE], seeds, (1e-3,))


def simulate(data: Path, storage: str, workers: int, trials: int, seconds: float) -> float:
    """Seconds that simulated workers need for a study whose trials only sleep, with all files of a study."""
    with tempfile.TemporaryDirectory() as place:
        base = RunConfig(data=DataConfig(path=data.resolve(), window_seconds=1.0), train=TrainConfig(epochs=1))
        grid = _grid(-(-trials // 8))
        folder = create_or_open(Path(place) / "study", make_study(base, grid.axes, (), open_prepared(data)), storage)
        folder.add_grid(grid)
        context = multiprocessing.get_context("spawn")
        ready = context.Barrier(min(PROCESSES, workers) + 1)
        shares = [len(range(first, workers, PROCESSES)) for first in range(min(PROCESSES, workers))]
        processes = [context.Process(target=_work, args=(folder, storage, share, seconds, ready)) for share in shares]
        for process in processes:
            process.start()
        ready.wait()
        began = time.perf_counter()
        for process in processes:
            process.join()
        if failed := [process.exitcode for process in processes if process.exitcode]:
            raise RuntimeError(f"{len(failed)} of {len(processes)} processes of simulated workers failed")
        return time.perf_counter() - began


def _work(folder: StudyFolder, storage: str, workers: int, seconds: float, ready: Any) -> None:
    runner = _sleeping(folder, seconds)
    open_storage(folder.path, storage or folder.storage)  # threads must not import Optuna at the same time
    settings = {"conclude": lambda *_: None, "runner": runner, "storage": storage, "console": QUIET}
    threads = [threading.Thread(target=work, args=(folder,), kwargs=settings) for _ in range(workers)]
    ready.wait()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _sleeping(folder: StudyFolder, seconds: float) -> Runner:
    """A runner whose runs take some seconds and leave the files of a run, without training."""
    prepared = open_prepared(folder.study.base.data.path)
    config = next(iter(folder.study.runs(Trial(folder.grids()[0].scales()[0], 1e-3, 0)).values()))
    label = prepared.label.astype(float)
    predictions = SplitPredictions("validation", prepared, np.arange(len(label)), 0.5 * label + 0.25)
    thresholds = fit_thresholds(label, predictions.probability, prepared.target)
    config = replace(config, evaluate=replace(config.evaluate, resamples=20))
    about = {"cost": Cost(0, 0, None, None), "train": TrainStats(1, seconds, 1.0, 1)}
    result = make_result(Path(), predictions, thresholds, config=config, **about)

    def train(runs: Mapping[Path, RunConfig], **_: Any) -> dict[Path, RunResult | UserError]:
        time.sleep(seconds)
        for workdir in runs:
            workdir.mkdir(parents=True, exist_ok=True)
            RunWriter(workdir, plots=False).write_result(predictions, replace(result, workdir=workdir))
        return {workdir: replace(result, workdir=workdir) for workdir in runs}

    def predict(workdir: Path, _: Path) -> None:
        RunWriter(workdir).write_predictions(replace(predictions, split="test"))

    return Runner(train, predict, keep_compiled=lambda _: None, measure_together=lambda _: 1)


def measure(
    data: Path, storage: str, attempts: tuple[int, ...], workers: tuple[int, ...], trials: int, seconds: float
) -> list[dict[str, Any]]:
    """Measures and prints the operations of the storage, then whole simulated studies; returns the numbers."""
    console, found = Console(), []
    table = Table("earlier attempts", "listing, ms", "claim and end, ms", "heartbeat, ms")
    with tempfile.TemporaryDirectory() as place:
        for number in attempts:
            row = {"attempts": number, **operations(Path(place), storage, number)}
            found.append(row)
            table.add_row(str(number), *(f"{value:.1f}" for value in list(row.values())[1:]))
    console.print(table)
    table = Table("workers", "trials", "seconds of a trial", "trials/s", "seconds", "of waiting alone")
    for number in workers:
        taken = simulate(data, storage, number, trials, seconds)
        least = -(-trials // number) * seconds
        found.append({"workers": number, "trials": trials, "trial_seconds": seconds, "seconds": taken, "least": least})
        table.add_row(*map(str, (number, trials, seconds)), f"{trials / taken:.1f}", f"{taken:.1f}", f"{least:.1f}")
    console.print(table)
    return found
