"""The best scale of a study against published networks: same data, same recipe, same epochs, same choice of rates.

    python experiments/published.py --study runs/study --presets resnet1d_wang xresnet1d101 resnet18_1d

Each network is trained from the study's seeds on its folds, with what the study gives every scale: its epochs, batches
and augmentation, and the best of the same learning rates on seed 0's first fold. What that costs differs, and stands
beside the figures. Started again, it goes on where it stopped.
"""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from ecg_jax.cli import fail_in_one_line
from ecg_jax.config import ModelConfig, RunConfig
from ecg_jax.files import write_text


@dataclass(frozen=True)
class Args:
    """What the script takes."""

    study: Path
    """Workdir of a study; the networks go below it, to `published/`, with `published.json`."""
    presets: tuple[str, ...] = ("resnet1d_wang", "xresnet1d101", "resnet18_1d")
    """Names of published networks, as `--model.preset` takes them."""
    seeds: int | None = None
    """Seeds 0, 1, ... up to this number; by default all that the study has finished."""


def main(args: Args) -> None:
    """Trains what is missing, then writes and prints the table."""
    from rich.console import Console

    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.errors import RunError
    from ecg_jax.models import preset
    from ecg_jax.study.analysis import analyse
    from ecg_jax.study.collect import collect, outcomes_of
    from ecg_jax.study.folder import read_founded, read_plan, trial_folder
    from ecg_jax.study.space import Scale, Trial
    from ecg_jax.study.variants import compared
    from ecg_jax.training.parallel import keep_compiled

    models = {name: preset(name) for name in args.presets}
    founded = read_founded(args.study)
    collected = collect(args.study, founded)
    if collected.outcomes is None:
        raise RunError(f"{args.study} has no seed that is finished at every scale; go on with experiments/scale.py")
    found = analyse(collected.outcomes)["best"]
    if found is None:
        raise RunError(f"{args.study}: macro AUROC is not defined on its test records")
    best, study = Scale(**found["scale"]), founded.study
    rate, rates = collected.rates[best], read_plan(args.study).rates[best]
    seeds = [seed for seed in collected.seeds if args.seeds is None or seed < args.seeds]
    keep_compiled(args.study / "compiled" / "published")

    trials, runs = [], []
    for seed in seeds:
        trial = Trial(best, rate, seed)
        trials.append({**next(row for row in collected.outcomes.trials if _is(row, best, seed)), "variant": best.name})
        runs.append([trial_folder(args.study, trial) / below for below in trial.runs(study)])
    for name, model in models.items():
        folder = args.study / "published" / name
        chosen = _rate(study, model, folder, rates)
        for seed in seeds:
            results, workdirs = _trained(study, model, folder, chosen, seed)
            about: dict[str, Any] = {"depth": 1, "channels": model.channels, "kernel": 1, "seed": seed}  # names no axis
            seconds = sum(result.train["seconds"] for result in results)
            trials.append({**about, **_costs(study, model), "seconds": seconds, "variant": name})
            runs.append(workdirs)
    outcomes = outcomes_of(trials, runs, study.folds, open_prepared(study.base.data.path))
    rows = compared(outcomes, against=lambda scale: scale["variant"] == best.name)
    rows = [{key: value for key, value in row.items() if key not in ("depth", "channels", "kernel")} for row in rows]
    written = {"best": found["scale"], "seeds": seeds, "records": outcomes.n_records, "networks": rows}
    write_text(args.study / "published.json", json.dumps(written, indent=1) + "\n")
    console = Console() if sys.stdout.isatty() else Console(width=140)
    console.print(table(rows))


def _is(row: dict[str, Any], scale: Any, seed: int) -> bool:
    return row["seed"] == seed and all(row[axis] == getattr(scale, axis) for axis in ("depth", "channels", "kernel"))


def _costs(study: Any, model: ModelConfig) -> dict[str, Any]:
    from ecg_jax.models import cost
    from ecg_jax.study.space import window_samples
    from ecg_jax.training.network import COST

    shape = {"leads": study.leads, "labels": study.labels, "window_samples": window_samples(study)}
    known = cost(model, **shape, rate_hz=study.rate_hz)
    return {name: getattr(known, name) for name in COST}


def _configs(study: Any, model: ModelConfig, rate: float, seed: int) -> dict[str, RunConfig]:
    """The trainings of one network: folder below its own -> config."""
    from ecg_jax.study.space import Scale, Trial

    train = replace(study.base.train, learning_rate=rate, seed=seed)
    trial = Trial(Scale(1, 1, 1), rate, seed)  # only its folds are used
    return {below: replace(config, model=model, train=train) for below, config in trial.runs(study).items()}


def _trained(study: Any, model: ModelConfig, folder: Path, rate: float, seed: int) -> tuple[list[Any], list[Path]]:
    """The results and workdirs of all runs of one network from one seed, with their test predictions."""
    from rich.console import Console

    from ecg_jax.study.workers import predict_test
    from ecg_jax.training import run

    results, workdirs = [], []
    for below, config in _configs(study, model, rate, seed).items():
        workdir = folder / f"lr{rate}_s{seed}" / below
        results.append(run(config, workdir, console=Console(stderr=True), plots=False))
        if not (workdir / "predictions_test.csv").is_file():
            predict_test(workdir, config.data.path)
        workdirs.append(workdir)
    return results, workdirs


def _rate(study: Any, model: ModelConfig, folder: Path, rates: tuple[float, ...]) -> float:
    """The best of the rates on seed 0's first fold."""
    from rich.console import Console

    from ecg_jax.errors import RunError
    from ecg_jax.study.space import chosen_rate
    from ecg_jax.training import run

    if len(rates) == 1:
        return rates[0]
    tried: dict[float, float | None] = {}
    for rate in rates:
        below, config = next(iter(_configs(study, model, rate, 0).items()))
        try:
            result = run(config, folder / f"lr{rate}_s0" / below, console=Console(stderr=True), plots=False)
            tried[rate] = result.metrics["macro_auroc"]["value"]
        except RunError:
            tried[rate] = None
    chosen = chosen_rate(tried)
    if chosen is None:
        raise RunError(f"{folder.name}: every learning rate failed")
    return chosen


def table(rows: list[dict[str, Any]]) -> Any:
    """The networks as a rich table, the study's best first."""
    from rich.table import Table

    shown = Table("network", "parameters", "MACs", "sees, ms", "training, s", "macro AUROC", "difference, 95 % at once")
    for row in rows:
        interval = "" if row["low"] is None else f" ({row['low']:+.4f} to {row['high']:+.4f})"
        shown.add_row(
            row["variant"],
            f"{row['parameters']:,}",
            f"{row['macs']:,}",
            f"{row['receptive_field_ms']:g}",
            f"{row['seconds']:.0f}",
            f"{row['mean']:.4f} ({row['mean_low']:.4f} to {row['mean_high']:.4f})"
            if row["mean_low"]
            else f"{row['mean']:.4f}",
            f"{row['difference']:+.4f}{interval}" if row["difference"] else "",
        )
    return shown


if __name__ == "__main__":
    with fail_in_one_line("published.py"):
        main(tyro.cli(Args, description=__doc__))
