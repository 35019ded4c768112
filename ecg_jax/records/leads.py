"""Leads by name: put in a given order, and derived from I and II where possible. May import numpy alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ecg_jax.errors import Unusable
from ecg_jax.records.record import Record
from ecg_jax.records.wfdb_header import shown

DERIVED = {"iii": (-1.0, 1.0), "avr": (-0.5, -0.5), "avl": (1.0, -0.5), "avf": (-0.5, 1.0)}
"""Weights of leads I and II. Source: III = II - I, Einthoven et al. 1913; the augmented leads, Goldberger 1942."""


def same_lead(name: str) -> str:
    """A lead name in lower case and without spaces around it, to compare spellings."""
    return name.strip().lower()


def lead_list(names: Collection[str], most: int = 15) -> str:
    """Names of leads for a message; a lead may have none."""
    texts = [shown(name) or "a lead without a name" for name in names]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def needed(leads: Sequence[str]) -> set[str]:
    """The leads that are read to obtain `leads`, as spelled by `same_lead`."""
    names = {same_lead(lead) for lead in leads}
    return names | ({"i", "ii"} if names & set(DERIVED) else set())


def choose_leads(names: Mapping[str, str], leads: Sequence[str] | None) -> list[str]:
    """The leads that are read to obtain `leads` (None: all), of those that a record has, in its order.

    Args:
        names: the leads of the record as they are spelled there, by `same_lead`.
        leads: names of leads in any spelling.

    Raises:
        Unusable: the record has none of them.
    """
    if not names:
        raise Unusable("no signals: only annotations may belong to this record", "leave it out")
    asked = names if leads is None else needed(leads)
    wanted = [name for name in names if name in asked]
    if not wanted:
        remedy = "choose leads that it has (--leads)"
        if "" in names:
            remedy = 'name its leads in its files, or choose the one without a name with --leads ""'
        raise Unusable(f"leads absent: it has {lead_list(names.values())}", remedy)
    return wanted


def derive(lead: str, i: np.ndarray, ii: np.ndarray) -> np.ndarray:
    """One of the leads in `DERIVED` from leads I and II, [T] each."""
    weight_i, weight_ii = DERIVED[same_lead(lead)]
    return weight_i * i + weight_ii * ii


def arrange(record: Record, leads: Sequence[str]) -> Record:
    """The record with exactly `leads`, in this order; a lead that cannot be taken or derived is missing."""
    column_of = {same_lead(name): column for column, name in reversed(list(enumerate(record.leads)))}
    recorded = record.recorded
    column_of = {name: column for name, column in column_of.items() if recorded[column]}
    names = [same_lead(lead) for lead in leads]
    if [column_of.get(name) for name in names] == [*range(len(record.leads))]:
        return replace(record, leads=tuple(leads))
    signal_mv = np.zeros((len(record.signal_mv), len(leads)), np.float32)  # [T, L]
    missing = np.ones(signal_mv.shape, bool)
    taken = [column for column, lead in enumerate(names) if lead in column_of]
    sources = [column_of[names[column]] for column in taken]
    signal_mv[:, taken], missing[:, taken] = record.signal_mv[:, sources], record.missing[:, sources]
    for column, lead in enumerate(names):
        if lead not in column_of and lead in DERIVED and {"i", "ii"} <= column_of.keys():
            sources = [column_of["i"], column_of["ii"]]
            missing[:, column] = record.missing[:, sources].any(axis=1)
            signal_mv[:, column] = np.where(missing[:, column], 0, derive(lead, *record.signal_mv[:, sources].T))
    return replace(record, signal_mv=signal_mv, missing=missing, leads=tuple(leads))
