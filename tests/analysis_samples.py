"""Shared by several tests of the analysis: small studies."""

from ecg_jax.analysis import StudyPredictions
from ecg_jax.analysis.influence import macro_auroc
from ecg_jax.analysis.variance import VarianceModel


def macro_model(predictions: StudyPredictions) -> VarianceModel:
    """The variance model of macro AUROC."""
    estimate = macro_auroc(predictions)
    assert estimate is not None
    return VarianceModel(predictions, estimate)
