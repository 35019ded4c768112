"""Which depth, width and kernel suit a data set? All combinations, each at its best learning rate, from several seeds.

    python experiments/scale.py --data prepared/ptb_xl --workdir runs/study --hours 3
    python experiments/scale.py --data prepared/ptb_xl --workdir runs/study --depths 1 2 4 --kernels 3 5 9 15 --seeds 3
    python experiments/scale.py ... --axis model.head gap attention --axis model.dropout 0 0.1 0.3

With `--hours` the settings that are not given are chosen from the data and for the time, by the rules of
`ecg_jax/study/from_data.py`, and shown first; then whole seeds are trained while there is time, and the report is
written.

The same command, started again here or on another machine that shares the workdir, is one more worker; after a stop it
continues. `ecg-jax study WORKDIR` shows the progress of the study. All flags of `ecg-jax train` can be given.
"""

from ecg_jax.scripts.experiment import run_script, train_study
from ecg_jax.scripts.replicates import check_replicates, replicate_training
from ecg_jax.scripts.timed_study import TimedArgs, compare_budgets, train_for_hours
from ecg_jax.terminal import PlainConsole, next_step


def main(args: TimedArgs, runner=None) -> None:
    """Trains what is missing, then writes the report; with `--budget both` compares the effects under both."""
    from ecg_jax.report.write import conclude_study

    check_replicates(args)
    if args.budget == "both":
        compare_budgets(args, runner)
        return
    if args.hours is not None:
        folder = train_for_hours(args, runner)
    else:
        folder = train_study(args, conclude=conclude_study, runner=runner)
    if folder is not None and args.replicate_training:
        replicate_training(folder, args, runner)
        conclude_study(folder, PlainConsole(stderr=True))
    if folder is not None:
        allowed = ["--allow-code"] if folder.study.base.functions.named else []
        next_step("ecg-jax", "recommend", folder.path, *allowed)


if __name__ == "__main__":
    run_script(TimedArgs, main, __doc__)
