"""Trains the trials of a study again, each from the variables of a trial of another study: `experiments/start_from.py`.

Heavy imports are inside the functions, so that `--help` is fast.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from ecg_jax.config import with_fields
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.terminal import say

if TYPE_CHECKING:
    from ecg_jax.study.runner import Runner
    from ecg_jax.study.workdir import StudyFolder

STARTED = "started"  # folder of the study below the one that begins with random values


def train_started(
    folder: "StudyFolder",
    source: "StudyFolder",
    *,
    start_rate: float,
    freeze: tuple[str, ...],
    retry_failed: bool = False,
    runner: "Runner | None" = None,
) -> "StudyFolder":
    """Trains, or finishes, the study below `folder` whose trials begin with those of `source`.

    Trial n of a scale begins with the n-th finished trial of that scale in `source`. Learning rates are chosen again,
    from those that `folder` tried; scales that `source` lacks are left out.

    Raises:
        ConfigError: both are studies of the same set, `folder` itself is a study that does not begin at random, or a
            part that is frozen is not there.
        RunError: they have no scale in common, or no seed of `source` is finished.
    """
    from ecg_jax.analysis.axes import Scale
    from ecg_jax.scripts.experiment import finished_predictions
    from ecg_jax.study.design import StartOfTrial, Trial, make_grid
    from ecg_jax.study.runner import Runner
    from ecg_jax.study.workdir import create_or_open
    from ecg_jax.study.worker import work
    from ecg_jax.training.start import check_parts, read_start
    from ecg_jax.training.variables import by_name

    if source.study.fingerprint == folder.study.fingerprint:
        raise ConfigError(f"{source.path} and {folder.path} are studies of the same set; give studies of two sets")
    if folder.study.base.train.start_from or folder.study.starts:
        raise ConfigError(f"{folder.path} does not begin with random values; give a study that does")
    trained, plan, starts = finished_predictions(source), folder.plan(), []
    for row in sorted(trained.trials, key=lambda row: row["seed"]):
        trial = Trial(Scale.of(row, trained.axes), row["learning_rate"], row["seed"])
        run = source.run_folders(trial)[0].resolve()
        starts.append(StartOfTrial(trial.scale.name, run, read_start(run).sha256))
    scales = [scale for scale in plan.rates if scale.name in {start.scale for start in starts}]
    if len(scales) < 2:
        raise RunError(f"{source.path} and {folder.path} have {len(scales)} scales in common; two are needed")
    check_parts(freeze, by_name(read_start(starts[0].run).variables), "--freeze")
    base = with_fields(folder.study.base, {"train.start_rate": start_rate, "train.freeze": freeze})
    study = replace(folder.study, base=base, starts=tuple(starts))
    words = [source.path.resolve().name, *([f"rate_{start_rate:g}"] if start_rate != 1 else []), *freeze]
    below = create_or_open(folder.path / STARTED / "-".join(words), study, folder.storage)
    for scale in scales:
        axes = [replace(axis, levels=(scale[axis.name],)) for axis in study.axes]
        below.add_grid(make_grid(axes, plan.seeds[scale], plan.rates[scale]))
    say(f"{len(scales)} scales begin with the networks of {source.path}")
    settings = {"storage": folder.storage, "retry_failed": retry_failed}
    work(below, conclude=lambda *_: None, runner=runner or Runner(), **settings)
    return below
