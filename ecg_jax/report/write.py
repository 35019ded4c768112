"""Writes the report of a study: a page, `analysis.json`, `trials.csv` with test metrics, and figures for a paper."""

import fcntl
import json
import platform
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console

from ecg_jax.analysis.axes import Axis, Scale
from ecg_jax.analysis.findings import CostRange, ScaleFindings
from ecg_jax.analysis.influence import macro_auroc, other_metrics
from ecg_jax.analysis.predictions import COSTS, StudyPredictions
from ecg_jax.analysis.summary import analyse
from ecg_jax.config import flags
from ecg_jax.files import write_bytes, write_text
from ecg_jax.report import charts, sentences
from ecg_jax.report.html_page import About, Figure, figures, page
from ecg_jax.study.design import Trial
from ecg_jax.study.latency import forget, latencies, machine
from ecg_jax.study.results import Row, StudyResults, load_results, write_trials
from ecg_jax.study.runner import Runner
from ecg_jax.study.workdir import StudyFolder, open_study
from ecg_jax.training.workdir import read_metrics

PACKAGES = ("ecg-jax", "jax", "jaxlib", "flax", "optax", "optuna", "numpy", "scipy")


@dataclass(frozen=True)
class Report:
    """What was written: the page, and the answer in sentences."""

    page: Path
    answer: tuple[str, ...]


def write_report(
    folder_path: Path, *, data: Path | None = None, runner: Runner | None = None, again: bool = False
) -> Report:
    """Reads the finished trials of a study, analyses them and writes the report into its folder.

    Args:
        folder_path: folder of the study.
        data: where the prepared set is now, if it was moved.
        runner: measures the latencies.
        again: measure all latencies again, because those of an earlier report were measured during trainings.

    Raises:
        RunError: there is no study, or the prepared set is not that of the study.
    """
    folder = open_study(folder_path)
    results = load_results(folder, data=data)
    analysis = None
    if results.predictions is not None:
        if again:
            forget(folder_path)
        predictions = with_latency(folder, results.predictions, runner or Runner())
        analysis = analyse(predictions)
        results = replace(results, rows=with_test(results.rows, predictions), predictions=predictions)
    write_trials(folder_path, results.rows)
    content = analysis.to_dict() if analysis else dict.fromkeys(("claims", "best", "per_label", "pareto"))
    content |= {"notes": list(results.notes), "left_out": results.left_out}
    write_text(folder_path / "analysis.json", json.dumps(content, indent=1) + "\n")

    about = _about(folder, results, data)
    scales = analysis.scales if analysis else validation_means(results.rows, about.axes)
    drawn = figures(analysis, scales, _curves(folder, results.rows), about)
    _write_figures(folder_path / "figures", drawn)
    write_text(folder_path / "report.html", page(analysis, results.rows, drawn, about))
    answer = sentences.answer(analysis, about.rate_hz) if analysis else ["No seed is finished at every scale yet."]
    return Report(folder_path / "report.html", (*results.notes, *answer))


