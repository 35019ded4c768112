"""The result of a run on one split: `result.json` and `predictions_<split>.csv`, as values."""

import csv
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ecg_jax.config import RunConfig, to_dict
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.errors import RunError
from ecg_jax.evaluation.summary import summarise
from ecg_jax.models.cost import Cost


@dataclass(frozen=True)
class SplitPredictions:
    """The probabilities of the records of a split."""

    split: str
    prepared: PreparedSet
    indices: np.ndarray  # [N], of the records in the prepared set
    probability: np.ndarray  # [N, K]

    @property
    def label(self) -> np.ndarray:
        """The labels of the records [N, K], 0 or 1."""
        return self.prepared.label[self.indices]


@dataclass(frozen=True)
class TrainStats:
    """How a training went."""

    steps: int
    seconds: float
    examples_per_second: float
    best_epoch: int


@dataclass(frozen=True)
class RunResult:
    """The metrics of one split with the best variables; `result.json` has the same fields, without the workdir."""

    workdir: Path
    split: str
    metrics: dict[str, dict[str, float | None]]
    """Each metric over all labels as `value`, `low` and `high`, the 95 % interval."""
    labels_defined: int
    """Number of labels with both classes among the records; the macro means are over these."""
    per_label: dict[str, dict[str, Any]]
    """Of each label the metrics, its `threshold`, and the numbers of `positives` and of `records`."""
    cost: Cost
    train: TrainStats
    data_fingerprint: str
    config: dict[str, Any]

    def figure(self, name: str) -> float | None:
        """The value of a metric over all labels; None if it is not defined."""
        return self.metrics[name]["value"]

    @property
    def file_name(self) -> str:
        """`result.json` for the validation split, `result_test.json` for the test split."""
        return _file_name(self.split)


def make_result(
    workdir: Path,
    predictions: SplitPredictions,
    thresholds: np.ndarray | None,
    *,
    config: RunConfig,
    cost: Cost,
    train: TrainStats,
) -> RunResult:
    """Computes the metrics of a split; `thresholds` [K] were fitted on validation, None for exclusive labels."""
    prepared = predictions.prepared
    values = summarise(
        predictions.label,
        predictions.probability,
        thresholds,
        prepared.patients[predictions.indices],
        target=prepared.target,
        score=prepared.score,
        resamples=config.evaluate.resamples,
    )
    return RunResult(
        workdir=workdir,
        split=predictions.split,
        **values,
        cost=Cost(*(getattr(cost, field.name) for field in fields(Cost))),
        train=train,
        data_fingerprint=prepared.fingerprint,
        config=to_dict(config),
    )


def read_result(workdir: Path, split: str = "validation") -> RunResult | None:
    """Reads the result of a split; None if there is none yet.

    Raises:
        RunError: the file cannot be read.
    """
    path = workdir / _file_name(split)
    try:
        if not path.is_file():
            return None
        values = json.loads(path.read_text())
        parts = {"cost": Cost(**values["cost"]), "train": TrainStats(**values["train"])}
        return RunResult(workdir=workdir, **(values | parts))
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read ({error}); delete it, and start the same command again") from error


def read_predictions(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reads record ids [N], probabilities [N, K] and labels [N, K] from a `predictions_<split>.csv`."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    values = np.array([row[1:] for row in rows], float)
    n_labels = values.shape[1] // 2
    return np.array([row[0] for row in rows]), values[:, :n_labels], values[:, n_labels:].astype(np.uint8)


def _file_name(split: str) -> str:
    return "result.json" if split == "validation" else f"result_{split}.json"
