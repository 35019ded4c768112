"""The pilot of a plan, two seeds of the corner scales of a study, trained and timed; and the time of that study."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from ecg_jax.analysis.axes import READY_MADE, Axis, Scale
from ecg_jax.config import RunConfig, with_fields
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.study.cost import cost_of, fit_seconds
from ecg_jax.study.design import Grid, default_rates, make_grid, make_study, without_stem_pool
from ecg_jax.study.from_data import PILOT_RUNS, Design, base_for, largest_design, run_for
from ecg_jax.study.runner import Runner
from ecg_jax.study.tasks import Task, tasks
from ecg_jax.study.workdir import StudyFolder, cached_progress, create_or_open
from ecg_jax.study.worker import work

SEEDS = 2


def axes_of(design: Design) -> tuple[Axis, ...]:
    """Depth, channels and kernel with the levels of a design."""
    levels = (design.depths, design.channels, design.kernels)
    return tuple(replace(axis, levels=of_axis) for axis, of_axis in zip(READY_MADE, levels, strict=True))


def train_pilot(
    prepared: PreparedSet,
    workdir: Path,
    *,
    retry_failed: bool = False,
    runner: Runner | None = None,
    console: Console | None = None,
) -> tuple[StudyFolder, Design]:
    """Trains the corners of the largest design for a prepared set, and returns their study and that design.

    If it is called again, it does only what is missing.
    """
    run = with_fields(run_for(prepared, RunConfig()), {"data.path": prepared.path.resolve()})
    if base_for(prepared, run.data.window_seconds) == "local":
        run = replace(run, model=without_stem_pool(run.model))
    design = largest_design(prepared, run.train.epochs)
    corners = tuple(axis.with_levels((axis.levels[0], axis.levels[-1])) for axis in axes_of(design))
    folder = create_or_open(workdir, make_study(run, corners, design.folds, prepared))
    folder.add_grid(make_grid(corners, SEEDS, default_rates(run.train.learning_rate)))
    work(folder, conclude=lambda *_: None, runner=runner, console=console, retry_failed=retry_failed)
    return folder, design


def measured_seconds(folder: StudyFolder) -> tuple[Callable[[float], float], Callable[[float], float], bool]:
    """Seconds of a run, and seconds that the first runs of a scale take more, as functions of its MACs.

    They are fitted to the finished trials of a study. The last value is False if the study kept no times of whole
    attempts, so that the times are those of training alone.
    """
    done: dict[Scale, list[Task]] = {}
    for task in tasks(folder.plan(), [], cached_progress(folder)):
        if task.stage == "whole" and task.state == "done":
            done.setdefault(task.scale, []).append(task)
    runs, starts = [], []
    timed = [folder.seconds(task.trial) for there in done.values() for task in there]
    for scale, there in done.items():
        macs = float(cost_of(folder.study, scale).macs)
        taken = [(folder.seconds(task.trial) if all(timed) else None) or task.progress.seconds for task in there]
        runs.append((macs, min(taken) / len(folder.study.run_names)))
        starts.append((macs, taken[0] - min(taken)))
    return fit_seconds(runs), fit_seconds(starts), all(timed)


def planned_seconds(
    folder: StudyFolder, grid: Grid, times: tuple[Callable[[float], float], Callable[[float], float]]
) -> tuple[float, float]:
    """Seconds of the pilot that chooses the rates of the grid's scales, and of one seed of them."""
    of_run, of_start = times
    macs = [float(cost_of(folder.study, scale).macs) for scale in grid.scales()]
    pilot_runs = PILOT_RUNS if len(grid.learning_rates) > 1 else 0
    once = sum(of_start(each) + pilot_runs * of_run(each) for each in macs)
    return once, len(folder.study.run_names) * sum(map(of_run, macs))
