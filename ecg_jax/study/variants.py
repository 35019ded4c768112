"""What differs in more than scale, side by side: each variant is a study of its own, all are read on the same records.

A variant may change the head, the dilation, the preset or the share of training patients; its study is worked on by
`workers.work` like any other, so it goes on after a kill and any number of workers share it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ecg_jax.analysis.influence import aurocs, mean_of
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.selection import SplitSelection, mean_weights, named, simultaneous
from ecg_jax.analysis.tradeoffs import costs
from ecg_jax.analysis.variance import LEVEL, VarianceModel
from ecg_jax.config import RunConfig
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import RunError
from ecg_jax.study.design import Grid, make_study
from ecg_jax.study.results import collect
from ecg_jax.study.workdir import StudyFolder, add_grid, found, read_founded

Work = Callable[[Path, StudyFolder], None]


@dataclass(frozen=True)
class Variant:
    """A name, the run that is scaled, and the scales and rates."""

    name: str
    run: RunConfig
    grid: Grid


def train(workdir: Path, variants: Sequence[Variant], *, folds: Sequence[int], work: Work) -> None:
    """Works on every variant's study in `workdir/<name>`, seed by seed, so that every stop leaves whole seeds.

    Args:
        workdir: of all studies.
        variants: with equal data but for the share of the training patients.
        folds: to cross-fit over; empty: the set's one split.
        work: does what is left of a study.

    Raises:
        RunError: a folder holds another study.
    """
    for seeds in range(1, max(variant.grid.seeds for variant in variants) + 1):
        for variant in variants:
            run = replace(variant.run, data=replace(variant.run.data, path=variant.run.data.path.resolve()))
            prepared = open_prepared(run.data.path)
            about = {"rate_hz": prepared.rate_hz, "leads": len(prepared.leads), "labels": len(prepared.labels)}
            study = make_study(run, folds, fingerprint=prepared.fingerprint, **about)
            founded = found(workdir / variant.name, study, "")
            add_grid(workdir / variant.name, replace(variant.grid, seeds=min(seeds, variant.grid.seeds)))
            work(workdir / variant.name, founded)


def joined(workdir: Path, names: Sequence[str]) -> StudyPredictions:
    """The outcomes of several variants as one, of the seeds that all have; each trial knows its `variant`.

    Raises:
        RunError: a variant has no whole seed, or predicts other records than the first.
    """
    parts: dict[str, StudyPredictions] = {}
    for name in names:
        outcomes = collect(workdir / name, read_founded(workdir / name)).outcomes
        if outcomes is None:
            raise RunError(f"{workdir / name} has no finished seed; start the same command again")
        parts[name] = outcomes
    seeds = set.intersection(*({trial["seed"] for trial in part.trials} for part in parts.values()))
    of_seeds = {
        name: [t for t, trial in enumerate(part.trials) if trial["seed"] in seeds] for name, part in parts.items()
    }
    return end_to_end({name: part.of_trials(of_seeds[name]) for name, part in parts.items()})


def end_to_end(parts: Mapping[str, StudyPredictions]) -> StudyPredictions:
    """StudyPredictions on the same records as one; each trial's `variant` is the name of its part.

    Raises:
        RunError: a part has other records than the first.
    """
    first = next(iter(parts.values()))
    for name, part in parts.items():
        same = (getattr(part, what) for what in ("labels", "fold_of", "patient_of"))
        if not all(map(np.array_equal, same, (first.labels, first.fold_of, first.patient_of))):
            raise RunError(f"{name} predicts other records than {next(iter(parts))}")
    limits = [part.thresholds for part in parts.values() if part.thresholds is not None]
    return replace(
        first,
        trials=[{**trial, "variant": name} for name, part in parts.items() for trial in part.trials],
        probabilities=np.concatenate([part.probabilities for part in parts.values()]),
        thresholds=np.concatenate(limits) if limits else None,
    )


def compared(
    outcomes: StudyPredictions, *, against: Callable[[dict[str, Any]], bool], seed: int = 0
) -> list[dict[str, Any]]:
    """Of each scale of each variant the mean macro AUROC and its difference from one of them, with 95 % intervals.

    `low` and `high` are the difference's, for all differences at once; `mean_low` and `mean_high` one mean's alone.

    Args:
        outcomes: from `joined`.
        against: says of a scale (`depth`, `channels`, `kernel`, `variant`) whether it is the one to compare with.
        seed: of the simultaneous intervals.

    Raises:
        RunError: no label has both classes in a fold.
    """
    measure = mean_of(aurocs(outcomes))
    if measure is None:
        raise RunError("macro AUROC is not defined: no label has two records of each class in a fold")
    chance, weights = VarianceModel(outcomes, measure), mean_weights(outcomes)
    names = [named(outcomes, c) for c in range(len(weights))]
    away = weights - weights[next(c for c, name in enumerate(names) if against(name))]
    rows = []
    halves = simultaneous(chance, away, seed=seed)
    for c, (name, own, contrast, half) in enumerate(zip(names, weights, away, halves, strict=True)):
        row = {**name, **_mean(chance, own), "difference": chance.value(contrast)}
        rows.append(row | _around(row["difference"], half) | _facts(outcomes, c))
    return rows


def beside_best(outcomes: StudyPredictions, names: Collection[str], *, seed: int = 0) -> list[dict[str, Any]]:
    """Networks beside the best of all other scales, free of the favour of having been chosen; first that best itself.

    In each split (see `best`) the scale that is best on one half is read on the other, and so are the networks. `mean`
    of the best is what choosing so gives; `difference` is a network's from it, `low` and `high` its 95 % interval for
    all networks at once (Bonferroni).

    Args:
        outcomes: from `end_to_end`.
        names: the variants that are not chosen from, of one scale each.
        seed: of the splits.

    Raises:
        RunError: no label has both classes in both halves of a fold.
    """
    measure = mean_of(aurocs(outcomes))
    rivals = [c for c, scale in enumerate(outcomes.scales) if scale[-1] in names]
    readings = None if measure is None else SplitSelection(outcomes, seed=seed, rivals=rivals)
    chosen = None if readings is None else readings.overall()
    if measure is None or readings is None or chosen is None:
        raise RunError("macro AUROC is not defined: too few test records of a class in a fold, or in half of one")
    chance, weights = VarianceModel(outcomes, measure), mean_weights(outcomes)
    share, value = chosen
    around = _around(value, chance.spread(weights, share).half_width())
    often = int(share.argmax())
    best = {**named(outcomes, often), "share": float(share[often]), "mean": value}
    best |= {"mean_low": around["low"], "mean_high": around["high"], **dict.fromkeys(("difference", "low", "high"))}
    rows = [best | _facts(outcomes, often)]
    for c in rivals:
        gain = readings.over(c)
        assert gain is not None  # known wherever the choice is
        pairs, share, value = gain
        spread = chance.spread(weights[pairs[:, 1]] - weights[pairs[:, 0]], share)
        half = spread.half_width(1 - (1 - LEVEL) / 2 / len(rivals))
        row = {**named(outcomes, c), **_mean(chance, weights[c]), "difference": -value}
        rows.append(row | _around(-value, half) | _facts(outcomes, c))
    return rows


def _mean(chance: VarianceModel, own: np.ndarray) -> dict[str, Any]:
    low, high = chance.interval(own)
    return {"mean": chance.value(own), "mean_low": low, "mean_high": high}


def _around(value: float, half: float | None) -> dict[str, float | None]:
    return {"low": None if half is None else value - half, "high": None if half is None else value + half}


def _facts(outcomes: StudyPredictions, scale: int) -> dict[str, Any]:
    """What a scale costs and sees; None where its trials do not say."""
    trial = outcomes.trials[outcomes.trials_of(scale)[0]]
    known = ("parameters", "macs", "receptive_field_samples", "receptive_field_ms")
    seconds = costs(outcomes, scale)["seconds"]
    return {key: trial.get(key) for key in known} | {"seconds": seconds and seconds["value"]}
