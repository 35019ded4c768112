"""Which scale is best, over all labels and for each, and how sure is that? NumPy and SciPy.

The best of many is partly luck, of its records and of its seeds. So in 200 splits the best scale on one half of the
patients and of each scale's seeds is read on the other half of both, each half in turn: that mean has no such favour.
(Read with the same seeds it would: .007-.010 too high in simulated studies where the seeds are the larger noise.)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ecg_jax.analysis.influence import Measure
from ecg_jax.analysis.predictions import AXES, LEAST_OF_A_CLASS, StudyPredictions
from ecg_jax.analysis.variance import LEVEL, VarianceModel

SPLITS = 200
DRAWS = 20_000  # of the largest |t| over the scales
PAIRS_AT_ONCE = 2**22  # of records with and without a label that are compared in one piece

Gain = tuple[np.ndarray, np.ndarray, float]
"""The pairs of scales [P, 2] that were compared, the share of each [P], and the mean gain of the first as read."""


class SplitSelection:
    """The AUROCs of every scale on both halves of each split: the half that chooses, and the one that is read."""

    def __init__(self, outcomes: StudyPredictions, *, seed: int, rivals: Sequence[int] = ()):
        """Splits patients within folds, and the seeds of every scale that has two or more; H = 400 halves.

        The scales with the places `rivals` are read and never chosen.
        """
        rng = np.random.default_rng(seed)
        halves = _patient_halves(outcomes, rng)  # [R, N]
        seeds = _seed_halves(outcomes, rng)  # [T, R]
        alone = np.bincount(outcomes.scale_of)[outcomes.scale_of][:, None] < 2  # a single seed chooses and is read
        chooses, read = (np.hstack([side | alone, other | alone]) for side, other in ((seeds, ~seeds), (~seeds, seeds)))
        by_label = _half_aurocs(outcomes, halves)  # [K, T, H]
        by_label = np.concatenate([_nan_mean(by_label)[None], by_label])  # the macro mean comes first
        member = mean_weights(outcomes)  # [C, T]
        on_first = np.stack([_seed_mean(member, values, chooses) for values in by_label])  # [1 + K, C, H]
        self._read = np.stack([_seed_mean(member, np.roll(v, SPLITS, axis=1), read) for v in by_label])
        undefined = np.isnan(on_first) | np.isnan(self._read)
        self._known: np.ndarray = ~np.any(undefined, axis=1)  # [1 + K, H]
        out = np.isnan(on_first)
        out[:, list(rivals)] = True
        self._choice = np.where(out, -np.inf, on_first).argmax(axis=1)  # [1 + K, H]

    def overall(self) -> tuple[np.ndarray, float] | None:
        """How often each scale was chosen [C], and the mean of macro AUROC as read on the other halves."""
        known = np.flatnonzero(self._known[0])
        if not len(known):
            return None
        choice = self._choice[0, known]
        share = np.bincount(choice, minlength=self._read.shape[1]) / len(known)
        return share, float(self._read[0, choice, known].mean())

    def advantage(self, label: int) -> Gain | None:
        """Of the scale chosen for a label over the one chosen overall, on that label."""
        known = np.flatnonzero(self._known[0] & self._known[1 + label])
        return self._gain(1 + label, self._choice[1 + label, known], self._choice[0, known], known)

    def over(self, rival: int) -> Gain | None:
        """Of the scale chosen overall over one that is not chosen, on macro AUROC."""
        known = np.flatnonzero(self._known[0])
        return self._gain(0, self._choice[0, known], np.full(len(known), rival), known)

    def _gain(self, figure: int, own: np.ndarray, other: np.ndarray, known: np.ndarray) -> Gain | None:
        if not len(known):
            return None
        pairs, count = np.unique(np.stack([own, other], axis=1), axis=0, return_counts=True)
        gain = self._read[figure, own, known] - self._read[figure, other, known]
        return pairs, count / len(known), float(gain.mean())


def best(outcomes: StudyPredictions, measure: Measure, readings: SplitSelection, *, seed: int) -> dict[str, Any]:
    """The best scale on macro AUROC, its value free of the winner's favour, and which scales might be it."""
    weights = mean_weights(outcomes)
    entries = scale_entries(outcomes, measure, seed=seed)
    found = readings.overall()
    share, value = found if found is not None else (np.zeros(len(weights)), None)
    # the mean of the scales' variances: that of their mean would be too small where the choice wavers (covers 87-93 %)
    half = VarianceModel(outcomes, measure).spread(weights, share).half_width() if value is not None else None
    return {
        "scale": named(outcomes, int((weights @ measure.value).argmax())),
        "value": value,
        "low": None if value is None or half is None else value - half,
        "high": None if value is None or half is None else value + half,
        "chosen": [{**named(outcomes, c), "share": float(part)} for c, part in enumerate(share)],
        "indistinguishable": [named(outcomes, c) for c, entry in enumerate(entries) if entry["indistinguishable"]],
    }


