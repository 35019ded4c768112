"""Does a search space narrowed by one study's findings do better for less on other data?

    python experiments/search.py --study runs/cinc2017 --narrow-from runs/ptb_xl

Random search is replayed from the finished trials of `--study`, over its whole space and over the space that
`--narrow-from` narrows (another data set, or other folds of the same). Nothing is trained. With `--train` both searches
are run for real too, with Optuna's TPE over wider spaces; started again, they go on where they stopped.
"""

from dataclasses import asdict, dataclass
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
    """Folder for search.json, the curves and the trials of --train; by default search/ in --study."""
    train: bool = False
    """Search for real, too."""
    budget: float | None = None
    """Training MACs of each real search; by default those in the middle of the replayed curves."""


def main(args: Args) -> None:
    """Replays, tells, and with `--train` searches."""
    from ecg_jax.study.folder import read_founded
    from ecg_jax.study.search import replay_study, search, sentences, wider, write_replay
    from ecg_jax.study.words import scale_text

    found, notes = replay_study(args.study, args.narrow_from)
    rate_hz = read_founded(args.study).study.rate_hz
    out = args.out or args.study / "search"
    written = write_replay(out, found, title=f"{args.study.name}, narrowed by {args.narrow_from.name}")
    print(*notes, *sentences(found, rate_hz), f"curves: {written.with_suffix('.svg')}", sep="\n")
    if not args.train:
        return
    budget = args.budget or found.curves[len(found.curves) // 2]["budget"] or 0.0
    nothing = {axis: [] for axis in found.kept}
    every = {axis: sorted(found.kept[axis] + found.dropped[axis]) for axis in found.kept}
    for name, kept, dropped in (("whole", every, nothing), ("narrowed", found.kept, found.dropped)):
        best = search(out / name, args.study, wider(kept, dropped), budget=budget)
        test = "not defined" if best.test is None else f"{best.test:.4f}"
        scale = f"{scale_text(asdict(best.trial.scale), rate_hz)}, learning rate {best.trial.learning_rate:g}"
        print(f"{name:9} {best.trials} trials, {best.spent:.2g} training MACs: {scale}, ", end="")
        print(f"macro AUROC {best.validation:.4f} on validation, {test} on test")
    print("one search each, from one seed: an example, not a proof; the replays above have the interval")


if __name__ == "__main__":
    with fail_in_one_line("search.py"):
        main(tyro.cli(Args, description=__doc__))
