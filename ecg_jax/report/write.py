"""The report of a study: a page, `analysis.json`, `trials.csv` with its test columns, and figures for a paper."""

import fcntl
import json
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console

from ecg_jax.analysis.influence import aurocs, mean_of, others
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.summary import analyse
from ecg_jax.files import write_bytes, write_text
from ecg_jax.report import charts, sentences
from ecg_jax.report.html_page import About, figures, page
from ecg_jax.study.design import Scale, Trial
from ecg_jax.study.latency import Measure, forget, latencies, machine
from ecg_jax.study.results import StudyResults, collect, write_trials
from ecg_jax.study.workdir import StudyFolder, read_founded, read_grids, trial_folder
from ecg_jax.training.workdir import read_metrics

PACKAGES = ("ecg-jax", "jax", "jaxlib", "flax", "optax", "optuna", "numpy", "scipy")
CURVES = ("validation_macro_auroc", "train_loss")
Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Report:
    """What was written: the page, and the answer in sentences."""

    page: Path
    answer: tuple[str, ...]


def write_report(
    workdir: Path, *, data: Path | None = None, measure: Measure | None = None, again: bool = False
) -> Report:
    """Reads what is finished of a study, analyses it and writes the report beside it.

    Args:
        workdir: of the study.
        data: where the prepared set lies now, if it was moved.
        measure: of latencies, in place of `latency.measured`, for tests.
        again: measure latencies anew; those of a report on a running study were taken beside its trainings.

    Raises:
        RunError: there is no study, or its prepared set is another one by now.
    """
    founded = read_founded(workdir)
    collected = collect(workdir, founded, data=data)
    analysis = None
    if collected.outcomes is not None:
        if again:
            forget(workdir)
        outcomes = with_latency(workdir, founded, collected.outcomes, measure)
        analysis = analyse(outcomes)
        collected = replace(collected, rows=with_test(collected.rows, outcomes), outcomes=outcomes)
    write_trials(workdir, collected.rows)
    found = dict.fromkeys(("claims", "best", "per_label", "pareto")) if analysis is None else analysis
    notes = {"notes": list(collected.notes), "left_out": collected.left_out}
    write_text(workdir / "analysis.json", json.dumps(found | notes, indent=1) + "\n")

    about = _about(workdir, founded, collected, data)
    drawn = figures(analysis, validation_means(collected.rows), _curves(workdir, founded, collected.rows), about)
    _write_figures(workdir / "figures", drawn)
    write_text(workdir / "report.html", page(analysis, collected.rows, drawn, about))
    answer = sentences.answer(analysis, about.rate_hz) if analysis else ["No seed is finished at every scale yet."]
    return Report(workdir / "report.html", (*collected.notes, *answer))


def with_latency(
    workdir: Path, founded: StudyFolder, outcomes: StudyPredictions, measure: Measure | None = None
) -> StudyPredictions:
    """The same outcomes whose trials know how long one window takes on this machine."""
    known = latencies(workdir, founded.study, [Scale(*scale) for scale in outcomes.scales], measure)
    trials = [{**trial, "latency_ms": known[Scale.of(trial)]} for trial in outcomes.trials]
    return replace(outcomes, trials=trials)


def with_test(rows: Rows, outcomes: StudyPredictions) -> list[dict[str, Any]]:
    """The rows with test metrics of the trials in the outcomes; those of all others stay empty."""
    measures = {"macro_auroc": mean_of(aurocs(outcomes)), **others(outcomes)}
    if outcomes.score is not None:  # named as its validation column is
        measures[getattr(outcomes.score, "__name__", "score")] = measures.pop("score")
    place = {_key(trial): t for t, trial in enumerate(outcomes.trials)}
    found = []
    for row in rows:
        t = place.get(_key(row)) if row["chosen"] else None
        test = {f"test_{n}": None if t is None or m is None else float(m.value[t]) for n, m in measures.items()}
        names = list(row)
        first = names[: names.index("validation_macro_auroc") + 1]
        found.append({**{n: row[n] for n in first}, "test_macro_auroc": test["test_macro_auroc"], **row, **test})
    return found


