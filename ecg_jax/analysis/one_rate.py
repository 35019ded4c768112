"""What is lost where one learning rate serves all scales. NumPy and SciPy."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ecg_jax.analysis.findings import Effect
from ecg_jax.analysis.influence import macro_auroc
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.variance import around
from ecg_jax.errors import RunError


@dataclass(frozen=True)
class OneRate(Effect):
    """How much higher the mean test macro AUROC of all scales is at the best rate of each than at one rate for all.

    Attributes:
        rate: the one with the highest validation macro AUROC on average over the scales.
        own_rates: that of each scale with its highest validation macro AUROC, in the order of the scales.
        largest: the largest gain of a single scale by its own rate.
        choice_share: the share of the choice of rates, by one more seed at each, in the seconds of all trainings.
    """

    rate: float
    own_rates: tuple[float, ...]
    largest: float
    choice_share: float


def loss_of_one_rate(studies: Mapping[float, StudyPredictions]) -> OneRate:
    """Compares the best rate of each scale with one for all; both are chosen on validation and read on test.

    The interval is over the seeds, which are independent between scales, each of which has a variance of its own
    (Welch); the records are taken as given.

    Args:
        studies: by learning rate, with validation values; scales and seeds that one of them lacks are left out.

    Raises:
        RunError: macro AUROC is not defined in one of the studies, or they have too little in common.
    """
    scales = set.intersection(*(set(study.scales) for study in studies.values()))
    seeds = set.intersection(*({trial["seed"] for trial in study.trials} for study in studies.values()))
    if not scales or len(seeds) < 2:
        raise RunError("no scale has two seeds at every rate; leave out a rate at which trainings failed")

    def is_common(study: StudyPredictions, trial: int) -> bool:
        return study.scales[study.scale_of[trial]] in scales and study.trials[trial]["seed"] in seeds

    studies = {
        rate: study.of_trials([trial for trial in range(study.n_trials) if is_common(study, trial)])
        for rate, study in studies.items()
    }
    rates = list(studies)
    validation, test, seconds = np.stack([_values(study) for study in studies.values()], axis=2)  # each [A, F, S]
    by_rate = validation.mean(axis=2)  # [A, F]
    one, own = int(by_rate.mean(axis=0).argmax()), by_rate.argmax(axis=1)
    n_scales, _, n_seeds = test.shape
    gains = test[np.arange(n_scales), own] - test[:, one]  # [A, S]
    variances = gains.var(axis=1, ddof=1) / n_seeds / n_scales**2
    half_width = 0.0
    if variances.any():
        freedom = variances.sum() ** 2 / (variances**2 / (n_seeds - 1)).sum()
        half_width = float(stats.t.ppf(0.975, freedom) * np.sqrt(variances.sum()))
    loss, chosen = float(gains.mean()), seconds[np.arange(n_scales), own].sum()
    return OneRate(
        effect=loss,
        **dict(zip(("low", "high"), around(loss, half_width), strict=True)),
        rate=rates[one],
        own_rates=tuple(rates[place] for place in own),
        largest=float(gains.mean(axis=1).max()),
        choice_share=float(seconds.mean(axis=2).sum() / (seconds.mean(axis=2).sum() + chosen)),
    )


def _values(study: StudyPredictions) -> np.ndarray:
    """Validation and test macro AUROC and seconds of each scale and seed: [3, A, S]."""
    test = macro_auroc(study)
    if test is None or study.validation is None:
        raise RunError("a study has no macro AUROC on validation or on test; its folds lack a class of each label")
    seconds = np.array([trial["seconds"] for trial in study.trials])
    of_trials = np.stack([study.validation, test.value, seconds])
    return np.stack([of_trials[:, study.trials_of(scale)] for scale in range(len(study.scales))], axis=1)