def conclude_study(folder: StudyFolder, console: Console) -> None:
    """Writes the report and prints its answer; of several workers that finish together, one does."""
    with (folder.path / "report.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("another worker writes the report")
            return
        written = write_report(folder.path, data=folder.study.base.data.path, again=True)
    print(*written.answer, f"report: {written.page}", sep="\n")


def with_latency(folder: StudyFolder, predictions: StudyPredictions, runner: Runner) -> StudyPredictions:
    """The same predictions; their trials have the latency of one window on this machine."""
    known = latencies(folder, predictions.scales, runner)
    axes = predictions.axes
    return predictions.with_trials(
        [{**trial, "latency_ms": known[Scale.of(trial, axes)]} for trial in predictions.trials]
    )


def with_test(rows: Sequence[Row], predictions: StudyPredictions) -> list[Row]:
    """The rows with the test metrics of the trials in the predictions; those of all others are None."""
    metrics = {"macro_auroc": macro_auroc(predictions), **other_metrics(predictions)}
    if predictions.score is not None:  # named as its validation column is
        metrics[getattr(predictions.score, "__name__", "score")] = metrics.pop("score")

    def key(row: Row) -> tuple[Scale, int]:
        return Scale.of(row, predictions.axes), row["seed"]

    place = {key(trial): r for r, trial in enumerate(predictions.trials)}
    extended = []
    for row in rows:
        r = place.get(key(row)) if row["chosen"] else None
        test = {f"test_{n}": None if r is None or m is None else float(m.value[r]) for n, m in metrics.items()}
        names = list(row)
        first = names[: names.index("validation_macro_auroc") + 1]
        extended.append({**{n: row[n] for n in first}, "test_macro_auroc": test["test_macro_auroc"], **row, **test})
    return extended


def validation_means(rows: Sequence[Row], axes: Sequence[Axis]) -> list[ScaleFindings]:
    """The mean of each scale over its seeds on validation; until a rate is chosen, the value at its best rate."""
    by_scale: dict[Scale, list[Row]] = {}
    for row in rows:
        by_scale.setdefault(Scale.of(row, axes), []).append(row)
    unknown: dict[str, Any] = dict.fromkeys(("mean_low", "mean_high", "difference", "low", "high", "learning_rate"))
    found = []
    for scale, there in by_scale.items():
        known = [row for row in there if row["validation_macro_auroc"] is not None]
        chosen = [row["validation_macro_auroc"] for row in known if row["chosen"]]
        value = mean(chosen) if chosen else max((row["validation_macro_auroc"] for row in known), default=None)
        costs = {name: None if (cost := there[0].get(name)) is None else CostRange(cost, cost, cost) for name in COSTS}
        facts = {name: there[0][name] for name in ("receptive_field_samples", "receptive_field_ms")}
        found.append(
            ScaleFindings(scale, mean=value, values={}, indistinguishable=False, costs=costs, **facts, **unknown)
        )
    return found


def commands(folder: StudyFolder) -> list[str]:
    """The commands that make this study and its report."""
    study = folder.study
    start = ["python", "experiments/scale.py", "--data", shown(study.base.data.path), "--workdir", shown(folder.path)]
    folds = ["--folds", *map(str, study.folds)] if study.folds else []
    grids = [shlex.join([*start, *grid.flags(), *folds, *flags(study.base)]) for grid in folder.grids()]
    return [*grids, shlex.join(["ecg-jax", "report", shown(folder.path)])]


def shown(path: Path) -> str:
    """A path for a command: relative to the current folder if it is below it."""
    here, full = Path.cwd(), path.resolve()
    return str(full.relative_to(here)) if full.is_relative_to(here) else str(path)


def _about(folder: StudyFolder, results: StudyResults, data: Path | None) -> About:
    study = folder.study
    scales = [Scale.of(row, study.axes) for row in results.rows]
    varied = "data.window_seconds" in study.varied
    return About(
        name=folder.path.resolve().name,
        data=shown(data or study.base.data.path),
        rate_hz=study.rate_hz,
        window_seconds=None if varied else study.base.data.window_seconds,
        fingerprint=study.fingerprint,
        axes=tuple(axis.with_levels([*axis.levels, *(scale[axis.name] for scale in scales)]) for axis in study.axes),
        seeds=results.seeds,
        folds=study.folds,
        notes=results.notes,
        commands=tuple(commands(folder)),
        versions=(
            f"Python {platform.python_version()}",
            *(f"{name} {v}" for name in PACKAGES if (v := _version(name))),
        ),
        machine=machine(),
    )


def _curves(folder: StudyFolder, rows: Iterable[Row]) -> list[charts.EpochMean]:
    """Means by epoch over the runs of each scale at its learning rate."""
    lines: dict[tuple[Scale, int], list[dict[str, Any]]] = {}
    for row in rows:
        trial = Trial(Scale.of(row, folder.study.axes), row["learning_rate"], row["seed"])
        for workdir in folder.run_folders(trial) if row["chosen"] else ():
            for line in read_metrics(workdir):
                lines.setdefault((trial.scale, line["epoch"]), []).append(line)
    return [
        charts.EpochMean(scale, epoch, *(_mean(there, name) for name in ("validation_macro_auroc", "train_loss")))
        for (scale, epoch), there in lines.items()
    ]


def _mean(lines: Sequence[dict[str, Any]], name: str) -> float | None:
    known = [value for line in lines if (value := line.get(name)) is not None]
    return round(mean(known), 5) if known else None


def _write_figures(folder: Path, drawn: dict[str, Figure]) -> None:
    folder.mkdir(exist_ok=True)
    for old in (*folder.glob("*.svg"), *folder.glob("*.png")):
        if old.stem not in drawn:
            old.unlink()
    for name, figure in drawn.items():
        specification = charts.together(figure.for_paper, columns=figure.columns)
        write_text(folder / f"{name}.svg", charts.svg(specification))
        write_bytes(folder / f"{name}.png", charts.png(specification))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # this one, if it runs from its source
        return None
