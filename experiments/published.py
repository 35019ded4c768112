"""One scale of a study against published networks: same data, same recipe, same epochs, same choice of rates.

    python experiments/published.py --study runs/study --presets resnet1d_wang xresnet1d101 resnet18_1d

The networks are a study of their own over the axis `model.preset`, with the seeds, folds and learning rates of the
given one; their costs differ, and are shown. The opponent is named before any test record is looked at: the best scale
on validation, or the one that `--against` names. The best of many on the test records would have an advantage.
"""

from dataclasses import dataclass
from pathlib import Path

from ecg_jax.scripts.experiment import finished_predictions, output, run_script, train_study, write_json


@dataclass(frozen=True)
class Args:
    """The flags of this script."""

    study: Path
    """Folder of a study; below it the networks go to published/, and the comparison to published.json."""
    presets: tuple[str, ...] = ("resnet1d_wang", "xresnet1d101", "resnet18_1d")
    """Names of published networks, as for `--model.preset`."""
    against: str = ""
    """Name of the opponent among the scales of the study, such as d1_c32_k7; by default the best one on validation."""
    margin: float = 0.005
    """Two networks are equivalent if the interval of their difference in macro AUROC lies within this margin."""
    retry_failed: bool = False
    """Try failed trials again."""
    allow_code: bool = False
    """Import the functions that the study's study.json names, if you trust them."""


def main(args: Args, runner=None) -> None:
    """Trains what is missing, then writes and prints the comparison."""
    from ecg_jax.analysis.axes import Axis
    from ecg_jax.analysis.comparisons import compare_with, join, opponent
    from ecg_jax.report.tables import comparison_table
    from ecg_jax.scripts.published_study import networks_of
    from ecg_jax.study.workdir import open_study

    folder = open_study(args.study, allow_code=args.allow_code)
    place = opponent(predictions := finished_predictions(folder), args.against)
    parts = {predictions.scales[place].name: predictions.of_trials(predictions.trials_of(place))}
    settings = {"presets": args.presets, "retry_failed": args.retry_failed}
    networks = train_study(networks_of(folder, predictions, place, **settings), runner=runner)
    assert networks is not None  # it is not a dry run
    trained = finished_predictions(networks)
    for network, scale in enumerate(trained.scales):
        parts[str(scale["model.preset"])] = trained.of_trials(trained.trials_of(network))
    joined = join(parts, Axis("network", kind="categorical"))
    reference, *rows = compare_with(joined, joined.scales[0], margin=args.margin)
    about = {"seeds": joined.n_seeds, "records": joined.n_records, "margin": args.margin}
    write_json(args.study / "published.json", {"opponent": reference, "networks": rows, **about})
    caption = f"differences are from the first row; equivalent: the interval lies within ±{args.margin:g}"
    output().print(comparison_table([reference, *rows], folder.study.rate_hz, caption=caption))


if __name__ == "__main__":
    run_script(Args, main, __doc__)
