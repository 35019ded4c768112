"""Is one learning rate right for all scales, with muP and without? The same grid at each of several rates.

    python experiments/one_rate.py --data prepared/ptb_xl --workdir runs/one_rate --base local --seeds 3

Each rate is a study of its own in a folder below `--workdir`. `one_rate.json` says for each parametrisation what is
lost where one rate serves all scales, and which share of the trainings' time the choice of rates takes.
"""

from dataclasses import dataclass, replace

from ecg_jax.errors import ConfigError
from ecg_jax.scripts.experiment import GridArgs, finished_predictions, output, run_script, train_study, write_json

BASE = "model.base_channels"


@dataclass(frozen=True)
class Args(GridArgs):
    """The flags of a study, with those of `ecg-jax train`."""

    learning_rates: tuple[float, ...] = (0.001, 0.003, 0.009, 0.027)
    """Each of them trains all scales and seeds; none is chosen before."""
    channels: tuple[int, ...] = (8, 32)
    kernels: tuple[int, ...] = (3, 15)
    base_channels: tuple[int, ...] = (0, 8)
    """Parametrisations: the channels whose best rate all widths shall have (muP), or 0."""

    def axes(self):
        """Those of the grid, and the parametrisation."""
        from ecg_jax.study.axis_flag import read_axis

        return (*super().axes(), read_axis([f"{BASE}:categorical", *map(str, self.base_channels)]))


def main(args: Args, runner=None) -> None:
    """Trains what is missing, then writes and prints the comparison."""
    from ecg_jax.analysis.one_rate import loss_of_one_rate
    from ecg_jax.report.tables import one_rate_table

    rates = tuple(sorted(set(args.learning_rates)))
    if len(rates) < 2 or args.seeds < 2:
        raise ConfigError("give --learning-rates and --seeds two or more each, such as 0.003 0.009 and 3")
    studies = {}
    for rate in rates:
        of_rate = replace(args, workdir=args.workdir / f"rate_{rate:g}", learning_rates=(rate,))
        if (folder := train_study(of_rate, runner=runner)) is None:
            return
        studies[rate] = finished_predictions(folder)
    found = {}
    for base in args.base_channels:
        found[f"{base}"] = loss_of_one_rate({rate: study.at_level(BASE, base) for rate, study in studies.items()})
    write_json(args.workdir / "one_rate.json", found)
    output().print(one_rate_table(found))


if __name__ == "__main__":
    run_script(Args, main, __doc__)
