"""What a study will take, before it is begun: its trials as a table, timed by a few real steps of a few scales."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.table import Column, Table

from ecg_jax.config import RunConfig
from ecg_jax.study.design import Plan, Scale, Study, Trial, cost_of, fit_seconds, marks
from ecg_jax.study.results import rates_of
from ecg_jax.study.status import duration
from ecg_jax.study.tasks import Task, runs_of, tasks
from ecg_jax.study.workdir import trial_folder

MEASURED_SCALES = 4
MEASURED_SECONDS = 1.0  # of steps at each of them, about

Measure = Callable[[RunConfig], tuple[float, float]]


def measure(config: RunConfig) -> tuple[float, float]:
    """Seconds that a run will take, and seconds that go by before its first step is done (mostly compilation)."""
    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.dataset.splits import split_records
    from ecg_jax.training.loop import make_contract
    from ecg_jax.training.setup import TrainingSetup

    began = time.perf_counter()
    prepared = open_prepared(config.data.path)
    splits = split_records(prepared, config.data)
    fitting = TrainingSetup(config, prepared, splits, make_contract(config, prepared, splits))
    state, _ = fitting.train(fitting.initial_state(), 0, 1, lambda: None)
    fitting.validate(state)
    before = time.perf_counter() - began
    timed, steps, first = 0.0, 1, 1
    while timed < MEASURED_SECONDS / 2 and first < fitting.steps_until(config.train.epochs):
        began = time.perf_counter()
        state, _ = fitting.train(state, first, first + steps, lambda: None)
        timed, first, done = time.perf_counter() - began, first + steps, steps
        steps *= 2
    each = timed / done if timed else before
    began = time.perf_counter()
    fitting.validate(state)
    validation = time.perf_counter() - began
    return fitting.steps_until(config.train.epochs) * each + config.train.epochs * validation, before


def estimated(study: Study, scales: list[Scale], measured: Measure = measure) -> dict[Scale, tuple[float, float]]:
    """Seconds of a run of each scale, and of what comes before its first step, from measuring a few of them."""
    macs = {scale: float(cost_of(study, scale).macs) for scale in scales}
    order = sorted(scales, key=lambda scale: macs[scale])
    last = len(order) - 1
    taken = sorted({round(last * i / max(MEASURED_SCALES - 1, 1)) for i in range(MEASURED_SCALES)})
    runs, before = [], []
    for scale in (order[i] for i in taken):
        seconds, waited = measured(next(iter(Trial(scale, 1e-3, 0).runs(study).values())))
        runs.append((macs[scale], seconds))
        before.append((macs[scale], waited))
    of_run, of_start = fit_seconds(runs), fit_seconds(before)
    return {scale: (of_run(macs[scale]), of_start(macs[scale])) for scale in scales}


def trials_table(workdir: Path, study: Study, plan: Plan, seconds: dict[Scale, tuple[float, float]]) -> Table:
    """Every trial in the order in which they are taken, with what it costs; the last row is the sum.

    Rates that are tried first, on the first fold, are rows of their own. The time is of one worker.
    """
    marked = any(marks(study, scale) for scale in seconds)
    head = ("runs", "parameters", "MACs", "sees", "kernel", "time", *([""] if marked else []))
    table = Table(Column("trial", no_wrap=True), *head)
    total, seen, chosen = 0.0, set(), rates_of(workdir, study, plan)[0]
    rate_ms = 1000 / study.rate_hz
    for task in tasks(plan, []):
        known, runs = cost_of(study, task.scale), runs_of(task, plan, len(study.folds))
        each, start = seconds[task.scale]
        rate = chosen.get(task.scale) if task.rate is None else task.rate
        finished = rate is not None and _finished(workdir, study, replace(task, rate=rate))
        needed = 0.0 if finished else runs * each + (task.scale not in seen) * start
        total += needed
        seen.add(task.scale)
        table.add_row(
            f"{task.name} (rate)" if task.stage == "rate" else task.name,
            str(runs),
            f"{known.parameters:,}",
            f"{known.macs:,}",
            f"{known.receptive_field_samples} ({known.receptive_field_ms:g} ms)",
            f"{task.scale.kernel} ({task.scale.kernel * rate_ms:g} ms)",
            duration(needed),
            *(["; ".join(marks(study, task.scale))] if marked else []),
        )
    table.add_section()
    table.add_row("all", "", "", "", "", "", duration(total))
    return table


def _finished(workdir: Path, study: Study, task: Task) -> bool:
    runs = list(task.trial.runs(study))[: 1 if task.stage == "rate" else None]
    return all((trial_folder(workdir, task.trial) / below / "result.json").is_file() for below in runs)