def scale_entries(outcomes: StudyPredictions, measure: Measure, *, seed: int) -> list[dict[str, Any]]:
    """Of each scale the seeds' values, and the difference from the best with an interval for all scales at once."""
    chance = VarianceModel(outcomes, measure)
    weights = mean_weights(outcomes)
    away = weights - weights[int((weights @ measure.value).argmax())]
    entries = []
    for c, half in enumerate(simultaneous(chance, away, seed=seed)):
        difference = chance.value(away[c])
        of_scale = sorted(outcomes.trials_of(c), key=lambda t: outcomes.trials[t]["seed"])
        entries.append(
            {
                "values": {str(outcomes.trials[t]["seed"]): float(measure.value[t]) for t in of_scale},
                "difference": difference,
                "low": None if half is None else difference - half,
                "high": None if half is None else difference + half,
                "indistinguishable": half is None or abs(difference) <= half,
            }
        )
    return entries


def advantages(
    outcomes: StudyPredictions, measures: list[Measure | None], readings: SplitSelection
) -> list[dict[str, Any] | None]:
    """For each label its best scale and what it gains over the overall best; None for a label defined nowhere.

    `differs`: the gain is significant, corrected for the number of labels (Holm 1979).
    """
    weights = mean_weights(outcomes)
    found: list[dict[str, Any] | None] = []
    for k, measure in enumerate(measures):
        if measure is None:
            found.append(None)
            continue
        entry: dict[str, Any] = {"scale": named(outcomes, int((weights @ measure.value).argmax()))}
        entry |= dict.fromkeys(("advantage", "low", "high", "p"))
        if (read := readings.advantage(k)) is not None:
            pairs, share, gain = read
            # not the variance of the mean contrast: where the choice wavers, its wavering is chance as well
            spread = VarianceModel(outcomes, measure).spread(weights[pairs[:, 0]] - weights[pairs[:, 1]], share)
            half = spread.half_width()
            entry |= {"advantage": gain, "p": spread.p_value(gain)}
            entry |= {} if half is None else {"low": gain - half, "high": gain + half}
        found.append(entry)
    _holm([entry for entry in found if entry is not None])
    return found


def simultaneous(chance: VarianceModel, contrasts: np.ndarray, *, seed: int) -> list[float | None]:
    """Half widths of 95 % intervals of all contrasts [C, T] at once: by the quantile of the largest |t| (Hsu 1996).

    The contrasts' joint distribution is a multivariate t with the smallest of their degrees of freedom.
    """
    spreads = [chance.spread(weights) for weights in contrasts]
    if chance.dof == 0:
        return [0.0 if not weights.any() else None for weights in contrasts]
    sd = np.sqrt([spread.variance for spread in spreads])
    moving = sd > 0
    if not moving.any():
        return [0.0] * len(sd)
    some = contrasts[moving]
    influence = some @ chance.measure.influence
    covariance = influence @ influence.T + max(chance.between - chance.shared, 0.0) * some @ some.T
    correlation = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    size, axes = np.linalg.eigh(correlation)
    rng = np.random.default_rng([seed, 1])
    normal = rng.normal(size=(DRAWS, len(size))) @ (axes * np.sqrt(np.maximum(size, 0))).T
    dof = min(min(spread.dof for spread, there in zip(spreads, moving, strict=True) if there), 1e6)
    largest = np.abs(normal).max(axis=1) / np.sqrt(rng.chisquare(dof, DRAWS) / dof)
    return list(np.quantile(largest, LEVEL) * sd)


def mean_weights(outcomes: StudyPredictions) -> np.ndarray:
    """Weights [C, T] of the scales' means over their seeds."""
    member = (np.arange(len(outcomes.scales))[:, None] == outcomes.scale_of).astype(float)
    return member / member.sum(axis=1, keepdims=True)


def named(outcomes: StudyPredictions, scale: int) -> dict[str, Any]:
    """A scale by its place, as it stands in the analysis."""
    return dict(zip((*AXES, "variant"), outcomes.scales[scale], strict=False))


