"""Studies that are chosen for a time, and studies under two budgets: what `experiments/scale.py` does besides one grid.

Heavy imports are inside the functions, so that `--help` is fast.
"""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecg_jax.config import RunConfig, beginnings, with_fields
from ecg_jax.errors import ConfigError
from ecg_jax.formatting import change_text, duration, plural
from ecg_jax.scripts.experiment import GridArgs, finished_predictions, flag_values, study_of, train_study, write_json
from ecg_jax.terminal import PlainConsole, say

if TYPE_CHECKING:
    from ecg_jax.study.runner import Runner
    from ecg_jax.study.workdir import StudyFolder

MOST_SEEDS = 20
MOST_HOURS = 10_000
REPORT_SECONDS = (10.0, 3.0)  # of a report, once and for each scale, whose latency is measured


@dataclass(frozen=True)
class TimedArgs(GridArgs):
    """The flags of a study, with those of `ecg-jax train`."""

    hours: float | None = None
    """Time for everything: levels, folds, epochs and seeds that are not given are chosen for it."""
    replicate_training: int = 0
    """Train the scales at the corners of the grid so many times again, each time on another random half of the training
    patients: then every effect has a second, wider interval, for other training records."""

    @classmethod
    def defaults(cls, run: RunConfig, arguments: Sequence[str]) -> dict[str, Any]:
        """With `--hours`, those of the data, or those of a study that was begun."""
        read = ("--hours", "--data", "--data.path", "--workdir", "--extend-epochs")
        values = flag_values(arguments, *read, "--train.learning-rate", "--data.window-seconds")
        data = values.get("--data", values.get("--data.path"))
        if "--hours" not in values or data is None:
            return {"run": run}
        from ecg_jax.dataset.prepared import open_prepared
        from ecg_jax.study.design import SHORT_FLAGS
        from ecg_jax.study.from_data import base_for, largest_design, run_for

        if (folder := begun_study(Path(values.get("--workdir", "")))) is not None:
            first = folder.grids()[0]
            levels = {SHORT_FLAGS[axis.field]: axis.levels for axis in first.axes if axis.field in SHORT_FLAGS}
            rates = {} if "--train.learning-rate" in values else {"learning_rates": first.learning_rates}
            run = replace(folder.study.base, functions=run.functions)  # the study's are taken if allowed
            if "--extend-epochs" in values and run.train.restarts:
                run = beginnings(run)[0]  # the flag was given before, too, and counts once
            return {"run": run, "folds": folder.study.folds, **levels, **rates}
        prepared, chosen = open_prepared(Path(data)), {}
        if run == RunConfig():  # a preset keeps its own settings
            run = run_for(prepared, run)
            with suppress(ValueError):  # no number: it is refused where all flags are read
                window_seconds = float(values.get("--data.window-seconds", run.data.window_seconds))
                chosen = {"base": base_for(prepared, window_seconds)}
        largest = largest_design(prepared, run.train.epochs)
        levels = {name: getattr(largest, name) for name in ("depths", "channels", "kernels", "folds")}
        return {"run": run, **chosen, **levels}


def begun_study(workdir: Path) -> "StudyFolder | None":
    """The study of a folder that has trials to train; None if it has no grid yet."""
    from ecg_jax.study.workdir import STUDY, open_study

    if not (workdir / STUDY).is_file():
        return None
    folder = open_study(workdir, allow_code=True)  # allowed or not by train_study
    return folder if folder.grids() else None


def train_for_hours(args: TimedArgs, runner: "Runner | None" = None) -> "StudyFolder | None":
    """Trains whole seeds of a study while there is time and writes its report; None after a dry run."""
    from ecg_jax.report.write import conclude_study
    from ecg_jax.study.design import Trial
    from ecg_jax.study.tasks import tasks
    from ecg_jax.study.workdir import cached_progress

    if args.hours is None or not 0 < args.hours <= MOST_HOURS:
        raise ConfigError(f"--hours is {args.hours}; give more than 0, up to {MOST_HOURS:,}")
    if args.run.data.path == Path():
        raise ConfigError("--data is missing; give the folder of a prepared set (ecg-jax prepare makes one)")
    until, seeds = time.monotonic() + 3600 * args.hours, 1
    most = args.seeds if "--seeds" in args.given else MOST_SEEDS
    if (before := begun_study(args.workdir)) is not None:
        seeds = max(before.plan().seeds.values())
    else:
        args = for_the_time(args, until, runner)
    scales = math.prod(len(axis.levels) for axis in args.axes())
    until -= REPORT_SECONDS[0] + REPORT_SECONDS[1] * scales
    while True:
        folder = train_study(replace(args, seeds=seeds), runner=runner, stop_at=until)
        if folder is None:
            return None
        listed = [task for task in tasks(folder.plan(), [], cached_progress(folder)) if task.stage == "whole"]
        last = [Trial(task.scale, task.rate, task.seed) for task in listed if task.rate and task.seed == seeds - 1]
        taken = sum(folder.seconds(trial) or 0.0 for trial in last)
        left = until - time.monotonic()
        if any(task.state not in ("done", "failed") for task in listed):
            say(f"the time ended before seed {seeds - 1} was finished; the same command goes on")
            break
        if seeds >= most or taken > left:
            if seeds < most:
                needed = f"another seed takes about {duration(taken)}"
                say(f"{needed}, {duration(left)} are left for training: too short for one")
            break
        seeds += 1
    conclude_study(folder, PlainConsole(stderr=True))
    return folder


