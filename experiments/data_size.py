"""Does the best scale move as data grow? A small grid on nested shares of the training patients.

    python experiments/data_size.py --data prepared/ptb_xl --workdir runs/data_size --shares 0.25 0.5 1 --seeds 3

The same test records judge every share, so differences are paired. Each share is a study of its own below the workdir,
with a report; this table puts them beside each other. All flags of `ecg-jax train` can be given.
"""

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from ecg_jax.cli import FLAT, base_run, fail_in_one_line
from ecg_jax.config import RunConfig
from ecg_jax.errors import RunError
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
    run: Annotated[RunConfig, FLAT] = field(default_factory=RunConfig)


def main(args: Args) -> None:
    """Trains what is missing, then writes and prints the table."""
    from rich.console import Console

    from ecg_jax.study.analysis import analyse
    from ecg_jax.study.collect import collect
    from ecg_jax.study.folder import read_founded
    from ecg_jax.study.space import Grid
    from ecg_jax.study.variants import Variant, compared, joined, train
    from ecg_jax.study.workers import work

    grid = Grid(args.depths, args.channels, args.kernels, args.seeds, (args.run.train.learning_rate,))
    shares = sorted(set(args.shares))
    variants = [
        Variant(f"share_{share:g}", replace(args.run, data=replace(args.run.data, training_share=share)), grid)
        for share in shares
    ]
    train(args.workdir, variants, folds=args.folds, work=work)
    outcomes_of_all = joined(args.workdir, [variant.name for variant in variants])
    found = []
    for share, variant in zip(shares, variants, strict=True):
        outcomes = collect(args.workdir / variant.name, read_founded(args.workdir / variant.name)).outcomes
        analysis = analyse(outcomes) if outcomes is not None else {}
        found.append({"share": share, **{key: analysis.get(key) for key in ("best", "claims", "scales")}})
    if found[-1]["best"] is None:
        raise RunError("macro AUROC is not defined: no label has two records of each class in a test fold")
    best = found[-1]["best"]["scale"] | {"variant": variants[-1].name}
    rows = compared(outcomes_of_all, against=lambda scale: scale == best)
    write_text(args.workdir / "data_size.json", json.dumps({"shares": found, "scales": rows}, indent=1) + "\n")
    console = Console() if sys.stdout.isatty() else Console(width=140)
    console.print(table(found))


def table(found: list[dict[str, Any]]) -> Any:
    """One row a share: its best scale, and what doubling each axis does."""
    from rich.table import Table

    shown = Table(
        "share", "best (depth, channels, kernel)", "macro AUROC", "chosen", "doubling depth", "channels", "kernel"
    )
    for entry in found:
        best, claims = entry["best"], entry["claims"]
        scale = tuple(best["scale"].values())
        chosen = next(
            c["share"] for c in best["chosen"] if all(c[axis] == best["scale"][axis] for axis in best["scale"])
        )
        effects = [
            "not decided"
            if (claim := claims[axis])["low"] is None
            else f"{claim['effect']:+.4f} ({claim['low']:+.4f} to {claim['high']:+.4f})"
            for axis in ("depth", "channels", "kernel")
        ]
        shown.add_row(f"{entry['share']:g}", str(scale), f"{best['value']:.4f}", f"{chosen:.0%}", *effects)
    return shown


if __name__ == "__main__":
    with fail_in_one_line("data_size.py"):
        base, arguments = base_run(sys.argv[1:])
        main(tyro.cli(Args, description=__doc__, args=arguments, default=Args(workdir=tyro.MISSING, run=base)))
