"""What an accelerator does with our training steps: a script for a bare machine, its parts in the order of their worth.

Each part has a time limit of its own and is written to the JSON file as soon as it has ended. Called by `bench.py`.
"""

import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from bench_device_tables import tables
from rich.console import Console

from ecg_jax.config import ModelConfig, RunConfig, TrainConfig, with_fields
from ecg_jax.dataset.batch import Batch, InputContract
from ecg_jax.study.runner import Runner, successful
from ecg_jax.target import Target
from ecg_jax.training.devices import Devices
from ecg_jax.training.loop import run_together
from ecg_jax.training.programs import Program, program, training_steps

Cell = tuple[int, int, int]
Precision = Literal["float32", "bfloat16"]
SECONDS = 0.5  # of timed steps for each figure
ROUNDS = 3
CARD_RATES = 3  # two of matrix products and one of a copy, which the tables need
STUDY_CELLS = tuple(itertools.product((1, 2), (16, 32), (3, 7, 15)))
STUDY_SEEDS, PRECISION_SEEDS = 4, 5


@dataclass
class Report:
    """The results so far; written after each part."""

    path: Path
    ends: float  # by the monotonic clock
    parts: Sequence[str] = ()  # those that are measured; empty: all
    results: dict[str, Any] = field(default_factory=dict)

    def part(self, name: str, seconds: float, measure: Callable[[Callable[[], bool]], Iterator[Any]]) -> None:
        """Runs a part; `measure` yields results and ends when the function that it gets says that its time is over."""
        began = time.monotonic()
        if self.parts and name not in self.parts:
            return
        if began > self.ends:
            print(f"{name}: not measured, the time is over", flush=True)
            return
        found, limit = self.results.setdefault(name, []), min(began + seconds, self.ends)
        try:
            for result in measure(lambda: time.monotonic() > limit):
                found.append(result)
                print(name, json.dumps(result), flush=True)
                self.write()
        except ImportError as error:
            print(f"{name}: not measured, the package {error.name} is not installed", flush=True)
        self.results.setdefault("seconds", {})[name] = round(time.monotonic() - began, 1)
        self.write()

    def write(self) -> None:
        """Writes all results."""
        self.path.write_text(json.dumps(self.results, indent=1) + "\n", encoding="utf-8")


@dataclass
class Steps:
    """Compiled training steps of some runs of a scale, with their inputs on the devices."""

    program: Program
    run: Callable[..., Any]
    arguments: list[Any]
    per_call: int
    bytes: float
    """Read and written in a step, as XLA counts them."""

    def __call__(self, calls: int) -> None:
        """Takes `calls` times `per_call` steps and waits until they are finished."""
        state, *rest = self.arguments
        for _ in range(calls):
            state, _ = self.run(state, *rest)
        jax.block_until_ready(state)
        self.arguments[0] = state


def compiled_steps(
    cell: Cell,
    precision: Precision,
    *,
    shape: tuple[int, int, int],
    labels: int,
    runs: int = 1,
    devices: Devices | None = None,
) -> Steps:
    """Compiles the steps of a scale; `shape` is that of a batch, [B, T, L]."""
    batch, samples, leads = shape
    devices = devices or Devices()
    model = ModelConfig(depth=cell[0], channels=cell[1], kernel=cell[2], precision=precision)
    config = RunConfig(model=model, train=TrainConfig(ema=0.0, clip_norm=0.0))
    names = tuple(f"label {number}" for number in range(labels))
    mean, std = (0.0,) * leads, (0.2,) * leads
    leads_named = tuple(f"lead {number}" for number in range(leads))
    contract = InputContract(100.0, leads_named, Target("multilabel", names), samples, mean, std)
    random, per_call = np.random.default_rng(0), devices.steps_per_call
    rows = Batch(
        signal=random.normal(0, 200, shape).astype(np.int16),
        scale_mv=np.full((batch, leads), 1e-3, np.float32),
        valid=np.ones((batch, samples), bool),
        label=random.integers(0, 2, (batch, labels)).astype(np.float32),
        weight=np.ones(batch, np.float32),
    )
    built = program(config, contract, _same_rows, devices, runs=runs)
    state = jax.tree.map(lambda x: np.stack([x] * runs), built.initial(np.uint32(0)))
    normalisation = jax.tree.map(lambda x: np.stack([x] * runs), contract.normalisation)
    of_run = (normalisation, np.ones((runs, labels), np.float32), np.full((runs, 1), 3e-3, np.float32), None)
    arguments = [
        devices.put_everywhere(state),
        devices.put_everywhere((rows, of_run)),
        devices.put_rows(np.ones((per_call, runs, batch), np.float32)),
        devices.put_everywhere(np.int32(per_call)),
    ]
    run = training_steps(built, masked=False).lower(*arguments).compile()
    traffic = (run.cost_analysis() or {}).get("bytes accessed", 0.0)  # its operations leave out the convolutions on GPU
    return Steps(built, run, arguments, per_call, traffic)


