"""The whole analysis of a study. No files, no clock; NumPy and SciPy."""

from typing import Any

from ecg_jax.analysis.effects import MARGIN, claims_on, contrasts, interactions
from ecg_jax.analysis.findings import Analysis, ScaleFindings, ScaleMean
from ecg_jax.analysis.influence import MetricEstimate, aurocs, mean_of, other_metrics
from ecg_jax.analysis.multiple_comparisons import simultaneous
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.analysis.selection import SplitSelection, best_scale, label_findings, scale_means
from ecg_jax.analysis.tradeoffs import costs_of, pareto, power_laws
from ecg_jax.analysis.variance import ONE_SEED, VarianceModel, around

FACTS = ("receptive_field_samples", "receptive_field_ms", "learning_rate")
SELECTION_WITH_ONE_SEED = (
    "With one seed the same training both selects the best scale and is read: the selection bias of the records is "
    "removed from its value, that of the seed is not, so the value is rather too high."
)
TAKEN_AS_GIVEN = (
    "The training records are taken as given: the intervals say nothing about other training records.",
    "The learning rate of each scale is taken as given: the intervals say nothing about other choices.",
)


def analyse(predictions: StudyPredictions, *, margin: float = MARGIN, seed: int = 0) -> Analysis:
    """Effects and verdicts, the best scale, each label, costs: all findings of a study.

    Args:
        predictions: test predictions of all trials.
        margin: the smallest effect that matters (see `claims`).
        seed: of the splits and of the simultaneous intervals.
    """

    def model_of(estimate: MetricEstimate | None) -> VarianceModel | None:
        return None if estimate is None else VarianceModel(predictions, estimate)

    estimates = aurocs(predictions)
    by_label = [model_of(estimate) for estimate in estimates]
    macro = model_of(mean_of(estimates))
    selection = None if macro is None else SplitSelection(predictions, seed=seed)
    scales = _scales(predictions, macro, seed)
    others = {name: model_of(estimate) for name, estimate in other_metrics(predictions).items()}
    labels = [None] * len(by_label) if selection is None else label_findings(by_label, selection, margin=margin)
    may_be_best = [scale.indistinguishable for scale in scales]
    return Analysis(
        axes=predictions.axes,
        claims=claims_on(predictions, macro, margin=margin),
        contrasts=contrasts(predictions, macro),
        metrics={name: claims_on(predictions, model, margin=margin) for name, model in others.items()},
        interactions=interactions(predictions, macro),
        best=None if macro is None or selection is None else best_scale(macro, selection, may_be_best),
        per_label=dict(zip(predictions.label_names, labels, strict=True)),
        pareto=None if macro is None else pareto(macro),
        power_laws=None if macro is None else power_laws(macro),
        scales=scales,
        taken_as_given=(*TAKEN_AS_GIVEN, *_notes_on_seeds(predictions)),
        margin=margin,
        seeds=predictions.n_seeds,
        records=predictions.n_records,
        patients=predictions.n_patients,
        folds=predictions.n_folds,
        labels=predictions.label_names,
    )


def _notes_on_seeds(predictions: StudyPredictions) -> tuple[str, ...]:
    if predictions.n_trials > len(predictions.scales):
        return ()
    return (ONE_SEED[0].upper() + ONE_SEED[1:] + ".", SELECTION_WITH_ONE_SEED)


def _scales(predictions: StudyPredictions, macro: VarianceModel | None, seed: int) -> tuple[ScaleFindings, ...]:
    """Each scale with its macro AUROC, its difference from the best one, its costs and other facts."""
    if macro is None:
        unknown = dict.fromkeys(("mean", "mean_low", "mean_high", "difference", "low", "high"))
        return tuple(
            ScaleFindings(scale, **unknown, values={}, indistinguishable=False, **_facts(predictions, c))
            for c, scale in enumerate(predictions.scales)
        )
    weights = predictions.mean_weights()
    away = weights - weights[int((weights @ macro.estimate.value).argmax())]
    rows = zip(scale_means(macro), away, simultaneous(macro, away, seed=seed), strict=True)
    return tuple(_scale(macro, c, mean, macro.value(contrast), half) for c, (mean, contrast, half) in enumerate(rows))


def _scale(macro: VarianceModel, c: int, mean: ScaleMean, difference: float, half: float | None) -> ScaleFindings:
    trials = macro.predictions.trials
    by_seed = {trials[r]["seed"]: float(macro.estimate.value[r]) for r in macro.predictions.trials_of(c)}
    low, high = around(difference, half)
    return ScaleFindings(
        **vars(mean),
        values={str(seed): by_seed[seed] for seed in sorted(by_seed)},
        difference=difference,
        low=low,
        high=high,
        indistinguishable=half is None or abs(difference) <= half,
        **_facts(macro.predictions, c),
    )


def _facts(predictions: StudyPredictions, scale: int) -> dict[str, Any]:
    """Costs and other facts of a scale, each from the first of its trials that has it."""
    trials = [predictions.trials[r] for r in predictions.trials_of(scale)]
    facts = {name: next((x for trial in trials if (x := trial.get(name)) is not None), None) for name in FACTS}
    return {**facts, "costs": costs_of(predictions, scale)}
