"""The best scale of a study by group of patients: values in, values out."""

from typing import Any

import numpy as np

from ecg_jax.analysis.axes import Scale
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.dataset.splits import split_by_folds
from ecg_jax.evaluation.groups import by_group, groups_of
from ecg_jax.evaluation.pooling import decide
from ecg_jax.evaluation.predicted import Predicted
from ecg_jax.study.design import Study


def best_by_group(predictions: StudyPredictions, scale: Scale, prepared: PreparedSet, study: Study) -> dict[str, Any]:
    """The metrics of a scale by age, sex and source of the test records, as means over its seeds.

    The records of all folds are taken together, each decided at the thresholds of its fold.

    Args:
        predictions: of the study.
        scale: one of its scales.
        prepared: its set.
        study: for its folds and the number of resamples.
    """
    tests = [split_by_folds(prepared.folds, config.data).test for config in study.fold_configs(study.base).values()]
    places = np.concatenate(tests)  # [N], the records of the predictions
    label, patients = predictions.labels.astype(float), prepared.patients[places]
    networks = []
    for r in predictions.trials_of(predictions.scales.index(scale)):
        thresholds = None if predictions.thresholds is None else predictions.thresholds[r]
        if thresholds is not None and thresholds.ndim == 2:
            thresholds = thresholds[predictions.fold_of]  # [N, K]
        probability = predictions.probabilities[r].astype(float)
        decision = decide(probability, thresholds, predictions.target)
        networks.append(Predicted(predictions.target, label, probability, None, decision, patients))
    groups = groups_of(*(getattr(prepared, name)[places] for name in ("ages", "sexes", "sources")))
    return by_group(networks, groups, resamples=study.base.evaluate.resamples)
