"""Estimates the duration of a study before it starts: a table of its trials, from a few timed steps of a few scales."""

from collections.abc import Sequence

from rich.table import Column, Table

from ecg_jax.analysis.axes import Scale
from ecg_jax.formatting import duration, level_text, receptive_field_text
from ecg_jax.study.cost import cost_of, fit_seconds, marks
from ecg_jax.study.design import Plan, Study
from ecg_jax.study.runner import Runner
from ecg_jax.study.tasks import runs_of, tasks
from ecg_jax.study.workdir import StudyFolder, cached_progress

MEASURED_SCALES = 4

Seconds = dict[Scale, tuple[float, float]]
"""Seconds of a run at each scale, and seconds before its first step."""


def estimate_seconds(
    study: Study, scales: Sequence[Scale], runner: Runner, *, measured_scales: int = MEASURED_SCALES
) -> Seconds:
    """The seconds of all scales, fitted to measurements of a few of them."""
    macs = {scale: float(cost_of(study, scale).macs) for scale in scales}
    order = sorted(scales, key=lambda scale: macs[scale])
    last = len(order) - 1
    measured = sorted({round(last * i / max(measured_scales - 1, 1)) for i in range(measured_scales)})
    runs, starts = [], []
    for scale in (order[i] for i in measured):
        config = next(iter(study.fold_configs(study.config(scale)).values()))
        run, start = runner.measure_run(config)
        runs.append((macs[scale], run / config.train.epochs))
        starts.append((macs[scale], start))
    of_run, of_start = fit_seconds(runs), fit_seconds(starts)  # of an epoch, and of a run
    smallest = next(iter(study.fold_configs(study.config(order[0])).values()))
    once, of_epoch = runner.measure_rest(smallest)
    epochs = {scale: study.config(scale).train.epochs for scale in scales}
    return {scale: (once + epochs[scale] * (of_run(macs[scale]) + of_epoch), of_start(macs[scale])) for scale in scales}


def trials_table(folder: StudyFolder, plan: Plan, seconds: Seconds) -> Table:
    """Every trial in the order of training, with its costs; the last row is the sum. The time is that of one worker.

    Learning rates that are tried first, on the first fold, have rows of their own.
    """
    study = folder.study
    marked = any(marks(study, scale) for scale in seconds)
    names = ("runs", "parameters", "MACs", "receptive field", "kernel", "time", *([""] if marked else []))
    table = Table(Column("trial", no_wrap=True), *names)
    total, started = 0.0, set()
    for task in tasks(plan, [], cached_progress(folder)):
        cost, runs = cost_of(study, task.scale), runs_of(task, plan, len(study.folds))
        of_run, of_start = seconds[task.scale]
        needed = 0.0
        if task.state != "done":
            needed = runs * of_run + (0.0 if task.scale in started else of_start)
        total += needed
        started.add(task.scale)
        table.add_row(
            f"{task.name} (rate)" if task.stage == "rate" else task.name,
            str(runs),
            f"{cost.parameters:,}",
            f"{cost.macs:,}",
            receptive_field_text(cost.receptive_field_samples, cost.receptive_field_ms),
            level_text("kernel", study.config(task.scale).model.kernel, study.rate_hz),
            duration(needed),
            *(["; ".join(marks(study, task.scale))] if marked else []),
        )
    table.add_section()
    table.add_row("all", "", "", "", "", "", duration(total))
    return table
