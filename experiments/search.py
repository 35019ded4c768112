"""Does a search space narrowed by one study's findings do better for less on other data?

    python experiments/search.py --study runs/cinc2017 --narrow-from runs/ptb_xl

Random search is replayed from the finished trials of `--study`, over its whole space and over the space that
`--narrow-from` narrows (another data set, or other folds of the same). Nothing is trained.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from ecg_jax.cli import fail_in_one_line


@dataclass(frozen=True)
class Args:
    """What the script takes."""

    study: Path
    """Workdir of the study that is replayed."""
    narrow_from: Path
    """Workdir of the study whose findings narrow the space."""
    out: Path | None = None
    """Folder for search.json and the curves; by default search/ in --study."""


def main(args: Args) -> None:
    """Replays the search and prints what it found."""
    from ecg_jax.report.search_replay import replay_study, sentences, write_replay
    from ecg_jax.study.workdir import read_founded

    found, notes = replay_study(args.study, args.narrow_from)
    rate_hz = read_founded(args.study).study.rate_hz
    out = args.out or args.study / "search"
    written = write_replay(out, found, title=f"{args.study.name}, narrowed by {args.narrow_from.name}")
    print(*notes, *sentences(found, rate_hz), f"curves: {written.with_suffix('.svg')}", sep="\n")


if __name__ == "__main__":
    with fail_in_one_line("search.py"):
        main(tyro.cli(Args, description=__doc__))
