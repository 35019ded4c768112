"""Do the intervals of a study contain the truth as often as they should? Simulated studies, no training.

    python tools/calibrate.py --json calibration.json
    python tools/calibrate.py --json before.json --package ../an-older-checkout

Simulates studies with known effects whose noise is equal, unequal, shared by the scales of a seed or heavy-tailed, with
rare labels, several records of a patient, an optimum in the middle of an axis, and several looks. Expected are a
coverage of 93 to 97 % for the effects of each axis and the value of the best scale, and at most 5 % of the studies with
a false verdict; a row that is outside is marked. The same command, started again, continues the file.
"""

import json
import math
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import tyro

CHUNK = 20  # studies
HERE = Path(__file__).resolve().parent.parent
COLUMNS = {
    "depth": ("depth_covered", "studies", (0.93, 0.97)),
    "channels": ("channels_covered", "studies", (0.93, 0.97)),
    "kernel": ("kernel_covered", "studies", (0.93, 0.97)),
    "false holds": ("falsely_holding", "studies", (0.0, 0.05)),
    "optimum overlooked": ("overlooking", "studies", (0.0, 0.05)),
    "scale means": ("means_covered", "means", (0.93, 0.97)),
    "best value": ("value_covered", "bests", (0.93, 0.97)),
    "value of the best": ("scale_covered", "bests", (0.93, 0.97)),
    "best kept": ("contained", "bests", (0.95, 1.0)),
}
"""Head -> numerator and denominator, both of `Counts`, and the range in which the rate is right."""


@dataclass(frozen=True)
class Args:
    """Counts how often the intervals and verdicts of the analysis are right on simulated studies."""

    json: Path
    """File of the counts. Those that it has are not repeated."""
    studies: int = 600
    """Simulated studies in each row."""
    best_studies: int = 100
    """In how many of them the best scale is analysed too, which takes twenty times as long; in some rows only."""
    seed: int = 0
    """Seed of the simulation."""
    workers: int = 1
    """Number of processes."""
    seconds: float = math.inf
    """Time after which no further studies are begun; the next call continues."""
    package: Path = HERE
    """Folder of the version of ecg_jax whose analysis is tested, on the simulated studies of this one."""


def main(args: Args) -> None:
    """Simulates the studies, counts, and prints the table."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices; the processes share the work
    names = list(use_package(args.package).ROWS)
    about = {"seed": args.seed, "studies": args.studies, "best_studies": args.best_studies}
    found: dict[str, Any] = {**about, "chunks": {}}
    if args.json.exists():
        found = json.loads(args.json.read_text())
        if {name: found.get(name) for name in about} != about:
            sys.exit(
                f"{args.json} has other settings than this command, or the form of an older version; give another file"
            )
    starts = range(0, args.studies, CHUNK)
    missing = [(name, start) for start in starts for name in names if f"{name} {start}" not in found["chunks"]]
    until = time.monotonic() + args.seconds
    with ProcessPoolExecutor(args.workers) as pool:
        while missing and time.monotonic() < until:
            some, missing = missing[: args.workers], missing[args.workers :]
            jobs = {pool.submit(count, args, *chunk): chunk for chunk in some}
            for job in as_completed(jobs):
                found["chunks"][" ".join(map(str, jobs[job]))] = job.result()
            args.json.write_text(json.dumps(found) + "\n")
    show(found, names)
    if missing:
        print(f"{len(missing)} parts of {CHUNK} studies are missing; the same command continues")


def count(args: Args, name: str, start: int) -> dict[str, int]:
    """The counts of one part of a row, but for those that are 0."""
    studies = range(start, min(start + CHUNK, args.studies))
    coverage = use_package(args.package)
    counts = coverage.count_coverage(name, studies, seed=args.seed, best_studies=args.best_studies)
    return {key: int(number) for key, number in asdict(counts).items() if number}


def use_package(folder: Path) -> Any:
    """The module `coverage` of this checkout, on the analysis of the package in a folder."""
    if (name := "ecg_jax.analysis.coverage") in sys.modules:
        return sys.modules[name]
    sys.path.insert(0, str(folder.resolve()))
    import_module("ecg_jax.analysis")
    for module in ("ecg_jax.analysis.simulation", name):
        spec = spec_from_file_location(module, HERE / f"{module.replace('.', '/')}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[module] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[module])
    return sys.modules[name]


def show(found: dict[str, Any], names: list[str]) -> None:
    """Prints the table; a rate outside its range is marked with *."""
    from rich.console import Console
    from rich.table import Table

    title = f"percent of {found['studies']} simulated studies in each row, * is outside the range that is right"
    table = Table("noise", *COLUMNS, "scales kept", title=title)
    for name in names:
        total: dict[str, int] = {}
        for key, counts in found["chunks"].items():
            if key.rpartition(" ")[0] == name:
                total = {part: total.get(part, 0) + counts.get(part, 0) for part in total | counts}
        kept = total.get("indistinguishable", 0) / total["bests"] if total.get("bests") else None
        texts = (cell(total.get(part, 0), total.get(whole, 0), *right) for part, whole, right in COLUMNS.values())
        table.add_row(name, *texts, "–" if kept is None else f"{kept:.1f}")
    Console(width=None if sys.stdout.isatty() else 190).print(table)


def cell(part: int, whole: int, low: float, high: float) -> str:
    """A rate with its error in percent, marked if it is outside."""
    if not whole:
        return "–"
    rate = part / whole
    error = 1.96 * math.sqrt(max(rate * (1 - rate), 1 / whole) / whole)
    return f"{100 * rate:.1f} ±{100 * error:.1f}{'' if low <= rate <= high else ' *'}"


if __name__ == "__main__":
    main(tyro.cli(Args))
