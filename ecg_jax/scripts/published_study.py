"""The study of published networks beside a given one: `experiments/published.py`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ecg_jax.config import with_fields
from ecg_jax.errors import RunError
from ecg_jax.scripts.experiment import GridArgs

if TYPE_CHECKING:
    from ecg_jax.analysis.predictions import StudyPredictions
    from ecg_jax.study.workdir import StudyFolder


def networks_of(
    folder: "StudyFolder", predictions: "StudyPredictions", opponent: int, *, presets: Sequence[str], retry_failed: bool
) -> GridArgs:
    """The study of networks with these presets that have all that a scale has beside its network.

    Args:
        folder: of a study.
        predictions: of its finished seeds.
        opponent: number of the scale.
        presets: names of published networks.
        retry_failed: whether failed trials are tried again.

    Raises:
        RunError: the study has a budget of MACs.
    """
    study = folder.study
    if study.reference_macs is not None:
        raise RunError(f"{folder.path} has a budget of MACs; networks are compared with a study with one of epochs")
    recipe = {
        axis.field: predictions.scales[opponent][axis.name]
        for axis in study.axes
        if not axis.field.startswith("model.")
    }
    rates = dict.fromkeys(rate for offered in folder.plan().rates.values() for rate in offered)
    return GridArgs(
        folder.path / "published",
        learning_rates=tuple(rates),
        folds=study.folds,
        axis=(("model.preset", *presets),),
        seeds=predictions.n_seeds,
        run=with_fields(study.base, recipe),
        retry_failed=retry_failed,
    )
