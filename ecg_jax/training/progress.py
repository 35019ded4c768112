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


class EpochProgress(Progress):
    """A bar over all steps, with the metrics of the last epoch, examples/s and the remaining time."""

    def __init__(self, console: Console, steps: int, done: int, batch_size: int):
        """`done` of the `steps` steps were taken before."""
        text, counts, left = TextColumn("{task.description}", markup=False), MofNCompleteColumn(), TimeRemainingColumn()
        super().__init__(text, BarColumn(bar_width=10), counts, _ExamplesPerSecond(batch_size), left, console=console)
        self._task = self.add_task("training", total=steps, completed=done)

    def count(self, steps: int) -> None:
        """Counts steps."""
        self.advance(self._task, steps)

    def describe(self, line: Mapping[str, Any]) -> None:
        """Shows the metrics of an epoch, a line of `metrics.jsonl`."""
        auroc = line["validation_macro_auroc"]
        auroc_text = "not defined" if auroc is None else f"{auroc:.3f}"
        text = f"epoch {line['epoch']} loss {line['train_loss']:.3f} AUROC {auroc_text}"
        self.update(self._task, description=text)
