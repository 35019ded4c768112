"""The progress bar of a run."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _ExamplesPerSecond(ProgressColumn):
    def __init__(self, batch_size: int):
        super().__init__()
        self._batch_size = batch_size

    def render(self, task: Task) -> Text:
        return Text(f"{(task.speed or 0) * self._batch_size:,.0f} examples/s", no_wrap=True)


class EpochProgress:
    """A bar over all steps, with the metrics of the last epoch, examples/s and the remaining time."""

    def __init__(self, console: Console, steps: int, done: int, batch_size: int):
        """`done` of the `steps` steps were taken before."""
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
        """Counts one step."""
        self._bar.advance(self._task)

    def describe(self, line: Mapping[str, Any]) -> None:
        """Shows the metrics of an epoch, a line of `metrics.jsonl`."""
        auroc = line["validation_macro_auroc"]
        shown = "not defined" if auroc is None else f"{auroc:.3f}"
        text = f"epoch {line['epoch']} loss {line['train_loss']:.3f} AUROC {shown}"
        self._bar.update(self._task, description=text)
