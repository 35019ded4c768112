"""Which scale to train for a budget, what to expect of it, and the command that trains it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ecg_jax.analysis.influence import aurocs, mean_of
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.selection import SplitSelection, mean_weights, named, simultaneous
from ecg_jax.analysis.summary import FAVOUR
from ecg_jax.analysis.tradeoffs import costs
from ecg_jax.analysis.variance import VarianceModel
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.report import sentences

UNITS = {"parameters": "parameters", "macs": "MACs a window", "latency_ms": "ms a window", "seconds": "s of training"}
Cost = dict[str, float]


@dataclass(frozen=True)
class Recommendation:
    """A scale, what it costs (`value`, and `low` to `high` over its trials) and the AUROC to expect of choosing so.

    `quality` is free of the winner's favour (with one seed, of the records' part of it); `low`, `high` its 95 %
    interval; None where it is not known, for want of records or seeds. `cheaper` is
    the scale with the fewest MACs that cannot be told from it among those in the budget, None if it is that itself.
    """

    scale: dict[str, int]
    learning_rate: float | None
    quality: float | None
    low: float | None
    high: float | None
    costs: dict[str, Cost | None]
    cheaper: dict[str, int] | None
    affordable: int
    of: int


def recommend(
    outcomes: StudyPredictions, budget: Mapping[str, float] | None = None, *, label: str | None = None, seed: int = 0
) -> Recommendation:
    """The best scale within a budget. Pure.

    The choice is among the affordable scales alone, and so are the splits that read its value; the noise of seeds is
    that of the whole study.

    Args:
        outcomes: test predictions of all trials.
        budget: the most of `parameters`, `macs`, `latency_ms`.
        label: judge by its AUROC alone; by default by macro AUROC.
        seed: of the splits.

    Raises:
        ConfigError: there is no such label, or nothing meets the budget; the message names the smallest.
    """
    outcomes = outcomes if label is None else _of_label(outcomes, label)
    measure = mean_of(aurocs(outcomes))
    if measure is None:
        raise ConfigError("AUROC is not defined: too few test records have the label, or lack it")
    table = [costs(outcomes, c) for c in range(len(outcomes.scales))]
    kept = _affordable(outcomes, table, budget or {})
    some = outcomes.of_trials(np.flatnonzero(np.isin(outcomes.scale_of, kept)))
    weights, chance = mean_weights(outcomes)[kept], VarianceModel(outcomes, measure)
    best = int((weights @ measure.value).argmax())
    if len(kept) > 1:
        share, quality = SplitSelection(some, seed=seed).overall() or (np.zeros(len(kept)), None)
    else:  # of one, none is chosen
        share, quality = np.ones(1), chance.value(weights[best])
    half = chance.spread(weights, share).half_width() if quality is not None else None
    away = weights - weights[best]
    near = [
        i for i, h in enumerate(simultaneous(chance, away, seed=seed)) if h is None or abs(chance.value(away[i])) <= h
    ]
    cheapest = min(near, key=lambda i: (table[kept[i]]["macs"] or {"value": np.inf})["value"])
    trial = outcomes.trials[int(outcomes.trials_of(kept[best])[0])]
    return Recommendation(
        scale=named(outcomes, kept[best]),
        learning_rate=trial.get("learning_rate"),
        quality=quality,
        low=None if quality is None or half is None else quality - half,
        high=None if quality is None or half is None else quality + half,
        costs=table[kept[best]],
        cheaper=None if cheapest == best or table[kept[best]]["macs"] is None else named(outcomes, kept[cheapest]),
        affordable=len(kept),
        of=len(table),
    )


def _of_label(outcomes: StudyPredictions, label: str) -> StudyPredictions:
    if label not in outcomes.names:
        raise ConfigError(f"--label {label}: there is no such label; choose from {', '.join(outcomes.names)}")
    k = [outcomes.names.index(label)]
    labels, probabilities = outcomes.labels[:, k], outcomes.probabilities[:, :, k]
    return replace(
        outcomes, labels=labels, probabilities=probabilities, label_names=(label,), thresholds=None, score=None
    )


def _affordable(
    outcomes: StudyPredictions, table: list[dict[str, Cost | None]], budget: Mapping[str, float]
) -> list[int]:
    """Places of the scales within the budget."""
    for name, most in budget.items():
        known = {c: cost["value"] for c, entry in enumerate(table) if (cost := entry[name])}
        if not known:
            raise ConfigError(f"{UNITS[name]} of this study's scales are not known")
        least = min(known, key=lambda c: known[c])
        if known[least] > most:
            raise ConfigError(
                f"no scale has at most {most:,g} {UNITS[name]}; the smallest, {_named(outcomes, least, name, table)}"
            )
    kept = [c for c, cost in enumerate(table) if all((v := cost[n]) and v["value"] <= m for n, m in budget.items())]
    if not kept:
        least = [min(range(len(table)), key=lambda c: (table[c][n] or {"value": np.inf})["value"]) for n in budget]
        told = "; ".join(_named(outcomes, c, n, table) for c, n in zip(least, budget, strict=True))
        raise ConfigError(f"each limit can be met, but not all by one scale; the smallest of each: {told}")
    return kept


def _named(outcomes: StudyPredictions, scale: int, name: str, table: list[dict[str, Cost | None]]) -> str:
    """A scale and one of its costs."""
    depth, channels, kernel = outcomes.scales[scale]
    trial = outcomes.trials[int(outcomes.trials_of(scale)[0])]
    seen_ms, seen = trial.get("receptive_field_ms"), trial.get("receptive_field_samples")
    kernel_ms = f" ({kernel * seen_ms / seen:.3g} ms)" if seen_ms and seen else ""
    value = (table[scale][name] or {"value": np.nan})["value"]
    told = f"{value:,.4g}" if name == "latency_ms" else f"{value:,.0f}"
    return f"depth {depth}, channels {channels}, kernel {kernel}{kernel_ms}, has {told}"


def advise(
    workdir: Path, budget: Mapping[str, float], *, label: str | None = None, data: Path | None = None
) -> list[str]:
    """What `ecg-jax recommend` prints of a study's workdir.

    Raises:
        RunError: no seed is finished at every scale yet.
        ConfigError: nothing meets the budget, or there is no such label.
    """
    from ecg_jax.report.write import shown, with_latency
    from ecg_jax.study.design import Scale, Trial
    from ecg_jax.study.latency import FILE, machine
    from ecg_jax.study.results import collect
    from ecg_jax.study.workdir import read_founded

    founded = read_founded(workdir)
    collected = collect(workdir, founded, data=data)
    outcomes = collected.outcomes
    if outcomes is None:
        raise RunError(f"{workdir}: no seed is finished at every scale yet; ecg-jax study {workdir} says how it stands")
    if "latency_ms" in budget or (workdir / FILE).is_file():
        outcomes = with_latency(workdir, founded, outcomes)
    found = recommend(outcomes, budget, label=label)
    study, rate_hz = founded.study, founded.study.rate_hz
    said = [
        *collected.notes,
        f"scale        {sentences.scale_text(found.scale, rate_hz)} "
        f"({found.affordable} of {found.of} scales affordable)",
    ]
    what = f"AUROC of {label}" if label else "macro AUROC"
    value = "not known: too few test records of a class to choose on one half and read on the other"
    if found.quality is not None:
        value = f"{found.quality:.3f} {sentences.span(found.low, found.high)}, of test records, by choosing so"
    said.append(f"expected     {what} {value}")
    if len(collected.seeds) == 1 and found.affordable > 1:
        said.append(f"             {FAVOUR}")
    for name, cost in found.costs.items():
        if cost is not None:
            spread = (
                f" ({cost['low']:,.4g} to {cost['high']:,.4g} over its trials)" if cost["low"] != cost["high"] else ""
            )
            on = f" on {machine()}" if name == "latency_ms" else ""
            value = f"{cost['value']:,.4g}" if name in ("seconds", "latency_ms") else f"{cost['value']:,.0f}"
            said.append(f"costs        {value} {UNITS[name]}{spread}{on}")
    if found.cheaper:
        said.append(
            f"as good      {sentences.scale_text(found.cheaper, rate_hz)} cannot be told apart from it, and is cheaper"
        )
    trial = Trial(Scale(**found.scale), found.learning_rate or study.base.train.learning_rate, seed=0)
    run = next(iter(trial.runs(study).values()))
    run = replace(run, data=replace(run.data, test_folds=study.base.data.test_folds))
    parts = ["ecg-jax train", "--data", shown(data or study.base.data.path), "--workdir", f"runs/{trial.scale.name}"]
    return [*said, "train it     " + " ".join([parts[0], *map(shlex.quote, [*parts[1:], *sentences.flags(run)])])]
