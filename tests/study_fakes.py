"""A study without training: `run` and `predict` that leave a run's files with made-up figures, at once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from ecg_jax.config import DataConfig, RunConfig, to_dict
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.dataset.splits import split_by_folds
from ecg_jax.errors import RunError
from ecg_jax.evaluation.thresholds import fit_thresholds
from ecg_jax.study.design import Grid, make_study
from ecg_jax.study.results import collect, write_trials
from ecg_jax.study.trial_queue import TrialQueue, open_storage
from ecg_jax.study.workdir import StudyFolder, add_grid, found
from ecg_jax.study.worker import work
from ecg_jax.training.result import conclude, read_result, write_predictions

QUIET = Console(quiet=True)


class Fakes:
    """Counts what it is asked to train; the rate decides how good the figures are, `fails` what goes wrong."""

    def __init__(self, fails: Any = None, best_rate: float = 3e-3, before: Any = None):
        self.trained: list[str] = []
        self.predicted: list[str] = []
        self.fails, self.best_rate, self.before = fails, best_rate, before

    def run(self, config: RunConfig, workdir: Path, *, console: Console, plots: bool) -> Any:
        assert not plots
        if (finished := read_result(workdir)) is not None:
            return finished
        if self.before:
            self.before(config)
        if self.fails and self.fails(config):
            raise RunError("the loss is nan at step 3; no epoch was whole")
        self.trained.append(below(workdir))
        workdir.mkdir(parents=True, exist_ok=True)
        prepared, indices, probability = self.predictions(config, "validation")
        limits = fit_thresholds(prepared.label[indices], probability, prepared.target)
        settings = {"resamples": 20, "cost": {}, "train": {"seconds": 1.5 * config.model.channels}, "plots": False}
        return conclude(
            workdir, "validation", prepared, indices, probability, limits, config=to_dict(config), **settings
        )

    def predict(self, workdir: Path, data: Path) -> None:
        from ecg_jax.config import from_dict

        self.predicted.append(below(workdir))
        result = read_result(workdir)
        assert result is not None
        write_predictions(workdir, "test", *self.predictions(from_dict(RunConfig, result.config), "test"))

    def predictions(self, config: RunConfig, split: str) -> tuple[Any, np.ndarray, np.ndarray]:
        prepared = open_prepared(config.data.path)
        indices = getattr(split_by_folds(prepared.folds, config.data), split)
        model, train = config.model, config.train
        assert isinstance(model.depth, int)
        assert isinstance(model.kernel, int)
        random = np.random.default_rng([train.seed, model.depth, model.channels, model.kernel, len(indices)])
        label = prepared.label[indices].astype(float)
        noise = random.normal(size=label.shape) * (1 + 1000 * abs(train.learning_rate - self.best_rate))
        return prepared, indices, 1 / (1 + np.exp(-(3 * label - 1 + noise)))


def below(workdir: Path) -> str:
    """A run's folder below `trials`."""
    return str(workdir).rpartition("/trials/")[2]


GRID = Grid(depths=(1,), channels=(4, 8), kernels=(3,), seeds=2, learning_rates=(3e-3,))


def begun(workdir: Path, data: Path, grid: Grid = GRID, folds: tuple[int, ...] = (), **train: Any) -> StudyFolder:
    """A study with this grid."""
    base = RunConfig(data=DataConfig(path=data, window_seconds=2.0))
    base = replace(base, train=replace(base.train, **train))
    prepared = open_prepared(data)
    about = {"rate_hz": prepared.rate_hz, "leads": len(prepared.leads), "labels": len(prepared.labels)}
    founded = found(workdir, make_study(base, folds, fingerprint=prepared.fingerprint, **about), "")
    add_grid(workdir, grid)
    return founded


def worked(workdir: Path, founded: StudyFolder, fakes: Fakes, **settings: Any) -> Fakes:
    """Works on a study until it is done."""
    settings = {"console": QUIET, "lease_seconds": 5, "conclude": list_trials, **settings}
    work(workdir, founded, run=fakes.run, predict=fakes.predict, **settings)
    return fakes


def list_trials(workdir: Path, founded: StudyFolder, console: Console) -> None:
    """In place of the report, which measures and draws."""
    write_trials(workdir, collect(workdir, founded).rows)
    (workdir / "report.html").touch()


def desk_of(workdir: Path, founded: StudyFolder) -> TrialQueue:
    return TrialQueue(open_storage(workdir, founded.storage), founded.name)
