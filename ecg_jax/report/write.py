"""Writes the report of a study: a page, `analysis.json`, `trials.csv` with test metrics, and figures for a paper."""

import contextlib
import fcntl
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console

from ecg_jax.analysis.axes import Axis, Scale
from ecg_jax.analysis.findings import Analysis, CostRange, Effect, ScaleFindings, to_dict
from ecg_jax.analysis.influence import macro_auroc, other_metrics
from ecg_jax.analysis.predictions import COSTS, StudyPredictions
from ecg_jax.analysis.summary import analyse
from ecg_jax.analysis.training_records import DRAW, for_other_training_records
from ecg_jax.analysis.variance import macro_model
from ecg_jax.config import flags, same_run
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.dataset.splits import split_records
from ecg_jax.errors import RunError
from ecg_jax.files import open_lock, write_bytes, write_text
from ecg_jax.report import charts, sentences
from ecg_jax.report.best_groups import best_by_group
from ecg_jax.report.html_page import About, figures, page
from ecg_jax.report.study_warnings import Course, StudyWarning, study_warnings
from ecg_jax.study.design import Trial, on_halves
from ecg_jax.study.latency import costs_of_files, forget, latencies, machine
from ecg_jax.study.results import Row, StudyResults, load_results, write_trials
from ecg_jax.study.runner import Runner
from ecg_jax.study.workdir import REPLICATES, STUDY, UNREADABLE, StudyFolder, open_study, read_object
from ecg_jax.terminal import command, say, script, shown, tell
from ecg_jax.training.workdir import read_metrics

PACKAGES = ("ecg-jax", "jax", "jaxlib", "flax", "optax", "optuna", "numpy", "scipy")


@dataclass(frozen=True)
class Report:
    """What was written: the page, the answer in sentences, and what comes next."""

    page: Path
    answer: tuple[str, ...]
    next: str
    """The command that usually follows: it recommends a scale or, if no seed is finished, continues the study."""


def write_report(
    folder_path: Path,
    *,
    data: Path | None = None,
    runner: Runner | None = None,
    again: bool = False,
    runtime: str | None = None,
    allow_code: bool = False,
) -> Report:
    """Reads the finished trials of a study, analyses them and writes the report into its folder.

    `data` is where the prepared set is now, if it was moved; `runner` measures the latencies. With `again` all are
    measured again, because those of an earlier report were measured during trainings. With `runtime` they are those of
    exported files. With `allow_code` the functions that the study names are imported.

    Raises:
        RunError: there is no study, it names code that is not allowed, or the prepared set is not that of the study.
    """
    folder = open_study(folder_path, allow_code=allow_code)
    results = load_results(folder, data=data)
    analysis, warnings, looks, others, groups = None, [], [], {}, {}
    if results.predictions is not None:
        if again:
            forget(folder_path)
        predictions = with_latency(folder, results.predictions, runner or Runner(), runtime)
        looks = looks_with(folder_path, predictions)
        analysis = analyse(predictions, look=len(looks))
        results = replace(results, rows=with_test(results.rows, predictions))
        others, note = _for_other_training_records(folder, predictions, data, allow_code=allow_code)
        warnings = _warnings(folder, analysis, predictions, results, others, looks, data)
        if analysis.best is not None:
            prepared = open_prepared(data or folder.study.base.data.path)
            groups = best_by_group(predictions, analysis.best.scale, prepared, folder.study)
        if note:
            results = replace(results, notes=(*results.notes, note))
    write_trials(folder_path, results.rows)
    if results.pilot:
        write_trials(folder_path, results.pilot, "pilot.csv")
    content = analysis.to_dict() if analysis else dict.fromkeys(("claims", "best", "per_label", "pareto"))
    content |= {"notes": list(results.notes), "left_out": results.left_out}
    content |= {"warnings": [vars(warning) for warning in warnings], "looks": looks}
    content |= {"for_other_training_records": to_dict(others), "best_by_group": groups}
    write_text(folder_path / "analysis.json", json.dumps(content, indent=1) + "\n")

    study, name = folder.study, folder.path.resolve().name
    shown_data = shown(data or study.base.data.path)
    about = About(
        name, shown_data, study, results, commands(folder), versions(), machine(runtime), tuple(warnings), groups
    )
    scales = analysis.scales if analysis else validation_means(results.rows or results.pilot, about.axes)
    drawn = figures(analysis, scales, _curves(folder, results.rows), about)
    for old in (*folder_path.glob("figures/*.svg"), *folder_path.glob("figures/*.png")):
        if old.stem not in drawn:
            old.unlink()
    for name, figure in drawn.items():
        write_figure(folder_path / "figures" / name, figure.for_paper, columns=figure.columns)
    write_text(folder_path / "report.html", page(analysis, drawn, about))
    answer = sentences.answer(analysis, study.rate_hz) if analysis else ["No seed is finished at every scale yet."]
    follows = command("ecg-jax", "recommend", folder_path, *_allowed(folder)) if analysis else commands(folder)[0]
    first = (*results.notes, *(warning.text for warning in warnings if warning.in_head))
    return Report(folder_path / "report.html", (*first, *answer), follows)