def _same_rows(arrays: Any, item: Any) -> Batch:
    """Every step of every run takes the same rows, so that nothing but the step is timed."""
    return arrays


def seconds_per_step(steps: Callable[[int], None], per_call: int) -> float:
    """Median of three rounds after a warm-up."""
    steps(2)
    start = time.perf_counter()
    steps(1)
    calls = max(1, min(100, int(SECONDS / ROUNDS / (time.perf_counter() - start))))
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        steps(calls)
        rounds.append((time.perf_counter() - start) / calls / per_call)
    return statistics.median(rounds)


def measure(
    cells: Sequence[Cell],
    path: Path,
    *,
    minutes: float,
    shape: tuple[int, int, int],
    labels: int,
    together: Sequence[int] = (1, 2, 4, 8, 16, 32),
    base: RunConfig | None = None,
    study_cells: Sequence[Cell] = STUDY_CELLS,
    parts: Sequence[str] = (),
) -> None:
    """Runs the parts, or as many as the minutes allow, and writes them to `path`.

    If the card is among them, tables are written beside it.

    Args:
        cells: depth, channels and kernel of each scale.
        path: of the JSON file.
        minutes: after which no other measurement begins.
        shape: of a batch, [B, T, L].
        labels: number of labels.
        together: numbers of runs in one program.
        base: the runs of the study and of the two precisions, apart from scale and seed; None leaves these parts out.
        study_cells: depth, channels and kernel of each scale of the study.
        parts: names of the parts to run; empty: all.
    """
    steps = StepsOf(shape, labels)
    report = Report(path, time.monotonic() + 60 * minutes, parts)
    report.results |= {"device": jax.devices()[0].device_kind, "jax": jax.__version__, "shape": shape, "labels": labels}
    report.part("card", 20, card)
    report.part("steps", 200, lambda late: step_speeds(cells, "float32", steps, late))
    report.part("PyTorch", 60, lambda late: torch_speeds(cells, steps, late))
    with TemporaryDirectory() as folder:
        if base is not None:
            report.part("study", 240, lambda late: study_speeds(base, study_cells, Path(folder), late))
        report.part("together", 90, lambda late: together_speeds(cells[0], together, steps, late))
        report.part("compiled PyTorch", 120, lambda late: torch_speeds(cells[:3], steps, late, compiled=True))
        report.part("accuracy", 40, lambda late: accuracy(cells[0], steps, late))
        if base is not None:
            report.part("quality", 60, lambda late: precisions(base, Path(folder), late))
    report.part("bfloat16", 200, lambda late: step_speeds(cells, "bfloat16", steps, late))
    if len(report.results.get("card", ())) == CARD_RATES:
        path.with_suffix(".md").write_text(tables(report.results), encoding="utf-8")


@dataclass(frozen=True)
class StepsOf:
    """Shape of the batches, and number of labels."""

    shape: tuple[int, int, int]
    labels: int

    def __call__(self, cell: Cell, precision: Precision = "float32", **options: Any) -> Steps:
        """Compiled steps of a scale."""
        return compiled_steps(cell, precision, shape=self.shape, labels=self.labels, **options)


