"""Cross-fitting over parts of the folds: the parts, and the metrics over parts, seeds and the ensemble of seeds."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from ecg_jax.config import RunConfig, with_fields
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.errors import ConfigError
from ecg_jax.evaluation.summary import point_values, summarise
from ecg_jax.training.result import RunResult, read_predictions

Predicted = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Record ids [N], probabilities [N, K] and labels [N, K]."""


def fold_parts(folds: Sequence[int], n_parts: int | None) -> list[tuple[tuple[int, ...], int]]:
    """Each test part, of consecutive folds, and the validation fold before it, cyclically.

    Raises:
        ConfigError: the folds cannot be divided into so many parts.
    """
    if len(folds) < 3:
        raise ConfigError(
            f"cross-fitting takes three folds or more, and the set has {len(folds)}; prepare it with more"
        )
    n_parts = len(folds) if n_parts is None else n_parts
    if n_parts < 2 or len(folds) % n_parts:
        raise ConfigError(f"--parts {n_parts}: give a divisor of the set's {len(folds)} folds, 2 or more")
    size = len(folds) // n_parts
    return [(tuple(folds[first : first + size]), folds[first - 1]) for first in range(0, len(folds), size)]


def runs_of_seed(
    run: RunConfig, workdir: Path, prepared: PreparedSet, n_parts: int | None, seed: int
) -> dict[Path, RunConfig]:
    """The run of each part from a seed, by its folder; `n_parts` as for `fold_parts`."""
    runs = {}
    for folds, fold_before in fold_parts(sorted(set(prepared.folds.tolist())), n_parts):
        fields = {"data.test_folds": folds, "data.validation_folds": (fold_before,), "train.seed": seed}
        runs[workdir / f"seed_{seed}" / f"test_{folds[0]}"] = with_fields(run, fields)
    return runs


def summary(
    validation: Sequence[Sequence[RunResult]], test: Sequence[Sequence[RunResult]], prepared: PreparedSet
) -> dict[str, Any]:
    """The content of `cross_fit.json`.

    Args:
        validation: the results of each seed for each part.
        test: the same, or empty if the test parts were not predicted.
        prepared: the data set.
    """
    seeds: list[dict[str, Any]] = []
    for seed, results in enumerate(validation):
        seconds = [result.train.seconds for result in results]
        seeds.append({"seed": seed, "validation": _mean_metrics(results), "train_seconds": seconds})
        if test:
            pooled = _pooled_metrics([_read_ensemble([result]) for result in test[seed]], prepared)
            seeds[-1] |= {"test": _mean_metrics(test[seed]), "test_pooled": pooled}
    found: dict[str, Any] = {"parts": len(validation[0]), "seeds": seeds}
    for split in ("validation", "test") if test else ("validation",):
        found[split] = _over_seeds([by_split[split] for by_split in seeds])
    if len(test) > 1:
        parts = [_read_ensemble(results) for results in zip(*test, strict=True)]
        values = [point_values(label, probability, None, target=prepared.target) for _, probability, label in parts]
        without_thresholds = {
            name: mean(by_name[name] for by_name in values) for name in ("macro_auroc", "macro_auprc")
        }
        found["test_ensemble_of_the_seeds"] = without_thresholds
        found["test_ensemble_of_the_seeds_pooled"] = _pooled_metrics(parts, prepared)
    return found


def _mean_metrics(results: Sequence[RunResult]) -> dict[str, float]:
    """The mean of each metric over the parts."""
    names = [name for name, metric in results[0].metrics.items() if metric["value"] is not None]
    values = {name: [result.metrics[name]["value"] for result in results] for name in names}
    return {name: mean(value for value in every if value is not None) for name, every in values.items()}


def _over_seeds(means: Sequence[dict[str, float]]) -> dict[str, dict[str, float | None]]:
    """Mean and standard deviation over the seeds of each mean over the parts."""
    values = {name: [by_name[name] for by_name in means] for name in means[0]}
    return {name: {"mean": mean(v), "std": stdev(v) if len(v) > 1 else None} for name, v in values.items()}


def _read_ensemble(results: Sequence[RunResult]) -> Predicted:
    """The test predictions of one part, averaged over the runs of several seeds."""
    read = [read_predictions(result.workdir / "predictions_test.csv") for result in results]
    return read[0][0], np.mean([probability for _, probability, _ in read], axis=0), read[0][2]


def _pooled_metrics(parts: Sequence[Predicted], prepared: PreparedSet) -> dict[str, Any]:
    """The metrics over the predictions of all parts together, with intervals: each record is among them once.

    They are only defined for labels that exclude each other, since else each part has thresholds of its own.
    """
    if prepared.target.has_thresholds:
        return {}
    record_ids, probability, label = (np.concatenate(column) for column in zip(*parts, strict=True))
    patients = prepared.patients[np.searchsorted(prepared.record_ids, record_ids)]
    settings = {"target": prepared.target, "score": prepared.score, "resamples": 1000}
    values = summarise(label, probability, None, patients, **settings)
    return {"records": len(label), "metrics": values["metrics"], "per_label": values["per_label"]}
