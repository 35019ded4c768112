"""Results of finished trials, read from their folders: rows of `trials.csv`, and the predictions to analyse."""

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from ecg_jax.analysis.axes import Scale
from ecg_jax.analysis.predictions import Score, StudyPredictions
from ecg_jax.dataset.prepared import PreparedSet, open_prepared
from ecg_jax.dataset.splits import split_by_folds
from ecg_jax.errors import DataError, RunError
from ecg_jax.evaluation.pooling import decide
from ecg_jax.evaluation.scores import OF_PROBABILITIES, SCORES
from ecg_jax.files import write_text
from ecg_jax.study.cost import cost_of
from ecg_jax.study.design import PILOT_SEED, Plan, Study, Trial, rate_edge
from ecg_jax.study.tasks import Task, is_stopped, tasks
from ecg_jax.study.workdir import StudyFolder, cached_progress
from ecg_jax.training.result import RunResult, read_predictions, read_result
from ecg_jax.training.workdir import read_metrics

COURSE = ("rate_edge", "epochs", "best_epoch", "last_quarter_gain")
"""Columns that say whether a training was fair: the edge of the rates tried at which the chosen one stands (`low` or
`high`, else empty), the epochs, and, averaged over the folds, the best epoch and the gain over the last quarter."""
COSTS = ("parameters", "macs", "receptive_field_samples", "receptive_field_ms")
ALL_FAILED = "every scale failed; the study's command with --retry-failed tries again"
AGAIN = "the study's command trains it again"
Row = dict[str, Any]