def card(late: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """Measured rates of matrix products in TFLOP/s and of a copy in GB/s (bytes read and written)."""
    size = 8192 if jax.default_backend() != "cpu" else 256

    def seconds(function: Callable[[Any], Any], value: Any) -> float:
        chained = jax.jit(function, donate_argnums=0)  # one result at a time is in memory

        def calls(number: int) -> None:
            nonlocal value
            for _ in range(number):
                value = chained(value)
            value.block_until_ready()

        return seconds_per_step(calls, 1)

    for precision in ("bfloat16", "float32"):
        matrix = jax.random.normal(jax.random.key(0), (size, size), precision) / size**0.5
        rate = 2 * size**3 / seconds(lambda a: a @ a, matrix)
        yield {"matrix product": precision, "tflops": round(rate / 1e12, 1)}
    values = jnp.ones(4 * size**2, jnp.float32)
    n_bytes = values.nbytes
    yield {"copy_gb_per_second": round(2 * n_bytes / seconds(lambda x: x + 1, values) / 1e9)}


def step_speeds(
    cells: Sequence[Cell], precision: Precision, steps: StepsOf, late: Callable[[], bool]
) -> Iterator[dict[str, Any]]:
    """Our steps of each scale."""
    for cell in cells:
        if late():
            return
        start = time.perf_counter()
        built = steps(cell, precision)
        compile_seconds = time.perf_counter() - start
        seconds = seconds_per_step(built, built.per_call)
        memory = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
        yield {
            "cell": cell,
            "ms": round(1e3 * seconds, 4),
            "examples_per_second": round(steps.shape[0] / seconds),
            "compile_seconds": round(compile_seconds, 1),
            "bytes": built.bytes,
            "peak_memory_bytes": memory,
        }


def together_speeds(
    cell: Cell, numbers: Sequence[int], steps: StepsOf, late: Callable[[], bool]
) -> Iterator[dict[str, Any]]:
    """Our steps of one scale with several runs in one program."""
    for number in numbers:
        if late():
            return
        built = steps(cell, runs=number)
        seconds = seconds_per_step(built, built.per_call)
        yield {"cell": cell, "runs": number, "examples_per_second": round(number * steps.shape[0] / seconds)}


def accuracy(cell: Cell, steps: StepsOf, late: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """Largest difference of a probability here and on CPU, with the same variables and windows."""
    probabilities = []
    for device in (jax.devices()[0], jax.devices("cpu")[0]):
        built = steps(cell, devices=Devices(devices=(device,)))
        state, (rows, (normalisation, weights, *_)), items, count = built.arguments
        _, (probability, _) = built.program.evaluation(
            None, (state.variables, rows, (normalisation, weights)), items, count
        )
        probabilities.append(np.asarray(probability)[0])
    yield {"cell": cell, "largest_difference": float(np.abs(np.subtract(*probabilities)).max())}


def study_speeds(
    base: RunConfig, cells: Sequence[Cell], folder: Path, late: Callable[[], bool]
) -> Iterator[dict[str, Any]]:
    """Seconds of the runs of a study, test predictions included: one run after the other, and all seeds together.

    Each is measured when everything is compiled; before that, the first program of each with its compilation.
    """

    def seconds(cell: Cell, together: int, name: str, seeds: int = STUDY_SEEDS) -> float:
        config = with_fields(base, dict(zip(("model.depth", "model.channels", "model.kernel"), cell, strict=True)))
        places = {seed: folder / f"{name} {cell} {together} {seed}" for seed in range(seeds)}
        runs = {place: with_fields(config, {"train.seed": seed}) for seed, place in places.items()}
        start = time.perf_counter()
        successful(Runner().finish(runs, predict=True, console=Console(quiet=True), together=together))
        return round(time.perf_counter() - start, 2)

    for cell in cells:
        if late():
            return
        result: dict[str, Any] = {"cell": cell, "seeds": STUDY_SEEDS}
        for name, together in (("together", STUDY_SEEDS), ("alone", 1)):
            result |= {f"{name}_first_seconds": seconds(cell, together, "first", seeds=together)}
            result |= {f"{name}_seconds": seconds(cell, together, "second")}
        yield result


def precisions(base: RunConfig, folder: Path, late: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """Validation macro AUROC of runs in float32 and in bfloat16, seed by seed."""
    for precision in ("float32", "bfloat16"):
        if late():
            return
        config, seeds = with_fields(base, {"model.precision": precision}), range(PRECISION_SEEDS)
        runs = {folder / f"{precision}-{seed}": with_fields(config, {"train.seed": seed}) for seed in seeds}
        results = successful(run_together(runs, console=Console(quiet=True), plots=False))
        yield {"precision": precision, "macro_auroc": [result.figure("macro_auroc") for result in results]}


def torch_speeds(
    cells: Sequence[Cell], steps: StepsOf, late: Callable[[], bool], *, compiled: bool = False
) -> Iterator[dict[str, Any]]:
    """PyTorch's steps of each scale; tensor cores may be used for float32, as in our steps."""
    import torch  # pyright: ignore[reportMissingImports]: the extra [bench]
    from bench_torch import theirs

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    for cell in cells:
        if late():
            return
        model = ModelConfig(depth=cell[0], channels=cell[1], kernel=cell[2])
        run, _ = theirs(model, steps.shape, steps.labels, compiled=compiled)
        seconds = seconds_per_step(run, 1)
        yield {"cell": cell, "ms": round(1e3 * seconds, 4), "examples_per_second": round(steps.shape[0] / seconds)}
