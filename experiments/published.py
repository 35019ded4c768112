"""The best scale of a study against published networks: same data, same recipe, same epochs, same choice of rates.

    python experiments/published.py --study runs/study --presets resnet1d_wang xresnet1d101 resnet18_1d

The networks are a study of their own over the axis `model.preset`, with the seeds, folds and learning rates of the
given one; their costs differ, and are shown. The best scale is selected on one half of the test records and seeds and
compared on the other half: else the best of many would have an advantage.
"""

from dataclasses import dataclass
from pathlib import Path

from ecg_jax.experiment import GridArgs, finished_predictions, output, run_script, train_study, write_json


@dataclass(frozen=True)
class Args:
    """The flags of this script."""

    study: Path
    """Folder of a study; below it the networks go to published/, and the comparison to published.json."""
    presets: tuple[str, ...] = ("resnet1d_wang", "xresnet1d101", "resnet18_1d")
    """Names of published networks, as for `--model.preset`."""
    seeds: int | None = None
    """Number of seeds; by default all that the study has finished."""
    allow_code: bool = False
    """Import the functions that the study's study.json names, if you trust them."""


def main(args: Args, runner=None) -> None:
    """Trains what is missing, then writes and prints the comparison."""
    from ecg_jax.analysis.axes import Axis, Scale
    from ecg_jax.analysis.comparisons import compare_with_best, join
    from ecg_jax.report.tables import comparison_table
    from ecg_jax.study.workdir import open_study

    folder = open_study(args.study, allow_code=args.allow_code)
    study, parts = folder.study, {"study": finished_predictions(folder)}
    n_seeds = parts["study"].n_seeds
    rates = {rate for rates in folder.plan().rates.values() for rate in rates}
    settings: dict = {"learning_rates": tuple(rates), "folds": study.folds, "axis": (("model.preset", *args.presets),)}
    settings |= {"seeds": min(args.seeds or n_seeds, n_seeds), "run": study.base}
    networks = train_study(GridArgs(args.study / "published", **settings), runner=runner)
    assert networks is not None  # it is not a dry run
    trained = finished_predictions(networks)
    for place, scale in enumerate(trained.scales):
        parts[str(scale["model.preset"])] = trained.of_trials(trained.trials_of(place))
    joined = join(parts, Axis("network", kind="categorical"))
    rows = compare_with_best(joined, [Scale(("network",), (name,)) for name in parts if name != "study"])
    about = {"seeds": n_seeds, "seeds_of_networks": trained.n_seeds, "records": joined.n_records}
    write_json(args.study / "published.json", {"best": rows[0], "networks": rows[1:], **about})
    caption = "first row: the scale that is selected most often, and the value of selecting; differences are from it"
    output().print(comparison_table(rows, study.rate_hz, caption=caption))


if __name__ == "__main__":
    run_script(Args, main, __doc__)
