"""Training curves and ROC curves, for print.

May import numpy, matplotlib and `evaluation`. Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/),
which colour-blind readers can distinguish; dashes, markers or names also identify each line.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ecg_jax.evaluation import metrics
from ecg_jax.plots.lettering import literal

BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7"
_STYLES = [  # of at most eight labels: colour and dashes
    (BLUE, "-"),
    (VERMILION, "--"),
    (GREEN, "-."),
    (PURPLE, (0, (1, 1))),
    (ORANGE, "-"),
    (SKY, "--"),
    ("#555555", "-."),
    ("#000000", (0, (1, 1))),
]
MOST_LABELS = len(_STYLES)  # if there are more, only the best and the worst are named
_EXTREMES = 4
_LINES = 26  # labels in one column of dots


def _plain(axes: Axes, title: str, xlabel: str = "", ylabel: str = "") -> None:
    """Sets title, axis names and a faint grid, without a box."""
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.set_xlabel(xlabel, fontsize=9)
    axes.set_ylabel(ylabel, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)


def training_curves(
    metrics: Sequence[Mapping[str, float | None]], title: str = "", *, best_epoch: int | None = None
) -> Figure:
    """Loss, validation AUROC and learning rate by epoch; the chosen epoch is marked.

    Args:
        metrics: the lines of `metrics.jsonl`, in order: `epoch`, `train_loss`, `validation_loss`,
            `validation_macro_auroc`, `learning_rate`; None or a missing key leaves a gap.
        title: text above the panels.
        best_epoch: the epoch that the run chose, marked if it has a line; by default that of the highest AUROC.

    Raises:
        ValueError: `metrics` is empty.
    """
    if not metrics:
        raise ValueError("no epoch is finished, so there is no training curve to draw")
    with literal(title) as (title,):
        return _draw_training(metrics, title, best_epoch)


def _draw_training(metrics: Sequence[Mapping[str, float | None]], title: str, best_epoch: int | None) -> Figure:
    def column(name: str) -> np.ndarray:
        return np.array([line.get(name) for line in metrics], dtype=np.float64)  # None becomes NaN

    epoch, auroc = column("epoch"), column("validation_macro_auroc")
    dot = {"marker": "o", "markersize": 3} if len(epoch) <= 40 else {}
    figure = Figure(figsize=(9.6, 3.0), layout="constrained")
    loss_axes, auroc_axes, rate_axes = figure.subplots(1, 3, width_ratios=[4, 4, 3])
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")

    titles = ("Loss", "Validation macro AUROC", "Learning rate × 1000")
    for axes, name in zip((loss_axes, auroc_axes, rate_axes), titles, strict=True):
        _plain(axes, name, "epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(epoch.min() - 0.5, epoch.max() + 0.5)
    loss_axes.plot(epoch, column("train_loss"), color=BLUE, linewidth=1.5, label="training", **dot)
    loss_axes.plot(epoch, column("validation_loss"), color=VERMILION, linestyle="--", label="validation", **dot)
    loss_axes.legend(fontsize=8, frameon=False)
    auroc_axes.plot(epoch, auroc, color=VERMILION, linestyle="--", **dot)
    if not np.isnan(auroc).all():
        chosen = [np.nanargmax(auroc)] if best_epoch is None else np.flatnonzero(epoch == best_epoch)[:1]
        for best in chosen:  # none, if the line of that epoch was lost
            text = f"best: {auroc[best]:.3f} at epoch {epoch[best]:g}"
            mark = {"marker": "D", "color": "black", "markersize": 6, "linestyle": "none", "label": text}
            auroc_axes.plot(epoch[best], auroc[best], **mark)
            auroc_axes.legend(fontsize=8, frameon=False, loc="lower right")
    rate_axes.plot(epoch, 1000 * column("learning_rate"), color="black", linewidth=1.2, **dot)
    return figure


def roc(label: np.ndarray, probability: np.ndarray, names: Sequence[str], title: str = "") -> Figure:
    """ROC curve of each label and their mean, with the AUROC of each label in panels to the right.

    Up to eight labels are named. If there are more, the best four and the worst four are named; the others are thin
    lines and grey dots. The macro curve is the mean sensitivity of the labels at each false positive rate. Labels
    without both classes have no curve; the figure gives their number.

    Args:
        label: [N, K], 0 or 1.
        probability: [N, K]; any score that is higher for positive records.
        names: the K labels.
        title: text above the panels.

    Raises:
        ValueError: the shapes are not [N, K] for K names.
    """
    label, probability = np.asarray(label), np.asarray(probability)
    if label.shape != probability.shape or label.shape[1:] != (len(names),):
        raise ValueError(f"ROC needs [N, {len(names)}] twice; got {list(label.shape)} and {list(probability.shape)}")
    with literal(title, *names) as (title, *names):
        return _draw_roc(label, probability, names, title)


def _draw_roc(label: np.ndarray, probability: np.ndarray, names: Sequence[str], title: str) -> Figure:
    defined = [k for k in range(len(names)) if 0 < label[:, k].sum() < len(label)]
    once = np.ones((1, len(label)))
    auroc = {k: float(metrics.auroc(label[:, k], probability[:, k], once)[0]) for k in defined}
    ranked = sorted(defined, key=lambda k: (-auroc[k], names[k]))
    few = len(ranked) <= MOST_LABELS
    named = ranked if few else ranked[:_EXTREMES] + ranked[-_EXTREMES:]
    style = dict(zip(named, _STYLES, strict=False))

    columns = max(1, -(-len(ranked) // _LINES))
    figure = Figure(figsize=(5.0 + 2.8 * columns, 4.6), layout="constrained")
    curve_axes, *dot_axes = figure.subplots(1, 1 + columns, width_ratios=[5] + [2.8] * columns)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    _plain(curve_axes, "ROC by label", "false positive rate (1 - specificity)", "sensitivity")
    curve_axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
    curve_axes.set(xlim=(-0.01, 1), ylim=(0, 1.01), aspect="equal", anchor="N")
    if not defined:
        curve_axes.text(0.5, 0.5, "no label has both classes", ha="center", fontsize=10)
        dot_axes[0].set_visible(False)
        return figure

    grid = np.linspace(0, 1, 501)
    curves = {k: metrics.roc_points(label[:, k], probability[:, k]) for k in defined}
    mean = np.mean([np.interp(grid, *curves[k]) for k in defined], axis=0)
    for k in set(defined) - set(named):
        curve_axes.plot(*curves[k], color="#bbbbbb", linewidth=0.5, zorder=1)
    lines = []
    for k in named:
        colour, dashes = style[k]
        text = f"{names[k]}  {auroc[k]:.3f}"
        lines += curve_axes.plot(*curves[k], color=colour, linestyle=dashes, linewidth=1.3, label=text)
    macro = float(np.mean(list(auroc.values())))
    text = f"macro mean  {macro:.3f}"
    lines += curve_axes.plot(np.r_[0, grid], np.r_[0, mean], color="black", linewidth=2.4, label=text)
    head = None if few else f"best and worst {_EXTREMES} of {len(ranked)}"
    look = {"fontsize": 7.5, "frameon": False, "loc": "lower right", "title": head, "title_fontsize": 7.5}
    texts = [line.get_label() for line in lines]  # else Matplotlib leaves out those that begin with _
    curve_axes.legend(lines, texts, **look)

    lowest = min(0.5, min(auroc.values()) - 0.02)
    rows = -(-len(ranked) // columns)
    for column, axes in enumerate(dot_axes):
        part = ranked[column * rows : (column + 1) * rows]
        _plain(axes, "" if column else "AUROC")
        axes.axvline(macro, color="black", linewidth=1.5)
        for place, k in enumerate(part):
            axes.plot(auroc[k], place, marker="o", markersize=4, color=style[k][0] if k in style else "#888888")
        axes.set_yticks(range(len(part)), [f"{names[k]}  ({int(label[:, k].sum())})" for k in part])
        axes.tick_params(axis="y", labelsize=8 if rows <= 16 else 7, length=0)
        axes.set(ylim=(rows - 0.3, -0.7), xlim=(lowest, 1.01))
    left_out = len(names) - len(defined)
    note = "in brackets: positive records" + (f"; without both classes: {left_out}" if left_out else "")
    dot_axes[0].set_xlabel(note, fontsize=7.5)
    return figure
