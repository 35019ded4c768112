"""The networks of one study on the test records of another one, through the labels that both have."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecg_jax.analysis.axes import Scale
from ecg_jax.analysis.predictions import StudyPredictions
from ecg_jax.dataset.pairing import Pairs, is_same_source, known_pairs, read_pairs, relabelled
from ecg_jax.dataset.prepared import PreparedSet, open_prepared
from ecg_jax.errors import RunError
from ecg_jax.study.design import Trial
from ecg_jax.study.results import test_records
from ecg_jax.study.workdir import StudyFolder
from ecg_jax.terminal import PlainConsole, with_bar


def pairs_of(own: StudyPredictions, source: StudyFolder, target: StudyFolder, table: Path | None = None) -> Pairs:
    """The labels of the study `source`, which `own` predicts, with those of the set of `target` that mean them.

    Args:
        own: predictions of `source`.
        source: a study.
        target: a study of another set.
        table: of pairs, see `pairing.read_pairs`; by default `pairing.known_pairs`.

    Raises:
        RunError: there is no pair, or both are studies of some recordings that are the same.
        DataError: the table or a set cannot be read.
    """
    first, other = (open_prepared(folder.study.base.data.path) for folder in (source, target))
    shared = set(first.record_ids) & set(other.record_ids)
    if shared and is_same_source(first.about["request"], other.about["request"]):
        raise RunError(
            f"{source.path} and {target.path} are studies of {len(shared):,} recordings that are the same, on which "
            "the networks of the first were trained; give studies of two data sets"
        )
    if table is None:
        pairs = known_pairs(own.label_names, first, other)
    else:
        pairs, _ = read_pairs(table, own.label_names, other)
    if not pairs:
        raise RunError(
            f"no label of {source.path} ({', '.join(own.label_names)}) is one of {target.path} "
            f"({', '.join(other.labels)}); pair them with --map, a CSV with the columns run and data"
        )
    return pairs


def trained_there(predictions: StudyPredictions, pairs: Pairs) -> StudyPredictions:
    """A study with the labels of the first study of the pairs: each is the labels of its own that mean it.

    The probability of several labels is the largest one or, of labels that exclude each other, their sum.
    """
    joined = np.sum if predictions.target.kind == "exclusive" else np.max
    places = [[predictions.label_names.index(name) for name in names] for names in pairs.values()]
    labels = np.stack([predictions.labels[:, own].any(axis=1) for own in places], axis=1)
    probabilities = np.stack([joined(predictions.probabilities[..., own], axis=-1) for own in places], axis=-1)
    changes = {"labels": labels, "probabilities": probabilities, "label_names": tuple(pairs)}
    return predictions.replace(**changes, thresholds=None, score=None, exclusive=False, validation=None)


def trained_elsewhere(
    source: StudyFolder,
    own: StudyPredictions,
    target: StudyFolder,
    theirs: StudyPredictions,
    pairs: Pairs,
    *,
    allow_code: bool = False,
) -> StudyPredictions:
    """What the networks of the study `source` predict for the test records of `target`.

    Where the trials of `source` are cross-fitted, the records of the n-th test fold are predicted by the n-th run of a
    trial, cyclically: each record by one network, as in a study.

    Args:
        source: a study with finished trials.
        own: its predictions, which name its trials.
        target: another study.
        theirs: its predictions, of which the records, patients and folds are kept.
        pairs: labels of `source`, and of `target` that mean them.
        allow_code: as for `inference.load`.

    Raises:
        RunError: a run of `source` takes another rate or other leads than the set of `target` has.
    """
    from ecg_jax.inference import load

    prepared = open_prepared(target.study.base.data.path)
    tests = test_records(target.study, prepared)
    ends = np.cumsum([0, *map(len, tests)])
    as_of_source = relabelled(prepared, pairs, own.target)
    probabilities = np.zeros((own.n_trials, ends[-1], own.n_labels))
    shown = with_bar("predicting", own.trials, own.n_trials, PlainConsole(stderr=True))
    for row, of_trial in zip(shown, probabilities, strict=True):
        runs = source.run_folders(Trial(Scale.of(row, own.axes), row["learning_rate"], row["seed"]))
        for number, run in enumerate(runs[: len(tests)]):
            model = load(run, allow_code=allow_code)
            _check_fits(run, model.contract.rate_hz, model.contract.leads, prepared)
            for place in range(number, len(tests), len(runs)):
                of_trial[ends[place] : ends[place + 1]] = model.probabilities(as_of_source, tests[place])
    paired = probabilities[..., [own.label_names.index(name) for name in pairs]]
    return trained_there(theirs, pairs).replace(trials=own.trials, axes=own.axes, probabilities=paired)


def _check_fits(run: Path, rate_hz: float, leads: Sequence[str], prepared: PreparedSet) -> None:
    one_each = len(leads) == len(prepared.leads) == 1  # a single lead may have any name
    if rate_hz != prepared.rate_hz or (tuple(leads) != prepared.leads and not one_each):
        raise RunError(
            f"{run} takes {rate_hz:g} Hz and the leads {', '.join(leads)}; {prepared.path} has {prepared.rate_hz:g} Hz "
            f"and {', '.join(prepared.leads)}; prepare it again with --rate-hz {rate_hz:g} --leads {' '.join(leads)}"
        )