def validation_means(rows: Rows) -> list[dict[str, Any]]:
    """Each scale's mean over its seeds on validation; where no rate is chosen yet, that of its best rate."""
    found = []
    for scale in sorted({Scale.of(row) for row in rows}):
        there = [row for row in rows if Scale.of(row) == scale and row["validation_macro_auroc"] is not None]
        chosen = [row["validation_macro_auroc"] for row in there if row["chosen"]]
        value = mean(chosen) if chosen else max((row["validation_macro_auroc"] for row in there), default=None)
        about = next(row for row in rows if Scale.of(row) == scale)
        costs = {name: {"value": about[name]} for name in ("parameters", "macs")}
        found.append(
            {**_named(scale), "mean": value, "receptive_field_ms": about["receptive_field_ms"], "costs": costs}
        )
    return found


def commands(workdir: Path, founded: StudyFolder) -> list[str]:
    """The commands that make this study and its report."""
    study = founded.study
    told = []
    for _, grid in read_grids(workdir):
        parts = ["python experiments/scale.py", "--data", shown(study.base.data.path), "--workdir", shown(workdir)]
        for name in ("depths", "channels", "kernels", "learning_rates"):
            parts += [f"--{name.replace('_', '-')}", *map(str, getattr(grid, name))]
        parts += ["--seeds", str(grid.seeds), *(["--folds", *map(str, study.folds)] if study.folds else [])]
        told.append(" ".join([parts[0], *map(shlex.quote, [*parts[1:], *sentences.flags(study.base)])]))
    return [*told, f"ecg-jax report {shlex.quote(shown(workdir))}"]


def shown(path: Path) -> str:
    """A path as a reader may type it: from this folder where it lies below it."""
    here, full = Path.cwd(), path.resolve()
    return str(full.relative_to(here)) if full.is_relative_to(here) else str(path)


def _about(workdir: Path, founded: StudyFolder, collected: StudyResults, data: Path | None) -> About:
    study = founded.study
    return About(
        name=workdir.resolve().name,
        data=shown(data or study.base.data.path),
        rate_hz=study.rate_hz,
        window_seconds=study.base.data.window_seconds,
        fingerprint=study.fingerprint,
        seeds=collected.seeds,
        folds=study.folds,
        notes=collected.notes,
        commands=tuple(commands(workdir, founded)),
        versions={"Python": platform.python_version(), **{name: v for name in PACKAGES if (v := _version(name))}},
        machine=machine(),
        latency=collected.outcomes is not None,
    )


def _curves(workdir: Path, founded: StudyFolder, rows: Rows) -> list[dict[str, Any]]:
    """Means by epoch over the runs of each scale at its rate."""
    found: dict[tuple[Scale, int], list[dict[str, Any]]] = {}
    for row in rows:
        trial = Trial(Scale.of(row), row["learning_rate"], row["seed"])
        for below in trial.runs(founded.study) if row["chosen"] else ():
            for line in read_metrics(trial_folder(workdir, trial) / below):
                found.setdefault((trial.scale, line["epoch"]), []).append(line)
    return [
        {**_named(scale), "epoch": epoch, **{name: _mean(line.get(name) for line in lines) for name in CURVES}}
        for (scale, epoch), lines in found.items()
    ]


def _write_figures(folder: Path, drawn: dict[str, charts.Panels]) -> None:
    folder.mkdir(exist_ok=True)
    for old in (*folder.glob("*.svg"), *folder.glob("*.png")):
        if old.stem not in drawn:
            old.unlink()
    for name, panels in drawn.items():
        figure = charts.together(panels, columns=2 if name in ("pareto", "learning_curves") else 3)
        write_text(folder / f"{name}.svg", charts.svg(figure))
        write_bytes(folder / f"{name}.png", charts.png(figure))


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return round(mean(known), 5) if known else None


def _key(row: dict[str, Any]) -> tuple[Scale, int]:
    return Scale.of(row), row["seed"]


def _named(scale: Scale) -> dict[str, int]:
    return {"depth": scale.depth, "channels": scale.channels, "kernel": scale.kernel}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def conclude_study(workdir: Path, founded: StudyFolder, console: Console) -> None:
    """Writes the report and says what it found; of workers that end together, one does."""
    with (workdir / "report.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("another worker writes the report")
            return
        written = write_report(workdir, data=founded.study.base.data.path, again=True)
    print(*written.answer, f"report: {written.page}", sep="\n")
