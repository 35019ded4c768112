"""Is the best scale of one data set the best on another one, too, trained there and trained on the first?

    python experiments/transfer.py --from-study runs/study_a --to-study runs/study_b

Both are studies of `experiments/scale.py` over the same axes. The scale is chosen on the validation records of the
first. On the test records of the second, and on the labels that both have, it is compared with all other scales: as the
second study trained them, and as the first did. Nothing is trained.
"""

from dataclasses import dataclass
from pathlib import Path

from ecg_jax.scripts.experiment import finished_predictions, run_script


@dataclass(frozen=True)
class Args:
    """The flags of this script."""

    from_study: Path
    """Folder of the study that chooses the scale."""
    to_study: Path
    """Folder of the study on whose test records the scales are compared; transfer.json is written to it."""
    map: Path | None = None
    """CSV with the columns run and data: a label of the first set, and one of the second set that means it. By default
    labels are paired by the label maps of the two data sets, or by name where one has no map."""
    margin: float = 0.005
    """The scale is as good as the others if none of them is better by this difference in macro AUROC."""
    allow_code: bool = False
    """Import the functions that the files of the studies name, if you trust them."""


def main(args: Args) -> None:
    """Predicts with the first study's networks, then writes and prints the comparison."""
    from ecg_jax.analysis.comparisons import opponent
    from ecg_jax.scripts.two_studies import compare_studies
    from ecg_jax.study.transfer import pairs_of, trained_elsewhere, trained_there
    from ecg_jax.study.workdir import open_study

    first, second = (open_study(path, allow_code=args.allow_code) for path in (args.from_study, args.to_study))
    own, theirs = finished_predictions(first), finished_predictions(second)
    pairs = pairs_of(own, first, second, args.map)
    elsewhere = trained_elsewhere(first, own, second, theirs, pairs, allow_code=args.allow_code)
    parts = {args.to_study.name: trained_there(theirs, pairs), args.from_study.name: elsewhere}
    chosen, there = own.scales[opponent(own)], theirs.scales[opponent(theirs)]
    about = {"chosen_by": args.from_study.name, "on": args.to_study.name, "chosen_there": there, "pairs": pairs}
    settings = {"by": "trained in", "rate_hz": second.study.rate_hz, "margin": args.margin, "about": about}
    compare_studies(parts, chosen, args.to_study / "transfer.json", **settings)


if __name__ == "__main__":
    run_script(Args, main, __doc__)
