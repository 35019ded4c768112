"""How good is one setting on all of a set? Each part of the folds is the test part once, at one scale, for some seeds.

    python experiments/cross_fit.py --data prepared/ptb_xl --workdir runs/ptb_xl --preset ptb_xl --seeds 3

The fold before a test part, cyclically, chooses the epoch; the other folds train. Without `--test` only validation is
read: so settings are compared. With it the test parts are predicted as well. Every training has a workdir of its own;
started again, the script goes on where it stopped. All flags of `ecg-jax train` can be given.
"""

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import numpy as np
import tyro

from ecg_jax.cli import FLAT, base_run, fail_in_one_line
from ecg_jax.config import RunConfig
from ecg_jax.errors import ConfigError


@dataclass(frozen=True)
class Args:
    """What the script takes, beside the flags of `ecg-jax train`."""

    workdir: Path
    """Folder for the trainings' workdirs and `cross_fit.json`."""
    parts: int | None = None
    """Number of test parts, of consecutive folds; by default each fold is one."""
    seeds: int = 1
    """Seeds 0, 1, ... up to this number."""
    test: bool = False
    """Predict the test parts too, and write their figures."""
    run: Annotated[RunConfig, FLAT] = field(default_factory=RunConfig)


def fold_parts(folds: list[int], n_parts: int | None) -> list[tuple[tuple[int, ...], int]]:
    """Each test part, and the validation fold before it, cyclically."""
    n_parts = n_parts or len(folds)
    if n_parts < 2 or len(folds) % n_parts or len(folds) < 3:
        raise ConfigError(f"--parts {n_parts}: give a divisor of the set's {len(folds)} folds, 2 or more")
    size = len(folds) // n_parts
    return [(tuple(folds[at : at + size]), folds[at - 1]) for at in range(0, len(folds), size)]


def main(args: Args) -> None:
    """Trains what is missing, then writes and prints the figures."""
    from rich.console import Console

    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.inference import evaluate
    from ecg_jax.training import run

    console = Console(stderr=True)
    prepared = open_prepared(args.run.data.path)
    parts = fold_parts(sorted(set(prepared.folds.tolist())), args.parts)
    by_seed: list[dict[str, Any]] = []
    for seed in range(args.seeds):
        validation, test = [], []
        for test_folds, validation_fold in parts:
            data = replace(args.run.data, test_folds=test_folds, validation_folds=(validation_fold,))
            config = replace(args.run, data=data, train=replace(args.run.train, seed=seed))
            workdir = args.workdir / f"seed_{seed}" / f"test_{test_folds[0]}"
            validation.append(run(config, workdir, console=console))
            if args.test:
                test.append(evaluate(workdir, "test"))
        by_seed.append({"seed": seed, **summary("validation", validation), **summary("test", test)})
        if test:
            by_seed[-1]["pooled"] = pooled(test, prepared)
        print(json.dumps(by_seed[-1]), flush=True)
    written = {"parts": len(parts), "seeds": by_seed, "over_seeds": over_seeds(by_seed)}
    (args.workdir / "cross_fit.json").write_text(json.dumps(written, indent=2) + "\n")
    print(json.dumps(written["over_seeds"]))


def summary(split: str, results: list[Any]) -> dict[str, Any]:
    """Means over the parts of each metric, and the trainings' seconds."""
    if not results:
        return {}
    names = [name for name, figure in results[0].metrics.items() if figure["value"] is not None]
    means = {name: mean(result.metrics[name]["value"] for result in results) for name in names}
    return {split: means, "train_seconds": [result.train["seconds"] for result in results]}


def pooled(results: list[Any], prepared: Any) -> dict[str, Any]:
    """The metrics over the predictions of all parts together, with intervals: every record stands in them once."""
    from ecg_jax.evaluation.report import report

    probability = np.full(prepared.label.shape, np.nan)
    index_of = {record_id: index for index, record_id in enumerate(prepared.record_ids.tolist())}
    for result in results:
        rows = (result.workdir / "predictions_test.csv").read_text().splitlines()[1:]
        for row in rows:
            record_id, *values = row.rsplit(",", 2 * len(prepared.labels))
            probability[index_of[record_id.strip('"')]] = [float(value) for value in values[: len(prepared.labels)]]
    if not prepared.exclusive:
        return {}  # each part has thresholds of its own, and the parts' means stand above
    figures = report(
        prepared.label,
        probability,
        None,
        prepared.patients,
        labels=prepared.labels,
        exclusive=True,
        resamples=results[0].config["evaluate"]["resamples"],
    )
    return {"records": len(probability), "metrics": figures["metrics"]}


def over_seeds(by_seed: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds of each mean over the parts."""
    found: dict[str, Any] = {}
    for split in ("validation", "test"):
        for name in by_seed[0].get(split, {}):
            values = [seed[split][name] for seed in by_seed]
            found.setdefault(split, {})[name] = {
                "mean": mean(values),
                "std": stdev(values) if len(values) > 1 else None,
            }
    return found


if __name__ == "__main__":
    with fail_in_one_line("cross_fit.py"):
        base, arguments = base_run(sys.argv[1:])
        main(tyro.cli(Args, description=__doc__, args=arguments, default=Args(workdir=tyro.MISSING, run=base)))
