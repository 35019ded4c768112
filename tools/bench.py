"""Benchmarks: the speed of a training step, of whole runs, of a study, and of an accelerator.

    python tools/bench.py step --json step.json
    python tools/bench.py run --ptb-xl prepared/ptb_xl --json run.json
    python tools/bench.py study --data prepared/ptb_xl --workdir runs/overhead
    python tools/bench.py prepare --from cinc2017
    python tools/bench.py feeds --data prepared/ptb_xl
    python tools/bench.py storage --data prepared/synthetic --storage postgresql://USER@HOST/DATABASE
    python tools/bench.py predict --workdir runs/cinc2017 --from cinc2017

Run it on an idle machine. `step` compares our network with an equal network in eager PyTorch, alternately in one run.
Both execute whole steps: forward, backward, AdamW, running statistics of the normalisation; our step starts from int16
samples, as in training. `run` compares whole runs with their steps and with a plain PyTorch script, `study` a whole
study with such a script. All need PyTorch (extra [bench]).
"""

import importlib.util
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ecg_jax.config import ModelConfig, TrainConfig
from ecg_jax.errors import UserError

LEADS, LABELS, SAMPLES = 12, 5, 1000
CELLS = (*itertools.product((1, 4), (16, 128), (3, 15)), (2, 32, 7))
SMALL_BATCH = {(4, 128, 15): 8}  # its steps would take minutes with 64
CHUNK_SECONDS = 1.0  # length of a timed chunk of steps; a chunk has at most ten steps

DevicePart = Literal[
    "card", "steps", "PyTorch", "study", "together", "compiled PyTorch", "accuracy", "quality", "bfloat16"
]
Steps = Callable[[int], None]
"""Executes the given number of training steps and waits until they are finished."""


