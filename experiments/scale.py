"""Which depth, width and kernel do these data want? All combinations, each at its best rate, from several seeds.

    python experiments/scale.py --data prepared/ptb_xl --workdir runs/study --depths 1 2 4 --kernels 3 5 9 15 --seeds 3

The same command started again, here or on another machine that shares the workdir, is one worker more; after a stop it
goes on where it was. `ecg-jax study WORKDIR` shows how the study stands. All flags of `ecg-jax train` can be given.
"""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ecg_jax.cli import FLAT, base_run, fail_in_one_line
from ecg_jax.config import RunConfig
from ecg_jax.errors import ConfigError


@dataclass(frozen=True)
class Args:
    """What the script takes, beside the flags of `ecg-jax train`."""

    workdir: Path
    """Folder of the study, which all its workers share."""
    depths: tuple[int, ...] = (1, 2, 4)
    """Residual blocks in each stage."""
    channels: tuple[int, ...] = (16, 32, 64)
    """Channels of the first stage."""
    kernels: tuple[int, ...] = (3, 5, 9, 15)
    """Lengths of the block convolutions, in samples."""
    seeds: int = 3
    """Seeds 0, 1, ... up to this number, one after the other."""
    learning_rates: tuple[float, ...] = ()
    """Rates to choose from for each scale, on validation, with seed 0 on the first fold; by default the run's own."""
    folds: tuple[int, ...] = ()
    """Cross-fit: each of these folds tests once, the fold before it chooses the epoch."""
    base: Literal["resnet", "local"] = "resnet"
    """The network that is scaled: the model as it is, or three stages without a pool in the stem, stride 8 in all."""
    storage: str = ""
    """postgresql://USER@HOST/DATABASE for many machines; by default a journal file in the workdir."""
    lease_seconds: float = 60.0
    """A worker that is silent for this long has died, and its trial is free."""
    retry_failed: bool = False
    """Try again what has failed."""
    dry_run: bool = False
    """List the trials with what they cost, and train nothing."""
    run: Annotated[RunConfig, FLAT] = field(default_factory=RunConfig)


def main(args: Args, default: RunConfig) -> None:
    """Works on the study until it is done; `default` is the run before its flags were read."""
    from rich.console import Console

    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.dataset.splits import split_by_folds
    from ecg_jax.study.design import Grid, Trial, make_study
    from ecg_jax.study.workdir import add_grid, check_same, check_storage, found, read_founded, read_plan

    check_storage(args.storage)
    if not args.lease_seconds >= 1:
        raise ConfigError(f"--lease-seconds is {args.lease_seconds:g}; give 1 or more")
    if args.run.data.path == Path():
        raise ConfigError("--data is missing; give the folder of a prepared set (ecg-jax prepare makes one)")
    grid = Grid(args.depths, args.channels, args.kernels, args.seeds, rates(args, default))
    base = replace(args.run, data=replace(args.run.data, path=args.run.data.path.resolve()))
    prepared = open_prepared(base.data.path)
    settings = {"rate_hz": prepared.rate_hz, "leads": len(prepared.leads), "labels": len(prepared.labels)}
    study = make_study(base, args.folds, fingerprint=prepared.fingerprint, **settings)
    for config in Trial(grid.scales()[0], 1e-3, 0).runs(study).values():
        if not len(split_by_folds(prepared.folds, config.data).test):
            raise ConfigError("a study needs test folds; leave --data.test-folds out, or give numbers")
    if args.dry_run:
        from ecg_jax.study.dry_run import estimated, trials_table

        if (args.workdir / "study.json").is_file():
            check_same(args.workdir, read_founded(args.workdir), study, args.storage)
        plan = read_plan(args.workdir, grid)
        console = Console() if sys.stdout.isatty() else Console(width=160)  # a file is wide enough for all columns
        console.print(trials_table(args.workdir, study, plan, estimated(study, list(plan.rates))))
        return
    from ecg_jax.report.write import conclude_study
    from ecg_jax.study.trial_queue import check_reachable
    from ecg_jax.study.worker import work

    check_reachable(args.storage)
    founded = found(args.workdir, study, args.storage)
    add_grid(args.workdir, grid)
    asked, scales = read_plan(args.workdir), grid.scales()
    if more := [scale.name for scale in asked.rates if scale not in scales]:
        print(f"earlier commands asked for more scales ({', '.join(more)}); {args.workdir}/grids holds what each asked")
    settings = {"lease_seconds": args.lease_seconds, "retry_failed": args.retry_failed}
    work(args.workdir, founded, conclude=conclude_study, storage=args.storage, **settings)


def rates(args: Args, default: RunConfig) -> tuple[float, ...]:
    """The rates of the grid; refuses what the study varies where it is given as a flag of a run."""
    for part, knob, flag in (
        ("model", "depth", "--depths"),
        ("model", "channels", "--channels"),
        ("model", "kernel", "--kernels"),
        ("train", "seed", "--seeds"),
    ):
        if getattr(getattr(args.run, part), knob) != getattr(getattr(default, part), knob):
            raise ConfigError(f"--{part}.{knob} is what the study varies; give {flag}")
    if args.learning_rates and args.run.train.learning_rate != default.train.learning_rate:
        raise ConfigError("give --learning-rates or --train.learning-rate, not both")
    return args.learning_rates or (args.run.train.learning_rate,)


def parsed(arguments: list[str]) -> tuple[Args, RunConfig]:
    """The arguments, and the run to which they are changes: that of the presets, on the base network."""
    from ecg_jax.study.design import BASES

    run, rest = base_run(arguments)

    def parse(default: RunConfig) -> Any:
        return tyro.cli(Args, description=__doc__, args=rest, default=Args(workdir=tyro.MISSING, run=default))

    default = replace(run, model=BASES[parse(run).base](run.model))
    return parse(default), default


if __name__ == "__main__":
    with fail_in_one_line("scale.py"):
        main(*parsed(sys.argv[1:]))
