"""`ecg-jax plan`: which effects a study of a prepared set can find, what it costs, and its command."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecg_jax.errors import ConfigError, RunError
from ecg_jax.terminal import PlainConsole, next_step, say, script

if TYPE_CHECKING:
    from rich.table import Table

    from ecg_jax.analysis.axes import Axis
    from ecg_jax.analysis.power import Power
    from ecg_jax.analysis.predictions import StudyPredictions
    from ecg_jax.study.design import Grid
    from ecg_jax.study.runner import Runner
    from ecg_jax.study.workdir import StudyFolder

SEEDS_SHOWN = (2, 3, 5, 8, 12, 20)


def plan(
    data: Path | None = None,
    effect: float = 0.005,
    power: float = 0.8,
    hours: float | None = None,
    study: Path | None = None,
    workdir: Path | None = None,
    retry_failed: bool = False,
    allow_code: bool = False,
) -> None:
    """Says which effects a study can find, what it costs, and its command; trains a pilot first.

    Args:
        data: Folder of a prepared set.
        effect: The smallest effect on macro AUROC, for each doubling, that the study must find.
        power: Probability with which it must find such an effect.
        hours: Time for the study; without it the study is as long as the effect needs.
        study: Take the variances and times of this study instead of a pilot.
        workdir: Folder of the pilot; by default runs/plan_NAME.
        retry_failed: Try failed trainings of the pilot again.
        allow_code: Import the functions that the study's study.json names, if you trust them.
    """
    for name, value, most in (
        ("effect", effect, 0.5),
        ("power", power, 0.999),
        ("hours", 1.0 if hours is None else hours, 1e4),
    ):
        if not 0 < value <= most:
            raise ConfigError(f"--{name} is {value}; give more than 0, up to {most:g}")
    if (data is None) == (study is None):
        raise ConfigError("give --data, to train a pilot, or --study, whose variances are known")
    print_plan(data, study, effect, power, hours, workdir, retry_failed=retry_failed, allow_code=allow_code)


@dataclass(frozen=True)
class Proposal:
    """A grid of scales, what it can find of each axis, and its seconds.

    Attributes:
        grid: with any number of seeds.
        known: the power for each axis whose variance is known.
        once: seconds of the choice of its learning rates.
        of_seed: seconds of one seed.
        seeds: the fewest that find the effect on every axis; None if these records cannot show it.
    """

    grid: "Grid"
    known: "dict[str, Power]"
    once: float
    of_seed: float
    seeds: int | None

    def seconds(self, seeds: int) -> float:
        """Of the study with so many seeds."""
        return self.once + seeds * self.of_seed


def print_plan(
    data: Path | None,
    study: Path | None,
    effect: float,
    power: float,
    hours: float | None,
    workdir: Path | None,
    *,
    retry_failed: bool = False,
    allow_code: bool = False,
    runner: "Runner | None" = None,
) -> None:
    """Trains a pilot or reads a study, and prints what `plan` says."""
    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.study.from_data import smaller_designs
    from ecg_jax.study.pilot import axes_of, train_pilot
    from ecg_jax.study.results import load_results
    from ecg_jax.study.workdir import open_study

    if study is not None:
        folder = open_study(study, allow_code=allow_code)
        predictions = load_results(folder).finished(study)
        axes = [tuple(predictions.axes)]
    else:
        assert data is not None
        workdir = workdir or Path("runs", f"plan_{data.resolve().name}")
        say(f"pilot in {workdir}: two seeds of the corner scales")
        settings = {"retry_failed": retry_failed, "runner": runner, "console": PlainConsole(stderr=True)}
        folder, largest = train_pilot(open_prepared(data), workdir, **settings)
        predictions = load_results(folder).finished(workdir)
        levels = () if hours else ("depths", "channels", "kernels")
        designs = smaller_designs(largest, dict.fromkeys(("folds", *levels)))
        axes = [axes_of(design) for design in sorted(designs, key=lambda design: -design.n_scales)]
    proposals = _proposals(folder, predictions, axes, effect, power)
    in_time = (p for p in proposals if p.seeds and (hours is None or p.seconds(p.seeds) <= 3600 * hours))
    proposal = next(in_time, proposals[0])
    _say_what_is_found(proposal, predictions.n_records, effect)
    if proposal.seeds is not None:
        _say_what_it_takes(proposal, folder, proposal.seeds, effect, power, hours)


def _proposals(
    folder: "StudyFolder", predictions: "StudyPredictions", axes: "list[tuple[Axis, ...]]", effect: float, power: float
) -> list[Proposal]:
    """A proposal for each of these axes with their levels."""
    from ecg_jax.analysis.power import planned_power
    from ecg_jax.analysis.variance import macro_model
    from ecg_jax.study.design import make_grid
    from ecg_jax.study.pilot import measured_seconds, planned_seconds

    model = macro_model(predictions)
    if model is None:
        raise RunError(
            f"{folder.path}: no label has five records with it and five without it in a test fold; "
            "nothing can be planned"
        )
    of_run, of_start, whole = measured_seconds(folder)
    if not whole:
        say(f"{folder.path} kept no times of whole trials: the hours are those of training alone")
    rates = {rate for offered in folder.plan().rates.values() for rate in offered}
    found = []
    for levels in axes:
        grid = make_grid(levels, 2, rates)
        known = {name: axis for name, axis in planned_power(model, levels, power=power).items() if axis is not None}
        if not known:
            raise RunError(
                f"{folder.path} does not show how much seeds vary, which takes two finished seeds at every scale and "
                "an axis with two levels; add them to the study, or plan from a pilot with --data"
            )
        needed = [axis.seeds_needed(effect) for axis in known.values()]
        seeds = max((n for n in needed if n is not None), default=None)
        once, of_seed = planned_seconds(folder, grid, (of_run, of_start))
        found.append(Proposal(grid, known, once, of_seed, None if None in needed else seeds))
    return found


def _say_what_is_found(proposal: Proposal, records: int, effect: float) -> None:
    known = proposal.known
    tables = effects_table(known, records, proposal.once, proposal.of_seed), records_table(known, effect)
    PlainConsole(width=120).print(*tables)
    for name, axis in known.items():
        if axis.least_effect() > effect:
            say(
                f"{name}: no number of seeds finds an effect of {effect:g} with these {records:,} test records; "
                f"the smallest that any number finds is {axis.least_effect():.4f}"
            )
    if proposal.seeds is None:
        say(f"These data do not decide an effect of {effect:g} on every axis, so no study is proposed.")


def _say_what_it_takes(
    proposal: Proposal, folder: "StudyFolder", seeds: int, effect: float, power: float, hours: float | None
) -> None:
    from ecg_jax.config import flags
    from ecg_jax.formatting import duration
    from ecg_jax.study.design import make_grid

    total, grid = proposal.seconds(seeds), proposal.grid
    say(
        f"{seeds} seeds of {len(grid.scales())} scales find an effect of {effect:g} for each doubling of every axis "
        f"with a probability of {power:.0%} or more, in about {duration(total)} on this machine."
    )
    if hours is not None and total > 3600 * hours:
        fit = math.floor((3600 * hours - proposal.once) / proposal.of_seed)
        effects = (f"{axis.smallest_effect(seeds=fit):.4f} of {name}" for name, axis in proposal.known.items())
        rest = f": with {fit} seeds the smallest effects are {', '.join(effects)}" if fit > 1 else ""
        say(f"That is more than {duration(3600 * hours)}{rest or ', which is too short for two seeds'}.")
        return
    base, folds = folder.study.base, folder.study.folds
    start = ["python", script("scale.py"), "--data", base.data.path, "--workdir", Path("runs", "planned")]
    words = [
        *make_grid(grid.axes, seeds, grid.learning_rates).flags(),
        *(["--folds", *map(str, folds)] if folds else []),
        *(["--paired-seeds"] if folder.study.paired_seeds else []),
        *(["--budget", "macs"] if folder.study.reference_macs is not None else []),
    ]
    next_step(*start, *words, *flags(base))


def effects_table(known: "dict[str, Power]", records: int, once: float, of_seed: float) -> "Table":
    """The smallest effect of each axis that numbers of seeds find, and the hours that they take."""
    from rich.table import Table

    from ecg_jax.formatting import duration

    table = Table("seeds", "time", *known, title=f"smallest effect that is found, with {records:,} test records")
    for seeds in SEEDS_SHOWN:
        effects = (f"{axis.smallest_effect(seeds=seeds):.4f}" for axis in known.values())
        table.add_row(str(seeds), duration(once + seeds * of_seed), *effects)
    table.add_row("any number", "", *(f"{axis.least_effect():.4f}" for axis in known.values()))
    return table


def records_table(known: "dict[str, Power]", effect: float, seeds_shown: Sequence[int] = SEEDS_SHOWN) -> "Table":
    """The test records with which numbers of seeds find an effect of each axis."""
    from rich.table import Table

    table = Table("seeds", *known, title=f"test records that an effect of {effect:g} needs")
    for seeds in seeds_shown:
        needed = [axis.records_needed(effect, seeds) for axis in known.values()]
        table.add_row(str(seeds), *("never" if n is None else f"{n:,}" for n in needed))
    return table
