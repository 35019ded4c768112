"""Progress of a run while it trains: a bar in the terminal, and event files for TensorBoard."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from ecg_jax.errors import ConfigError


class _ExamplesPerSecond(ProgressColumn):
    def __init__(self, batch_size: int):
        super().__init__()
        self._batch_size = batch_size

    def render(self, task: Task) -> Text:
        return Text(f"{(task.speed or 0) * self._batch_size:,.0f} examples/s", no_wrap=True)


class EpochProgress:
    """A bar over all steps, with the metrics of the last epoch, examples/s and the time left."""

    def __init__(self, console: Console, steps: int, done: int, batch_size: int):
        """`done` of the `steps` steps are finished."""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            _ExamplesPerSecond(batch_size),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("training", total=steps, completed=done)

    def __enter__(self) -> "EpochProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self) -> None:
        """Counts one more step."""
        self._bar.advance(self._task)

    def describe(self, line: Mapping[str, Any]) -> None:
        """Shows the metrics of an epoch."""
        auroc = line["validation_macro_auroc"]
        shown = "not defined" if auroc is None else f"{auroc:.3f}"
        text = f"epoch {line['epoch']} loss {line['train_loss']:.3f} AUROC {shown}"
        self._bar.update(self._task, description=text)


def check_tensorboard(enabled: bool) -> None:
    """Checks that the package that writes event files is installed, if they are enabled.

    Raises:
        ConfigError: the extra is not installed.
    """
    if enabled and importlib.util.find_spec("tensorboardX") is None:
        raise ConfigError("--train.tensorboard needs the extra: pip install 'ecg-jax[tensorboard]'")


class Events:
    """TensorBoard event files beside `metrics.jsonl`, if they are enabled."""

    def __init__(self, workdir: Path, enabled: bool):
        """Opens the files in `workdir`/events."""
        self._writer = None
        if enabled:
            from tensorboardX import SummaryWriter

            self._writer = SummaryWriter(str(workdir / "events"))

    def write(self, line: Mapping[str, Any]) -> None:
        """Writes the metrics of an epoch."""
        if self._writer is not None:
            for name, value in line.items():
                if name not in ("epoch", "step") and value is not None:
                    self._writer.add_scalar(name, value, line["step"])
            self._writer.flush()
