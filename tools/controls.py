"""Control studies: does a study detect an effect that exists, and none where none exists?

    python tools/controls.py context --workdir runs/controls
    python tools/controls.py shuffles --workdir runs/controls

`context`: trains of pulses with two labels. `wide` is visible in every pulse, .2 s long. `alternating` is visible in
the gaps only: alternately 1.0 and 2.0 s instead of always 1.5 s, so that the number of pulses is the same. A network
with a receptive field of .51 s must recognise the first and cannot recognise the second; one with 3.15 s recognises
both. `shuffles`: the labels of such records are randomly permuted, ten times. No effect exists, so at most two of the
thirty verdicts may be "holds".

A control that was stopped continues when it is started again. The exit status is 1 if the result is not as expected.
"""

import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
import wfdb
from rich.console import Console
from rich.table import Table

from ecg_jax.analysis import analyse
from ecg_jax.analysis.findings import Analysis, LabelFindings
from ecg_jax.cli import fail_in_one_line
from ecg_jax.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from ecg_jax.dataset.prepare import prepare
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.errors import ConfigError
from ecg_jax.files import write_text
from ecg_jax.formatting import change_text
from ecg_jax.scripts.experiment import GridArgs, finished_predictions, train_study
from ecg_jax.sources import WfdbFolder
from ecg_jax.study.design import without_stem_pool

RATE_HZ, SECONDS = 100, 10
GAPS_SECONDS = {False: (1.5, 1.5), True: (1.0, 2.0)}
WIDTH_SECONDS = {False: 0.025, True: 0.05}


@dataclass(frozen=True)
class Args:
    """Runs a study whose result is known."""

    control: tyro.conf.Positional[Literal["context", "shuffles"]]
    """Which control."""
    workdir: Path
    """Folder of the data sets and studies."""
    records: int = 400
    """Records in each data set."""
    seeds: int = 3
    """Seeds of each study."""
    epochs: int = 20
    """Epochs of each training."""
    shuffles: int = 10
    """Number of random permutations of the labels."""


def main(args: Args) -> bool:
    """Runs the control and prints its result; returns whether the result is as expected."""
    if args.seeds < 2:
        raise ConfigError(f"--seeds is {args.seeds}; give 2 or more, to estimate the noise of so small a grid")
    if args.control == "shuffles":
        return shuffles(args)
    analysis = context(args)
    return short_suffices(analysis) and length_is_needed(analysis)


def context(args: Args) -> Analysis:
    """Studies a short and a long kernel on labels that need a short and a long context; prints the analysis, too."""
    analysis = study(args, "context", {"depths": (1,), "channels": (8,), "kernels": (3, 15)})
    names = (f"receptive field {scale.receptive_field_ms:g} ms" for scale in analysis.scales)
    shown = Table("label", *names, "effect of doubling the kernel")
    for label in analysis.labels:
        about = of_label(analysis, label)
        claim = about.claims["kernel"]
        effect = "not known" if claim.effect is None else change_text(claim.effect, claim.low, claim.high)
        shown.add_row(label, *(f"{scale.mean:.3f}" for scale in about.scales), effect)
    Console().print(shown)
    return analysis


def of_label(analysis: Analysis, label: str) -> LabelFindings:
    """The findings for a label, which has both classes in every fold."""
    about = analysis.per_label[label]
    assert about is not None
    return about


def short_suffices(analysis: Analysis) -> bool:
    """`wide` is recognised from .51 s, and doubling the kernel gains significantly less than .03."""
    about = of_label(analysis, "wide")
    high = about.claims["kernel"].high
    return about.scales[0].mean > 0.95 and high is not None and high < 0.03


def length_is_needed(analysis: Analysis) -> bool:
    """`alternating` is significantly better with a longer kernel, and not recognised from .51 s."""
    about = of_label(analysis, "alternating")
    low = about.claims["kernel"].low
    return about.scales[0].mean < 0.7 and low is not None and low > 0.05


