"""The settings of a study chosen from its data and its time, by rules that are written here. Pure; loads no JAX.

Of the data:

- window: a quarter of the median length of the records, from 2.5 to 10 s, and not longer than they are; each epoch
  takes another one of each record;
- base: `local` (total stride 8) where `resnet` would leave fewer than 48 samples of the window after its last stage;
- batch: 64 windows, or 32 with fewer than 2,000 training records;
- epochs: as many as take 1,000 steps, from 10 to 40;
- learning rates: the four of every study;
- levels: depths 1, 2, 4; channels 8, 16, 32; kernels of 3, 7, 15 samples up to 141 Hz, and about twice as many for each
  doubling of the rate;
- folds: each as test fold once (cross-fitting), or fewer, as the time allows; one split from 3,000 records in it on.

Of the time: of all designs with all levels, the ends or the lower two of each axis and with these folds, the one with
the most scales times test records whose pilot and three seeds take at most three quarters of it; if there is none, the
same with two seeds, and then with a half, a quarter and an eighth of the epochs, but five at least.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ecg_jax.config import RunConfig, with_fields
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.errors import ConfigError
from ecg_jax.formatting import duration

WINDOW_SECONDS, FEWEST_LEFT = (2.5, 10.0), 48  # of a window, and samples of it after the last stage
RESNET_STRIDE = 32
FEW_RECORDS, STEPS, EPOCHS = 2000, 1000, (10, 40)
ENOUGH_TESTED = 3000
DEPTHS, CHANNELS, KERNELS = (1, 2, 4), (8, 16, 32), (3, 7, 15)
PILOT_RUNS = 4  # of each scale: one of each rate; those that are stopped early make up for those beyond an edge
SHARE_PLANNED = 0.75  # of the time; the rest is for what is not foreseen, and for more seeds


@dataclass(frozen=True)
class Design:
    """What a study trains: the levels of depth, channels and kernel, the test folds, and the epochs."""

    depths: tuple[int, ...]
    channels: tuple[int, ...]
    kernels: tuple[int, ...]
    folds: tuple[int, ...]
    """Empty: the last fold of the set is the test fold."""
    epochs: int

    @property
    def n_scales(self) -> int:
        """The number of scales."""
        return len(self.depths) * len(self.channels) * len(self.kernels)

    @property
    def n_runs(self) -> int:
        """The number of runs of a trial."""
        return max(len(self.folds), 1)

    def scales(self) -> list[tuple[int, int, int]]:
        """Depth, channels and kernel of each scale."""
        return list(itertools.product(self.depths, self.channels, self.kernels))


def base_for(prepared: PreparedSet, window_seconds: float) -> Literal["resnet", "local"]:
    """The network that is scaled, by the length of the window."""
    samples = window_seconds * prepared.rate_hz
    return "resnet" if samples / RESNET_STRIDE >= FEWEST_LEFT else "local"


def run_for(prepared: PreparedSet, run: RunConfig) -> RunConfig:
    """The run with window, batch and epochs for a prepared set."""
    folds = len(set(prepared.folds.tolist()))
    training = len(prepared) * max(folds - 2, 1) / folds
    batch = 64 if training >= FEW_RECORDS else 32
    epochs = math.ceil(STEPS / max(training / batch, 1))
    fields = {"data.window_seconds": _window_seconds(prepared), "train.batch_size": batch}
    return with_fields(run, {**fields, "train.epochs": min(max(epochs, EPOCHS[0]), EPOCHS[1])})


def kernels_for(rate_hz: float) -> tuple[int, ...]:
    """Odd kernel lengths in samples, of about 30, 70 and 150 ms from 100 Hz on."""
    factor = 2 ** max(round(math.log2(rate_hz / 100)), 0)
    return tuple((kernel + 1) * factor - 1 for kernel in KERNELS)


def largest_design(prepared: PreparedSet, epochs: int) -> Design:
    """The design with all levels and, unless one fold has enough records, all folds as test folds."""
    folds = sorted(set(prepared.folds.tolist()))
    is_enough = np.count_nonzero(prepared.folds == folds[-1]) >= ENOUGH_TESTED or len(folds) < 3
    return Design(DEPTHS, CHANNELS, kernels_for(prepared.rate_hz), () if is_enough else tuple(folds), epochs)


def fit_to_time(
    largest: Design,
    seconds: Callable[[tuple[int, int, int], int], tuple[float, float]],
    available_seconds: float,
    tested: Callable[[Sequence[int]], int],
    fixed: Mapping[str, Any],
    *,
    pilot_runs: int = PILOT_RUNS,
    spent_seconds: float = 0.0,
) -> tuple[Design, int]:
    """The design for the time, and the number of seeds for which there will be time.

    Args:
        largest: the design that would be best.
        seconds: of a run of a scale (depth, channels, kernel) with so many epochs, and before its first step.
        available_seconds: for all trainings.
        tested: the number of test records with these test folds.
        fixed: fields of the design that the user has chosen.
        pilot_runs: number of runs of each scale that choose its learning rate.
        spent_seconds: of the time that the user gave, which are not available any more.

    Raises:
        ConfigError: the time is too short for two seeds of the smallest design.
    """
    most, limit = largest.epochs, SHARE_PLANNED * available_seconds
    for share, seeds in itertools.product((1.0,) if "epochs" in fixed else (1.0, 0.5, 0.25, 0.125), (3, 2)):
        epochs = max(round(share * most), min(most, 5))
        designs = [replace(design, epochs=epochs) for design in smaller_designs(largest, fixed)]
        fitting = [d for d in designs if design_seconds(d, seconds, seeds, pilot_runs) <= limit]
        if fitting:
            return max(
                fitting, key=lambda d: (d.n_scales * tested(d.folds), -d.n_runs, d.kernels, d.channels, d.depths)
            ), seeds
    least = min(design_seconds(design, seconds, 2, pilot_runs) for design in designs) / SHARE_PLANNED
    hours = math.ceil((least + spent_seconds) / 36) / 100
    raise ConfigError(
        f"--hours is too short: on this machine the smallest study of these data takes {duration(least)}, after "
        f"{duration(spent_seconds)} of measuring; give --hours {hours:g} or more"
    )


def design_seconds(
    design: Design,
    seconds: Callable[[tuple[int, int, int], int], tuple[float, float]],
    seeds: int,
    pilot_runs: int = PILOT_RUNS,
) -> float:
    """Seconds of the pilot and of some seeds of a design."""
    total = 0.0
    for scale in design.scales():
        of_run, before = seconds(scale, design.epochs)
        total += before + (pilot_runs + seeds * design.n_runs) * of_run
    return total


def smaller_designs(largest: Design, fixed: Mapping[str, Any]) -> list[Design]:
    """All designs with fewer levels of some axes and with fewer folds, the largest one included."""
    axes = []
    for name in ("depths", "channels", "kernels"):
        levels = getattr(largest, name)
        axes.append([levels] if name in fixed or len(levels) < 3 else [levels, (levels[0], levels[-1]), levels[:2]])
    folds = largest.folds
    spread = [folds[:: len(folds) // n][:n] for n in (len(folds) // 2, 3) if folds and 1 < n < len(folds)]
    choices = [folds] if "folds" in fixed else [folds, *spread, ()]
    return [
        Design(depths, channels, kernels, test, largest.epochs)
        for depths, channels, kernels, test in itertools.product(*axes, dict.fromkeys(choices))
    ]


def _window_seconds(prepared: PreparedSet) -> float:
    whole, (shortest, longest) = float(np.median(prepared.samples)) / prepared.rate_hz, WINDOW_SECONDS
    return round(min(max(whole / 4, shortest), longest, whole), 2)
