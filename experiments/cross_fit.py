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
    """Folder for the trainings' workdirs and `cross_fit.json` (with `--test` `cross_fit_test.json`)."""
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
    from ecg_jax.training.devices import keep_compiled
    from ecg_jax.training.result import read_result

    console = Console(stderr=True)
    keep_compiled(args.workdir / "compiled")
    prepared = open_prepared(args.run.data.path)
    parts = fold_parts(sorted(set(prepared.folds.tolist())), args.parts)
    by_seed: list[dict[str, Any]] = []
    predicted: list[list[Path]] = []
    for seed in range(args.seeds):
        validation, test = [], []
        for test_folds, validation_fold in parts:
            data = replace(args.run.data, test_folds=test_folds, validation_folds=(validation_fold,))
            config = replace(args.run, data=data, train=replace(args.run.train, seed=seed))
            workdir = args.workdir / f"seed_{seed}" / f"test_{test_folds[0]}"
            validation.append(run(config, workdir, console=console))
            if args.test:
                test.append(read_result(workdir, "test") or evaluate(workdir, "test"))
        figures = {"seed": seed, "validation": part_means(validation)}
        figures["train_seconds"] = [result.train.seconds for result in validation]
        if test:
            predicted.append([result.workdir / "predictions_test.csv" for result in test])
            figures |= {"test": part_means(test), "test_pooled": pooled_figures(predicted[-1:], prepared)}
        by_seed.append(figures)
        print(json.dumps(figures), flush=True)
    written: dict[str, Any] = {"parts": len(parts), "seeds": by_seed}
    for split in ("validation", "test") if args.test else ("validation",):
        written[split] = over_seeds([figures[split] for figures in by_seed])
    if len(predicted) > 1:
        written["test_ensemble_of_the_seeds"] = ensemble_means(predicted, prepared)
        written["test_ensemble_of_the_seeds_pooled"] = pooled_figures(predicted, prepared)
    name = "cross_fit_test.json" if args.test else "cross_fit.json"
    (args.workdir / name).write_text(json.dumps(written, indent=2) + "\n")
    print(json.dumps({name: value for name, value in written.items() if name != "seeds"}, indent=2))


def part_means(results: list[Any]) -> dict[str, float]:
    """Mean over the parts of each metric."""
    names = [name for name, figure in results[0].metrics.items() if figure["value"] is not None]
    return {name: mean(result.metrics[name]["value"] for result in results) for name in names}


def over_seeds(means: list[dict[str, float]]) -> dict[str, dict[str, float | None]]:
    """Mean and standard deviation over the seeds of each mean over the parts."""
    values = {name: [each[name] for each in means] for name in means[0]}
    return {name: {"mean": mean(v), "std": stdev(v) if len(v) > 1 else None} for name, v in values.items()}


def averaged(paths: list[Path]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Record ids [N], labels [N, K], and probabilities [N, K] averaged over the predictions of several seeds."""
    from ecg_jax.training.result import read_predictions

    read = [read_predictions(path) for path in paths]
    return read[0][0], read[0][2], np.mean([probability for _, probability, _ in read], axis=0)


def ensemble_means(predicted: list[list[Path]], prepared: Any) -> dict[str, float]:
    """Mean over the parts of the metrics without thresholds, the seeds' probabilities averaged."""
    from ecg_jax.evaluation.summary import point_values

    found = []
    for paths in zip(*predicted, strict=True):
        _, label, probability = averaged(list(paths))
        found.append(point_values(label, probability, None, target=prepared.target))
    return {name: mean(each[name] for each in found) for name in ("macro_auroc", "macro_auprc")}


def pooled_figures(predicted: list[list[Path]], prepared: Any) -> dict[str, Any]:
    """The metrics over the predictions of all parts together, with intervals: every record stands in them once.

    Only for labels that exclude each other: else each part has thresholds of its own.
    """
    from ecg_jax.evaluation.summary import summarise

    if prepared.target.has_thresholds:
        return {}
    parts = [averaged(list(paths)) for paths in zip(*predicted, strict=True)]
    record_ids, label, probability = (np.concatenate(column) for column in zip(*parts, strict=True))
    patients = prepared.patients[np.searchsorted(prepared.record_ids, record_ids)]
    settings = {"target": prepared.target, "score": prepared.score, "resamples": 1000}
    figures = summarise(label, probability, None, patients, **settings)
    return {"records": len(label), "metrics": figures["metrics"], "per_label": figures["per_label"]}


if __name__ == "__main__":
    with fail_in_one_line("cross_fit.py"):
        base, arguments = base_run(sys.argv[1:])
        main(tyro.cli(Args, description=__doc__, args=arguments, default=Args(workdir=tyro.MISSING, run=base)))
