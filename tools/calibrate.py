"""Do the intervals of a study contain the truth as often as they should? Simulated studies, no training.

    python tools/calibrate.py --studies 1000 --json calibration.json

Simulates studies with known effects at 2, 3 and 5 seeds and three ratios of seed noise to record noise. Expected are a
coverage of 93 to 97 %, at most 5 % of the verdicts *holds* on an axis without effect, and the truly best scale among
the indistinguishable ones in at least 95 % of the studies.
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
    """Counts how often the intervals and verdicts of the analysis are right on simulated studies."""

    studies: int = 1000
    """Simulated studies for each number of seeds and ratio of noises."""
    best_studies: int = 300
    """In how many of them the best scale is analysed too, which takes ten times as long."""
    seed: int = 0
    """Seed of the simulation."""
    workers: int = 1
    """Number of processes."""
    json: Path | None = None
    """File to which the table is written too."""


def main(args: Args) -> None:
    """Simulates the studies, counts, and prints the table."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices; the processes share the work
    from rich.console import Console
    from rich.progress import Progress

    from ecg_jax.analysis.coverage import RATIOS, SEEDS, Counts, count_coverage
    from ecg_jax.files import write_text

    console = Console()
    cells = [(seeds, ratio) for seeds in SEEDS for ratio in RATIOS]
    total = dict.fromkeys(cells, Counts())
    with ProcessPoolExecutor(args.workers) as pool, Progress(console=console, transient=True) as progress:
        bar = progress.add_task("studies", total=len(cells) * args.studies)
        jobs: list[tuple[tuple[int, float], Future[Counts]]] = []
        for start in range(0, args.studies, CHUNK):
            studies, with_best = range(start, min(start + CHUNK, args.studies)), start < args.best_studies
            for cell in cells:
                jobs.append((cell, pool.submit(count_coverage, *cell, studies, seed=args.seed, with_best=with_best)))
        for cell, job in jobs:
            total[cell] += job.result()
            progress.advance(bar, job.result().studies)
    rows = [{"seeds": seeds, "ratio": ratio, **rates(counts)} for (seeds, ratio), counts in total.items()]
    console.print(table(rows))
    if args.json:
        write_text(args.json, json.dumps({"seed": args.seed, "cells": rows}, indent=2) + "\n")


def rates(counts: "Counts") -> dict[str, Any]:
    """The counts, and the rates that the table shows."""
    bests = max(counts.bests, 1)
    return {
        **asdict(counts),
        "coverage": counts.covered / counts.intervals,
        "false_holds_rate": counts.false_holds / counts.without_effect,
        "best_value_coverage": counts.value_covered / bests,
        "best_scale_coverage": counts.scale_covered / bests,
        "best_contained_rate": counts.contained / bests,
        "mean_indistinguishable": counts.indistinguishable / bests,
    }


def table(rows: list[dict[str, Any]]) -> Any:
    """The table for a terminal; *kept* are the scales that are indistinguishable from the best one."""
    from rich.table import Table

    studies, bests = rows[0]["studies"], rows[0]["bests"]
    title = f"{studies} simulated studies in each row, {bests} of them for the best scale"
    columns = {
        "seeds": "{seeds}",
        "seed : record noise": "{ratio:.2f}",
        "effects covered": "{coverage:.1%}",
        "false holds": "{false_holds_rate:.1%}",
    }
    of_best = {
        "best value covered": "{best_value_coverage:.1%}",
        "value of scale covered": "{best_scale_coverage:.1%}",
        "best kept": "{best_contained_rate:.1%}",
        "scales kept": "{mean_indistinguishable:.1f}",
    }
    columns |= of_best if bests else {}
    shown = Table(title=title)
    for name in columns:
        shown.add_column(name, justify="right")
    for row in rows:
        shown.add_row(*(text.format(**row) for text in columns.values()))
    return shown


if __name__ == "__main__":
    main(tyro.cli(Args))