def shuffles(args: Args) -> bool:
    """Repeats a study on data sets whose labels are unrelated to the signal."""
    grid = {"depths": (1, 2), "channels": (4, 8), "kernels": (3, 7)}
    shown = Table("shuffle", "depth", "channels", "kernel", "macro AUROC of the best")
    verdicts = []
    for shuffle in range(args.shuffles):
        analysis = study(args, f"shuffle_{shuffle}", grid, shuffle=shuffle)
        verdicts += [claim.verdict for claim in analysis.claims.values()]
        value = analysis.best.value if analysis.best else None
        shown.add_row(str(shuffle), *verdicts[-3:], "unknown" if value is None else f"{value:.3f}")
    Console().print(shown)
    Console().print(f"{verdicts.count('holds')} of {len(verdicts)} verdicts are holds")
    return 30 * verdicts.count("holds") <= 2 * len(verdicts)


def study(args: Args, name: str, levels: dict[str, Any], *, shuffle: int | None = None) -> Analysis:
    """Analysis of the study of a grid, on a data set made for it."""
    folder = args.workdir / name
    write(folder / "source", records=args.records, shuffle=shuffle)
    source = WfdbFolder(folder / "source", folder / "source" / "labels.csv")
    prepare(PrepareConfig(source, folder / "set", leads=("II",), rate_hz=RATE_HZ, folds=4), Console(quiet=True))
    data, train = DataConfig(folder / "set", window_seconds=SECONDS), TrainConfig(epochs=args.epochs, batch_size=32)
    run = RunConfig(data, without_stem_pool(ModelConfig()), train)
    grid = GridArgs(folder / "study", seeds=args.seeds, learning_rates=(0.01,), run=run, **levels)
    trained = train_study(grid)
    assert trained is not None  # it is not a dry run
    return analyse(finished_predictions(trained))


def write(folder: Path, *, records: int, shuffle: int | None) -> None:
    """Writes WFDB records of pulses and `labels.csv`; `shuffle` is the seed of a random permutation of the labels."""
    if (folder / "labels.csv").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    kinds = [(bool(place & 1), bool(place & 2)) for place in range(records)]
    for place, (wide, alternating) in enumerate(kinds):
        rng = np.random.default_rng([1, place])
        signal_mv = pulses_mv(rng, wide=wide, alternating=alternating)[:, None]  # [T, 1]
        wfdb.wrsamp(f"r{place:04d}", RATE_HZ, ["mV"], ["II"], signal_mv, fmt=["16"], write_dir=str(folder))
    owner = np.arange(records) if shuffle is None else np.random.default_rng([2, shuffle]).permutation(records)
    labels = [";".join(itertools.compress(("wide", "alternating"), kinds[place])) for place in owner]
    lines = [f"r{place:04d},{text},p{place:04d}" for place, text in enumerate(labels)]
    write_text(folder / "labels.csv", "\n".join(["record,labels,patient", *lines]) + "\n")


def pulses_mv(rng: np.random.Generator, *, wide: bool, alternating: bool) -> np.ndarray:
    """One recording, [T] in mV: Gaussian pulses with jitter, drift and noise."""
    time = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    gaps = np.resize(GAPS_SECONDS[alternating], 12)
    centres = np.cumsum(gaps) - rng.uniform(3, 6) + rng.uniform(-0.03, 0.03, len(gaps))
    width = WIDTH_SECONDS[wide] * rng.lognormal(0, 0.1)
    pulses = np.exp(-0.5 * ((time[:, None] - centres) / width) ** 2).sum(axis=1)
    drift = 0.1 * np.sin(2 * np.pi * (rng.uniform(0.1, 0.3) * time + rng.random()))
    return rng.lognormal(0, 0.2) * pulses + drift + rng.normal(0, 0.1, len(time))


if __name__ == "__main__":
    with fail_in_one_line("controls.py"):
        sys.exit(not main(tyro.cli(Args, description=__doc__)))
