"""Does a search space that one study narrows give better results for less on other data?

    python experiments/search.py --study runs/cinc2017 --narrow-from runs/ptb_xl

Random search is replayed from the finished trials of `--study`, over its whole space and over the part of it that the
findings of `--narrow-from` leave (a study of other data, or of other folds). Nothing is trained.
"""

from dataclasses import dataclass
from pathlib import Path

from ecg_jax.scripts.experiment import run_script
from ecg_jax.terminal import say


@dataclass(frozen=True)
class Args:
    """The flags of this script."""

    study: Path
    """Folder of the study that is replayed."""
    narrow_from: Path
    """Folder of the study whose findings narrow the space."""
    out: Path | None = None
    """Folder for search.json and the curves; by default search/ in the folder of the study."""
    allow_code: bool = False
    """Import the functions that the files of the studies name, if you trust them."""


def main(args: Args) -> None:
    """Replays the search, writes the curves and prints the result."""
    from ecg_jax.report.search_replay import replay_study, sentences, write_replay
    from ecg_jax.study.workdir import open_study

    found, notes = replay_study(args.study, args.narrow_from, allow_code=args.allow_code)
    title = f"{args.study.name}, narrowed by {args.narrow_from.name}"
    written = write_replay(args.out or args.study / "search", found, title=title)
    rate_hz = open_study(args.study, allow_code=args.allow_code).study.rate_hz
    say(*notes, *sentences(found, rate_hz), f"curves: {written.with_suffix('.svg')}")


if __name__ == "__main__":
    run_script(Args, main, __doc__)
