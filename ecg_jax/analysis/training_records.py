"""The effects of a study for other training records of the same number. NumPy and SciPy.

Half of n training patients, drawn without replacement, has the variance of a whole new set: if a set of n contributes
A/n, halves of one set vary by A (1/(n/2) - 1/n) = A/n around it. So the variance of an effect over networks that were
trained on several halves is added to its variance over seeds and test records. It also has the noise of the replicates'
own seeds, so these intervals are rather too wide. A replicate takes about as many steps as a training on all records.
"""

from dataclasses import replace

import numpy as np

from ecg_jax.analysis.axes import numeric_axes
from ecg_jax.analysis.effects import NO_EFFECT, slope
from ecg_jax.analysis.findings import Effect
from ecg_jax.analysis.influence import macro_auroc
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.variance import around, macro_model

DRAW = "data.training_draw"


def for_other_training_records(predictions: StudyPredictions, replicates: StudyPredictions) -> dict[str, Effect]:
    """The effect of each numeric axis on macro AUROC, with its interval for other training records.

    Args:
        predictions: of the study.
        replicates: of some of its scales, on the same records, each trained on several halves of the training patients;
            the axis `data.training_draw` tells these apart.
    """
    model, of_replicates = macro_model(predictions), macro_auroc(replicates)
    drawn = np.array([trial[DRAW] for trial in replicates.trials])
    found = {}
    for axis in numeric_axes(predictions.axes):
        weights = slope(predictions, axis.name)
        by_draw = [slope(replicates, axis.name, where=drawn == draw) for draw in dict.fromkeys(drawn)]
        known = [of_draw for of_draw in by_draw if of_draw is not None]
        if model is None or weights is None or of_replicates is None or len(known) < 2:
            found[axis.name] = NO_EFFECT
            continue
        components, effect = model.components(weights), model.value(weights)
        over_halves = float(np.var([of_draw @ of_replicates.value for of_draw in known], ddof=1))
        more = replace(components, training=over_halves, training_dof=len(known) - 1)
        found[axis.name] = Effect(effect, *around(effect, more.half_width()))
    return found
