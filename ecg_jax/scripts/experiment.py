"""Shared by the scripts in `experiments/`: the flags of a study, and functions that start, train and show it.

Heavy imports are inside the functions, so that `--help` is fast.
"""

import argparse
import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ecg_jax.cli import base_run
from ecg_jax.config import FLAT, RunConfig, extended, get_field, with_fields
from ecg_jax.errors import ConfigError
from ecg_jax.files import write_text
from ecg_jax.mistakes import fail_in_one_line, refuse_in_one_line
from ecg_jax.terminal import PlainConsole, command, next_step, say

if TYPE_CHECKING:
    from ecg_jax.analysis.axes import Axis
    from ecg_jax.analysis.predictions import StudyPredictions
    from ecg_jax.study.design import Grid, Study
    from ecg_jax.study.runner import Runner
    from ecg_jax.study.workdir import StudyFolder
    from ecg_jax.study.worker import Conclude


LONGEST_LEASE_SECONDS = 86_400


@dataclass(frozen=True)
class GridArgs:
    """The flags of a study, with those of `ecg-jax train`."""

    workdir: Path
    """Folder of the study, which all its workers share."""
    depths: tuple[int, ...] = (1, 2, 4)
    """Residual blocks in each stage."""
    channels: tuple[int, ...] = (16, 32, 64)
    """Channels of the first stage."""
    kernels: tuple[int, ...] = (3, 5, 9, 15)
    """Kernel lengths of the block convolutions, in samples."""
    axis: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction] = ()
    """Another axis: FIELD LEVEL ..., such as model.head gap attention; FIELD:KIND sets the kind: log2, linear or
    categorical. With model.preset, published networks replace depth, channels and kernel."""
    seeds: int = 3
    """Number of seeds of each scale, 0, 1, ...; all scales are trained from one seed before the next begins."""
    paired_seeds: bool = False
    """Train all scales from the same seeds, so that what they have in common cancels, or adds up; by default each scale
    has random numbers of its own. A study that was begun with paired seeds keeps them."""
    learning_rates: tuple[float, ...] = ()
    """The best one is chosen for each scale on the first validation fold by a pilot, whose seed counts in no result;
    while the best is at an edge, one step beyond it is tried. By default a third of the run's rate, itself, three and
    nine times it. A single one is not chosen."""
    folds: tuple[int, ...] = ()
    """Cross-fitting: each of these folds is the test fold once, and the fold before it the validation fold."""
    budget: Literal["epochs", "macs", "both"] = "epochs"
    """What all trainings have in common: the epochs; or their MACs, where the network between the smallest and the
    largest one trains for the epochs of the run; `both`: one study of each, and their effects side by side."""
    extend_epochs: tuple[int, ...] = ()
    """Lets a study go on for so many more epochs, from its checkpoints and with another cycle of learning rates; to
    extend it once more, add a number. Start it when no other worker is at work."""
    base: Literal["resnet", "local"] = "resnet"
    """The network that is scaled: that of the run, or three stages without stem pooling, total stride 8."""
    storage: str = ""
    """postgresql://USER@HOST/DATABASE for many machines; by default a journal file in the workdir."""
    storage_file: Path | None = None
    """File that holds this URL, if it needs a password; the variable PGPASSWORD and ~/.pgpass work, too."""
    lease_seconds: float = 60.0
    """A worker that does not report for this time counts as dead, and another worker trains its trial."""
    retry_failed: bool = False
    """Try failed trials again."""
    together: int | None = None
    """Number of runs of a scale that are trained as one program; by default 1 on CPU, and on accelerators the number
    with which all of them end soonest, compiling included, which is measured for each scale."""
    devices: tuple[int, ...] = ()
    """Numbers of the devices of this machine that this worker uses, such as 0, or 0 1; by default all."""
    dry_run: bool = False
    """List the trials with their costs, and train nothing."""
    allow_code: bool = False
    """Run the functions that the study.json of an earlier command names, if you trust them."""
    run: Annotated[RunConfig, FLAT] = field(default_factory=RunConfig)
    given: Annotated[frozenset[str], tyro.conf.Suppress] = frozenset()
    """The flags of the command line, without values."""

    @classmethod
    def defaults(cls, run: RunConfig, arguments: Sequence[str]) -> dict[str, Any]:
        """The values of fields that the arguments do not give; `run` is that of the presets."""
        del arguments
        return {"run": run}

    def axes(self) -> "tuple[Axis, ...]":
        """Depth, channels and kernel, then those of `--axis`, with their levels."""
        from ecg_jax.analysis.axes import READY_MADE
        from ecg_jax.study.axis_flag import read_axis
        from ecg_jax.study.design import MODEL_PRESET, SHORT_FLAGS

        more = tuple(read_axis(words) for words in self.axis)
        fields = [axis.field for axis in more]
        if repeated := [name for name in fields if fields.count(name) > 1]:
            raise ConfigError(f"--axis {repeated[0]} is given twice; give all its levels once")
        if MODEL_PRESET in fields:
            return more
        return (*(replace(axis, levels=getattr(self, SHORT_FLAGS[axis.field])) for axis in READY_MADE), *more)

    def grids(self, study: "Study") -> "list[Grid]":
        """The grids of the study: here one, with all combinations of the levels."""
        from ecg_jax.study.design import PILOT_SEED, default_rates, make_grid

        rate = self.run.train.learning_rate
        default = default_rates(rate) if study.rate_seed == PILOT_SEED else (rate,)  # as the study began
        return [make_grid(self.axes(), self.seeds, self.learning_rates or default)]


