"""Does the best scale change with the size of the data? A small grid on nested shares of the training patients.

    python experiments/data_size.py --data prepared/ptb_xl --workdir runs/data_size --shares 0.25 0.5 1 --seeds 3

The share is one more axis of a study, so all shares are tested on the same records. Beside the report of that study,
this compares the shares: by how much the effect of each axis differs between the smallest and the largest share.
"""

from dataclasses import dataclass

from ecg_jax.errors import ConfigError
from ecg_jax.scripts.experiment import GridArgs, finished_predictions, output, run_script, train_study, write_json

SHARE = "data.training_share"


@dataclass(frozen=True)
class Args(GridArgs):
    """The flags of a study, with those of `ecg-jax train`."""

    shares: tuple[float, ...] = (0.25, 0.5, 1.0)
    """Shares of the training patients, each contained in the next."""
    depths: tuple[int, ...] = (1, 2)
    channels: tuple[int, ...] = (8, 32)
    kernels: tuple[int, ...] = (3, 15)

    def axes(self):
        """Those of the grid, and the share."""
        from ecg_jax.study.axis_flag import read_axis

        return (*super().axes(), read_axis([f"{SHARE}:log2", *map(str, self.shares)]))


def main(args: Args, runner=None) -> None:
    """Trains what is missing, then writes and prints the comparison of the shares."""
    from ecg_jax.analysis.summary import analyse_by_level
    from ecg_jax.report.tables import best_table
    from ecg_jax.report.write import conclude_study

    if len(set(args.shares)) < 2:
        raise ConfigError("--shares needs two different shares or more, such as 0.25 0.5 1")
    if (folder := train_study(args, conclude=conclude_study, runner=runner)) is None:
        return
    analyses, changes = analyse_by_level(finished_predictions(folder), SHARE)
    shares = [{"share": float(share), **analysis.to_dict()} for share, analysis in analyses.items()]
    write_json(args.workdir / "data_size.json", {"shares": shares, "changes": changes})
    output().print(best_table(analyses, folder.study.rate_hz, first_column="share", differences=changes))


if __name__ == "__main__":
    run_script(Args, main, __doc__)
