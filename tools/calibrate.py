"""Do the study's intervals cover and its verdicts hold? Simulated studies with known effects, no training.

    python tools/calibrate.py --studies 1000 --json calibration.json

At 2, 3 and 5 seeds and three ratios of seed noise to record noise. Should be: coverage 93-97 %, false "holds" at most
5 %, the truly best scale contained in at least 95 %.
"""

import json
import os
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

if TYPE_CHECKING:
    from ecg_jax.analysis.coverage import Counts

CHUNK = 20


@dataclass(frozen=True)
class Args:
    """Judges the analysis on simulated studies."""

    studies: int = 1000
    """Simulated studies for each number of seeds and ratio of noises."""
    best_studies: int = 300
    """In how many of them the best scale is asked too; that takes ten times as long."""
    seed: int = 0
    """Of the simulation."""
    workers: int = 1
    """Processes."""
    json: Path | None = None
    """Writes the table to this file too."""


def main(args: Args) -> None:
    """Simulates, counts, prints the table."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices; the processes share the work
    from rich.console import Console
    from rich.progress import Progress

    from ecg_jax.analysis.coverage import RATIOS, SEEDS, Counts, judge

    console = Console()
    cells = [(seeds, ratio) for seeds in SEEDS for ratio in RATIOS]
    total = dict.fromkeys(cells, Counts())
    with ProcessPoolExecutor(args.workers) as pool, Progress(console=console, transient=True) as progress:
        bar = progress.add_task("studies", total=len(cells) * args.studies)
        asked: list[tuple[tuple[int, float], Future[Counts]]] = []
        for at in range(0, args.studies, CHUNK):
            for cell in cells:
                numbers = range(at, min(at + CHUNK, args.studies))
                job = pool.submit(judge, *cell, numbers, seed=args.seed, with_best=at < args.best_studies)
                asked.append((cell, job))
        for cell, job in asked:
            total[cell] += job.result()
            progress.advance(bar, job.result().studies)
    rows = [{"seeds": seeds, "ratio": ratio, **rates(counts)} for (seeds, ratio), counts in total.items()]
    console.print(table(rows))
    if args.json:
        args.json.write_text(json.dumps({"seed": args.seed, "cells": rows}, indent=2) + "\n")


def rates(counts: "Counts") -> dict[str, Any]:
    """The counts, and the shares that the table shows."""
    asked = max(counts.bests, 1)
    return {
        **asdict(counts),
        "coverage": counts.covered / counts.intervals,
        "false_holds_rate": counts.false_holds / counts.without_effect,
        "best_value_coverage": counts.value_covered / asked,
        "best_scale_coverage": counts.scale_covered / asked,
        "best_contained_rate": counts.contained / asked,
        "mean_indistinguishable": counts.indistinguishable / asked,
    }


def table(rows: list[dict[str, Any]]) -> Any:
    """The calibration table, for a terminal."""
    from rich.table import Table

    studies, bests = rows[0]["studies"], rows[0]["bests"]
    found = Table(title=f"{studies} simulated studies in each row, {bests} of them asked for the best scale")
    shown = {
        "seeds": "{seeds}",
        "seed : record noise": "{ratio:.2f}",
        "effects covered": "{coverage:.1%}",
        "false holds": "{false_holds_rate:.1%}",
    }
    of_best = {
        "best value covered": "{best_value_coverage:.1%}",
        "value of scale covered": "{best_scale_coverage:.1%}",
        "truly best among": "{best_contained_rate:.1%}",
        "of scales": "{mean_indistinguishable:.1f}",
    }
    shown |= of_best if bests else {}
    for name in shown:
        found.add_column(name, justify="right")
    for row in rows:
        found.add_row(*(text.format(**row) for text in shown.values()))
    return found


if __name__ == "__main__":
    main(tyro.cli(Args))
