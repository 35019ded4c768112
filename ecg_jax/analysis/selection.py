"""Selects the best scale, over all labels and for each label, and estimates its value without selection bias.

The best of many scales is partly the best because of noise in records and seeds. So what selects is never what is read.
Where the study has a validation metric, the scale that is best on validation by one half of the seeds of each scale is
read on all test records by the other half. Else, and for single labels, the scale that is best on one half of the
patients and seeds is read on the other half of both. Both are repeated over 200 splits, with each half in turn. (If a
scale were read with the seeds that selected it, the estimate would be .007 to .010 too high in simulated studies in
which the noise of the seeds is the larger one.) NumPy and SciPy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ecg_jax.analysis.effects import best_place
from ecg_jax.analysis.findings import BestScale, Claim, LabelFindings, ScaleMean, SelectedScale
from ecg_jax.analysis.influence import macro_auroc
from ecg_jax.analysis.multiple_comparisons import corrected, significant
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.variance import VarianceModel, around
from ecg_jax.analysis.verdicts import secondary_claims

SPLITS = 200
PAIRS_AT_ONCE = 2**22  # of records with and without a label that are compared in one piece


@dataclass(frozen=True)
class Gain:
    """How much better the first scale of each pair is than the second, as read on the other halves.

    Attributes:
        pairs: [P, 2], the places of the scales that were compared.
        share: [P], the fraction of the halves in which each pair occurred.
        value: the mean gain.
    """

    pairs: np.ndarray
    share: np.ndarray
    value: float


class SplitSelection:
    """The scales that one half of the data selects, and the AUROC of every scale on the other half, for each split."""

    def __init__(self, predictions: StudyPredictions, *, seed: int):
        """Splits the patients within folds, and the seeds of every scale that has two or more; H = 400 halves."""
        rng = np.random.default_rng(seed)
        halves = _patient_halves(predictions, rng)  # [splits, N]
        seeds = _seed_halves(predictions, rng)  # [R, splits]
        alone = np.bincount(predictions.scale_of)[predictions.scale_of][:, None] < 2  # a single seed is in both halves
        selects = np.hstack([seeds | alone, ~seeds | alone])  # [R, H]
        is_read = np.hstack([~seeds | alone, seeds | alone])
        by_label = _half_aurocs(predictions, halves)  # [K, R, H]
        member = predictions.mean_weights()  # [scales, R]
        selecting = np.stack([_seed_mean(member, values, selects) for values in by_label])  # [K, scales, H]
        self._read = np.stack([_seed_mean(member, np.roll(v, SPLITS, axis=1), is_read) for v in by_label])
        self._choice_for_label = _choice(selecting)  # [K, H]
        macro, validation = macro_auroc(predictions), predictions.validation
        if validation is None or macro is None:
            self._choice, self._read_overall = _choice(_nan_mean(selecting)), self._read  # [H], [K, scales, H]
        else:
            on_validation, on_test = (np.repeat(x[:, None], 2 * SPLITS, axis=1) for x in (validation, macro.value))
            self._choice = _choice(_seed_mean(member, on_validation, selects))
            self._read_overall = _seed_mean(member, on_test, is_read)[None]

    def overall(self) -> tuple[np.ndarray, float] | None:
        """How often each scale was selected [scales], and the mean macro AUROC where it was read.

        Each label is averaged over the halves first: in some halves a rare label is not defined.
        """
        known = self._choice >= 0
        read = self._read_overall[:, self._choice, np.arange(len(known))]  # [K, H]
        by_label = [values[known & ~np.isnan(values)] for values in read]
        means = [values.mean() for values in by_label if len(values)]
        if not means:
            return None
        share = np.bincount(self._choice[known], minlength=self._read.shape[1]) / known.sum()
        return share, float(np.mean(means))

    def gain_for_label(self, label: int) -> Gain | None:
        """Gain in the AUROC of a label of the scale selected for it, over the scale selected overall."""
        own, other, read = self._choice_for_label[label], self._choice, self._read[label]
        known = np.flatnonzero((own >= 0) & (other >= 0) & ~np.isnan(read).any(axis=0))
        if not len(known):
            return None
        pairs, count = np.unique(np.stack([own[known], other[known]], axis=1), axis=0, return_counts=True)
        gain = read[own[known], known] - read[other[known], known]
        return Gain(pairs, count / len(known), float(gain.mean()))


def best_scale(model: VarianceModel, selection: SplitSelection, indistinguishable: Sequence[bool]) -> BestScale:
    """The best scale by macro AUROC, and the value of selecting it in this way.

    Args:
        model: of macro AUROC.
        selection: of the same study.
        indistinguishable: [scales], whether a scale may be the best one.
    """
    predictions, weights = model.predictions, model.predictions.mean_weights()
    scales = predictions.scales
    share, value = selection.overall() or (np.zeros(len(scales)), None)
    # the mean of the variances of the scales: the variance of the mean would be too small if the selection varies
    # between the splits (its intervals cover 87 to 93 %)
    half = None if value is None else model.components(weights, share).half_width()
    low, high = around(value, half)
    return BestScale(
        scale=scales[best_place(model)],
        value=value,
        low=low,
        high=high,
        chosen=tuple(SelectedScale(scale, float(part)) for scale, part in zip(scales, share, strict=True)),
        indistinguishable=tuple(scale for scale, may_be in zip(scales, indistinguishable, strict=True) if may_be),
    )


def label_findings(
    predictions: StudyPredictions,
    models: Sequence[VarianceModel | None],
    selection: SplitSelection,
    *,
    margin: float,
    look: int = 1,
) -> list[LabelFindings | None]:
    """For each label its best scale and what that gains over the overall best one; None for a label defined nowhere.

    The claims on all labels are one family of tests, the gains another one.
    """
    claims = secondary_claims(predictions, models, margin=margin, look=look)
    findings = [
        None if model is None else _label_findings(model, selection.gain_for_label(k), of_label)
        for k, (model, of_label) in enumerate(zip(models, claims, strict=True))
    ]
    p_holm = corrected([None if label is None else label.p for label in findings], look=look)
    return [
        label and replace(label, p_holm=p, differs=significant(p) and (label.advantage or 0) > 0)
        for label, p in zip(findings, p_holm, strict=True)
    ]


def _label_findings(model: VarianceModel, gain: Gain | None, claims: dict[str, Claim]) -> LabelFindings:
    """The findings on one label before the correction for the number of labels."""
    predictions, weights = model.predictions, model.predictions.mean_weights()
    value = p = low = high = None
    if gain is not None:
        # as in `best_scale`: the selection varies between the splits, and this is part of the noise
        components = model.components(weights[gain.pairs[:, 0]] - weights[gain.pairs[:, 1]], gain.share)
        value, p = gain.value, components.p_value(gain.value)
        low, high = around(value, components.half_width())
    return LabelFindings(
        scale=predictions.scales[int((weights @ model.estimate.value).argmax())],
        advantage=value,
        low=low,
        high=high,
        p=p,
        p_holm=None,
        differs=False,
        claims=claims,
        scales=scale_means(model),
    )


def scale_means(model: VarianceModel) -> tuple[ScaleMean, ...]:
    """The mean of each scale over its seeds, with the 95 % interval of that mean alone."""
    weights = model.predictions.mean_weights()
    return tuple(
        ScaleMean(scale, model.value(own), *model.interval(own))
        for scale, own in zip(model.predictions.scales, weights, strict=True)
    )


def _patient_halves(predictions: StudyPredictions, rng: np.random.Generator) -> np.ndarray:
    """Which records [splits, N] are in the first half: half of the patients of each fold."""
    random = rng.random((SPLITS, predictions.n_patients))
    first = np.zeros((SPLITS, predictions.n_records), bool)
    for fold in range(predictions.n_folds):
        rows = np.flatnonzero(predictions.fold_of == fold)
        patients, place = np.unique(predictions.patient_of[rows], return_inverse=True)
        rank = random[:, patients].argsort(axis=1).argsort(axis=1)
        first[:, rows] = (2 * rank < len(patients))[:, place]
    return first


def _seed_halves(predictions: StudyPredictions, rng: np.random.Generator) -> np.ndarray:
    """Which trials [R, splits] are in the first half: half of the seeds of each scale."""
    random = rng.random((predictions.n_trials, SPLITS))
    first = np.zeros(random.shape, bool)
    for c in range(len(predictions.scales)):
        trials = predictions.trials_of(c)
        rank = random[trials].argsort(axis=0).argsort(axis=0)
        first[trials] = 2 * rank < len(trials)
    return first


def _half_aurocs(predictions: StudyPredictions, halves: np.ndarray) -> np.ndarray:
    """The AUROC of each label [K, R, H] on the first halves, then on the second; NaN if it is not defined.

    Counts the pairs of a record with the label and one without that are in order: one product of matrices for all
    splits, exact in float32 (multiples of one half below 2^23).
    """
    total = np.zeros((predictions.n_labels, predictions.n_trials, 2 * len(halves)))
    folds = np.zeros((predictions.n_labels, 1, 2 * len(halves)))
    for k, fold in zip(*np.nonzero(predictions.defined), strict=True):
        in_fold = predictions.fold_of == fold
        positive = np.flatnonzero(in_fold & predictions.labels[:, k])
        negative = np.flatnonzero(in_fold & ~predictions.labels[:, k])
        first, other = halves[:, positive].astype(np.float32), halves[:, negative].astype(np.float32)  # [splits, n]
        positives, negatives = (np.hstack([h.sum(axis=1), (1 - h).sum(axis=1)]) for h in (first, other))
        known = (positives > 0) & (negatives > 0)  # [H]
        pairs = np.maximum(positives.astype(float) * negatives, 1)
        for r, probability in enumerate(predictions.probabilities[:, :, k]):
            wins = _wins(probability[positive], probability[negative], first, other)
            total[k, r] += np.where(known, wins / pairs, 0)
        folds[k] += known
    return np.divide(total, folds, out=np.full(total.shape, np.nan), where=folds > 0)


def _wins(positive: np.ndarray, negative: np.ndarray, first: np.ndarray, other: np.ndarray) -> np.ndarray:
    """In how many pairs of scores, [n] and [m], the positive one is larger, ties half: [H], first halves, then second.

    `first` [splits, n] and `other` [splits, m] say which of the two are in the first half.
    """
    wins = np.zeros((2, len(first)))
    step = max(1, PAIRS_AT_ONCE // len(negative))
    for start in range(0, len(positive), step):
        some = positive[start : start + step, None]
        won = (some > negative).astype(np.float32)
        won += np.float32(0.5) * (some == negative)
        by_negative = first[:, start : start + step] @ won  # [splits, m]
        both = (by_negative * other).sum(axis=1, dtype=float)
        of_all = won.sum(axis=0, dtype=float)  # [m]
        wins[0] += both
        wins[1] += of_all.sum() - by_negative.sum(axis=1, dtype=float) - other @ of_all + both
    return wins.reshape(-1)


def _seed_mean(member: np.ndarray, values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The mean over the kept trials [R, H] of each scale: [scales, H]."""
    return (member @ (values * kept)) / (member @ kept)


def _choice(selecting: np.ndarray) -> np.ndarray:
    """The place of the best scale [..., H] by values [..., scales, H]; -1 in halves where they are not defined."""
    undefined = np.isnan(selecting).any(axis=-2)
    return np.where(undefined, -1, np.where(np.isnan(selecting), -np.inf, selecting).argmax(axis=-2))


def _nan_mean(values: np.ndarray) -> np.ndarray:
    """Mean over the labels [K, ...] that are defined; NaN if none is."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
