"""Which depth, width and kernel suit a data set? All combinations, each at its best learning rate, from several seeds.

    python experiments/scale.py --data prepared/ptb_xl --workdir runs/study --depths 1 2 4 --kernels 3 5 9 15 --seeds 3
    python experiments/scale.py ... --axis model.head gap attention --axis model.dropout 0 0.1 0.3

The same command, started again here or on another machine that shares the workdir, is one more worker; after a stop it
continues. `ecg-jax study WORKDIR` shows the progress of the study. All flags of `ecg-jax train` can be given.
"""

from ecg_jax.experiment import GridArgs, run_script, train_study
from ecg_jax.terminal import next_step


def main(args: GridArgs) -> None:
    """Trains what is missing, then writes the report."""
    from ecg_jax.report.write import conclude_study

    if (folder := train_study(args, conclude=conclude_study)) is not None:
        allowed = ["--allow-code"] if folder.study.base.functions.named else []
        next_step("ecg-jax", "recommend", folder.path, *allowed)


if __name__ == "__main__":
    run_script(GridArgs, main, __doc__)
