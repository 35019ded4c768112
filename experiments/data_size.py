"""Does the best scale move as data grow? A small grid on nested shares of the training patients.

    python experiments/data_size.py --data prepared/ptb_xl --workdir runs/data_size --shares 0.25 0.5 1 --seeds 3

The same test records judge every share, so differences are paired. Each share is a study of its own below the workdir,
with a report; this puts them beside each other, and says by how much what a doubling does differs between the smallest
and the largest share, with an interval. All flags of `ecg-jax train` can be given.
"""

import json
import sys
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from ecg_jax.cli import FLAT, base_run, fail_in_one_line
from ecg_jax.config import RunConfig
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.files import write_text


@dataclass(frozen=True)
class Args:
    """What the script takes, beside the flags of `ecg-jax train`."""

    workdir: Path
    """Folder of the shares' studies, and of `data_size.json`."""
    shares: tuple[float, ...] = (0.25, 0.5, 1.0)
    """Shares of the training patients, each within the next."""
    depths: tuple[int, ...] = (1, 2)
    """Residual blocks in each stage."""
    channels: tuple[int, ...] = (8, 32)
    """Channels of the first stage."""
    kernels: tuple[int, ...] = (3, 15)
    """Lengths of the block convolutions, in samples."""
    seeds: int = 3
    """Seeds 0, 1, ... up to this number, one after the other."""
    folds: tuple[int, ...] = ()
    """Cross-fit: each of these folds tests once, the fold before it chooses the epoch."""
    learning_rates: tuple[float, ...] = ()
    """Rates to choose from for each scale at each share, as in scale.py; by default the run's own."""
    run: Annotated[RunConfig, FLAT] = field(default_factory=RunConfig)


def main(args: Args) -> None:
    """Trains what is missing, then writes and prints the table."""
    from ecg_jax.study.variants import Variant, joined, train
    from rich.console import Console

    from ecg_jax.analysis.predictions import AXES
    from ecg_jax.analysis.summary import analyse
    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.report.write import conclude_study
    from ecg_jax.study.design import Grid
    from ecg_jax.study.results import collect
    from ecg_jax.study.workdir import read_founded
    from ecg_jax.study.worker import work

    rates = args.learning_rates or (args.run.train.learning_rate,)
    grid = Grid(args.depths, args.channels, args.kernels, args.seeds, rates)
    shares = sorted(set(args.shares))
    if len(shares) < 2:
        raise ConfigError("--shares needs two different shares or more, say 0.25 0.5 1")
    variants = [
        Variant(f"share_{share:g}", replace(args.run, data=replace(args.run.data, training_share=share)), grid)
        for share in shares
    ]
    train(args.workdir, variants, folds=args.folds, work=partial(work, conclude=conclude_study))
    together = joined(args.workdir, [variant.name for variant in variants])
    found = []
    for share, variant in zip(shares, variants, strict=True):
        outcomes = collect(args.workdir / variant.name, read_founded(args.workdir / variant.name)).outcomes
        analysis = analyse(outcomes) if outcomes is not None else {}
        found.append({"share": share, **{key: analysis.get(key) for key in ("best", "claims", "scales")}})
    if found[-1]["best"] is None:
        raise RunError("macro AUROC is not defined: no label has two records of each class in a test fold")
    changes = {axis: changed(together, axis, variants[0].name, variants[-1].name) for axis in AXES}
    write_text(args.workdir / "data_size.json", json.dumps({"shares": found, "changes": changes}, indent=1) + "\n")
    console = Console() if sys.stdout.isatty() else Console(width=140)
    rate_hz = open_prepared(args.run.data.path).rate_hz
    console.print(table(found, changes, rate_hz))


def changed(outcomes: Any, axis: str, first: str, last: str) -> dict[str, float | None]:
    """How much more doubling an axis does in the last variant than in the first, with its 95 % interval."""
    import numpy as np

    from ecg_jax.analysis.effects import estimate, slope
    from ecg_jax.analysis.influence import aurocs, mean_of
    from ecg_jax.analysis.variance import VarianceModel

    measure = mean_of(aurocs(outcomes))
    of = np.array([trial["variant"] for trial in outcomes.trials])
    least, most = (slope(outcomes, axis, where=of == name) for name in (first, last))
    if measure is None or least is None or most is None:
        return estimate(None, None)
    return estimate(VarianceModel(outcomes, measure), most - least)


def table(found: list[dict[str, Any]], changes: dict[str, Any], rate_hz: float) -> Any:
    """One row a share: its best scale, and what doubling each axis does; then how that changes."""
    from rich.table import Table

    from ecg_jax.report.sentences import same_scale, scale_text, signed, span

    def told(effect: dict[str, float | None]) -> str:
        if effect["low"] is None:
            return "not known"
        return f"{signed(effect['effect'])} ({signed(effect['low'])} to {signed(effect['high'])})"

    shown = Table("share", "best", "macro AUROC of choosing so", "chosen", "doubling depth", "channels", "kernel")
    for entry in found:
        best, claims = entry["best"], entry["claims"]
        value = "not known" if best["value"] is None else f"{best['value']:.4f} {span(best['low'], best['high'], 4)}"
        often = next(chosen["share"] for chosen in best["chosen"] if same_scale(chosen, best["scale"]))
        effects = [told(claims[axis]) for axis in claims]
        shown.add_row(f"{entry['share']:g}", scale_text(best["scale"], rate_hz), value, f"{often:.0%}", *effects)
    shown.add_section()
    shown.add_row(
        "change", "from the smallest share to the largest", "", "", *(told(changes[axis]) for axis in changes)
    )
    return shown


if __name__ == "__main__":
    with fail_in_one_line("data_size.py"):
        base, arguments = base_run(sys.argv[1:])
        main(tyro.cli(Args, description=__doc__, args=arguments, default=Args(workdir=tyro.MISSING, run=base)))