def run_script(kind: Any, main: Callable[[Any], None], description: str | None) -> None:
    """Reads the command line as a `kind` and calls `main` with it; an error of the user is one line."""
    program, script = Path(sys.argv[0]).name, command("python", sys.argv[0])
    with fail_in_one_line(program):
        with refuse_in_one_line(program, f"{script} --help"):
            if any(field.name == "run" for field in fields(kind)):
                args = read_arguments(kind, sys.argv[1:], description)
            else:
                args = tyro.cli(kind, description=description)
        main(args)
        if getattr(args, "dry_run", False):
            next_step("python", *(word for word in sys.argv if word.replace("_", "-") != "--dry-run"))


def read_arguments(kind: Any, arguments: Sequence[str], description: str | None = None) -> Any:
    """The arguments of a script; the flags change the run that `--preset`, `--model.preset` and `--base` give.

    Raises:
        ConfigError: a flag of the run sets a field that the study varies.
    """
    run, rest = base_run([re.sub("^--[^=]+", lambda flag: flag[0].replace("_", "-"), word) for word in arguments])
    values: dict[str, Any] = kind.defaults(run, rest) if issubclass(kind, GridArgs) else {"run": run}
    base, default = values.get("base", getattr(kind, "base", "")), values["run"]
    if flag_values(rest, "--base").get("--base", base) == "local":
        from ecg_jax.study.design import without_stem_pool

        default = replace(default, model=without_stem_pool(default.model))
    values |= {"workdir": tyro.MISSING, "run": default}
    args = tyro.cli(kind, description=description, args=rest, default=kind(**values))
    if isinstance(args, GridArgs):
        _refuse_varied(args, default, rest)
        args = replace(args, given=frozenset(word.partition("=")[0] for word in rest if word.startswith("--")))
    return args