def _is_look(look: Any) -> bool:
    return isinstance(look, dict) and {"seeds", "trials"} <= set(look) <= {"seeds", "trials", "epochs"}


def looks_with(path: Path, predictions: StudyPredictions) -> list[dict[str, int]]:
    """The looks at the study so far, which its `analysis.json` lists, and this one, if its trials are others.

    Each look is the numbers of seeds and of trials that were analysed, and the most epochs that one of them had.

    Raises:
        RunError: the file cannot be read.
    """
    now = {"seeds": predictions.n_seeds, "trials": predictions.n_trials}
    now["epochs"] = max(int(trial.get("epochs") or 0) for trial in predictions.trials)
    try:
        before = read_object(path / "analysis.json").get("looks", [])
        if not (isinstance(before, list) and all(map(_is_look, before))):
            raise ValueError("looks is not a list of looks")
    except FileNotFoundError:
        before = []
    except UNREADABLE as error:
        raise RunError(
            f"{path / 'analysis.json'} cannot be read ({error}); delete it; then looks are counted from 1"
        ) from error
    known = any(look == {name: now[name] for name in look} for look in before)  # version 0.1.0 kept no epochs
    return before if known else [*before, now]


def _for_other_training_records(
    folder: StudyFolder, predictions: StudyPredictions, data: Path | None, *, allow_code: bool
) -> tuple[dict[str, Effect], str]:
    """The effects with their wider intervals, and what to say of them; none without replicates of the same epochs."""
    path = folder.path / REPLICATES
    if not (path / STUDY).is_file():
        return {}, ""
    of_halves = open_study(path, allow_code=allow_code)
    if same_run(of_halves.study.base) != same_run(on_halves(folder.study.base)):
        return {}, f"left out: {REPLICATES}/ has other epochs than the study; --replicate-training lets it go on"
    replicates = load_results(of_halves, data=data).predictions
    if replicates is None:
        return {}, ""
    others = for_other_training_records(predictions, replicates)
    return others, sentences.for_other_training_records(others, len(replicates.axis(DRAW).levels))


def _warnings(
    folder: StudyFolder,
    analysis: Analysis,
    predictions: StudyPredictions,
    results: StudyResults,
    others: Mapping[str, Effect],
    looks: Sequence[dict[str, int]],
    data: Path | None,
) -> list[StudyWarning]:
    model, study = macro_model(predictions), folder.study
    if model is None:
        return []
    prepared = open_prepared(data or study.base.data.path)
    splits = [split_records(prepared, config.data) for config in study.fold_configs(study.base).values()]
    window_seconds = None if "data.window_seconds" in study.varied else study.base.data.window_seconds
    course = Course(
        rows=[row for row in results.rows if row["chosen"]],
        window_ms=window_seconds and 1000 * window_seconds,
        train_records=mean(len(split.training) for split in splits),
        for_other_records=others,
        looks=looks,
        rate_hz=study.rate_hz,
    )
    return study_warnings(analysis, model, course)


