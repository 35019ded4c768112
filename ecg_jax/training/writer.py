"""All files of a run behind one object, and a twin of it that writes nothing."""

import csv
import importlib.util
import io
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from ecg_jax.config import RunConfig, to_dict
from ecg_jax.errors import ConfigError
from ecg_jax.files import append_line, cleaned_up, locked, write_bytes, write_text
from ecg_jax.terminal import tell
from ecg_jax.training.checkpoint import Checkpoints, Course
from ecg_jax.training.result import RunResult, SplitPredictions
from ecg_jax.training.workdir import CHECKPOINTS, CONFIG, METRICS, read_metrics


class RunWriter:
    """Writes the files of a run into its workdir.

    While a run trains, inside `alone`: `begin`, `end_epoch` after each epoch, `save` after some of them. Then
    `write_result`, whose last file is the result: a workdir with a `result.json` holds a finished run.
    """

    def __init__(self, workdir: Path, *, plots: bool = True):
        """Writes nothing yet; with `plots=False` no picture is drawn."""
        self.workdir, self._plots = workdir, plots

    @contextmanager
    def alone(self, console: Console) -> Iterator[None]:
        """Keeps other trainings out of the workdir, and removes temporary files at the beginning and at the end.

        Raises:
            InUseError: another process is training in it.
        """
        with locked(self.workdir, f"{self.workdir} is in use") as is_locked, cleaned_up(self._remove_left_overs):
            self._remove_left_overs()  # of a killed process
            if not is_locked:
                tell(console, f"{self.workdir} is on a drive without file locks: start no second process in it")
            yield

    def _remove_left_overs(self) -> None:
        for path in self.workdir.glob(".*.tmp"):
            path.unlink(missing_ok=True)
        for _ in range(20):
            left = list((self.workdir / CHECKPOINTS).glob("*tmp*"))
            if not left:
                break
            for path in left:
                shutil.rmtree(path, ignore_errors=True)
            time.sleep(0.2)  # threads of a save that failed may still be writing

    def begin(self, config: RunConfig, course: Course) -> None:
        """Makes the workdir this config's own, and removes what a killed process wrote after its last checkpoint.

        Args:
            config: of the run.
            course: of the last checkpoint, or that of a new run.

        Raises:
            ConfigError: event files are enabled, but the extra [tensorboard] is not installed.
        """
        self._events = _events(self.workdir) if config.train.tensorboard else None
        write_text(self.workdir / CONFIG, json.dumps(to_dict(config), indent=2) + "\n")
        kept = [line for line in read_metrics(self.workdir) if line["epoch"] <= course.epoch]
        write_text(self.workdir / METRICS, "".join(json.dumps(line) + "\n" for line in kept))
        if course.epoch < config.train.epochs:  # what was predicted by an earlier training is not of this one
            for pattern in ("predictions_*.csv", "result_*.json", "roc_*.png"):
                for path in self.workdir.glob(pattern):
                    path.unlink()
        self._checkpoints = Checkpoints(self.workdir / CHECKPOINTS, after_step=course.step)

    def end_epoch(self, line: dict[str, Any]) -> None:
        """Writes an epoch's line of `metrics.jsonl` and its events."""
        append_line(self.workdir / METRICS, json.dumps(line))
        if self._events is not None:
            for name, value in line.items():
                if name not in ("epoch", "step") and value is not None:
                    self._events.add_scalar(name, value, line["step"])
            self._events.flush()

    def save(self, step: int, *, latest: Any, best: Any, meta: dict[str, Any]) -> None:
        """Writes a checkpoint; it may run in another thread than the rest."""
        self._checkpoints.save(step, latest=latest, best=best, meta=meta)

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
        write_text(self.workdir / result.file_name, result.to_json())

    def _draw(self, predictions: SplitPredictions, result: RunResult) -> None:
        from ecg_jax.plots.curves import roc, training_curves  # matplotlib: most of a second

        metrics = read_metrics(self.workdir)
        if result.split == "validation" and metrics:
            self._save("training_curves.png", training_curves(metrics, best_epoch=result.train.best_epoch))
        figure = roc(predictions.label, predictions.probability, predictions.prepared.labels)
        self._save(f"roc_{result.split}.png", figure)

    def _save(self, name: str, figure: Any) -> None:
        png = io.BytesIO()
        figure.savefig(png)
        write_bytes(self.workdir / name, png.getvalue())


class SilentWriter(RunWriter):
    """Writes nothing: for a process that trains while another one writes."""

    def _do_nothing(self, *_: Any, **__: Any) -> None:
        pass

    begin = end_epoch = save = write_predictions = write_result = _do_nothing

    @contextmanager
    def alone(self, console: Console) -> Iterator[None]:
        """Keeps nobody out."""
        yield


def _events(workdir: Path) -> Any:
    if importlib.util.find_spec("tensorboardX") is None:
        raise ConfigError("--train.tensorboard needs the extra: pip install 'ecg-jax[tensorboard]'")
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(workdir / "events"))
