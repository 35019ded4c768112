"""A study without training: a runner that leaves the files of a run with invented predictions, at once."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from ecg_jax.analysis.axes import READY_MADE, Scale
from ecg_jax.config import DataConfig, RunConfig, from_dict
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.dataset.splits import split_by_folds
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.evaluation.thresholds import fit_thresholds
from ecg_jax.models import Cost
from ecg_jax.study.design import Grid, Study, make_grid, make_study
from ecg_jax.study.results import load_results, write_trials
from ecg_jax.study.runner import Runner
from ecg_jax.study.storage import open_storage
from ecg_jax.study.trial_queue import TrialQueue
from ecg_jax.study.workdir import StudyFolder, create_or_open
from ecg_jax.study.worker import work
from ecg_jax.training.result import SplitPredictions, TrainStats, make_result, read_result
from ecg_jax.training.writer import RunWriter

QUIET = Console(quiet=True)


class Fakes:
    """Counts what it trains; rate, head and share decide how good the predictions are, `fails` what fails."""

    def __init__(self, fails: Any = None, best_rate: float = 3e-3, before: Any = None, worse: Any = None):
        self.trained: list[str] = []
        self.predicted: list[str] = []
        self.together: list[int] = []  # the number of runs in each call
        self.fastest = 1  # the number of runs together that a measurement finds
        self.fails, self.best_rate, self.before, self.worse = fails, best_rate, before, worse
        self.paused: list[tuple[str, int]] = []  # runs with the epoch after which they paused

    @property
    def runner(self) -> Runner:
        """Measures what is known of a scale, so that nothing is timed."""
        measures = (macs_latency, lambda config: (60.0, 0.0), lambda folder: None, lambda configs: self.fastest)
        return Runner(self.train, self.predict, *measures, measure_rest=lambda config: (0.0, 0.0))

    def train(
        self, runs: dict[Path, RunConfig], *, console: Console, plots: bool, until: int | None = None
    ) -> dict[Path, Any]:
        del console, plots
        self.together.append(len(runs))
        results: dict[Path, Any] = {}
        for workdir, config in runs.items():
            try:
                if until is None:
                    results[workdir] = self.train_run(config, workdir)
                else:
                    self.pause_run(config, workdir, until)
            except (ConfigError, RunError) as error:
                results[workdir] = error
        return results

    def pause_run(self, config: RunConfig, workdir: Path, until: int) -> None:
        """Leaves the lines of the epochs before a pause: all runs are alike there, but those that are `worse`."""
        if self.fails and self.fails(config):
            raise RunError("the loss is nan at step 3; no epoch was whole")
        self.paused.append((below(workdir), until))
        workdir.mkdir(parents=True, exist_ok=True)
        value = 0.4 if self.worse and self.worse(config) else 0.5
        lines = [{"epoch": n, "step": n, "validation_macro_auroc": value} for n in range(1, until + 1)]
        (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def train_run(self, config: RunConfig, workdir: Path) -> Any:
        finished = read_result(workdir)
        if finished is not None and finished.config["train"]["epochs"] == config.train.epochs:
            return finished
        (workdir / "predictions_test.csv").unlink(missing_ok=True)  # of a run that goes on
        if self.before:
            self.before(config)
        if self.fails and self.fails(config):
            raise RunError("the loss is nan at step 3; no epoch was whole")
        self.trained.append(below(workdir))
        workdir.mkdir(parents=True, exist_ok=True)
        predictions = self.predictions(config, "validation")
        thresholds = fit_thresholds(predictions.label, predictions.probability, predictions.prepared.target)
        about = {"cost": Cost(0, 0, None, None), "train": TrainStats(1, 1.5 * config.model.channels, 1.0, 1)}
        config = replace(config, evaluate=replace(config.evaluate, resamples=20))
        result = make_result(workdir, predictions, thresholds, config=config, **about)
        RunWriter(workdir, plots=False).write_result(predictions, result)
        return result

    def predict(self, workdir: Path, data: Path) -> None:
        self.predicted.append(below(workdir))
        result = read_result(workdir)
        assert result is not None
        RunWriter(workdir).write_predictions(self.predictions(from_dict(RunConfig, result.config), "test"))

    def predictions(self, config: RunConfig, split: str) -> SplitPredictions:
        prepared = open_prepared(config.data.path)
        indices = getattr(split_by_folds(prepared.folds, config.data), split)
        model, train = config.model, config.train
        kernel = model.kernel if isinstance(model.kernel, int) else model.kernel[0]
        depth = model.depth if isinstance(model.depth, int) else sum(model.depth)
        random = np.random.default_rng([train.seed, depth, model.channels, kernel, len(indices)])
        label = prepared.label[indices].astype(float)
        noise = random.normal(size=label.shape) * (1 + 1000 * abs(train.learning_rate - self.best_rate))
        noise *= (3 if model.head == "flatten" else 1) * (2 - config.data.training_share)
        return SplitPredictions(split, prepared, indices, 1 / (1 + np.exp(-(3 * label - 1 + noise))))


def macs_latency(study: Study, scale: Scale) -> float:
    """A latency that is known without a measurement."""
    model = study.config(scale).model
    return float(model.channels)


def below(workdir: Path) -> str:
    """A run's folder below `trials`."""
    return str(workdir).rpartition("/trials/")[2]


