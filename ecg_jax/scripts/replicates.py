"""Trains the corner scales of a study again, on random halves of the training patients: `--replicate-training`.

Heavy imports are inside the functions, so that `--help` is fast.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from ecg_jax.errors import ConfigError
from ecg_jax.scripts.experiment import finished_predictions
from ecg_jax.terminal import say

if TYPE_CHECKING:
    from ecg_jax.scripts.timed_study import TimedArgs
    from ecg_jax.study.runner import Runner
    from ecg_jax.study.workdir import StudyFolder


def check_replicates(args: "TimedArgs") -> None:
    """Refuses a number of replicates that says nothing, and flags that do not go with it.

    Raises:
        ConfigError: it is 1 or below 0, the study varies the share of the training patients or the epochs, has a time
            or two budgets.
    """
    if args.replicate_training < 0 or args.replicate_training == 1:
        raise ConfigError(f"--replicate-training is {args.replicate_training}; give 2 or more, such as 5")
    if args.replicate_training and (args.hours is not None or args.budget == "both"):
        raise ConfigError("--replicate-training is for a study that is finished; give no --hours or --budget both")
    varied = {axis.field for axis in args.axes()} & {"data.training_share", "train.epochs"}
    if args.replicate_training and varied:
        raise ConfigError(
            "--replicate-training trains on half of the patients for twice the epochs; "
            f"give no --axis {min(varied)} with it"
        )


def replicate_training(folder: "StudyFolder", args: "TimedArgs", runner: "Runner | None" = None) -> None:
    """Trains the replicates of a study that is finished, as a study of their own in `replicates/` below it.

    Each corner of the grid is trained at the rate that the study chose for it, from a seed of its own for each half,
    and for twice the epochs: with half of the steps networks would be further from their end, and vary more by that.

    Raises:
        RunError: no seed of the study is finished at every scale.
    """
    from ecg_jax.analysis.axes import Axis, Scale
    from ecg_jax.analysis.training_records import DRAW
    from ecg_jax.study.design import make_grid, on_halves
    from ecg_jax.study.runner import Runner
    from ecg_jax.study.storage import given_storage
    from ecg_jax.study.workdir import REPLICATES, create_or_open
    from ecg_jax.study.worker import work

    predictions, study = finished_predictions(folder), folder.study
    halves = Axis(DRAW, tuple(range(1, args.replicate_training + 1)), "categorical")
    storage = given_storage(args.storage, args.storage_file)
    again = replace(study, base=on_halves(study.base), axes=(*study.axes, halves), paired_seeds=False)
    of_halves = create_or_open(folder.path / REPLICATES, again, storage)
    rates = {Scale.of(trial, predictions.axes): trial["learning_rate"] for trial in predictions.trials}
    ends = {axis.name: {axis.levels[0], axis.levels[-1]} for axis in predictions.axes}
    corners = [scale for scale in rates if all(scale[name] in levels for name, levels in ends.items())]
    for scale in corners:
        axes = [replace(axis, levels=(scale[axis.name],)) for axis in study.axes]
        of_halves.add_grid(make_grid([*axes, halves], 1, (rates[scale],)))
    say(f"{len(corners)} scales are trained on {args.replicate_training} halves of the training patients")
    settings = {"storage": storage, "lease_seconds": args.lease_seconds, "retry_failed": args.retry_failed}
    work(of_halves, conclude=lambda *_: None, runner=runner or Runner(), together=args.together, **settings)