def conclude_study(folder: StudyFolder, console: Console) -> None:
    """Writes the report and prints its answer; of several workers that finish together, one does."""
    with open_lock(folder.path / "report.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(console, "another worker writes the report")
            return
        path = folder.study.base.data.path
        written = write_report(folder.path, data=path, again=True, allow_code=True)  # the worker ran it already
    say(*written.answer, f"report: {written.page}")


def with_latency(
    folder: StudyFolder, predictions: StudyPredictions, runner: Runner, runtime: str | None = None
) -> StudyPredictions:
    """The same predictions; their trials have the latency of one window on this machine, of the exported file and with
    its bytes if a runtime is given.
    """
    if runtime is None:
        known = {scale: {"latency_ms": ms} for scale, ms in latencies(folder, predictions.scales, runner).items()}
    else:
        known = costs_of_files(folder, predictions.scales, runner, runtime)
    scales = (predictions.scales[place] for place in predictions.scale_of)
    trials = zip(predictions.trials, scales, strict=True)
    return predictions.with_trials([{**trial, **known[scale]} for trial, scale in trials])


def with_test(rows: Sequence[Row], predictions: StudyPredictions) -> list[Row]:
    """The rows with the test metrics of the trials in the predictions; those of all others are None."""
    metrics = {"macro_auroc": macro_auroc(predictions), **other_metrics(predictions)}
    if predictions.score is not None:  # named as its validation column is
        metrics[predictions.score.__name__] = metrics.pop("score")

    def key(row: Row) -> tuple[Any, ...]:
        return Scale.of(row, predictions.axes), row["learning_rate"], row["seed"]

    place = {key(trial): r for r, trial in enumerate(predictions.trials)}
    extended = []
    for row in rows:
        r = place.get(key(row))
        test = {f"test_{n}": None if r is None or m is None else float(m.value[r]) for n, m in metrics.items()}
        first = list(row)[: list(row).index("validation_macro_auroc") + 1]
        extended.append({name: (row | test)[name] for name in (*first, "test_macro_auroc", *row, *test)})
    return extended


def validation_means(rows: Sequence[Row], axes: Sequence[Axis]) -> list[ScaleFindings]:
    """The mean of each scale over its seeds on validation; until a rate is chosen, the value at its best rate."""
    by_scale: dict[Scale, list[Row]] = {}
    for row in rows:
        by_scale.setdefault(Scale.of(row, axes), []).append(row)
    unknown: dict[str, Any] = dict.fromkeys(("mean_low", "mean_high", "difference", "low", "high", "learning_rate"))
    unknown |= dict.fromkeys(("may_lose", "best_probability", "expected_loss"))
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


def commands(folder: StudyFolder) -> tuple[str, ...]:
    """The commands that make this study and its report."""
    study = folder.study
    start = ["python", script("scale.py"), "--data", study.base.data.path, "--workdir", folder.path]
    folds = ["--folds", *map(str, study.folds)] if study.folds else []
    folds += ["--paired-seeds"] if study.paired_seeds else []
    folds += ["--budget", "macs"] if study.reference_macs else []
    in_order = sorted(folder.grids(), key=lambda grid: grid.seeds)
    largest = {(grid.axes, grid.learning_rates): grid for grid in in_order}.values()  # one grid that got more seeds
    grids = [command(*start, *grid.flags(), *folds, *flags(study.base)) for grid in largest]
    return (*grids, command("ecg-jax", "report", folder.path, *_allowed(folder)))


def _allowed(folder: StudyFolder) -> list[str]:
    return ["--allow-code"] if folder.study.base.functions.named else []


def versions() -> tuple[str, ...]:
    """The versions of Python and of the packages that decide the numbers of a study."""
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):  # this one, if it runs from its source
            found.append(f"{name} {version(name)}")
    return tuple(found)


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


def write_figure(path: Path, panels: charts.Panels, *, columns: int) -> None:
    """Writes panels as one figure, SVG and PNG; the path lacks the suffix."""
    svg, png = charts.images(panels, columns=columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path.with_suffix(".svg"), svg)
    write_bytes(path.with_suffix(".png"), png)
