"""Statistics of a scaling study: pure functions of predictions, without JAX, TensorFlow, Optuna or tyro."""

from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.summary import analyse
from ecg_jax.analysis.verdicts import claims

__all__ = ["StudyPredictions", "analyse", "claims"]
