"""All that a study says, as plain values: the content of `analysis.json`. No files, no clock; NumPy and SciPy."""

import math
from typing import Any

import numpy as np

from ecg_jax.analysis.effects import MARGIN, claims_of, interactions
from ecg_jax.analysis.influence import Measure, aurocs, mean_of, others
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.selection import SplitSelection, advantages, best, mean_weights, named, scale_entries
from ecg_jax.analysis.tradeoffs import costs, pareto, power_laws
from ecg_jax.analysis.variance import ONE_SEED, VarianceModel

FACTS = ("receptive_field_samples", "receptive_field_ms", "learning_rate")
FAVOUR = (
    "With one seed the training that chooses the best scale is also the one that is read: its value is free of the "
    "records' favour and keeps that of the seed, so it is rather too high."
)
GIVEN = (
    "The training records are taken as given: the intervals say nothing of other records to train on.",
    "Each scale's chosen learning rate is taken as given: the intervals say nothing of other choices.",
)


def analyse(outcomes: StudyPredictions, *, margin: float = MARGIN, seed: int = 0) -> dict[str, Any]:
    """Claims, the best scale, labels, costs: plain values that JSON holds, None for what is not defined.

    Args:
        outcomes: test predictions of all trials.
        margin: an effect that is surely smaller than this, for each doubling, does not hold.
        seed: of the splits and of the simultaneous intervals.
    """
    by_label = aurocs(outcomes)
    macro = mean_of(by_label)
    readings = None if macro is None else SplitSelection(outcomes, seed=seed)
    analysis = {
        "claims": claims_of(outcomes, macro, margin=margin),
        "metrics": {name: claims_of(outcomes, other, margin=margin) for name, other in others(outcomes).items()},
        "interactions": interactions(outcomes, macro),
        "best": None if macro is None or readings is None else best(outcomes, macro, readings, seed=seed),
        "per_label": _per_label(outcomes, by_label, readings, margin),
        "pareto": None if macro is None else pareto(outcomes, macro),
        "power_laws": None if macro is None else power_laws(outcomes, macro),
        "scales": _scales(outcomes, macro, seed),
        "taken_as_given": [*GIVEN, *_said_of_seeds(outcomes)],
        "margin": margin,
        "seeds": outcomes.n_seeds,
        "records": outcomes.n_records,
        "patients": outcomes.n_patients,
        "folds": outcomes.n_folds,
        "labels": list(outcomes.names),
    }
    return _plain(analysis)


def _said_of_seeds(outcomes: StudyPredictions) -> list[str]:
    return [ONE_SEED[0].upper() + ONE_SEED[1:] + ".", FAVOUR] if outcomes.n_trials == len(outcomes.scales) else []


def _per_label(
    outcomes: StudyPredictions, measures: list[Measure | None], readings: SplitSelection | None, margin: float
) -> dict[str, dict[str, Any] | None]:
    gains = [None] * len(measures) if readings is None else advantages(outcomes, measures, readings)
    return {
        name: None
        if measure is None or gain is None
        else {**gain, "claims": claims_of(outcomes, measure, margin=margin), "scales": _means(outcomes, measure)}
        for name, measure, gain in zip(outcomes.names, measures, gains, strict=True)
    }


def _scales(outcomes: StudyPredictions, macro: Measure | None, seed: int) -> list[dict[str, Any]]:
    """One entry a scale: its macro AUROC, its difference from the best, its costs and other facts."""
    entries = [named(outcomes, c) for c in range(len(outcomes.scales))]
    if macro is not None:
        found = zip(_means(outcomes, macro), scale_entries(outcomes, macro, seed=seed), strict=True)
        entries = [{**mean, **difference} for mean, difference in found]
    return [{**entry, **_facts(outcomes, c), "costs": costs(outcomes, c)} for c, entry in enumerate(entries)]


def _facts(outcomes: StudyPredictions, scale: int) -> dict[str, Any]:
    trials = [outcomes.trials[t] for t in outcomes.trials_of(scale)]
    return {name: next((trial[name] for trial in trials if trial.get(name) is not None), None) for name in FACTS}


def _means(outcomes: StudyPredictions, measure: Measure) -> list[dict[str, Any]]:
    """Each scale's mean over seeds, with the 95 % interval of that mean alone."""
    chance = VarianceModel(outcomes, measure)
    found = []
    for c, weights in enumerate(mean_weights(outcomes)):
        low, high = chance.interval(weights)
        found.append({**named(outcomes, c), "mean": chance.value(weights), "mean_low": low, "mean_high": high})
    return found


def _plain(value: Any) -> Any:
    """The same as JSON holds it: Python's numbers, None for what is not finite."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
