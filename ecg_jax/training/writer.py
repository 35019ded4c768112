"""All files of a run behind one object, and a twin of it that writes nothing."""

import csv
import importlib.util
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ecg_jax.config import RunConfig, to_dict
from ecg_jax.errors import ConfigError
from ecg_jax.files import write_text
from ecg_jax.training.checkpoint import Checkpoints
from ecg_jax.training.result import RunResult, SplitPredictions
from ecg_jax.training.workdir import CHECKPOINTS, CONFIG, METRICS, read_metrics


class RunWriter:
    """Writes the files of a run into its workdir.

    While a run trains: `begin`, `end_epoch` after each epoch, `close`. Then `write_result`, whose last file is the
    result: a workdir with a `result.json` holds a finished run.
    """

    def __init__(self, workdir: Path, *, plots: bool = True):
        """Writes nothing yet; with `plots=False` no picture is drawn."""
        self.workdir, self._plots = workdir, plots

    def begin(self, config: RunConfig, *, epoch: int) -> None:
        """Makes the workdir this config's own, and removes what a killed process left after its last checkpoint.

        Args:
            config: of the run.
            epoch: of the last checkpoint, 0 if there is none.

        Raises:
            ConfigError: event files are enabled, but the extra [tensorboard] is not installed.
        """
        self._events = _events(self.workdir) if config.train.tensorboard else None
        self.workdir.mkdir(parents=True, exist_ok=True)
        for left_over in self.workdir.glob(".*.tmp"):
            left_over.unlink(missing_ok=True)
        write_text(self.workdir / CONFIG, json.dumps(to_dict(config), indent=2) + "\n")
        kept = [line for line in read_metrics(self.workdir) if line["epoch"] <= epoch]
        write_text(self.workdir / METRICS, "".join(json.dumps(line) + "\n" for line in kept))
        self._checkpoints = Checkpoints(self.workdir / CHECKPOINTS)

    def end_epoch(self, line: dict[str, Any], *, latest: Any, best: Any, meta: dict[str, Any]) -> None:
        """Writes an epoch's line of `metrics.jsonl`, its events, and a checkpoint in the background."""
        with (self.workdir / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._events is not None:
            for name, value in line.items():
                if name not in ("epoch", "step") and value is not None:
                    self._events.add_scalar(name, value, line["step"])
            self._events.flush()
        self._checkpoints.save(line["step"], latest=latest, best=best, meta=meta)

    def close(self) -> None:
        """Waits until all checkpoints are written."""
        self._checkpoints.close()

    def write_predictions(self, predictions: SplitPredictions) -> None:
        """Writes `predictions_<split>.csv`, one row per record: `record_id`, `p_<label>` ..., `y_<label>` ..."""
        names, record_ids = predictions.prepared.labels, predictions.prepared.record_ids[predictions.indices]
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["record_id", *(f"p_{name}" for name in names), *(f"y_{name}" for name in names)])
        for record_id, p, y in zip(record_ids, predictions.probability, predictions.label, strict=True):
            rows.writerow([record_id, *(f"{value:.9g}" for value in p), *(int(value) for value in y)])
        write_text(self.workdir / f"predictions_{predictions.split}.csv", text.getvalue())

    def write_result(self, predictions: SplitPredictions, result: RunResult) -> None:
        """Writes predictions, pictures and, last, the result of a split."""
        self.write_predictions(predictions)
        if self._plots:
            self._draw(predictions, result)
        values = asdict(result)
        del values["workdir"]
        write_text(self.workdir / result.file_name, json.dumps(values, indent=2) + "\n")

    def _draw(self, predictions: SplitPredictions, result: RunResult) -> None:
        from ecg_jax.plots.curves import roc, training_curves  # matplotlib: most of a second

        if result.split == "validation":
            curves = training_curves(read_metrics(self.workdir), best_epoch=result.train.best_epoch)
            curves.savefig(self.workdir / "training_curves.png")
        names = predictions.prepared.labels
        roc(predictions.label, predictions.probability, names).savefig(self.workdir / f"roc_{result.split}.png")


class SilentWriter(RunWriter):
    """Writes nothing: for a process that trains while another one writes."""

    def _do_nothing(self, *_: Any, **__: Any) -> None:
        pass

    begin = end_epoch = close = write_predictions = write_result = _do_nothing


def _events(workdir: Path) -> Any:
    if importlib.util.find_spec("tensorboardX") is None:
        raise ConfigError("--train.tensorboard needs the extra: pip install 'ecg-jax[tensorboard]'")
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(workdir / "events"))