def scale_of(depth: int, channels: int, kernel: int) -> Scale:
    """A scale of depth, channels and kernel."""
    return Scale(("depth", "channels", "kernel"), (depth, channels, kernel))


def make_scale_grid(depths: Any, channels: Any, kernels: Any, seeds: int, learning_rates: Any) -> Grid:
    """A grid over depth, channels and kernel."""
    levels = zip(READY_MADE, (depths, channels, kernels), strict=True)
    return make_grid([replace(axis, levels=tuple(given)) for axis, given in levels], seeds, learning_rates)


GRID = make_scale_grid((1,), (4, 8), (3,), 2, (3e-3,))


def with_levels(grid: Grid, **changes: Any) -> Grid:
    """A grid of depth, channels and kernel with other `depths`, `channels`, `kernels`, `seeds` or `learning_rates`."""
    depths, channels, kernels = (axis.levels for axis in grid.axes)
    values = {"depths": depths, "channels": channels, "kernels": kernels}
    return make_scale_grid(**{**values, "seeds": grid.seeds, "learning_rates": grid.learning_rates, **changes})


def begun(
    workdir: Path,
    data: Path,
    grid: Grid = GRID,
    folds: tuple[int, ...] = (),
    *,
    paired_seeds: bool = False,
    **train: Any,
) -> StudyFolder:
    """A study with this grid."""
    base = RunConfig(data=DataConfig(path=data, window_seconds=2.0))
    base = replace(base, train=replace(base.train, **train))
    folder = create_or_open(workdir, make_study(base, grid.axes, folds, open_prepared(data), paired_seeds=paired_seeds))
    folder.add_grid(grid)
    return folder


def is_trial(folder: StudyFolder, channels: int, seed: int) -> Callable[[RunConfig], bool]:
    """Whether a run is one of the trial with these channels and this seed, of depth 1 and kernel 3."""
    trained_from = folder.study.config(scale_of(1, channels, 3), seed=seed).train.seed
    return lambda config: (config.model.channels, config.train.seed) == (channels, trained_from)


def worked(folder: StudyFolder, fakes: Fakes, **settings: Any) -> Fakes:
    """Works on a study until it is done."""
    settings = {"console": QUIET, "lease_seconds": 5, "conclude": list_trials, **settings}
    work(folder, runner=fakes.runner, **settings)
    return fakes


def list_trials(folder: StudyFolder, console: Console) -> None:
    """In place of the report, which measures and draws."""
    write_trials(folder.path, load_results(folder).rows)
    (folder.path / "report.html").touch()


def queue_of(folder: StudyFolder) -> TrialQueue:
    return TrialQueue(open_storage(folder.path, folder.storage), folder.name)