def flag_values(arguments: Sequence[str], *flags: str) -> dict[str, str]:
    """The text after each of these flags that is among the arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for flag in flags:
        parser.add_argument(flag, dest=flag)
    return vars(parser.parse_known_args(arguments)[0])


def _refuse_varied(args: GridArgs, default: RunConfig, given: Sequence[str]) -> None:
    from ecg_jax.study.axis_flag import OWN_FLAGS

    varied = ["train.seed", *(axis.field.replace("model.preset", "model") for axis in args.axes())]
    if "model" in varied and {"--depths", "--channels", "--kernels"} & {flag.partition("=")[0] for flag in given}:
        raise ConfigError("--axis model.preset sets depth, channels and kernel; leave out their flags")
    for name in varied:
        if get_field(args.run, name) != get_field(default, name):
            instead = f"give --{OWN_FLAGS[name]}" if name in OWN_FLAGS else "leave it out"
            raise ConfigError(f"--{name} is varied by the study; {instead}")
    if args.learning_rates and args.run.train.learning_rate != default.train.learning_rate:
        raise ConfigError("give --learning-rates or --train.learning-rate, not both")


def train_study(
    args: GridArgs,
    *,
    conclude: "Conclude | None" = None,
    runner: "Runner | None" = None,
    stop_at: float = math.inf,
) -> "StudyFolder | None":
    """Starts or continues a study and works on it until it is done; None after a dry run, which trains nothing.

    Args:
        args: of the study.
        conclude: called when nothing is left to train; by default nothing is written.
        runner: trains and predicts.
        stop_at: the time of `time.monotonic` from which on no trial is begun.

    Raises:
        UserError: an argument is refused, or the folder has another study.
    """
    from ecg_jax.study.runner import Runner
    from ecg_jax.study.storage import check_reachable, given_storage
    from ecg_jax.study.workdir import create_or_open

    args = replace(args, storage=given_storage(args.storage, args.storage_file), storage_file=None)
    if not 1 <= args.lease_seconds <= LONGEST_LEASE_SECONDS:
        raise ConfigError(f"--lease-seconds is {args.lease_seconds:g}; give 1 to {LONGEST_LEASE_SECONDS}")
    if args.together is not None and args.together < 1:
        raise ConfigError(f"--together is {args.together}; give 1 or more")
    if args.budget == "both":
        raise ConfigError("--budget both is known to scale.py alone; give epochs or macs")
    if args.run.data.path == Path():
        raise ConfigError("--data is missing; give the folder of a prepared set (ecg-jax prepare makes one)")
    if args.devices:
        from ecg_jax.training.devices import use_only

        use_only(args.devices)
    study, runner = study_of(args), runner or Runner()
    grids = args.grids(study)
    for scale in (scale for grid in grids for scale in grid.scales()):
        study.config(scale)  # refuses a level, or a combination of levels, that no run can have
    if args.dry_run:
        _show_dry_run(args, study, grids, runner)
        return None
    from ecg_jax.study.worker import work

    check_reachable(args.storage)
    folder = create_or_open(args.workdir, study, args.storage)
    for grid in grids:
        folder.add_grid(grid)
    given = [scale.to_dict() for grid in grids for scale in grid.scales()]
    if more := [scale.name for scale in folder.plan().rates if scale.to_dict() not in given]:
        say(f"earlier commands added more scales ({', '.join(more)}); they are in {args.workdir}/grids")
    say(f"progress, from any terminal: {command('ecg-jax', 'study', args.workdir)}", file=sys.stderr)
    settings = {"storage": args.storage, "lease_seconds": args.lease_seconds, "retry_failed": args.retry_failed}
    settings |= {"together": args.together, "stop_at": stop_at}
    work(folder, conclude=conclude or (lambda *_: None), runner=runner, **settings)
    return folder


def study_of(args: GridArgs) -> "Study":
    """The study that the arguments describe, with what the workdir knows of it."""
    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.dataset.splits import split_by_folds
    from ecg_jax.study.cost import middle_macs
    from ecg_jax.study.design import make_study
    from ecg_jax.study.workdir import STUDY, open_study
    from ecg_jax.training.start import with_start
    from ecg_jax.training.workdir import with_functions

    run = extended(with_fields(args.run, {"data.path": args.run.data.path.resolve()}), args.extend_epochs)
    before = None
    if (args.workdir / STUDY).is_file():
        before = open_study(args.workdir, allow_code=True).study  # allowed or not by the next line
        run = with_functions(run, before.base, args.workdir / STUDY, allow_code=args.allow_code)
    run, prepared = with_start(run), open_prepared(run.data.path)
    present = sorted(set(prepared.folds.tolist()))
    if unknown := [fold for fold in args.folds if fold not in present]:
        raise ConfigError(f"--folds {unknown[0]}: the set has the folds {', '.join(map(str, present))}")
    paired_seeds = args.paired_seeds or (before is not None and before.paired_seeds)
    study = make_study(run, args.axes(), args.folds, prepared, paired_seeds=paired_seeds)
    if before is not None:
        study = replace(study, rate_seed=before.rate_seed)
    if args.budget == "macs":
        known = before and before.reference_macs
        study = replace(study, reference_macs=known or middle_macs(study, args.grids(study)))
    for config in study.fold_configs(study.base).values():
        if not len(split_by_folds(prepared.folds, config.data).test):
            raise ConfigError("a study needs test folds; leave out --data.test-folds, or give numbers")
    return study


def _show_dry_run(args: GridArgs, study: "Study", grids: "Sequence[Grid]", runner: "Runner") -> None:
    from ecg_jax.study.dry_run import estimate_seconds, trials_table
    from ecg_jax.study.workdir import STUDY, StudyFolder, check_compatible, is_extended, open_study

    folder = StudyFolder(args.workdir, "", args.storage, study)
    if (args.workdir / STUDY).is_file():
        folder = open_study(args.workdir, allow_code=True)  # its functions are those of `study`, or it is refused
        if is_extended(folder, study, args.storage):
            folder = replace(folder, study=replace(folder.study, base=study.base))
        check_compatible(folder, study, args.storage)
    plan = folder.plan(*grids)
    output(160).print(trials_table(folder, plan, estimate_seconds(study, list(plan.rates), runner)))


def finished_predictions(folder: "StudyFolder") -> "StudyPredictions":
    """The test predictions of a study's finished seeds, after the notes on the study are printed.

    Raises:
        RunError: no seed is finished at every scale.
    """
    from ecg_jax.study.results import load_results

    results = load_results(folder)
    say(*results.notes)
    return results.finished(folder.path)


def output(width: int = 140) -> PlainConsole:
    """A console on standard output; if that is a file, `width` columns wide."""
    return PlainConsole() if sys.stdout.isatty() else PlainConsole(width=width)


def write_json(path: Path, values: Any) -> None:
    """Writes findings as a JSON file."""
    from ecg_jax.analysis.findings import to_dict

    write_text(path, json.dumps(to_dict(values), indent=1) + "\n")
