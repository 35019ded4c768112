"""The whole analysis of a study. No files, no clock; NumPy and SciPy."""

from typing import Any

from ecg_jax.analysis.axes import numeric_axes
from ecg_jax.analysis.effects import best_place, contrasts, effect_difference, interactions
from ecg_jax.analysis.findings import Analysis, Effect, ScaleFindings
from ecg_jax.analysis.influence import MetricEstimate, aurocs, mean_of, other_metrics
from ecg_jax.analysis.multiple_comparisons import may_lose, simultaneous
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.selection import SplitSelection, best_scale, label_findings, scale_means
from ecg_jax.analysis.surface import response_surface
from ecg_jax.analysis.tradeoffs import costs_of, pareto, power_laws
from ecg_jax.analysis.variance import ONE_SEED, VarianceModel, around
from ecg_jax.analysis.verdicts import MARGIN, primary_claims, secondary_claims
from ecg_jax.formatting import level_text

FACTS = ("receptive_field_samples", "receptive_field_ms", "learning_rate")
SELECTION_WITH_ONE_SEED = (
    "With one seed the same training both selects the best scale and is read: the selection bias of the records is "
    "removed from its value, that of the seed is not, so the value is rather too high."
)
TAKEN_AS_GIVEN = (
    "The training records are taken as given: the intervals say nothing about other training records.",
    "The learning rate of each scale is taken as given: the intervals say nothing about other choices.",
)


def analyse(predictions: StudyPredictions, *, margin: float = MARGIN, look: int = 1, seed: int = 0) -> Analysis:
    """Effects and verdicts, the best scale, each label, costs: all findings of a study.

    Args:
        predictions: test predictions of all trials.
        margin: the smallest effect that matters (see `claims`).
        look: the number of this look at the study (see `claims`).
        seed: of the splits, of the simultaneous intervals and of the response surface.
    """

    def model_of(estimate: MetricEstimate | None) -> VarianceModel | None:
        return None if estimate is None else VarianceModel(predictions, estimate)

    estimates = aurocs(predictions)
    by_label = [model_of(estimate) for estimate in estimates]
    macro = model_of(mean_of(estimates))
    selection = None if macro is None else SplitSelection(predictions, seed=seed)
    scales = _scales(predictions, macro, seed)
    others = {name: model_of(estimate) for name, estimate in other_metrics(predictions).items()}
    tested = {"margin": margin, "look": look}
    labels = [None] * len(by_label)
    if selection is not None:
        labels = label_findings(predictions, by_label, selection, **tested)
    may_be_best = [scale.indistinguishable for scale in scales]
    on_others = secondary_claims(predictions, list(others.values()), **tested)
    return Analysis(
        axes=predictions.axes,
        claims=primary_claims(predictions, macro, **tested),
        contrasts=contrasts(predictions, macro, look=look),
        metrics=dict(zip(others, on_others, strict=True)),
        interactions=interactions(predictions, macro, look=look),
        selected_on="test" if predictions.validation is None else "validation",
        best=None if macro is None or selection is None else best_scale(macro, selection, may_be_best),
        per_label=dict(zip(predictions.label_names, labels, strict=True)),
        pareto=None if macro is None else pareto(macro),
        power_laws=None if macro is None else power_laws(macro),
        scales=scales,
        taken_as_given=(*TAKEN_AS_GIVEN, *_notes_on_seeds(predictions)),
        margin=margin,
        look=look,
        seeds=predictions.n_seeds,
        records=predictions.n_records,
        patients=predictions.n_patients,
        folds=predictions.n_folds,
        labels=predictions.label_names,
    )


def analyse_by_level(predictions: StudyPredictions, by: str) -> tuple[dict[str, Analysis], dict[str, Effect]]:
    """The trials of each level of one axis as a study over the other axes, and how the effects change.

    Args:
        predictions: of the whole study.
        by: name of the axis.

    Returns:
        The analysis of each level, by its text; and for each numeric axis by how much its effect on macro AUROC is
        larger at the last level than at the first.
    """
    others = [axis for axis in predictions.axes if axis.name != by]
    levels = predictions.axis(by).levels
    analyses = {level_text(by, level, None): analyse(predictions.at_level(by, level)) for level in levels}
    changes = {axis.name: effect_difference(predictions, axis.name, by) for axis in numeric_axes(others)}
    return analyses, changes


def _notes_on_seeds(predictions: StudyPredictions) -> tuple[str, ...]:
    if predictions.n_trials > len(predictions.scales):
        return ()
    return (ONE_SEED[0].upper() + ONE_SEED[1:] + ".", SELECTION_WITH_ONE_SEED)


def _scales(predictions: StudyPredictions, macro: VarianceModel | None, seed: int) -> tuple[ScaleFindings, ...]:
    """Each scale with its macro AUROC, its difference from the best one, its costs and other facts."""
    if macro is None:
        unknown = dict.fromkeys(("mean", "mean_low", "mean_high", "difference", "low", "high"))
        unknown |= dict.fromkeys(("may_lose", "best_probability", "expected_loss"))
        return tuple(
            ScaleFindings(scale, **unknown, values={}, indistinguishable=False, **_facts(predictions, c))
            for c, scale in enumerate(predictions.scales)
        )
    weights = predictions.mean_weights()
    away = weights - weights[best_place(macro)]
    halves, lost = simultaneous(macro, away, seed=seed), may_lose(macro, seed=seed)
    surface, means = response_surface(macro, seed=seed), scale_means(macro)
    found = []
    for c, half in enumerate(halves):
        difference = macro.value(away[c])
        low, high = around(difference, half)
        found.append(
            ScaleFindings(
                **vars(means[c]),
                values=_by_seed(macro, c),
                difference=difference,
                low=low,
                high=high,
                indistinguishable=half is None or difference >= -half,
                may_lose=lost[c],
                best_probability=None if surface is None else float(surface.best_probability[c]),
                expected_loss=None if surface is None else float(surface.expected_loss[c]),
                **_facts(predictions, c),
            )
        )
    return tuple(found)


def _by_seed(macro: VarianceModel, scale: int) -> dict[str, float]:
    trials = macro.predictions.trials
    by_seed = {trials[r]["seed"]: float(macro.estimate.value[r]) for r in macro.predictions.trials_of(scale)}
    return {str(seed): by_seed[seed] for seed in sorted(by_seed)}


def _facts(predictions: StudyPredictions, scale: int) -> dict[str, Any]:
    """Costs and other facts of a scale, each from the first of its trials that has it."""
    trials = [predictions.trials[r] for r in predictions.trials_of(scale)]
    facts = {name: next((x for trial in trials if (x := trial.get(name)) is not None), None) for name in FACTS}
    return {**facts, "costs": costs_of(predictions, scale)}
