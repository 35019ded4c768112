"""What a run leaves to read: `result.json` and `predictions_<split>.csv`."""

import csv
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.errors import RunError
from ecg_jax.evaluation.summary import summarise
from ecg_jax.files import write_text

Figure = dict[str, float | None]  # {"value", "low", "high"}


@dataclass(frozen=True)
class RunResult:
    """The figures of one split with the best checkpoint; `result.json` has the same fields, less the workdir."""

    workdir: Path
    split: str
    metrics: dict[str, Figure]
    labels_defined: int
    per_label: dict[str, dict[str, Any]]
    cost: dict[str, float | int | None]
    train: dict[str, float | int]
    data_fingerprint: str
    config: dict[str, Any]

    @property
    def file_name(self) -> str:
        """`result.json` of the validation split, `result_test.json` of the test split."""
        return "result.json" if self.split == "validation" else f"result_{self.split}.json"

    def write(self) -> Path:
        """Writes the result into its workdir."""
        path = self.workdir / self.file_name
        values = {name: value for name, value in asdict(self).items() if name != "workdir"}
        write_text(path, json.dumps(values, indent=2) + "\n")
        return path


def read_result(workdir: Path, split: str = "validation") -> RunResult | None:
    """The result of a split; None if there is none yet.

    Raises:
        RunError: the file cannot be read.
    """
    path = workdir / ("result.json" if split == "validation" else f"result_{split}.json")
    try:
        return RunResult(workdir=workdir, **json.loads(path.read_text())) if path.is_file() else None
    except (json.JSONDecodeError, TypeError) as error:
        raise RunError(f"{path} cannot be read ({error}); delete it, and start the same command again") from error


def conclude(
    workdir: Path,
    split: str,
    prepared: PreparedSet,
    indices: np.ndarray,
    probability: np.ndarray,
    thresholds: np.ndarray | None,
    *,
    resamples: int,
    cost: dict[str, float | int | None],
    train: dict[str, float | int],
    config: dict[str, Any],
    plots: bool = True,
) -> RunResult:
    """Writes predictions, ROC curves and, last, the result of a split, and returns the result.

    Args:
        workdir: of the run.
        split: name of the split.
        prepared: the set that the records are of.
        indices: [N], the split's records.
        probability: [N, K].
        thresholds: [K]; None for labels that exclude each other.
        resamples: bootstrap resamples behind each interval.
        cost: of the network.
        train: steps, seconds and examples a second of the training.
        config: of the run, as JSON values.
        plots: draw the ROC curves.
    """
    label, labels = prepared.label[indices], prepared.labels
    write_predictions(workdir, split, prepared, indices, probability)
    if plots:
        from ecg_jax.plots.curves import roc  # matplotlib: most of a second

        roc(label, probability, labels).savefig(workdir / f"roc_{split}.png")
    figures = summarise(
        label,
        probability,
        thresholds,
        prepared.patients[indices],
        target=prepared.target,
        score=prepared.score,
        resamples=resamples,
    )
    result = RunResult(
        workdir, split, **figures, cost=cost, train=train, data_fingerprint=prepared.fingerprint, config=config
    )
    result.write()
    return result


def write_predictions(
    workdir: Path, split: str, prepared: PreparedSet, indices: np.ndarray, probability: np.ndarray
) -> None:
    """Writes `predictions_<split>.csv`, a row a record: `record_id`, `p_<label>` ..., `y_<label>` ..."""
    labels, record_ids, label = prepared.labels, prepared.record_ids[indices], prepared.label[indices]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["record_id", *(f"p_{name}" for name in labels), *(f"y_{name}" for name in labels)])
    for record_id, p, y in zip(record_ids, probability, label, strict=True):
        rows.writerow([record_id, *(f"{value:.9g}" for value in p), *(int(value) for value in y)])
    write_text(workdir / f"predictions_{split}.csv", text.getvalue())


def read_predictions(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Record ids [N], probabilities [N, K] and labels [N, K] of a predictions file."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    values = np.array([row[1:] for row in rows], float)
    n_labels = values.shape[1] // 2
    return np.array([row[0] for row in rows]), values[:, :n_labels], values[:, n_labels:].astype(np.uint8)
