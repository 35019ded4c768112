"""The labels of a prepared set as those of a run that was trained on another one. NumPy only.

A pair is a label of the run and the labels of the other set that mean it: a record has the label of the run if it has
one of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.errors import DataError
from ecg_jax.sources.label_maps import MAPS, label_map
from ecg_jax.sources.tables import rows
from ecg_jax.target import Target

Pairs = Mapping[str, tuple[str, ...]]
MAP_OF_SOURCE = {"cinc2021": "snomed", "chapman": "snomed"}
REMEDY = "give a CSV with the columns run and data: a label of the run, and a label of the other set that means it"


def classes_of(prepared: PreparedSet) -> dict[str, str] | None:
    """The class of each label of a set by its label map; None if there is no map of its source."""
    request = prepared.about["request"]
    name = MAP_OF_SOURCE.get(request["source"], request["source"])
    return label_map(name) if name in MAPS and not request.get("beats") else None


def known_pairs(labels: Sequence[str], own: PreparedSet | None, other: PreparedSet) -> Pairs:
    """Pairs by class, if the sources are two that have label maps; otherwise by name.

    By class only, because a name may mean something else elsewhere: CD is a conduction disturbance in PTB-XL, and any
    dysrhythmia in CinC 2021.

    Args:
        labels: of the run.
        own: the set of the run; None if it is not at hand.
        other: the other set.
    """
    same_source = own is not None and own.about["request"]["source"] == other.about["request"]["source"]
    own_class, other_class = classes_of(own) if own is not None else None, classes_of(other)
    if same_source or own_class is None or other_class is None:
        return {name: (name,) for name in labels if name in other.labels}
    pairs = {
        name: tuple(label for label in other.labels if other_class.get(label) == own_class[name])
        for name in labels
        if name in own_class
    }
    return {name: found for name, found in pairs.items() if found}


def read_pairs(path: Path, labels: Sequence[str], other: PreparedSet) -> tuple[Pairs, list[str]]:
    """The pairs of a table with the columns `run` and `data`, and the labels in it that the other set does not have.

    Raises:
        DataError: the table cannot be read, or names a label that the run does not have.
    """
    pairs: dict[str, tuple[str, ...]] = {}
    absent = []
    for where, row in rows(path, columns=("run", "data"), remedy=REMEDY):
        if row["run"] not in labels:
            raise DataError(f"{where}: the run has no label {row['run']}; it has {', '.join(labels)}")
        if row["data"] not in other.labels:
            absent.append(row["data"])
        elif row["data"] not in pairs.get(row["run"], ()):
            pairs[row["run"]] = (*pairs.get(row["run"], ()), row["data"])
    return {name: pairs[name] for name in labels if name in pairs}, absent


def relabelled(prepared: PreparedSet, pairs: Pairs, target: Target) -> PreparedSet:
    """The set with the labels of a target, in its order; a label without a pair applies to no record."""
    label = np.zeros((len(prepared), len(target.names)), np.uint8)
    for k, name in enumerate(target.names):
        columns = [prepared.labels.index(other) for other in pairs.get(name, ())]
        label[:, k] = prepared.label[:, columns].any(axis=1)
    return replace(prepared, label=label, target=target, score=None)


SAME_RECORDINGS = {"chapman": "cinc2021", "cpsc2018": "cinc2021"}  # a set, and one that holds it by the same names


def is_same_source(own: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether records of equal names are the same in two sets, by their requests of `prepare`.

    So it is in the same data set, in one that holds the other, and in the same folder of one's own recordings.
    """
    if own["source"] in ("wfdb", "folder", "synthetic") or ":" in own["source"]:
        return all(own.get(key) == other.get(key) for key in ("source", "root", "labels", "records", "seed"))
    names = own["source"], other["source"]
    return names[0] == names[1] or any(SAME_RECORDINGS.get(one) == two for one, two in (names, names[::-1]))
