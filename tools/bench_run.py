"""Whole runs against their steps alone, and against a plain PyTorch script, each side in a process of its own.

Called by `bench.py`. The sides alternate, so that a machine whose speed drifts is as fast for one as for the other.
"""

import json
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench_worker import Worker

from ecg_jax import presets
from ecg_jax.config import DataConfig, ModelConfig, RunConfig, TrainConfig, from_dict, to_dict

SCALES = ((1, 8, 3), (2, 16, 9), (1, 32, 5))
RECORDS = 400  # of the synthetic set, of which 322 are training records
RUNS = 4  # of each case in a process
RUNNING = ("bench_run", "ecg_jax.training.loop")  # what a process has imported before its first run
FIXED_SECONDS, SHARE_OF_STEPS = 0.4, 0.1  # that a run after the first may take besides its steps
LEAST_RATIOS = ((2.0, 1.2), (0.0, 0.8))  # seconds of the steps, and the least ratio to PyTorch from there on


def train_once(config: Mapping[str, Any], workdir: str) -> float | None:
    """Trains a run from its settings, as a worker of a study does; returns the macro AUROC of validation."""
    from rich.console import Console

    from ecg_jax.training import run

    result = run(from_dict(RunConfig, dict(config)), Path(workdir), console=Console(quiet=True), plots=False)
    return result.metrics["macro_auroc"]["value"]


def take_steps(config: str) -> int:
    """Takes all training steps of a run from its settings as JSON; nothing is validated or written."""
    from jax import block_until_ready

    setup, steps = _setup_of(config)
    state, _ = setup.train(setup.initial_state(), [0], steps, lambda taken: None)
    block_until_ready(state)
    return steps


@lru_cache(maxsize=1)
def _setup_of(config: str) -> tuple[Any, int]:
    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.training.setup import TrainingSetup, make_plan

    known = from_dict(RunConfig, json.loads(config))
    plan = make_plan(known, open_prepared(known.data.path))
    return TrainingSetup([plan]), plan.steps_until(known.train.epochs)


def train_by_torch(
    arrays: str, config: Mapping[str, Any], rate_hz: float, folder: str, predict_test: bool = False
) -> float:
    """Trains a run by the PyTorch script; returns the macro AUROC of validation."""
    from bench_torch import train_script

    known = from_dict(RunConfig, dict(config))
    return train_script(Path(arrays), known, rate_hz, Path(folder), predict_test=predict_test)


def write_arrays(data: DataConfig, path: Path) -> float:
    """Writes a prepared set for the PyTorch script; returns its rate in Hz."""
    import numpy as np

    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.dataset.splits import split_records

    prepared = open_prepared(data.path)
    splits = split_records(prepared, data)
    signals = [signal.T * scale_mv[:, None] for signal, scale_mv in prepared.read(range(len(prepared)))]
    parts = {name: getattr(splits, name) for name in ("training", "validation", "test")}
    np.savez(path, signal_mv=np.stack(signals).astype(np.float32), label=prepared.label.astype(np.float32), **parts)
    return prepared.rate_hz


def base_run(data: Path) -> RunConfig:
    """The recipe of the three scales."""
    from ecg_jax.study.design import without_stem_pool

    model, train = without_stem_pool(ModelConfig()), TrainConfig(epochs=15, batch_size=32, learning_rate=5e-3)
    return RunConfig(data=DataConfig(path=data, window_seconds=5.0), model=model, train=train)


def cases(synthetic: Path, real: Path | None) -> dict[str, RunConfig]:
    """The runs that are measured, by name; that of the PTB-XL preset only if there is a set."""
    base, found = base_run(synthetic), {}
    for depth, channels, kernel in SCALES:
        model = replace(base.model, depth=depth, channels=channels, kernel=kernel)
        found[f"{depth}, {channels}, {kernel}"] = replace(base, model=model)
    if real is not None:
        preset = presets.ptb_xl()
        found["preset ptb_xl"] = replace(preset, data=replace(preset.data, path=real.resolve()))
    return found


