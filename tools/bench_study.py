"""A whole study with its report against a plain PyTorch script that trains the same networks; a process for each.

Called by `bench.py`.
"""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from bench_run import write_arrays
from bench_worker import Worker

from ecg_jax.config import DataConfig, ModelConfig, RunConfig, TrainConfig, from_dict, to_dict
from ecg_jax.files import temporary_folder

GRID = {"depths": (1, 2), "channels": (16, 32), "kernels": (5,)}


@dataclass(frozen=True)
class StudySeconds:
    """Seconds of the processes, and of the trainings and test predictions of each scale in them."""

    seconds: float
    predicted_trainings: float
    """Of all trainings and test predictions, by the model of `--dry-run`."""
    torch_seconds: float
    of_scale: Mapping[str, float]
    torch_of_scale: Mapping[str, float]

    def scales(self) -> dict[str, tuple[float, float]]:
        """Both sides of each scale."""
        return {name: (seconds, self.torch_of_scale[name]) for name, seconds in self.of_scale.items()}


def base_run(data: Path, epochs: int) -> RunConfig:
    """The recipe of all trials."""
    from ecg_jax.study.design import without_stem_pool

    return RunConfig(
        data=DataConfig(path=data.resolve(), window_seconds=2.5),
        model=without_stem_pool(ModelConfig()),
        train=TrainConfig(epochs=epochs),
    )


def measure(
    data: Path, workdir: Path, epochs: int, grid: Mapping[str, tuple[int, ...]] = GRID, seeds: int = 3
) -> StudySeconds:
    """Trains the study in `workdir`, a new folder, then the same networks by PyTorch; nothing is compiled before."""
    base = base_run(data, epochs)
    trials = {"config": to_dict(base), "grid": grid, "seeds": seeds}
    with temporary_folder() as folder:
        with Worker(compiled=folder / "dry_run") as worker:
            predicted = worker.call("bench_study.predict_ours", **trials)
        start = time.perf_counter()
        with Worker(compiled=folder / "compiled") as worker:
            ours = worker.call("bench_study.train_ours", workdir=workdir, **trials)
        seconds = time.perf_counter() - start
        rate_hz, arrays = write_arrays(base.data, folder / "arrays.npz"), folder / "arrays.npz"
        start = time.perf_counter()
        with Worker() as worker:
            torch = worker.call("bench_study.train_theirs", arrays=arrays, rate_hz=rate_hz, folder=folder, **trials)
        torch_seconds = time.perf_counter() - start
    return StudySeconds(seconds, predicted["value"], torch_seconds, ours["value"], torch["value"])


def train_ours(config: dict[str, Any], workdir: str, grid: Mapping[str, list[int]], seeds: int) -> dict[str, float]:
    """Trains a study with its report; returns the seconds of its trainings and test predictions by scale."""
    from ecg_jax.report.write import conclude_study
    from ecg_jax.scripts.experiment import GridArgs, train_study
    from ecg_jax.study.runner import Runner
    from ecg_jax.training.workdir import read_config

    seconds: defaultdict[str, float] = defaultdict(float)
    plain = Runner()

    def train(runs: Mapping[Path, RunConfig], **settings: Any) -> Any:
        start = time.perf_counter()
        results = plain.train(runs, **settings)
        for run in runs.values():
            seconds[_name(run.model)] += (time.perf_counter() - start) / len(runs)
        return results

    def predict(run: Path, data: Path) -> None:
        start = time.perf_counter()
        plain.predict(run, data)
        seconds[_name(read_config(run).model)] += time.perf_counter() - start

    axes: dict[str, Any] = {name: tuple(levels) for name, levels in grid.items()}
    run = from_dict(RunConfig, config)
    one_rate = (run.train.learning_rate,)
    args = GridArgs(Path(workdir), seeds=seeds, learning_rates=one_rate, run=run, **axes)
    train_study(args, conclude=conclude_study, runner=replace(plain, train=train, predict=predict))
    return dict(seconds)


def predict_ours(config: dict[str, Any], grid: Mapping[str, list[int]], seeds: int) -> float:
    """Predicts the seconds of all trainings and test predictions of the study, as `--dry-run` does."""
    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.scripts.experiment import GridArgs
    from ecg_jax.study.design import make_study
    from ecg_jax.study.dry_run import estimate_seconds
    from ecg_jax.study.runner import Runner

    base = from_dict(RunConfig, config)
    axes: dict[str, Any] = {name: tuple(levels) for name, levels in grid.items()}
    args = GridArgs(Path(), seeds=seeds, learning_rates=(base.train.learning_rate,), run=base, **axes)
    study = make_study(base, args.axes(), (), open_prepared(base.data.path))
    (scales,) = (each.scales() for each in args.grids(study))
    return sum(seeds * of_run + start for of_run, start in estimate_seconds(study, scales, Runner()).values())


def train_theirs(
    config: dict[str, Any], arrays: str, rate_hz: float, folder: str, grid: Mapping[str, list[int]], seeds: int
) -> dict[str, float]:
    """Trains the same networks by the PyTorch script; returns the seconds by scale."""
    from bench_torch import train_script

    base, seconds = from_dict(RunConfig, config), defaultdict(float)
    for seed in range(seeds):
        for depth, channels, kernel in product(*grid.values()):
            model = replace(base.model, depth=depth, channels=channels, kernel=kernel)
            run = replace(base, model=model, train=replace(base.train, seed=seed))
            start = time.perf_counter()
            train_script(Path(arrays), run, rate_hz, Path(folder, f"{_name(model)}, {seed}"), predict_test=True)
            seconds[_name(model)] += time.perf_counter() - start
    return dict(seconds)


def _name(model: ModelConfig) -> str:
    return f"{model.depth}, {model.channels}, {model.kernel}"
