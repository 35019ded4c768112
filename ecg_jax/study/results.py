"""Results of finished trials, read from their folders: rows of `trials.csv`, and the predictions to analyse."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from ecg_jax.analysis.predictions import Score, StudyPredictions
from ecg_jax.dataset.prepared import PreparedSet, open_prepared
from ecg_jax.errors import RunError
from ecg_jax.evaluation.pooling import decide
from ecg_jax.evaluation.scores import SCORES
from ecg_jax.files import write_text
from ecg_jax.study.design import Plan, Scale, Study, Trial, chosen_rate, cost_of
from ecg_jax.study.workdir import StudyFolder, read_failure, read_plan, trial_folder
from ecg_jax.training.result import RunResult, read_predictions, read_result

AXES = ("depth", "channels", "kernel", "seed", "learning_rate", "chosen")
COSTS = ("parameters", "macs", "receptive_field_samples", "receptive_field_ms", "seconds")


@dataclass(frozen=True)
class StudyResults:
    """What is finished of a study.

    Attributes:
        rows: one a trial, as in `trials.csv`, without columns of the test folds.
        outcomes: test predictions of the seeds that all scales have finished; None before the first such seed.
        rates: the rate chosen for each scale, where it is.
        seeds: those of the outcomes.
        left_out: the name of each scale that failed, and why.
        notes: what a reader must be told, in sentences.
    """

    rows: list[dict[str, Any]]
    outcomes: StudyPredictions | None
    rates: dict[Scale, float] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def collect(workdir: Path, founded: StudyFolder, *, data: Path | None = None) -> StudyResults:
    """Reads what is finished; `data` says where the prepared set lies now, if it was moved.

    Raises:
        RunError: the prepared set is another one by now, or trials do not fit together.
    """
    study, plan = founded.study, read_plan(workdir)
    rates, failed = rates_of(workdir, study, plan)
    for scale, rate in rates.items():
        reasons = [read_failure(workdir, Trial(scale, rate, seed)) for seed in range(plan.seeds[scale])]
        if any(reasons):
            failed[scale] = next(filter(None, reasons))
    kept = [scale for scale in plan.rates if scale not in failed]
    whole = {scale: _whole_seeds(workdir, study, scale, rates, plan) for scale in kept}
    seeds = sorted(set.intersection(*whole.values())) if whole else []
    notes = [f"left out: {scale.name} failed ({reason})" for scale, reason in failed.items()]
    wanted = sorted({plan.seeds[scale] for scale in kept})
    if wanted and len(seeds) < wanted[0]:
        notes.append(f"the study is not finished: {len(seeds)} of {wanted[0]} seeds are there at every scale")
    elif len(wanted) > 1:
        notes.append(f"some scales have more seeds; compared are all over the {wanted[0]} that every scale has")
    elif failed and not kept:
        notes.append("every scale failed; the same command with --retry-failed tries again")
    rows = [row for trial in _trials(plan) if (row := _row(workdir, study, plan, trial, rates)) is not None]
    outcomes = None
    if seeds:
        prepared = open_prepared(data or study.base.data.path)
        if prepared.fingerprint != study.fingerprint:
            raise RunError(f"{workdir} is a study of the set {study.fingerprint}, {prepared.path} is another one")
        trials = [Trial(scale, rates[scale], seed) for scale in kept for seed in seeds]
        known = {Trial(Scale.of(r), r["learning_rate"], r["seed"]): r for r in rows}
        runs = [[trial_folder(workdir, trial) / below for below in trial.runs(study)] for trial in trials]
        outcomes = outcomes_of([known[trial] for trial in trials], runs, study.folds, prepared)
    left_out = {scale.name: reason for scale, reason in failed.items()}
    return StudyResults(rows, outcomes, rates, tuple(seeds), left_out, tuple(notes))


def write_trials(workdir: Path, rows: list[dict[str, Any]]) -> Path:
    """Writes `trials.csv`, a row a trial: its columns are the keys of the rows; what is None is left empty."""
    columns = list(dict.fromkeys([*AXES, *COSTS, "validation_macro_auroc", *(name for row in rows for name in row)]))
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(workdir / "trials.csv", text.getvalue())
    return workdir / "trials.csv"


def _trials(plan: Plan) -> list[Trial]:
    return [Trial(s, rate, seed) for s, rates in plan.rates.items() for rate in rates for seed in range(plan.seeds[s])]


def _results(workdir: Path, study: Study, trial: Trial) -> list[RunResult | None]:
    """The result of each run of a trial; None where it is not finished."""
    folder = trial_folder(workdir, trial)
    return [read_result(folder / below) for below in trial.runs(study)]


def rates_of(workdir: Path, study: Study, plan: Plan) -> tuple[dict[Scale, float], dict[Scale, str]]:
    """The rate of each scale where it is chosen, and why a scale has none where all its rates failed."""
    rates, failed = {}, {}
    for scale, offered in plan.rates.items():
        if len(offered) == 1:
            rates[scale] = offered[0]
            continue
        tried: dict[float, float | None] = {}
        for trial in (Trial(scale, rate, 0) for rate in offered):
            first = _results(workdir, study, trial)[0]
            value = first.metrics["macro_auroc"]["value"] if first else None
            if value is not None or read_failure(workdir, trial):
                tried[trial.learning_rate] = value
        if len(tried) == len(offered):
            best = chosen_rate(tried)
            if best is None:
                failed[scale] = f"every learning rate failed: {read_failure(workdir, Trial(scale, offered[0], 0))}"
            else:
                rates[scale] = best
    return rates, failed


def _whole_seeds(workdir: Path, study: Study, scale: Scale, rates: dict[Scale, float], plan: Plan) -> set[int]:
    """The seeds whose trial at the scale's rate has all its results and test predictions."""
    if scale not in rates:
        return set()
    trials = {seed: Trial(scale, rates[scale], seed) for seed in range(plan.seeds[scale])}
    return {seed for seed, trial in trials.items() if all(_predicted(workdir, study, trial))}


