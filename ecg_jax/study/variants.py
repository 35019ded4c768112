"""What differs in more than scale, side by side: each variant is a study of its own, all are read on the same records.

A variant may change the head, the dilation, the preset or the share of training patients; its study is worked on by
`workers.work` like any other, so it goes on after a kill and any number of workers share it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ecg_jax.config import RunConfig
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import RunError
from ecg_jax.study.best import mean_weights, named, simultaneous
from ecg_jax.study.chance import Chance
from ecg_jax.study.collect import collect
from ecg_jax.study.folder import Founded, add_grid, found, read_founded
from ecg_jax.study.measures import aurocs, mean_of
from ecg_jax.study.outcomes import Outcomes
from ecg_jax.study.space import Grid, make_study

Work = Callable[[Path, Founded], None]


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


def joined(workdir: Path, names: Sequence[str]) -> Outcomes:
    """The outcomes of several variants as one, of the seeds that all have; each trial knows its `variant`.

    Raises:
        RunError: a variant has no whole seed, or predicts other records than the first.
    """
    parts: list[Outcomes] = []
    for name in names:
        outcomes = collect(workdir / name, read_founded(workdir / name)).outcomes
        if outcomes is None:
            raise RunError(f"{workdir / name} has no finished seed; start the same command again")
        if parts and not (np.array_equal(outcomes.labels, parts[0].labels) and _alike(outcomes, parts[0])):
            raise RunError(f"{workdir / name} predicts other records than {workdir / names[0]}")
        parts.append(outcomes)
    seeds = set.intersection(*({trial["seed"] for trial in part.trials} for part in parts))
    kept = [[t for t, trial in enumerate(part.trials) if trial["seed"] in seeds] for part in parts]
    return replace(
        parts[0],
        trials=[
            {**part.trials[t], "variant": name}
            for name, part, those in zip(names, parts, kept, strict=True)
            for t in those
        ],
        probabilities=np.concatenate([part.probabilities[those] for part, those in zip(parts, kept, strict=True)]),
        thresholds=None
        if parts[0].thresholds is None
        else np.concatenate(
            [p.thresholds[those] for p, those in zip(parts, kept, strict=True) if p.thresholds is not None]
        ),
    )


def _alike(one: Outcomes, other: Outcomes) -> bool:
    return np.array_equal(one.fold_of, other.fold_of) and np.array_equal(one.patient_of, other.patient_of)


def compared(outcomes: Outcomes, *, against: Callable[[dict[str, Any]], bool], seed: int = 0) -> list[dict[str, Any]]:
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
    chance, weights = Chance(outcomes, measure), mean_weights(outcomes)
    names = [named(outcomes, c) for c in range(len(weights))]
    away = weights - weights[next(c for c, name in enumerate(names) if against(name))]
    rows = []
    for name, own, contrast, half in zip(names, weights, away, simultaneous(chance, away, seed=seed), strict=True):
        mean_low, mean_high = chance.interval(own)
        difference = chance.value(contrast)
        low, high = (None, None) if half is None else (difference - half, difference + half)
        trials = [trial for trial, weight in zip(outcomes.trials, own, strict=True) if weight]
        facts = {
            key: trials[0].get(key) for key in ("parameters", "macs", "receptive_field_samples", "receptive_field_ms")
        }
        seconds = float(np.mean([trial["seconds"] for trial in trials]))
        means = {"mean": chance.value(own), "mean_low": mean_low, "mean_high": mean_high}
        rows.append({**name, **means, "difference": difference, "low": low, "high": high, **facts, "seconds": seconds})
    return rows
