"""The result of a run on one split: `result.json` and `predictions_<split>.csv`, as values."""

import csv
import io
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ecg_jax.config import RunConfig, from_dict, to_dict
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.errors import ConfigError, RunError, reason_of
from ecg_jax.evaluation.summary import summarise
from ecg_jax.files import parse_json
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
    groups: dict[str, Any] | None = None
    """Metrics by age, sex and source (`evaluation.groups.by_group`); this and what follows is left out if None."""
    operating_points: dict[str, Any] | None = None
    """Confusion, sensitivity, specificity and predictive values (`evaluation.operating.operating_points`)."""
    calibration: dict[str, Any] | None = None
    """Reliability, slope and intercept (`evaluation.calibration.calibration`)."""
    external: dict[str, Any] | None = None
    """How another set was predicted, and the drop (`assessment.external`)."""

    def figure(self, name: str) -> float | None:
        """The value of a metric over all labels; None if it is not defined."""
        return self.metrics[name]["value"]

    @property
    def file_name(self) -> str:
        """`result.json` for the validation split, otherwise such as `result_test.json`."""
        return _file_name(self.split)

    def to_json(self) -> str:
        """The text of the file."""
        values = asdict(self)
        del values["workdir"]
        for name in ("groups", "operating_points", "calibration", "external"):
            if values[name] is None:
                del values[name]
        return json.dumps(values, indent=2) + "\n"


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
    if not path.is_file():
        return None
    try:
        return result_of(parse_json(path.read_bytes()), workdir, split)
    except (ValueError, ConfigError) as error:
        again = "start the training again with the same flags" if split == "validation" else "evaluate the run again"
        raise RunError(f"{path} cannot be read ({error}); delete it, and {again}") from error


@dataclass(frozen=True)
class _Figure:
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class _LabelFigures:
    auroc: _Figure
    auprc: _Figure
    f1: _Figure
    threshold: float | None
    positives: int
    records: int


def result_of(values: Any, workdir: Path, split: str) -> RunResult:
    """The result with these JSON values, of which each has the right type.

    Raises:
        ConfigError, ValueError: it has not.
    """
    if not isinstance(values, dict) or values.get("split") != split:
        raise ValueError(f"it is not the result of a {split} split")
    result = from_dict(RunResult, values | {"workdir": workdir})
    if "macro_auroc" not in result.metrics:
        raise ValueError("it has no macro_auroc")
    for kind, by_name in ((_Figure, result.metrics), (_LabelFigures, result.per_label)):
        for name, figures in by_name.items():
            if asdict(from_dict(kind, figures)) != figures:  # a figure that is absent would be read as None
                raise ValueError(f"{name} lacks a figure")
    from_dict(RunConfig, result.config)
    return result


def read_predictions(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reads record ids [N], probabilities [N, K] and labels [N, K] from a `predictions_<split>.csv`.

    Raises:
        RunError: the file is damaged.
    """
    try:
        header, *rows = csv.reader(io.StringIO(path.read_bytes().decode("utf-8"), newline=""))
        values = np.array([row[1:] for row in rows], float)
        if not rows or len(header) < 3 or values.shape != (len(rows), len(header) - 1):
            raise ValueError("its rows are not as long as its header")
        probability, label = np.split(values, 2, axis=1)
        if not ((probability >= 0) & (probability <= 1)).all() or not np.isin(label, (0, 1)).all():
            raise ValueError("a probability is not between 0 and 1, or a label is neither 0 nor 1")
    except (ValueError, csv.Error) as error:
        raise RunError(
            f"{path} cannot be read ({reason_of(error)}); delete it, and start the command that trained the run again"
        ) from error
    return np.array([row[0] for row in rows]), probability, label.astype(np.uint8)


def _file_name(split: str) -> str:
    return "result.json" if split == "validation" else f"result_{split}.json"