def _predicted(workdir: Path, study: Study, trial: Trial) -> list[bool]:
    """Of each run of a trial whether its result and its test predictions are there."""
    folders = [trial_folder(workdir, trial) / below for below in trial.runs(study)]
    return [(f / "predictions_test.csv").is_file() and (f / "result.json").is_file() for f in folders]


def _row(workdir: Path, study: Study, plan: Plan, trial: Trial, rates: dict[Scale, float]) -> dict[str, Any] | None:
    """A finished trial's row, validation figures as means over its folds; of one that only tried a rate the first."""
    every = _results(workdir, study, trial)
    tries_rate = trial.seed == 0 and len(plan.rates[trial.scale]) > 1
    results = [result for result in (every if all(every) or not tries_rate else every[:1]) if result is not None]
    if not results or (len(results) < len(every) and not tries_rate):
        return None
    scale, known = trial.scale, cost_of(study, trial.scale)
    row: dict[str, Any] = {"depth": scale.depth, "channels": scale.channels, "kernel": scale.kernel}
    row |= {"seed": trial.seed, "learning_rate": trial.learning_rate}
    row["chosen"] = int(rates.get(scale) == trial.learning_rate and all(every))  # else only its rate was tried yet
    row |= {name: getattr(known, name) for name in COSTS[:-1]}
    row["seconds"] = round(sum(result.train["seconds"] for result in results), 3)
    for name in results[0].metrics:
        values = [v for result in results if (v := result.metrics[name]["value"]) is not None]
        row[f"validation_{name}"] = mean(values) if values else None
    return row


def outcomes_of(
    trials: list[dict[str, Any]], runs: Sequence[Sequence[Path]], folds: Sequence[int], prepared: PreparedSet
) -> StudyPredictions:
    """The test predictions of whole trials; the records of all folds end to end, those of one split as one fold.

    Args:
        trials: what each is, as `StudyPredictions` wants it.
        runs: the workdirs of each trial's runs, one a fold.
        folds: that are cross-fitted over; empty: one split.
        prepared: the set that the runs were trained on.

    Raises:
        RunError: a trial predicts other records than the first.
    """
    probabilities, thresholds = [], []
    same: np.ndarray | None = None
    fold_of = label = np.zeros(0)
    for workdirs in runs:
        read, limits = [], []
        for fold, workdir in zip(folds or (0,), workdirs, strict=True):
            ids, probability, label = read_predictions(workdir / "predictions_test.csv")
            read.append((ids, probability, label, np.full(len(ids), fold)))
            result = read_result(workdir)
            limits.append([result.per_label[name]["threshold"] for name in prepared.labels] if result else [])
        ids, probability, label, fold_of = (np.concatenate(column) for column in zip(*read, strict=True))
        same = ids if same is None else same
        if not np.array_equal(ids, same):
            raise RunError(f"{workdirs[0]} predicts other records than the other trials")
        probabilities.append(probability)
        thresholds.append(limits)
    places = [prepared.index_of(str(record)) for record in (same if same is not None else [])]
    return StudyPredictions(
        trials=trials,
        labels=label,
        probabilities=np.stack(probabilities),
        label_names=prepared.labels,
        thresholds=None if prepared.exclusive else np.array(thresholds, float),
        folds=fold_of,
        patients=prepared.patients[places],
        score=_score(prepared),
        exclusive=prepared.exclusive,
    )


def _score(prepared: PreparedSet) -> Score | None:
    """The set's own score as a function of labels and probabilities, if it has one."""
    if prepared.score is None:
        return None
    score, target = SCORES[prepared.score], prepared.target

    def of_probabilities(label: np.ndarray, probability: np.ndarray) -> float:
        decision = decide(probability, None, target)
        return float(score(label.astype(float), decision, np.ones((1, len(label))))[0])

    return of_probabilities