@dataclass(frozen=True)
class Timings:
    """Seconds of the runs of one case in the order in which one process took them, and of its steps alone."""

    steps: int
    ours: Sequence[float]
    from_disk: float
    """Of the first run of a process that finds its compiled functions on disk, as in a study."""
    pure_steps: Sequence[float]
    torch: Sequence[float]
    before: Sequence[float]
    """Of the other checkout; empty if there is none."""
    auroc: float | None
    torch_auroc: float | None

    def summary(self) -> dict[str, Any]:
        """Medians of the runs after the first, and whether they are as required."""
        steps, later = statistics.median(self.pure_steps), self.ours[1:]
        rest = statistics.median(later) - steps
        ratio = statistics.median(self.torch[1:]) / statistics.median(later)
        allowed = FIXED_SECONDS + SHARE_OF_STEPS * steps
        required = next(ratio for seconds, ratio in LEAST_RATIOS if steps >= seconds)
        return {
            "not_steps": rest,
            "not_steps_allowed": allowed,
            "ratio": ratio,
            "ratio_required": required,
            "ratio_of_first": self.torch[0] / self.ours[0],
            "as_required": rest <= allowed and ratio >= required,
        }

    def texts(self) -> list[str]:
        """A row of the table."""
        found = self.summary()
        others = [statistics.median(times[1:]) for times in (self.torch, self.before) if times]
        numbers = (statistics.median(self.pure_steps), *self.ours, self.from_disk, found["not_steps"], self.torch[0])
        texts = [f"{seconds:.2f}" for seconds in (*numbers, *others)]
        return [*texts, f"{found['ratio']:.2f}", "yes" if found["as_required"] else "no"]


def measure(config: RunConfig, folder: Path, before: Path | None, *, runs: int = RUNS) -> Timings:
    """Measures one case; `folder` is a new one, `before` another checkout of this project."""
    folder.mkdir(parents=True)
    settings, ours, alone, torch, old = to_dict(config), [], [], [], []
    rate_hz, arrays = write_arrays(config.data, folder / "arrays.npz"), folder / "arrays.npz"
    with ExitStack() as stack:

        def worker(**how: Any) -> Worker:
            return stack.enter_context(Worker(**how))

        own, other = worker(imports=RUNNING, compiled=folder / "compiled"), worker(imports=["bench_torch"])
        earlier = worker(checkout=before, imports=RUNNING, compiled=folder / "before") if before else None
        for number in range(runs):
            run = own.call("bench_run.train_once", config=settings, workdir=folder / f"run_{number}")
            steps = own.call("bench_run.take_steps", config=json.dumps(settings))
            plain = other.call(
                "bench_run.train_by_torch",
                arrays=arrays,
                config=settings,
                rate_hz=rate_hz,
                folder=folder / f"torch_{number}",
            )
            ours.append(run["seconds"])
            alone.append(steps["seconds"])
            torch.append(plain["seconds"])
            if earlier:
                where = folder / f"before_{number}"
                old.append(earlier.call("bench_run.train_once", config=settings, workdir=where)["seconds"])
        again = worker(imports=RUNNING, compiled=folder / "compiled")
        from_disk = again.call("bench_run.train_once", config=settings, workdir=folder / "from_disk")["seconds"]
    shutil.rmtree(folder)
    return Timings(steps["value"], ours, from_disk, alone[1:], torch, old, run["value"], plain["value"])


def measure_all(ptb_xl: Path | None, before: Path | None, folder: Path) -> Iterator[tuple[str, Timings]]:
    """Measures every case, below a new folder; yields its name and timings."""
    from rich.console import Console

    from ecg_jax.dataset.prepare import prepare
    from ecg_jax.dataset.prepare_config import PrepareConfig
    from ecg_jax.sources import Synthetic

    synthetic = folder / "synthetic"
    prepare(PrepareConfig(Synthetic(records=RECORDS), synthetic), Console(quiet=True))
    for name, config in cases(synthetic, ptb_xl).items():
        yield name, measure(config, folder / "case", before)


def columns(before: Path | None) -> list[str]:
    """The headings of the table."""
    runs = ["first run", *(f"run {number}" for number in range(2, RUNS + 1)), "first, compiled on disk"]
    others = ["PyTorch, first", "PyTorch", *(["before"] if before else [])]
    return ["steps", *runs, "not steps", *others, "ratio", "as required"]