def for_the_time(args: TimedArgs, until: float, runner: "Runner | None" = None) -> TimedArgs:
    """The arguments with levels, folds and epochs for the time, which are shown."""
    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.dataset.splits import split_by_folds
    from ecg_jax.study.cost import cost_of
    from ecg_jax.study.design import MODEL_PRESET
    from ecg_jax.study.dry_run import estimate_seconds
    from ecg_jax.study.from_data import Design, fit_to_time
    from ecg_jax.study.runner import Runner
    from ecg_jax.training.compiled import compiled_folder

    names, epochs = ("depth", "channels", "kernel"), args.run.train.epochs
    if any(axis.field == MODEL_PRESET for axis in args.axes()):
        raise ConfigError("--hours chooses depths, channels and kernels; give no --axis model.preset with it")
    prepared, runner = open_prepared(args.run.data.path), runner or Runner()
    largest = Design(args.depths, args.channels, args.kernels, args.folds, epochs)
    fixed = {name for name in ("depths", "channels", "kernels", "folds") if f"--{name}" in args.given}
    fixed |= {"epochs"} if "--train.epochs" in args.given else set()
    say("the time of a run is measured at the smallest and the largest scale")
    runner.keep_compiled(compiled_folder())
    study, more = study_of(args), math.prod(len(axis.levels) for axis in args.axes()[3:])
    (grid,) = args.grids(study)
    order = sorted(grid.scales(), key=lambda scale: cost_of(study, scale).macs)
    known = estimate_seconds(study, order, runner, measured_scales=2)
    of_levels = {tuple(scale[name] for name in names): known[scale] for scale in order}

    def seconds(levels: tuple[int, int, int], epochs: int) -> tuple[float, float]:
        run, before = of_levels[levels]
        return more * run * epochs / largest.epochs, more * before

    def tested(folds: Sequence[int]) -> int:
        each = [(fold,) for fold in folds] or [args.run.data.test_folds]
        configs = (with_fields(args.run.data, {"test_folds": fold, "validation_folds": None}) for fold in each)
        return sum(len(split_by_folds(prepared.folds, config).test) for config in configs)

    pilot_runs = 0 if len(grid.learning_rates) == 1 else len(grid.learning_rates)
    chosen, left = dict.fromkeys(fixed), until - time.monotonic()
    settings = {"pilot_runs": pilot_runs, "spent_seconds": 3600 * (args.hours or 0) - left}
    design, seeds = fit_to_time(largest, seconds, left, tested, chosen, **settings)
    args = replace(args, **{name: getattr(design, name) for name in ("depths", "channels", "kernels", "folds")})
    args = replace(args, run=with_fields(args.run, {"train.epochs": design.epochs}))
    show(args, plural(tested(design.folds), "test record"), seeds)
    return args


def show(args: TimedArgs, tested: str, seeds: int) -> None:
    """Prints what was chosen; each line begins with the flags that would change it."""
    of_run = f"a third of {args.run.train.learning_rate:g}, itself, three and nine times it, and beyond an edge"
    rates = " ".join(map(str, args.learning_rates)) or of_run
    folds = f"{' '.join(map(str, args.folds))} (cross-fitting)" if args.folds else "one split"
    say(
        "chosen from the data and the time; each flag overrides it:",
        f"  --data.window-seconds {args.run.data.window_seconds:g}",
        f"  --base {args.base}",
        f"  --depths {' '.join(map(str, args.depths))}",
        f"  --channels {' '.join(map(str, args.channels))}",
        f"  --kernels {' '.join(map(str, args.kernels))}",
        f"  --folds {folds}, {tested}",
        f"  --train.epochs {args.run.train.epochs}, --train.batch-size {args.run.train.batch_size}",
        f"  --learning-rates {rates}",
        f"  --seeds as many as there is time for, about {seeds} by the measured times",
    )


def compare_budgets(args: TimedArgs, runner: "Runner | None" = None) -> None:
    """Trains one study of equal epochs and one of equal MACs, in `macs/` below it; writes and prints both effects."""
    from ecg_jax.analysis import claims
    from ecg_jax.report.write import conclude_study

    if args.hours is not None:
        raise ConfigError("--budget both is two studies: give no --hours with it")
    places, found = {"epochs": args.workdir, "macs": args.workdir / "macs"}, {}
    for budget, workdir in places.items():
        folder = train_study(replace(args, budget=budget, workdir=workdir), conclude=conclude_study, runner=runner)
        if folder is not None:
            found[budget] = claims(finished_predictions(folder))
    if len(found) == len(places):
        names = {"epochs": "epochs", "macs": "MACs"}
        same_sign = {}
        for axis in found["epochs"]:
            both = {f"equal {names[budget]}": of_budget[axis] for budget, of_budget in found.items()}
            effects = [claim.effect for claim in both.values() if claim.effect is not None]
            if len(effects) < len(both):
                continue
            same_sign[axis] = (effects[0] > 0) == (effects[1] > 0)
            texts = (f"{change_text(claim.effect, claim.low, claim.high)} with {what}" for what, claim in both.items())
            say(f"{axis}: {', '.join(texts)}: {'the same sign' if same_sign[axis] else 'another sign'}")
        write_json(args.workdir / "budget.json", {**found, "same_sign": same_sign})
