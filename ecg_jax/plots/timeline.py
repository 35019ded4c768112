"""The probabilities of a long recording over time. May import numpy and matplotlib."""

import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from ecg_jax.plots.curves import BLUE, VERMILION
from ecg_jax.plots.lettering import literal

MOST_LABELS = 12  # those that are decided for the longest time; the others are named below
MOST_STEPS = 480  # of a line; more stretches are summarised, as they would be a solid band
STEPS_SECONDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)  # between two marks of the time


def timeline(
    seconds: np.ndarray,
    probability: np.ndarray,
    decided: np.ndarray,
    thresholds: np.ndarray | None,
    names: Sequence[str],
    title: str = "",
) -> Figure:
    """Draws the probability of each label over time in a row of its own, shaded where the label is decided.

    Many stretches are summarised in 480 steps: their mean as a line, their smallest and largest probability as a band,
    and the share of them in which the label is decided as the height of the shade.

    Args:
        seconds: [M + 1], where each stretch begins, and the end of the last one.
        probability: [M, K]; NaN leaves a gap.
        decided: [M, K] bool.
        thresholds: [K], of the labels, if they have some: dashed lines.
        names: the K labels.
        title: text above the rows.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    if probability.shape != decided.shape or probability.shape != (len(seconds) - 1, len(names)):
        raise ValueError(f"a timeline needs [{len(seconds) - 1}, {len(names)}] twice; got {list(probability.shape)}")
    with literal(title, *names) as (title, *names):
        return _draw(np.asarray(seconds), probability, decided, thresholds, names, title)


def _draw(
    seconds: np.ndarray,
    probability: np.ndarray,
    decided: np.ndarray,
    thresholds: np.ndarray | None,
    names: Sequence[str],
    title: str,
) -> Figure:
    length = np.diff(seconds)
    decided_seconds = (decided * length[:, None]).sum(axis=0)  # [K]
    highest = np.nan_to_num(probability).max(axis=0, initial=0.0)
    ranked = sorted(range(len(names)), key=lambda k: (-decided_seconds[k], -highest[k]))
    shown = sorted(ranked[:MOST_LABELS])
    figure = Figure(figsize=(11.0, 1.1 + 0.8 * len(shown)), layout="constrained")
    rows = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    parts = np.array_split(np.arange(len(length)), min(len(length), MOST_STEPS))
    edges = np.array([*(seconds[part[0]] for part in parts), seconds[-1]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of steps without any probability, which are gaps
        lines = {
            how: np.array([how(probability[part], axis=0) for part in parts])  # [steps, K]
            for how in (np.nanmean, np.nanmin, np.nanmax)
        }
    shade = np.array([decided[part].mean(axis=0) for part in parts])
    for axes, k in zip(rows, shown, strict=True):
        axes.stairs(lines[np.nanmean][:, k], edges, color=BLUE, linewidth=0.9, baseline=None)
        if len(parts) < len(length):
            lowest, highest = lines[np.nanmin][:, k], lines[np.nanmax][:, k]
            axes.stairs(highest, edges, baseline=lowest, fill=True, color=BLUE, alpha=0.2, linewidth=0)
        axes.stairs(shade[:, k], edges, fill=True, color=VERMILION, alpha=0.3, linewidth=0)
        if thresholds is not None:
            axes.axhline(thresholds[k], color="#555555", linestyle="--", linewidth=0.7)
        share = decided_seconds[k] / length.sum()
        axes.set_ylabel(f"{names[k]}\n{share:.1%}", rotation=0, ha="right", va="center", fontsize=8)
        axes.set(xlim=(seconds[0], seconds[-1]), ylim=(0, 1), yticks=(0, 0.5, 1))
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    step = next((step for step in STEPS_SECONDS if seconds[-1] - seconds[0] <= 12 * step), STEPS_SECONDS[-1])
    rows[-1].xaxis.set_major_locator(MultipleLocator(step))
    rows[-1].xaxis.set_major_formatter(FuncFormatter(lambda second, _: clock(second)))
    note = "" if len(shown) == len(names) else f"; not shown: {', '.join(names[k] for k in ranked[MOST_LABELS:])}"
    text = f"time from the start of the recording; shaded where the label is decided, with its share of the time{note}"
    if len(parts) < len(length):
        text += "\nline: mean of the stretches of a step, band: their range, shade: share of them that are decided"
    rows[-1].set_xlabel(text, fontsize=8)
    return figure


def clock(seconds: float) -> str:
    """A time as h:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"
