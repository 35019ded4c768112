"""The best scale of a study against published networks: same data, same recipe, same epochs, same choice of rates.

    python experiments/published.py --study runs/study --presets resnet1d_wang xresnet1d101 resnet18_1d

Each network is trained from the study's seeds on its folds, with what the study gives every scale: its epochs, batches
and augmentation, and the best of the same learning rates on seed 0's first fold. What that costs differs, and stands
beside the figures. The best scale is chosen on one half of the test records and seeds and compared on the other, or it
would have the favour of the best of many. Started again, the script goes on where it stopped.
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

    from ecg_jax.analysis.predictions import AXES
    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.errors import RunError
    from ecg_jax.models import preset
    from ecg_jax.study.results import collect, outcomes_of
    from ecg_jax.study.variants import beside_best, end_to_end
    from ecg_jax.study.workdir import read_founded, read_plan
    from ecg_jax.training.devices import keep_compiled

    models = {name: preset(name) for name in args.presets}
    founded, plan = read_founded(args.study), read_plan(args.study)
    collected, study = collect(args.study, founded), founded.study
    if collected.outcomes is None:
        raise RunError(f"{args.study} has no seed that is finished at every scale; go on with experiments/scale.py")
    seeds = [seed for seed in collected.seeds if args.seeds is None or seed < args.seeds]
    offered = tuple(sorted({rate for rates in plan.rates.values() for rate in rates}))
    prepared = open_prepared(study.base.data.path)
    keep_compiled(args.study / "compiled" / "published")

    parts = {"study": collected.outcomes}
    for name, model in models.items():
        folder = args.study / "published" / name
        rate = _rate(study, model, folder, offered)
        trials, runs = [], []
        for seed in seeds:
            results, workdirs = _trained(study, model, folder, rate, seed)
            about: dict[str, Any] = {"depth": 1, "channels": model.channels, "kernel": 1, "seed": seed}  # names no axis
            about |= {"learning_rate": rate, "seconds": sum(result.train["seconds"] for result in results)}
            trials.append(about | _costs(study, model))
            runs.append(workdirs)
        parts[name] = outcomes_of(trials, runs, study.folds, prepared)
    outcomes = end_to_end(parts)
    best, *networks = beside_best(outcomes, models)
    networks = [{key: value for key, value in row.items() if key not in AXES} for row in networks]
    about = {"seeds": list(collected.seeds), "seeds_of_networks": seeds, "records": outcomes.n_records}
    written = {"best": best, "networks": networks, **about, "notes": list(collected.notes)}
    write_text(args.study / "published.json", json.dumps(written, indent=1) + "\n")
    console = Console() if sys.stdout.isatty() else Console(width=140)
    print(*collected.notes, sep="\n", end="\n" if collected.notes else "")
    console.print(table(best, networks, study.rate_hz))


def _costs(study: Any, model: ModelConfig) -> dict[str, Any]:
    from ecg_jax.models import cost
    from ecg_jax.study.design import window_samples
    from ecg_jax.training.network import COST

    shape = {"leads": study.leads, "labels": study.labels, "window_samples": window_samples(study)}
    known = cost(model, **shape, rate_hz=study.rate_hz)
    return {name: getattr(known, name) for name in COST}


def _configs(study: Any, model: ModelConfig, rate: float, seed: int) -> dict[str, RunConfig]:
    """The trainings of one network: folder below its own -> config."""
    from ecg_jax.study.design import Scale, Trial

    train = replace(study.base.train, learning_rate=rate, seed=seed)
    trial = Trial(Scale(1, 1, 1), rate, seed)  # only its folds are used
    return {below: replace(config, model=model, train=train) for below, config in trial.runs(study).items()}


def _trained(study: Any, model: ModelConfig, folder: Path, rate: float, seed: int) -> tuple[list[Any], list[Path]]:
    """The results and workdirs of all runs of one network from one seed, with their test predictions."""
    from rich.console import Console

    from ecg_jax.study.worker import predict_test
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
    from ecg_jax.study.design import chosen_rate
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


def table(best: dict[str, Any], networks: list[dict[str, Any]], rate_hz: float) -> Any:
    """The best scale of the study and the networks as a rich table."""
    from rich.table import Table

    from ecg_jax.report.sentences import scale_text, signed, span

    shown = Table("network", "parameters", "MACs", "sees, ms", "training, s", "macro AUROC", "difference")
    for row in (best, *networks):
        name = f"best of the study, mostly {scale_text(best, rate_hz)}" if row is best else row["variant"]
        interval = "" if row["low"] is None else f" ({signed(row['low'])} to {signed(row['high'])})"
        shown.add_row(
            name,
            f"{row['parameters']:,}",
            f"{row['macs']:,}",
            f"{row['receptive_field_ms']:g}",
            f"{row['seconds']:.0f}",
            f"{row['mean']:.4f} {span(row['mean_low'], row['mean_high'], 4)}",
            "" if row is best else f"{signed(row['difference'])}{interval}",
        )
    shown.caption = "the best is read on records and seeds that did not choose it; differences from it for all at once"
    return shown


if __name__ == "__main__":
    with fail_in_one_line("published.py"):
        main(tyro.cli(Args, description=__doc__))
