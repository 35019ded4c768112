"""Lines and tables on a terminal, and commands to paste: text that users chose is shown as it is.

Brackets are no markup, `:heart:` is no emoji, and control characters have no effect. Everything in this package that
prints does it here. May import rich and `formatting`.
"""

import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ecg_jax.formatting import visible

Item = TypeVar("Item")


def say(*lines: str, file: TextIO | None = None) -> None:
    """Prints each text as one line, by default on standard output."""
    for line in lines:
        print(visible(line), file=file or sys.stdout, flush=True)


def tell(console: Console, *lines: str) -> None:
    """Prints each text as one line on a console of any kind, which may show a progress bar."""
    for line in lines:
        console.print(Text(visible(line)), soft_wrap=True)


class PlainConsole(Console):
    """A console whose tables show text as it is."""

    def __init__(self, **settings: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """A text as rich draws it, in a cell, a title or a line."""
        return super().render_str(visible(text), **settings)


def with_bar(doing: str, items: Iterable[Item], total: int, console: Console) -> Iterator[Item]:
    """The items; while they are taken, a bar shows how many of them were, if the console is a terminal."""
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(items, total=total)


def command(*words: str | Path) -> str:
    """A command as a shell reads it; paths are relative if they are below the current folder."""
    return shlex.join(shown(word) if isinstance(word, Path) else word for word in words)


def shown(path: Path) -> str:
    """A path for a command: relative to the current folder if it is below it."""
    here, full = Path.cwd(), path.resolve()
    text = str(full.relative_to(here)) if full.is_relative_to(here) else str(path)
    return f"./{text}" if text.startswith("-") else text  # no flag


def script(name: str) -> str:
    """A script of `experiments/` for a command: by its full path if the current folder does not contain it."""
    here = Path("experiments", name)
    beside = Path(__file__).parents[1] / here
    return str(beside if beside.is_file() and not here.is_file() else here)


def next_step(*words: str | Path) -> None:
    """Prints the command that usually follows, on standard error: standard output is for results."""
    say(f"next: {command(*words)}", file=sys.stderr)