@dataclass(frozen=True)
class StudyResults:
    """The finished part of a study.

    Attributes:
        rows: one for each trial, as in `trials.csv`, without columns of the test folds.
        predictions: test predictions of the seeds that are finished at every scale; None before the first such seed.
        seeds: the seeds of the predictions.
        left_out: the name of each scale that failed, and the reason.
        notes: sentences that a reader must see.
        pilot: one row for each training of the pilot, which chose a learning rate, as in `pilot.csv`.
    """

    rows: list[Row]
    predictions: StudyPredictions | None
    seeds: tuple[int, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    pilot: list[Row] = field(default_factory=list)

    def finished(self, folder: Path, command: str = "start the study's command again") -> StudyPredictions:
        """The predictions; `folder` is that of the study, and `command` continues it.

        Raises:
            RunError: no seed is finished at every scale.
        """
        if self.predictions is not None:
            return self.predictions
        if ALL_FAILED in self.notes:
            raise RunError(f"{folder}: every scale failed; to try again: {command}, with --retry-failed")
        raise RunError(f"{folder}: no seed is finished at every scale yet; to continue: {command}")


def load_results(folder: StudyFolder, *, data: Path | None = None) -> StudyResults:
    """Reads all finished trials; `data` is where the prepared set is now, if it was moved.

    Raises:
        RunError: the prepared set is not the one of the study, or trials do not fit together.
    """
    plan = folder.plan()
    listed = tasks(plan, [], cached_progress(folder))
    whole = [task for task in listed if task.stage == "whole"]
    rates = {task.scale: task.rate for task in whole if task.rate is not None}
    failed = _failures(listed)
    kept = [scale for scale in plan.rates if scale not in failed]
    finished = {scale: {t.seed for t in whole if t.scale == scale and t.state == "done"} for scale in kept}
    seeds = sorted(set.intersection(*finished.values())) if finished else []
    tried = {scale: set(offered) for scale, offered in plan.rates.items()}
    for task in listed:
        if task.stage == "rate":
            tried[task.scale].add(task.trial.learning_rate)
    every = [Trial(s, rate, seed) for s in tried for rate in sorted(tried[s]) for seed in range(plan.seeds[s])]
    pilot = [task.trial for task in listed if task.stage == "rate" and task.seed == PILOT_SEED]

    def rows_of(trials: Sequence[Trial]) -> list[Row]:
        found = (_row(folder, plan, t, rates.get(t.scale), tried[t.scale]) for t in trials)
        return [row for row in found if row is not None]

    rows = rows_of(every)
    foreign = [why for trial in (*pilot, *every) if (why := folder.foreign(trial)) is not None]
    predictions = None
    if seeds:
        prepared = _open_data(folder, data)
        trials = [Trial(scale, rates[scale], seed) for scale in kept for seed in seeds]
        predictions = _read_predictions(folder, trials, rows, prepared)
    left_out = {scale.name: reason for scale, reason in failed.items()}
    notes = (*(f"left out: {why}; {AGAIN}" for why in foreign), *_notes(plan, kept, left_out, seeds))
    stopped = [_stopped_row(folder, task) for task in listed if task.stage == "rate" and is_stopped(task)]
    return StudyResults(rows, predictions, tuple(seeds), left_out, notes, [*rows_of(pilot), *stopped])


MOVED = "put it back, or give its new place with --data, which ecg-jax report and recommend have"


def _open_data(folder: StudyFolder, data: Path | None) -> PreparedSet:
    """The set of a study, at `data` if it was moved.

    Raises:
        DataError: it cannot be read.
        RunError: it is another set.
    """
    try:
        prepared = open_prepared(data or folder.study.base.data.path)
    except DataError as error:
        raise DataError(f"{error}; if the set of {folder.path} was moved, {MOVED}") from error
    if prepared.fingerprint != folder.study.fingerprint:
        raise RunError(
            f"{folder.path} is a study of the set {folder.study.fingerprint}, {prepared.path} is another one "
            f"({prepared.fingerprint}); {MOVED}"
        )
    return prepared


def write_trials(path: Path, rows: Sequence[Row], name: str = "trials.csv") -> None:
    """Writes a table into a folder, a line for each row; the columns are the keys of the rows, None is empty."""
    about = ("seed", "learning_rate", "chosen", *COSTS, "seconds", *COURSE, "validation_macro_auroc")
    columns = list(dict.fromkeys(name for row in rows for name in row)) or about
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(path / name, text.getvalue())


def _failures(listed: Sequence[Task]) -> dict[Scale, str]:
    """Why each failed scale failed: a trial of it did, or all of its rates."""
    failed: dict[Scale, str] = {}
    first_reason = {task.scale: task.failure for task in reversed(listed) if task.state == "failed"}
    for task in listed:
        if task.stage == "whole" and task.state == "failed":
            of_rates = f"every learning rate failed: {first_reason[task.scale]}"
            failed.setdefault(task.scale, of_rates if task.rate is None else task.failure)
    return failed


def _notes(plan: Plan, kept: Sequence[Scale], left_out: dict[str, str], seeds: Sequence[int]) -> tuple[str, ...]:
    notes = [f"left out: {name} failed ({reason})" for name, reason in left_out.items()]
    planned = sorted({plan.seeds[scale] for scale in kept})
    if planned and len(seeds) < planned[0]:
        notes.append(f"the study is not finished: {len(seeds)} of {planned[0]} seeds are finished at every scale")
    elif len(planned) > 1:
        notes.append(f"some scales have more seeds; all are compared over the {planned[0]} that every scale has")
    elif left_out and not kept:
        notes.append(ALL_FAILED)
    return tuple(notes)


def _row(folder: StudyFolder, plan: Plan, trial: Trial, chosen: float | None, tried: Collection[float]) -> Row | None:
    """The row of a finished trial: validation metrics are means over its folds.

    If only the learning rate of a trial was tried, they are those of its first fold. `chosen` is the rate of its scale,
    and `tried` are all rates from which it was chosen.
    """
    every = folder.results(trial)
    is_whole = all(every)
    tries_rate = trial.seed == plan.rate_seed and len(plan.rates[trial.scale]) > 1
    results = [result for result in (every if is_whole or not tries_rate else every[:1]) if result is not None]
    if not results or not (is_whole or tries_rate):
        return None
    known = cost_of(folder.study, trial.scale)
    row: Row = {**trial.scale.to_dict(), "seed": trial.seed, "learning_rate": trial.learning_rate}
    row["chosen"] = int((is_whole or trial.seed == PILOT_SEED) and chosen == trial.learning_rate)
    row |= {name: getattr(known, name) for name in COSTS}
    row["seconds"] = round(sum(result.train.seconds for result in results), 3)
    row["rate_edge"] = rate_edge(trial.learning_rate, tried) if row["chosen"] else None
    row |= course(results)
    names = dict.fromkeys(("macro_auroc", *results[0].metrics))
    return row | {f"validation_{name}": _mean_metric(results, name) for name in names}


def _stopped_row(folder: StudyFolder, task: Task) -> Row:
    """The row of a learning rate that was stopped early."""
    row: Row = {**task.scale.to_dict(), "seed": task.seed, "learning_rate": task.rate, "chosen": 0}
    about = {"epochs": len(task.progress.course), "validation_macro_auroc": task.progress.value}
    known = cost_of(folder.study, task.scale)
    costs = {name: getattr(known, name) for name in COSTS}
    return row | costs | dict.fromkeys(("seconds", *COURSE)) | about


def course(results: Sequence[RunResult]) -> Row:
    """How far the runs of a trial had come at their end: epochs, best epoch, and gain over the last quarter."""
    gains = [gain for result in results if (gain := last_quarter_gain(read_metrics(result.workdir))) is not None]
    return {
        "epochs": results[0].config["train"]["epochs"],
        "best_epoch": round(mean(result.train.best_epoch for result in results), 2),
        "last_quarter_gain": round(mean(gains), 5) if gains else None,
    }


def last_quarter_gain(lines: Sequence[dict[str, Any]]) -> float | None:
    """How much the validation macro AUROC grew over the last quarter of the epochs; None if it is not known.

    Both ends are means over an eighth of the epochs: the best epoch of each would grow by chance alone.
    """
    values = [value for line in lines if (value := line.get("validation_macro_auroc")) is not None]
    if len(values) < 4 or len(values) < len(lines):
        return None
    eighth, before = max(len(values) // 8, 1), len(values) - len(values) // 4
    return mean(values[-eighth:]) - mean(values[before - eighth : before])


def _mean_metric(results: Sequence[RunResult], name: str) -> float | None:
    values = [value for result in results if (value := result.metrics[name]["value"]) is not None]
    return mean(values) if values else None


def test_records(study: Study, prepared: PreparedSet) -> list[np.ndarray]:
    """The indices of the records that each run of a trial predicts, in the order of its `run_folders`."""
    return [split_by_folds(prepared.folds, config.data).test for config in study.fold_configs(study.base).values()]


def _read_predictions(
    folder: StudyFolder, trials: Sequence[Trial], rows: Sequence[Row], prepared: PreparedSet
) -> StudyPredictions:
    """The test predictions of whole trials; those of all folds are concatenated, those of one split are one fold.

    Raises:
        RunError: a trial does not predict the test records of the set, or its result has other labels.
    """
    study = folder.study
    key_of = {(Scale.of(row, study.axes), row["learning_rate"], row["seed"]): row for row in rows}
    tests = test_records(study, prepared)
    places = np.concatenate(tests)  # [N]
    probabilities, thresholds = [], []
    for trial in trials:
        runs = list(zip(folder.run_folders(trial), tests, strict=True))
        probabilities.append(np.concatenate([_probability(workdir, prepared, test) for workdir, test in runs]))
        thresholds.append([_thresholds(workdir, prepared) for workdir, _ in runs])
    of_trials = [key_of[trial.scale, trial.learning_rate, trial.seed] for trial in trials]
    validation = [row["validation_macro_auroc"] for row in of_trials]
    return StudyPredictions(
        trials=of_trials,
        labels=prepared.label[places],
        probabilities=np.stack(probabilities),
        label_names=prepared.labels,
        thresholds=np.array(thresholds, float) if prepared.target.has_thresholds else None,
        folds=np.concatenate([np.full(len(test), fold) for fold, test in zip(study.folds or (0,), tests, strict=True)]),
        patients=prepared.patients[places],
        score=_score(prepared),
        score_of="probabilities" if prepared.score in OF_PROBABILITIES else "decisions",
        exclusive=prepared.target.kind == "exclusive",
        axes=study.axes,
        validation=None if None in validation else validation,
    )


def _probability(workdir: Path, prepared: PreparedSet, test: np.ndarray) -> np.ndarray:
    """The probabilities [N, K] of the test records, whose indices are `test`."""
    path = workdir / "predictions_test.csv"
    ids, probability, label = read_predictions(path)
    if not (np.array_equal(ids, prepared.record_ids[test]) and np.array_equal(label, prepared.label[test])):
        raise RunError(
            f"{path} has other records or labels than the test folds of the set; delete it, and start the study's "
            "command again, which predicts them"
        )
    return probability


def _thresholds(workdir: Path, prepared: PreparedSet) -> list[float | None]:
    result = read_result(workdir)
    per_label = result.per_label if result else {}
    thresholds = [per_label.get(name, {}).get("threshold") for name in prepared.labels]
    if prepared.target.has_thresholds and None in thresholds:
        raise RunError(
            f"{workdir / 'result.json'} has no threshold of each label; delete it, and start the study's command again"
        )
    return thresholds


def _score(prepared: PreparedSet) -> Score | None:
    """The set's own score as a function of labels and of decisions or probabilities, if it has one."""
    if prepared.score is None:
        return None
    name, target = prepared.score, prepared.target

    def score(label: np.ndarray, given: np.ndarray) -> float:
        given = given if name in OF_PROBABILITIES else decide(given, None, target)  # of decisions, these decisions
        return float(SCORES[name](label.astype(float), given, np.ones((1, len(label))))[0])

    score.__name__ = name
    return score
