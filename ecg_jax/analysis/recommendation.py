"""Which scale to train for a budget or a label, and the quality expected of it. NumPy and SciPy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ecg_jax.analysis.axes import Scale
from ecg_jax.analysis.findings import CostRange
from ecg_jax.analysis.multiple_comparisons import simultaneous
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.selection import SplitSelection
from ecg_jax.analysis.tradeoffs import costs_of
from ecg_jax.analysis.variance import around, macro_model
from ecg_jax.errors import ConfigError
from ecg_jax.formatting import scale_text

UNITS = {
    "parameters": "parameters",
    "macs": "MACs per window",
    "latency_ms": "ms per window",
    "seconds": "s of training",
}
Costs = dict[str, CostRange | None]


@dataclass(frozen=True)
class Recommendation:
    """A scale with its costs, and the AUROC expected of a scale selected this way.

    Attributes:
        scale, learning_rate: what to train; the rate is None if the study does not know it.
        quality, low, high: the expected AUROC without selection bias (with one seed only the bias of the records is
            removed) and its 95 % interval; None if there are too few records or seeds.
        costs: of the scale.
        cheaper: the scale with the fewest MACs within the budget that cannot be distinguished from it; None if it is
            that scale itself.
        affordable, of: the number of scales within the budget, and of all scales.
    """

    scale: Scale
    learning_rate: float | None
    quality: float | None
    low: float | None
    high: float | None
    costs: Costs
    cheaper: Scale | None
    affordable: int
    of: int


def recommend(
    predictions: StudyPredictions, budget: Mapping[str, float] | None = None, *, label: str | None = None, seed: int = 0
) -> Recommendation:
    """Recommends the best scale within a budget.

    Args:
        predictions: test predictions of all trials.
        budget: upper limits of `parameters`, `macs`, `latency_ms`.
        label: use the AUROC of this label; by default macro AUROC.
        seed: of the splits.

    Raises:
        ConfigError: there is no such label, or no scale is within the budget; the message names the smallest one.
    """
    predictions = predictions if label is None else predictions.of_label(label)
    model = macro_model(predictions)
    if model is None:
        raise ConfigError("AUROC is not defined: too few test records have the label, or too few lack it")
    table = [costs_of(predictions, c) for c in range(len(predictions.scales))]
    kept = _affordable(predictions, table, budget or {})
    weights = predictions.mean_weights()[kept]
    best = int((weights @ model.estimate.value).argmax())
    if len(kept) > 1:
        some = predictions.of_trials(np.flatnonzero(np.isin(predictions.scale_of, kept)))
        share, quality = SplitSelection(some, seed=seed).overall() or (np.zeros(len(kept)), None)
    else:
        share, quality = np.ones(1), model.value(weights[best])
    low, high = around(quality, model.components(weights, share).half_width())
    away = weights - weights[best]
    halves = simultaneous(model, away, seed=seed)
    close = [i for i, half in enumerate(halves) if half is None or abs(model.value(away[i])) <= half]
    cheapest = min(close, key=lambda i: _value(table[kept[i]], "macs"))
    trial = predictions.trials[int(predictions.trials_of(kept[best])[0])]
    return Recommendation(
        scale=predictions.scales[kept[best]],
        learning_rate=trial.get("learning_rate"),
        quality=quality,
        low=low,
        high=high,
        costs=table[kept[best]],
        cheaper=None if cheapest == best or table[kept[best]]["macs"] is None else predictions.scales[kept[cheapest]],
        affordable=len(kept),
        of=len(table),
    )


def _value(costs: Costs, name: str) -> float:
    return np.inf if (cost := costs[name]) is None else cost.value


def _affordable(predictions: StudyPredictions, table: Sequence[Costs], budget: Mapping[str, float]) -> list[int]:
    """The places of the scales within the budget."""
    for name, limit in budget.items():
        if all(costs[name] is None for costs in table):
            raise ConfigError(f"the {UNITS[name]} of this study's scales are not known")
        smallest = min(range(len(table)), key=lambda c: _value(table[c], name))
        if _value(table[smallest], name) > limit:
            raise ConfigError(
                f"no scale has at most {limit:,g} {UNITS[name]}; the smallest, "
                f"{_named(predictions, smallest, name, table)}"
            )
    kept = [c for c, costs in enumerate(table) if all(_value(costs, name) <= limit for name, limit in budget.items())]
    if not kept:
        smallest = {name: min(range(len(table)), key=lambda c: _value(table[c], name)) for name in budget}
        scales = "; ".join(_named(predictions, c, name, table) for name, c in smallest.items())
        raise ConfigError(f"each limit can be met, but not all by one scale; the smallest of each: {scales}")
    return kept


def _named(predictions: StudyPredictions, scale: int, name: str, table: Sequence[Costs]) -> str:
    """A scale and one of its costs, in words."""
    trial = predictions.trials[int(predictions.trials_of(scale)[0])]
    samples, milliseconds = trial.get("receptive_field_samples"), trial.get("receptive_field_ms")
    rate_hz = 1000 * samples / milliseconds if samples and milliseconds else None
    levels = scale_text(predictions.scales[scale].to_dict(), rate_hz)
    value = _value(table[scale], name)
    return f"{levels}, has {value:,.4g}" if name == "latency_ms" else f"{levels}, has {value:,.0f}"
