"""A finished run evaluated on another prepared set: what it loses there, at its own thresholds."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ecg_jax.assessment.flags import AssessmentFlags
from ecg_jax.assessment.split import NOTHING_MORE, as_predicted, assessed
from ecg_jax.dataset.batch import InputContract
from ecg_jax.dataset.pairing import Pairs, is_same_source, known_pairs, read_pairs, relabelled
from ecg_jax.dataset.prepare_config import prepare_words
from ecg_jax.dataset.prepared import PreparedSet, open_prepared
from ecg_jax.dataset.splits import Splits, split_records
from ecg_jax.errors import ConfigError, DataError
from ecg_jax.evaluation.drop import drop
from ecg_jax.evaluation.metrics import f1
from ecg_jax.evaluation.operating import RATES, rates
from ecg_jax.evaluation.predicted import Predicted, predicted
from ecg_jax.evaluation.summary import figure, in_blocks, patient_resamples
from ecg_jax.evaluation.thresholds import fit_thresholds
from ecg_jax.formatting import change_text, plural
from ecg_jax.inference import Model, load
from ecg_jax.records.leads import same_lead
from ecg_jax.target import Target
from ecg_jax.terminal import command
from ecg_jax.training.result import RunResult, SplitPredictions, read_result
from ecg_jax.training.writer import RunWriter

TRAINED_ON, OTHER_FOLD = "of a training or validation patient of the run", "in another fold"
NO_SINGLE_LABEL = "with none or several of the paired labels, which exclude each other in the run"


@dataclass(frozen=True)
class _Own:
    """The set of the run, if it is at hand."""

    prepared: PreparedSet
    splits: Splits


def is_external(workdir: Path, data: Path) -> bool:
    """Whether a prepared set is another one than that of a run; False if the run is not finished.

    Raises:
        DataError: there is no prepared set.
    """
    result = read_result(workdir)
    return result is not None and open_prepared(data).fingerprint != result.data_fingerprint


def evaluate_external(
    workdir: Path,
    data: Path,
    *,
    map_path: Path | None = None,
    folds: tuple[int, ...] = (),
    flags: AssessmentFlags = NOTHING_MORE,
    allow_code: bool = False,
) -> RunResult:
    """Predicts another prepared set with a finished run, and writes predictions, pictures and result into the workdir.

    The decisions are those at the thresholds of the run. Labels of the run without a pair are left out or, if labels
    exclude each other, have no record. A record of a patient whom the run was trained or validated on is left out.

    Args:
        workdir: of the run.
        data: folder of the other set; its name becomes that of the result, `result_external_<name>.json`.
        map_path: table of pairs, see `pairing.read_pairs`; by default `pairing.known_pairs`.
        folds: of the other set; by default all.
        flags: what is computed beside the metrics.
        allow_code: as for `inference.load`.

    Raises:
        DataError: rate or leads are not those of the run, no label has a pair, or no record is left.
        ConfigError: there is no such fold.
        RunError: as for `inference.load`.
    """
    model, other = load(workdir, allow_code=allow_code), open_prepared(data)
    target, notes = model.contract.target, _check_contract(model.contract, other)
    own, why_no_drop = _own(model)
    if own is None:
        notes.append(f"{why_no_drop}; records that it was trained on, if there are any, are not left out")
    pairs, absent = _pairs(target, own, other, map_path)
    kept = [k for k, name in enumerate(target.names) if target.kind == "exclusive" or name in pairs]
    paired = Target(target.kind, tuple(target.names[k] for k in kept))
    as_of_run = relabelled(other, pairs, target)
    indices, left_out = _records(as_of_run, target, own, folds)
    probability = model.probabilities(as_of_run, indices)[:, kept]
    score = own.prepared.score if own is not None and len(pairs) == len(target.names) else None
    as_paired = replace(relabelled(other, pairs, paired), score=score)
    name = f"external_{data.resolve().name}"
    predictions = SplitPredictions(name, as_paired, indices, probability)
    thresholds = None if model.thresholds is None else model.thresholds[kept]
    result = assessed(model, predictions, thresholds, flags, np.array(kept))
    of, resamples = as_predicted(predictions, thresholds), model.config.evaluate.resamples
    on_own = None if own is None else _on_own_test(model, own, pairs, kept, paired)
    if own is not None and on_own is None and why_no_drop is None:
        why_no_drop = "no own test record has one of the paired labels"
    external = {
        "source": other.source,
        "pairs": {name: list(labels) for name, labels in pairs.items()},
        "run_labels_without_pair": [name for name in target.names if name not in pairs],
        "data_labels_without_pair": sorted(set(other.labels).difference(*pairs.values())),
        "map_labels_not_in_data": absent,
        "records_left_out": left_out,
        "folds": list(folds),
        "notes": notes,
        "refitted": _refitted(of, resamples),
        "drop": None if on_own is None else {"records": len(on_own.label), **drop(on_own, of, resamples=resamples)},
        "no_drop_because": why_no_drop,
    }
    result = replace(result, external=external)
    RunWriter(workdir).write_result(predictions, result)
    return result


def _check_contract(contract: InputContract, other: PreparedSet) -> list[str]:
    """Notes on what differs without harm.

    Raises:
        DataError: rate or leads differ; the message ends with the command that prepares the set as the run needs it.
    """
    notes = []
    names, expected = ([same_lead(lead) for lead in leads] for leads in (other.leads, contract.leads))
    single = len(names) == len(expected) == 1
    if names != expected and single:
        notes.append(f"its single lead is {other.leads[0]}, that of the run is {contract.leads[0]}")
    faults = []
    if other.rate_hz != contract.rate_hz:
        faults.append(f"has {other.rate_hz:g} Hz, the run expects {contract.rate_hz:g} Hz")
    if names != expected and not single:
        faults.append(f"has the leads {', '.join(other.leads)}, the run expects {', '.join(contract.leads)}")
    if faults:
        to = other.path.with_name(f"{other.path.resolve().name}_{contract.rate_hz:g}hz")
        request = other.about["request"]
        leads = request["leads"] if names == expected or single else contract.leads
        words = prepare_words(request, to, rate_hz=contract.rate_hz, leads=leads)
        raise DataError(f"{other.path} {' and '.join(faults)}; prepare it so: {command(*words)}")
    if missing := other.leads_in_no_record():
        notes.append(f"no record has the leads {', '.join(missing)}")
    return notes


def _own(model: Model) -> tuple[_Own | None, str | None]:
    """The set of the run; None, and the reason, if it is not at hand."""
    path = model.config.data.path
    try:
        prepared = open_prepared(path)
    except DataError as error:
        return None, f"the run's own set is not at hand ({error})"
    if prepared.fingerprint != model.result.data_fingerprint:
        return None, f"{path} is no longer the set that the run was trained on"
    splits = split_records(prepared, model.config.data)
    return _Own(prepared, splits), None if len(splits.test) else "the run keeps no test folds"


def _pairs(target: Target, own: _Own | None, other: PreparedSet, map_path: Path | None) -> tuple[Pairs, list[str]]:
    absent: list[str] = []
    if map_path is None:
        pairs = known_pairs(target.names, own.prepared if own else None, other)
    else:
        pairs, absent = read_pairs(map_path, target.names, other)
    if not pairs:
        few = ", ".join(other.labels[:15]) + (f" and {len(other.labels) - 15} more" if len(other.labels) > 15 else "")
        remedy = f"columns run ({', '.join(target.names)}) and data ({few})"
        raise DataError(f"no label of {other.path} is paired with one of the run; give --map a CSV with the {remedy}")
    return pairs, absent


def _records(
    other: PreparedSet, target: Target, own: _Own | None, folds: tuple[int, ...]
) -> tuple[np.ndarray, dict[str, int]]:
    """The places of the records to predict, and how many are left out for which reason.

    Raises:
        ConfigError: there is no such fold.
        DataError: none is left.
    """
    present = sorted(set(other.folds.tolist()))
    if unknown := [fold for fold in folds if fold not in present]:
        raise ConfigError(f"--folds {unknown[0]}: {other.path} has folds {', '.join(map(str, present))}")
    reasons = {OTHER_FOLD: ~np.isin(other.folds, folds) if folds else np.zeros(len(other), bool)}
    if own is not None and is_same_source(own.prepared.about["request"], other.about["request"]):
        seen = np.concatenate([own.splits.training, own.splits.validation])
        patients = set(own.prepared.patients[seen].tolist()) - {""}
        ids = own.prepared.record_ids[seen]
        reasons[TRAINED_ON] = np.isin(other.record_ids, ids) | np.isin(other.patients, sorted(patients))
    if target.kind == "exclusive":
        reasons[NO_SINGLE_LABEL] = other.label.sum(axis=1) != 1
    kept, left_out = np.ones(len(other), bool), {}
    for reason, out in reasons.items():
        left_out[reason] = int((kept & out).sum())
        kept &= ~out
    if not kept.any():
        why = ", ".join(f"{plural(n, 'record')} {reason}" for reason, n in left_out.items() if n)
        raise DataError(f"no record of {other.path} is left to predict: {why}; give another set, --folds or --map")
    return np.flatnonzero(kept), {reason: n for reason, n in left_out.items() if n}


def _on_own_test(model: Model, own: _Own, pairs: Pairs, kept: list[int], paired: Target) -> Predicted | None:
    """The predictions for the own test records with which those of the other set are compared.

    Of exclusive labels these are the records with a label that has a pair: the other set has no others.
    """
    indices = own.splits.test
    if paired.kind == "exclusive":
        columns = [k for k, name in enumerate(paired.names) if name in pairs]
        indices = indices[own.prepared.label[indices][:, columns].any(axis=1)]
    if not len(indices):
        return None
    probability = model.probabilities(own.prepared, indices)[:, kept]
    thresholds = None if model.thresholds is None else model.thresholds[kept]
    label = own.prepared.label[indices][:, kept]
    return predicted(label, probability, thresholds, own.prepared.patients[indices], paired)


def _refitted(of: Predicted, resamples: int) -> dict[str, Any] | None:
    """By label, F1 and rates at the threshold that is best on these same records, which another can hardly exceed."""
    thresholds = fit_thresholds(of.label, of.probability, of.target)
    if thresholds is None:
        return None
    again = predicted(of.label, of.probability, thresholds, of.patients, of.target)

    def values_of(weight: np.ndarray) -> tuple[dict[str, np.ndarray], ...]:
        return (rates(of.label, again.decision, weight) | {"f1": f1(of.label, again.decision, weight)},)

    (point,) = values_of(np.ones((1, len(of.label))))
    (parts,) = in_blocks(values_of, patient_resamples(of.patients, resamples=resamples))
    return {
        name: {"threshold": float(thresholds[k])}
        | {rate: figure(point[rate][0, k], parts[rate][:, k]) for rate in ("f1", *RATES)}
        for k, name in enumerate(of.target.names)
        if 0 < of.label[:, k].sum() < len(of.label)
    }


def external_lines(result: RunResult) -> list[str]:
    """Lines on pairs, records left out and the drop, for a terminal."""
    about: dict[str, Any] = result.external or {}
    lines = [f"{name}: records with {' or '.join(labels)}" for name, labels in about["pairs"].items()]
    if about["run_labels_without_pair"]:
        lines.append(f"labels of the run without a pair: {', '.join(about['run_labels_without_pair'])}")
    if about["map_labels_not_in_data"]:
        lines.append(f"labels of the map that the set does not have: {', '.join(about['map_labels_not_in_data'])}")
    lines += [f"left out: {plural(n, 'record')} {reason}" for reason, n in about["records_left_out"].items()]
    lines += [f"note: {note}" for note in about["notes"]]
    found = about["drop"]
    if found is None:
        return [*lines, f"no drop from the own test set: {about['no_drop_because']}"]
    over = f"{', '.join(found['labels'])}; {plural(found['records'], 'own test record')}"
    for name, loss in found["metrics"].items():
        if loss["value"] is not None:
            less = change_text(-loss["value"], _minus(loss["high"]), _minus(loss["low"]), digits=3)
            lines.append(f"from the own test set {name:14}{loss['own']:.3f} to {loss['other']:.3f}: {less}")
    return [*lines, f"compared over {over}"]


def _minus(value: float | None) -> float | None:
    return None if value is None else -value
