"""Does the best scale change when networks begin with another set's weights instead of random values?

    python experiments/start_from.py --study runs/study_b --from-study runs/study_a

Each scale of `--study` is trained again, from as many seeds and with the same rates to choose from; each trial begins
with one of the same scale in `--from-study`, a study of another set. The scale that validation chooses among networks
that begin with random values is compared with all others on the test records: among those networks, and among these.
"""

from dataclasses import dataclass
from pathlib import Path

from ecg_jax.scripts.experiment import finished_predictions, run_script


@dataclass(frozen=True)
class Args:
    """The flags of this script."""

    study: Path
    """Folder of a finished study; start_from.json and the new trials, in started/, are written to it."""
    from_study: Path
    """Folder of a finished study of another set, over the same axes."""
    start_rate: float = 1.0
    """Factor of the learning rate for the parameters that were taken."""
    freeze: tuple[str, ...] = ()
    """Parts of the network that stay as they were taken, such as stem stage1."""
    margin: float = 0.005
    """The scale is as good as the others if none of them is better by this difference in macro AUROC."""
    retry_failed: bool = False
    """Try failed trials again."""
    allow_code: bool = False
    """Import the functions that the files of the studies name, if you trust them."""


def main(args: Args, runner=None) -> None:
    """Trains what is missing, then writes and prints the comparison."""
    from ecg_jax.analysis.comparisons import opponent
    from ecg_jax.scripts.started_study import train_started
    from ecg_jax.scripts.two_studies import compare_studies
    from ecg_jax.study.workdir import open_study

    folder, source = (open_study(path, allow_code=args.allow_code) for path in (args.study, args.from_study))
    settings = {"start_rate": args.start_rate, "freeze": args.freeze, "retry_failed": args.retry_failed}
    started = train_started(folder, source, **settings, runner=runner)
    at_random, from_other = finished_predictions(folder), finished_predictions(started)
    chosen, there = at_random.scales[opponent(at_random)], from_other.scales[opponent(from_other)]
    parts = {"random values": at_random, args.from_study.name: from_other}
    about = {"chosen_with_start": there, "start_rate": args.start_rate, "freeze": args.freeze}
    settings = {"by": "begins with", "rate_hz": folder.study.rate_hz, "margin": args.margin, "about": about}
    compare_studies(parts, chosen, args.study / "start_from.json", **settings)


if __name__ == "__main__":
    run_script(Args, main, __doc__)