def _holm(entries: list[dict[str, Any]]) -> None:
    """Adds `p_holm` and `differs` to entries with a `p`."""
    tested = sorted((e for e in entries if e["p"] is not None), key=lambda e: e["p"])
    largest = 0.0
    for place, entry in enumerate(tested):
        largest = max(largest, min(1.0, entry["p"] * (len(tested) - place)))
        entry["p_holm"] = largest
    for entry in entries:
        entry.setdefault("p_holm", None)
        entry["differs"] = entry["p_holm"] is not None and entry["advantage"] > 0 and entry["p_holm"] < 1 - LEVEL


def _patient_halves(outcomes: StudyPredictions, rng: np.random.Generator) -> np.ndarray:
    """Which records [R, N] are in the first half: half of the patients of each fold."""
    luck = rng.random((SPLITS, outcomes.n_patients))
    first = np.zeros((SPLITS, outcomes.n_records), bool)
    for fold in range(outcomes.n_folds):
        rows = np.flatnonzero(outcomes.fold_of == fold)
        there, place = np.unique(outcomes.patient_of[rows], return_inverse=True)
        rank = luck[:, there].argsort(axis=1).argsort(axis=1)
        first[:, rows] = (2 * rank < len(there))[:, place]
    return first


def _seed_halves(outcomes: StudyPredictions, rng: np.random.Generator) -> np.ndarray:
    """Which trials [T, R] are in the first half: half of each scale's seeds."""
    luck = rng.random((outcomes.n_trials, SPLITS))
    first = np.zeros(luck.shape, bool)
    for c in range(len(outcomes.scales)):
        there = outcomes.trials_of(c)
        rank = luck[there].argsort(axis=0).argsort(axis=0)
        first[there] = 2 * rank < len(there)
    return first


def _half_aurocs(outcomes: StudyPredictions, halves: np.ndarray) -> np.ndarray:
    """The AUROC of each label [K, T, 2R] on the first halves, then on the second, NaN where it is not defined.

    Counts the pairs of a record with the label and one without that are in order: one product of matrices for all
    splits, exact in float32 (half numbers below 2^23).
    """
    total = np.zeros((outcomes.n_labels, outcomes.n_trials, 2 * len(halves)))
    folds = np.zeros((outcomes.n_labels, 1, 2 * len(halves)))
    for k, fold in zip(*np.nonzero(outcomes.defined), strict=True):
        here = outcomes.fold_of == fold
        with_, without = (np.flatnonzero(here & (outcomes.labels[:, k] == there)) for there in (True, False))
        first, other = halves[:, with_].astype(np.float32), halves[:, without].astype(np.float32)  # [R, n]
        positives, negatives = (np.hstack([h.sum(axis=1), (1 - h).sum(axis=1)]) for h in (first, other))
        known = (positives >= LEAST_OF_A_CLASS) & (negatives >= LEAST_OF_A_CLASS)  # [2R]
        pairs = np.maximum(positives.astype(float) * negatives, 1)
        for t, probability in enumerate(outcomes.probabilities[:, :, k]):
            total[k, t] += np.where(known, _wins(probability[with_], probability[without], first, other) / pairs, 0)
        folds[k] += known
    return np.divide(total, folds, out=np.full(total.shape, np.nan), where=folds > 0)


def _wins(high: np.ndarray, low: np.ndarray, first: np.ndarray, other: np.ndarray) -> np.ndarray:
    """In how many pairs of high [n] and low [m] the high one wins, ties half: within the first halves, the second."""
    wins = np.zeros((2, len(first)))
    step = max(1, PAIRS_AT_ONCE // len(low))
    for at in range(0, len(high), step):
        some = high[at : at + step, None]
        won = (some > low).astype(np.float32)
        won += np.float32(0.5) * (some == low)
        by_low = first[:, at : at + step] @ won  # [R, m]
        both = (by_low * other).sum(axis=1, dtype=float)
        of_all = won.sum(axis=0, dtype=float)  # [m]
        wins[0] += both
        wins[1] += of_all.sum() - by_low.sum(axis=1, dtype=float) - other @ of_all + both
    return wins.reshape(-1)


def _seed_mean(member: np.ndarray, values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The mean over the kept trials [T, H] of each scale: [C, H]."""
    return (member @ (values * kept)) / (member @ kept)


def _nan_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the labels [K, ...] that are defined; NaN where none is."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
