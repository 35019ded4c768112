"""Metrics by group: age, sex and source of the records. Arrays in, plain values out; NumPy only."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ecg_jax.evaluation.predicted import Predicted, n_patients
from ecg_jax.evaluation.summary import Figure, figure, patient_resamples, with_intervals

FEWEST = 20  # records with a label, and without it, that a figure of a group is shown from
NONE = figure(np.nan, np.empty(0))


def groups_of(
    ages: np.ndarray, sexes: np.ndarray, sources: np.ndarray, age_bins: Sequence[float] = ()
) -> dict[str, dict[str, np.ndarray]]:
    """The groups of `age`, `sex` and `source`, each as a mask [N]; an axis on which nothing differs has none.

    Args:
        ages: [N] in years; NaN: unknown.
        sexes: [N], female or male; "": unknown.
        sources: [N]; "": unknown.
        age_bins: ages at which a new group begins, ascending; by default the tertiles of the known ages.
    """
    every = {"age": _by_age(ages, age_bins), "sex": _by_name(sexes), "source": _by_name(sources)}
    return {axis: groups for axis, groups in every.items() if len(groups) > 1}


def _by_name(names: np.ndarray) -> dict[str, np.ndarray]:
    """A group for each name, and the last one for records without a name."""
    known = sorted(set(names.tolist()) - {""})
    groups = {name: names == name for name in known} | {"unknown": names == ""}
    return {name: group for name, group in groups.items() if group.any()}


def _by_age(ages: np.ndarray, age_bins: Sequence[float]) -> dict[str, np.ndarray]:
    known = ages[~np.isnan(ages)]
    if not known.size:
        return {}
    edges = list(age_bins) or sorted({float(round(edge)) for edge in np.quantile(known, [1 / 3, 2 / 3])})
    ends = [-np.inf, *edges, np.inf]
    names = [
        f"under {edges[0]:g}",
        *(f"{low:g} to under {high:g}" for low, high in pairwise(edges)),
    ]
    names.append(f"{edges[-1]:g} and over")
    groups = {name: (ages >= low) & (ages < high) for name, low, high in zip(names, ends[:-1], ends[1:], strict=True)}
    groups["unknown"] = np.isnan(ages)
    return {name: group for name, group in groups.items() if group.any()}


def by_group(
    networks: Sequence[Predicted], groups: Mapping[str, Mapping[str, np.ndarray]], *, resamples: int
) -> dict[str, dict[str, Any]]:
    """The metrics of each group with intervals over its patients.

    A label of which a group has fewer than `FEWEST` records, or of which fewer lack it, is too small there: its
    figures are None. The metrics over all labels are those of the labels that are large enough in every group of the
    axis, so that groups are compared on the same ones; a group in which no label is large enough is left out of this.

    Args:
        networks: of one network or several, which predicted the same N records; metrics are means over them.
        groups: axis -> name -> mask [N], from `groups_of`.
        resamples: bootstrap resamples of the patients.

    Returns:
        axis -> `labels_in_means`, and `groups`: name -> `records`, `patients`, `metrics` and `per_label`, as in a
        result, where a label also has `too_small`.
    """
    found: dict[str, dict[str, Any]] = {}
    target, label = networks[0].target, networks[0].label
    for axis, members in groups.items():
        enough = {name: _enough(label[member]) for name, member in members.items()}
        assessed = [labels for labels in enough.values() if labels.any()]
        counted = np.all(assessed, axis=0) if assessed else np.zeros(label.shape[1], bool)
        found[axis] = {
            "labels_in_means": [name for name, yes in zip(target.names, counted, strict=True) if yes],
            "groups": {
                name: _group([of.of(member) for of in networks], enough[name], counted, resamples)
                for name, member in members.items()
            },
        }
    return found


def _enough(label: np.ndarray) -> np.ndarray:
    """Which labels [K] enough of the records [n, K] have and lack."""
    positives = label.sum(axis=0)
    return (positives >= FEWEST) & (len(label) - positives >= FEWEST)


def _group(networks: Sequence[Predicted], enough: np.ndarray, counted: np.ndarray, resamples: int) -> dict[str, Any]:
    of = networks[0]
    none: dict[str, Figure] = dict.fromkeys(("auroc", "auprc", "f1"), NONE)
    overall: dict[str, Figure] = {}
    by_label = [none] * len(enough)
    if enough.any():
        weight = patient_resamples(of.patients, resamples=resamples)
        of_macro = counted if counted.any() else slice(None)  # a mean over no label would warn; it is left out below
        overall, by_label = with_intervals(networks, weight, counted=of_macro)
    return {
        "records": len(of.label),
        "patients": n_patients(of.patients),
        "metrics": overall if (enough & counted).any() else {},
        "per_label": {
            name: {**(by_label[k] if enough[k] else none), "positives": int(of.label[:, k].sum())}
            | {"records": len(of.label), "too_small": not enough[k]}
            for k, name in enumerate(of.target.names)
        },
    }