def ours(config: ModelConfig, batch: int, *, masked: bool) -> tuple[Steps, int]:
    """Training steps of our network, and the number of its parameters."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from ecg_jax.dataset.batch import Batch, Normalisation
    from ecg_jax.models import ResNet1D
    from ecg_jax.training.losses import bce
    from ecg_jax.training.optimizer import decays
    from ecg_jax.training.step import init_state, make_step

    network = ResNet1D(config, LABELS)
    decaying = partial(jax.tree_util.tree_map_with_path, decays)
    train = TrainConfig()
    rule = optax.adamw(1.0, weight_decay=train.weight_decay, mask=decaying)
    state = init_state(network, rule, jnp.zeros((1, SAMPLES, LEADS)), seed=0, ema=0)
    random = np.random.default_rng(0)
    rows = Batch(
        signal=random.normal(0, 200, (batch, SAMPLES, LEADS)).astype(np.int16),
        scale_mv=np.full((batch, LEADS), 1e-3, np.float32),
        valid=np.ones((batch, SAMPLES), bool),
        label=random.integers(0, 2, (batch, LABELS)).astype(np.float32),
        weight=np.ones(batch, np.float32),
    )
    scaling = Normalisation(np.zeros(LEADS, np.float32), np.full(LEADS, 0.2, np.float32))
    data, normalisation = jax.device_put((rows, scaling))
    step = jax.jit(make_step(network, rule, bce, masked=masked), donate_argnums=0)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))

    def steps(number: int) -> None:
        nonlocal state
        for _ in range(number):
            state, _ = step(state, data, normalisation, train.learning_rate)
        jax.block_until_ready(state)

    return steps, parameters


def interleaved(arms: list[Steps], rounds: int) -> list[list[float]]:
    """Seconds per step, one value for each arm and round; the arms alternate, after two warm-up steps each."""
    timings: list[tuple[Steps, int, list[float]]] = []
    for steps in arms:
        steps(2)
        timings.append((steps, min(10, max(1, round(CHUNK_SECONDS / timed(steps, 1)))), []))
    for _ in range(rounds):
        for steps, size, seconds in timings:
            seconds.append(timed(steps, size))
    return [seconds for _, _, seconds in timings]


def timed(steps: Steps, number: int) -> float:
    """Seconds per step."""
    start = time.perf_counter()
    steps(number)
    return (time.perf_counter() - start) / number


def step(
    cells: tuple[tuple[int, int, int], ...] = CELLS,
    rounds: int = 7,
    masked: bool = False,
    before: Path | None = None,
    json_path: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Times whole training steps of each scale.

    Args:
        cells: Depth, channels and kernel of each scale, all in one list: 1 16 3 2 32 7.
        rounds: Number of measurements for each median, at least 5; each is the mean of up to ten steps.
        masked: Mask invalid samples in our network, as for windows that may contain some.
        before: Another checkout of this project, whose steps are timed too.
        json_path: Output file for the results.
    """
    from rich.console import Console
    from rich.table import Table

    check_torch()
    from bench_torch import theirs
    from bench_worker import Worker

    if rounds < 5:
        raise UserError(f"--rounds is {rounds}; a median needs 5 or more")
    if os.getloadavg()[0] > 1:
        print("this machine is busy, which slows PyTorch more than JAX: the ratio will be too high")
    headings = ("ratio", "spread", "depth", "channels", "kernel", "batch", "ours", "PyTorch")
    table = Table(*headings, *(["before", "to before"] if before else []))
    rows, console = [], Console(width=None if sys.stdout.isatty() else 140)
    for cell in cells:
        scale: dict[str, Any] = dict(zip(("depth", "channels", "kernel"), cell, strict=True))
        config, batch = ModelConfig(**scale), SMALL_BATCH.get(cell, 64)
        with console.status(f"depth, channels, kernel: {cell}"), ExitStack() as workers:
            (our_steps, our_size), (their_steps, their_size) = (
                ours(config, batch, masked=masked),
                theirs(config, (batch, SAMPLES, LEADS), LABELS),
            )
            if our_size != their_size:
                raise RuntimeError(f"the networks differ: {our_size:,} parameters against {their_size:,}")
            arms = [our_steps, their_steps]
            if before:
                worker = workers.enter_context(Worker(before))
                arms.append(partial(steps_of, worker, scale=scale, batch=batch, masked=masked))
            times = interleaved(arms, rounds)
        speeds = [batch / statistics.median(seconds) for seconds in times]
        ratios = [theirs / ours for ours, theirs in zip(*times[:2], strict=True)]
        found = dict(zip(("ecg_jax", "torch", "before"), speeds, strict=False)) | {"ratio": speeds[0] / speeds[1]}
        rows.append({**scale, "batch": batch, "precision": config.precision, **found})
        texts = (f"{found['ratio']:.2f}", f"{min(ratios):.2f}-{max(ratios):.2f}", *map(str, (*cell, batch)))
        to_before = [f"{speeds[0] / speeds[2]:.2f}"] if before else []
        table.add_row(*texts, *(f"{speed:.1f}" for speed in speeds), *to_before)
    mean = statistics.geometric_mean(row["ratio"] for row in rows)
    console.print(table)
    units = "spread: smallest and largest round; ours, PyTorch, before: examples per second"
    console.print(f"geometric mean of the {len(rows)} ratios: {mean:.2f}; {units}")
    results = {"rows": rows, "ratio_geometric_mean": mean}
    if before:
        results["to_before_geometric_mean"] = statistics.geometric_mean(row["ecg_jax"] / row["before"] for row in rows)
        console.print(f"geometric mean of the ratios to before: {results['to_before_geometric_mean']:.2f}")
    if json_path:
        json_path.write_text(json.dumps(results, indent=1) + "\n")


def steps_of(worker: Any, number: int, **settings: Any) -> None:
    """Takes steps of another checkout, in a process of its own."""
    worker.call("bench_worker.take_steps", number=number, **settings)


