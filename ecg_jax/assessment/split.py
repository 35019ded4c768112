"""A finished run evaluated on a split of its own set."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from ecg_jax.assessment.flags import AssessmentFlags
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.evaluation.calibration import calibration, fit_scaling, scaled
from ecg_jax.evaluation.groups import by_group, groups_of
from ecg_jax.evaluation.operating import operating_points
from ecg_jax.evaluation.predicted import Predicted, predicted
from ecg_jax.evaluation.summary import patient_resamples
from ecg_jax.formatting import plural
from ecg_jax.inference import Model, predict_split
from ecg_jax.training.result import RunResult, SplitPredictions, make_result, read_predictions
from ecg_jax.training.writer import RunWriter

VALIDATION = "predictions_validation.csv"
NOTHING_MORE = AssessmentFlags()


def evaluate(
    workdir: Path,
    split: Literal["validation", "test"] = "test",
    *,
    data: Path | None = None,
    flags: AssessmentFlags = NOTHING_MORE,
    allow_code: bool = False,
) -> RunResult:
    """Predicts a split of a finished run, writes predictions, pictures and result, and returns the result.

    Arguments and errors are those of `inference.predict_split`; `flags` says what is computed beside the metrics.
    """
    model, predictions = predict_split(workdir, split, data=data, allow_code=allow_code)
    result = assessed(model, predictions, model.thresholds, flags)
    RunWriter(workdir).write_result(predictions, result)
    return result


def assessed(
    model: Model,
    predictions: SplitPredictions,
    thresholds: np.ndarray | None,
    flags: AssessmentFlags,
    labels: np.ndarray | slice = slice(None),
) -> RunResult:
    """The result of predictions with groups, operating points and calibration.

    Args:
        model: the run.
        predictions: of the labels [K'] of the run.
        thresholds: of these labels.
        flags: what is computed beside the metrics.
        labels: the places of these labels among all labels of the run.

    Raises:
        ConfigError: exclusive labels shall be scaled by label.
        RunError: the validation predictions of the run cannot be read.
    """
    prepared, indices, before = predictions.prepared, predictions.indices, model.result
    if flags.calibrate == "platt" and prepared.target.kind == "exclusive":
        raise ConfigError(
            "--calibrate platt is for labels that do not exclude each other; give --calibrate temperature"
        )
    settings = {"config": model.config, "cost": before.cost, "train": before.train}
    result = make_result(before.workdir, predictions, thresholds, **settings)
    of, resamples = as_predicted(predictions, thresholds), model.config.evaluate.resamples
    weight = patient_resamples(of.patients, resamples=resamples)
    validation = _validation(model, labels) if flags.need_validation else None
    known = {name: getattr(prepared, name)[indices] for name in ("ages", "sexes", "sources")}
    wanted = {"at_sensitivity": flags.at_sensitivity, "at_specificity": flags.at_specificity}
    calibrated = calibration(of, weight)
    if flags.calibrate is not None and validation is not None:
        scaling = fit_scaling(*validation, prepared.target, flags.calibrate)
        after = replace(of, probability=scaled(of.probability, prepared.target, scaling))
        calibrated["scaled"] = {"scaling": scaling, **calibration(after, weight)}
    return replace(
        result,
        groups=by_group([of], groups_of(**known, age_bins=flags.age_bins), resamples=resamples),
        operating_points=operating_points(of, weight, validation=validation, **wanted),
        calibration=calibrated,
    )


def as_predicted(predictions: SplitPredictions, thresholds: np.ndarray | None) -> Predicted:
    """The predictions of a split as values."""
    prepared = predictions.prepared
    arrays = predictions.label, predictions.probability, thresholds, prepared.patients[predictions.indices]
    return predicted(*arrays, prepared.target)


def _validation(model: Model, labels: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities [M, K'] of the validation records, as the training wrote them."""
    path = model.result.workdir / VALIDATION
    if not path.is_file():
        again = f"ecg-jax evaluate --workdir {model.result.workdir} --split validation"
        raise RunError(f"{path} is missing, on which thresholds and scaling are chosen; to write it: {again}")
    _, probability, label = read_predictions(path)
    if label.shape[1] != len(model.contract.target.names):
        raise RunError(f"{path} has other labels than the run; delete it, and evaluate the run with --split validation")
    return label[:, labels], probability[:, labels]


def summary_of(result: RunResult) -> list[str]:
    """Lines of the figures of a result, for a terminal."""
    lines = []
    for name, found in result.metrics.items():
        if found["value"] is not None and name != "ece":
            lines.append(f"{result.split} {name:14}{_text(found)}")
    undefined = [name for name, figures in result.per_label.items() if figures["auroc"]["value"] is None]
    if undefined:
        lines.append(f"not in the means, because the records lack one of their classes: {', '.join(undefined)}")
    for axis, found in (result.groups or {}).items():
        for name, group in found["groups"].items():
            figure = group["metrics"].get("macro_auroc")
            about = f"{axis} {name}: {plural(group['records'], 'record')}"
            labels = ", ".join(found["labels_in_means"])
            value = f"mean auroc of {labels} {_text(figure)}" if figure else "too few with or without each label"
            lines.append(f"{about}, {value}")
    return lines


def _text(figure: dict[str, float | None]) -> str:
    interval = "" if figure["low"] is None else f"  (95 % {figure['low']:.3f} to {figure['high']:.3f})"
    return f"{figure['value']:.3f}{interval}"
