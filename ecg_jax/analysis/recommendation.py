"""Which scale to train for a budget or a label, and the quality expected of it. NumPy and SciPy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ecg_jax.analysis.axes import Scale
from ecg_jax.analysis.effects import best_place
from ecg_jax.analysis.findings import CostRange
from ecg_jax.analysis.multiple_comparisons import may_lose
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.selection import SplitSelection
from ecg_jax.analysis.surface import response_surface
from ecg_jax.analysis.tradeoffs import costs_of
from ecg_jax.analysis.variance import around, macro_model
from ecg_jax.errors import ConfigError
from ecg_jax.formatting import scale_text

UNITS = {
    "parameters": "parameters",
    "macs": "MACs per window",
    "latency_ms": "ms per window",
    "bytes": "bytes of the exported file",
    "seconds": "s of training",
}
TOLERATED = 0.005  # AUROC
Costs = dict[str, CostRange | None]


@dataclass(frozen=True)
class Recommendation:
    """The cheapest scale that is expected to lose little against the best one, with what is known of its loss.

    Attributes:
        scale, learning_rate: what to train; the rate is None if the study does not know it.
        costs: of the scale.
        expected_loss: AUROC that it is expected to lose against the best scale within the budget: a judgement, see
            `surface`; None if the noise of the seeds is not known.
        may_lose: the most that it may lose: a guarantee for all scales within the budget at once, in 95 % of studies.
        guaranteed: the cheapest scale of which this guarantee is within the tolerated loss; None if there is none.
        best: the best scale within the budget.
        quality, low, high: the expected AUROC of a scale that is selected as the best one was, without selection bias
            (with one seed only the bias of the records is removed), and its 95 % interval; None if there are too few
            records or seeds.
        affordable, of: the number of scales within the budget, and of all scales.
    """

    scale: Scale
    learning_rate: float | None
    costs: Costs
    expected_loss: float | None
    may_lose: float | None
    guaranteed: Scale | None
    best: Scale
    quality: float | None
    low: float | None
    high: float | None
    affordable: int
    of: int


def recommend(
    predictions: StudyPredictions,
    budget: Mapping[str, float] | None = None,
    *,
    label: str | None = None,
    tolerate: float = TOLERATED,
    seed: int = 0,
) -> Recommendation:
    """Recommends the scale with the fewest MACs within a budget that is expected to lose at most `tolerate`.

    Where the MACs or the noise of the seeds are not known, it is the best scale.

    Args:
        predictions: test predictions of all trials.
        budget: upper limits of `parameters`, `macs`, `latency_ms`.
        label: use the AUROC of this label; by default macro AUROC.
        tolerate: the largest tolerated loss of AUROC against the best scale within the budget.
        seed: of the splits, the bounds and the response surface.

    Raises:
        ConfigError: there is no such label, no scale is within the budget (the message names the smallest one), or the
            tolerated loss is below 0.
    """
    if not tolerate >= 0:
        raise ConfigError(f"--tolerate is {tolerate:g}; give a loss of AUROC from 0 up, such as 0.005")
    predictions = predictions if label is None else predictions.of_label(label)
    table = [costs_of(predictions, c) for c in range(len(predictions.scales))]
    kept = _affordable(predictions, table, budget or {})
    some = predictions.of_trials(np.flatnonzero(np.isin(predictions.scale_of, kept)))
    model = macro_model(some)
    if model is None:
        raise ConfigError(
            "AUROC is not defined: a label needs five test records of a fold with it and five without it; "
            "prepare the set with fewer --folds"
        )
    weights, best = some.mean_weights(), best_place(model)
    share, quality = SplitSelection(some, seed=seed).overall() or (np.zeros(len(kept)), None)
    if len(kept) == 1:
        share, quality = np.ones(1), model.value(weights[best])
    low, high = around(quality, model.components(weights, share).half_width())
    bounds, surface = may_lose(model, seed=seed), response_surface(model, seed=seed)
    macs = [_value(table[c], "macs") for c in kept]

    def cheapest(loss: Sequence[float | None]) -> int | None:
        tolerable = [i for i, lost in enumerate(loss) if lost is not None and lost <= tolerate and np.isfinite(macs[i])]
        return min(tolerable, key=lambda i: macs[i], default=None)

    expected = [None] * len(kept) if surface is None else surface.expected_loss.tolist()
    found, guaranteed = cheapest(expected), cheapest(bounds)
    place = best if found is None else found
    trial = some.trials[int(some.trials_of(place)[0])]
    return Recommendation(
        scale=some.scales[place],
        learning_rate=trial.get("learning_rate"),
        costs=table[kept[place]],
        expected_loss=expected[place],
        may_lose=bounds[place],
        guaranteed=None if guaranteed is None else some.scales[guaranteed],
        best=some.scales[best],
        quality=quality,
        low=low,
        high=high,
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