def run(
    ptb_xl: Path | None = None,
    before: Path | None = None,
    json_path: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Times whole runs: four of each scale in one process, their steps alone, and the same training by PyTorch.

    Args:
        ptb_xl: A prepared set of PTB-XL (superdiagnostic, 100 Hz); without it, the preset is not measured.
        before: Another checkout of this project, whose runs are timed too.
        json_path: Output file for the results.
    """
    from rich.console import Console
    from rich.table import Table

    check_torch()
    from bench_run import columns, measure_all

    from ecg_jax.files import temporary_folder

    console = Console(width=None if sys.stdout.isatty() else 160)
    table, rows = Table("depth, channels, kernel", *columns(before)), {}
    with temporary_folder() as folder, console.status("training"):
        for name, timings in measure_all(ptb_xl, before, folder):
            table.add_row(name, *timings.texts())
            rows[name] = asdict(timings) | timings.summary()
            if json_path:
                json_path.write_text(json.dumps(rows, indent=1) + "\n")
    console.print(table)
    console.print("seconds; not steps, PyTorch, before and ratio: medians of the runs of a process after its first")
    if ptb_xl is None:
        console.print("the preset ptb_xl is not measured; give a prepared set with --ptb-xl")


def check_torch() -> None:
    """Refuses to compare with PyTorch where it is missing.

    Raises:
        UserError: it is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise UserError("the benchmark compares with PyTorch: pip install 'ecg-jax[bench]'")


def study(
    data: Path,
    workdir: Path,
    epochs: int = 60,
    json_path: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Times a new study of four scales and three seeds with its report, and the same trainings by a PyTorch script.

    Args:
        data: A prepared set whose records have one length, such as PTB-XL.
        workdir: A folder that does not exist yet.
        epochs: Epochs of each of the twelve trainings.
        json_path: Output file for the results.
    """
    from rich.console import Console
    from rich.table import Table

    check_torch()
    from bench_study import measure

    if workdir.exists():
        raise UserError(f"{workdir} exists; give a new folder, since finished trials would not be trained again")
    found = measure(data, workdir, epochs)
    table = Table("", "ours", "PyTorch", "ratio")
    for name, (ours, torch) in {**found.scales(), "whole": (found.seconds, found.torch_seconds)}.items():
        table.add_row(name, f"{ours:.1f}", f"{torch:.1f}", f"{torch / ours:.2f}")
    Console().print(table)
    print("seconds; of a scale: its trainings and test predictions; whole: the process, with start and report")
    trainings = sum(found.of_scale.values())
    print(f"the whole study takes {found.seconds / trainings:.3f} times as long as its trainings")
    print(f"its trainings were predicted to take {found.predicted_trainings:.1f} s and took {trainings:.1f} s")
    if json_path:
        json_path.write_text(json.dumps(asdict(found), indent=1) + "\n")


def device(
    json_path: Annotated[Path, tyro.conf.arg(name="json")],
    minutes: float = 8.0,
    cells: tuple[tuple[int, int, int], ...] = CELLS,
    shape: tuple[int, int, int] = (64, SAMPLES, LEADS),
    data: Path | None = None,
    parts: tuple[DevicePart, ...] = (),
) -> None:
    """Measures the accelerator of this machine: steps, runs together, accuracy, a study; compares with PyTorch.

    Args:
        json_path: Output file for the results; a Markdown file with tables is written beside it
            if the part `card` was measured.
        minutes: Time after which no other measurement begins.
        cells: Depth, channels and kernel of each scale, all in one list: 1 16 3 2 32 7.
        shape: Windows, samples and leads of a batch.
        data: A prepared set of PTB-XL for the study and for the quality of bfloat16; by default they are left out.
        parts: Parts to measure; by default all, in the order of this list.
    """
    from bench_device import measure

    from ecg_jax.config import with_fields
    from ecg_jax.presets import ptb_xl

    base = None if data is None else with_fields(ptb_xl(), {"data.path": data})
    measure(cells, json_path, minutes=minutes, shape=shape, labels=LABELS, base=base, parts=parts)


def prepare(
    root: Annotated[Path, tyro.conf.arg(name="from")],
    records: tuple[int, ...] = (7_000, 45_000),
    workers: int | None = None,
    seconds: float = 5.0,
    json_path: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Compares reading and preparing CinC 2017 with a loop over wfdb and SciPy, which does not write anything.

    Args:
        root: Folder with the files of CinC 2017; a part of them is enough, as each is read as often as is needed.
        records: Numbers of records of the sets that are prepared.
        workers: Processes that read; by default one for each processor core.
        seconds: Duration of the loop, before and after our measurements.
        json_path: Output file for the results.
    """
    from bench_feeds import measure_prepare, write

    write(measure_prepare(root, records, workers=workers, seconds=seconds), json_path)


def feeds(
    data: Path,
    window_seconds: float = 2.5,
    steps: int = 300,
    rounds: int = 7,
    json_path: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Measures how many windows the host feed reads, and trainings of a small scale with each of the two feeds.

    Args:
        data: A prepared set.
        window_seconds: Length of a window.
        steps: Steps of 32 windows in each measurement.
        rounds: Measurements of each kind, of which the median is printed.
        json_path: Output file for the results.
    """
    from bench_feeds import measure_feeds, write

    write(measure_feeds(data, window_seconds=window_seconds, steps=steps, rounds=rounds), json_path)


def storage(
    data: Path,
    storage: str = "",
    attempts: tuple[int, ...] = (100, 1000),
    workers: tuple[int, ...] = (8, 32),
    trials: int = 64,
    seconds: float = 10.0,
    json_path: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Measures how many workers the storage of a study carries, with workers that only sleep.

    Args:
        data: A small prepared set; its records are not read.
        storage: URL of a PostgreSQL server; by default a journal file.
        attempts: Earlier attempts in the storage while the operations of a worker are timed.
        workers: Numbers of simulated workers, all on this machine.
        trials: Trials of the simulated study, rounded up to a multiple of 8.
        seconds: Time that each trial sleeps.
        json_path: Output file for the results.
    """
    from bench_storage import measure

    found = measure(data, storage, attempts, workers, trials, seconds)
    if json_path:
        json_path.write_text(json.dumps(found, indent=1) + "\n")


def predict(
    workdir: Path,
    folder: Annotated[Path | None, tyro.conf.arg(name="from")] = None,
    alone: int = 300,
    holter_hours: float = 24.0,
    holter_leads: int = 1,
    workers: int | None = None,
    json_path: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Measures how many recordings a second a run predicts, together and one at a time, and how long a Holter takes.

    Args:
        workdir: A finished run.
        folder: Folder with recordings that have its leads; without it, only the Holter is measured.
        alone: Recordings that are predicted one at a time.
        holter_hours: Length of the synthetic Holter; 0: none.
        holter_leads: Leads of the Holter, 1 or 2: the first ones of the run.
        workers: Processes that read; by default one for each processor core.
        json_path: Output file for the results.
    """
    from bench_predict import measure_holter, measure_many

    from ecg_jax.files import temporary_folder

    results: dict[str, Any] = {}
    if folder is not None:
        speed = measure_many(workdir, folder, alone, workers)
        results["many"] = asdict(speed) | {"ratio": speed.ratio}
    if holter_hours:
        with temporary_folder() as place:
            measured = measure_holter(workdir, place, leads=holter_leads, hours=holter_hours)
        results["holter"] = {"hours": holter_hours, "leads": holter_leads, **measured}
    print(json.dumps(results, indent=1))
    if json_path:
        json_path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    try:
        commands = {"step": step, "run": run, "study": study, "device": device, "prepare": prepare, "feeds": feeds}
        commands |= {"storage": storage, "predict": predict}
        tyro.extras.subcommand_cli_from_dict(commands, description=__doc__)
    except UserError as error:
        sys.exit(str(error))
