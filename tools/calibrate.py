"""Do the intervals of a study contain the truth as often as they should? Simulated studies, no training.

    python tools/calibrate.py --studies 1000 --json calibration.json

Simulates studies with known effects at 2, 3 and 5 seeds and three ratios of seed noise to record noise. Expected are a
coverage of 93 to 97 %, at most 5 % of the verdicts *holds* on an axis without effect, and the truly best scale among
the indistinguishable ones in at least 95 % of the studies.
"""

import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

CHUNK = 20
RATES = {
    "coverage": ("covered", "intervals", "effects covered", ".1%"),
    "false_holds_rate": ("false_holds", "without_effect", "false holds", ".1%"),
    "best_value_coverage": ("value_covered", "bests", "best value covered", ".1%"),
    "best_scale_coverage": ("scale_covered", "bests", "value of scale covered", ".1%"),
    "best_contained_rate": ("contained", "bests", "best kept", ".1%"),
    "mean_indistinguishable": ("indistinguishable", "bests", "scales kept", ".1f"),
}
"""Key in the file -> numerator and denominator, both of `Counts`, and head and format of the column of the table.

*Kept* are the scales that are indistinguishable from the best one."""


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
    from rich.table import Table

    from ecg_jax.analysis.coverage import RATIOS, SEEDS, Counts, count_coverage
    from ecg_jax.files import write_text

    console = Console()
    total = {(seeds, ratio): Counts() for seeds in SEEDS for ratio in RATIOS}
    with ProcessPoolExecutor(args.workers) as pool, Progress(console=console, transient=True) as progress:
        bar = progress.add_task("studies", total=len(total) * args.studies)
        jobs = []
        for start in range(0, args.studies, CHUNK):
            studies, with_best = range(start, min(start + CHUNK, args.studies)), start < args.best_studies
            for cell in total:
                jobs.append((cell, pool.submit(count_coverage, *cell, studies, seed=args.seed, with_best=with_best)))
        for cell, job in jobs:
            total[cell] += job.result()
            progress.advance(bar, job.result().studies)
    bests = next(iter(total.values())).bests
    title = f"{args.studies} simulated studies in each row, {bests} of them for the best scale"
    table = Table("seeds", "seed : record noise", *(head for _, _, head, _ in RATES.values()), title=title)
    rows = []
    for (seeds, ratio), counts in total.items():
        numbers = asdict(counts)
        rates = {key: numbers[part] / max(numbers[whole], 1) for key, (part, whole, _, _) in RATES.items()}
        rows.append({"seeds": seeds, "ratio": ratio, **numbers, **rates})
        texts = (f"{rates[key]:{form}}" if numbers[whole] else "–" for key, (_, whole, _, form) in RATES.items())
        table.add_row(str(seeds), f"{ratio:.2f}", *texts)
    console.print(table)
    if args.json:
        write_text(args.json, json.dumps({"seed": args.seed, "cells": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Args))
