"""Leads by name: put in a given order, and derived from I and II where possible. May import numpy alone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ecg_jax.records.record import Record

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

DERIVED = {"iii": (-1.0, 1.0), "avr": (-0.5, -0.5), "avl": (1.0, -0.5), "avf": (-0.5, 1.0)}
"""Weights of leads I and II. Source: III = II - I, Einthoven et al. 1913; the augmented leads, Goldberger 1942."""


def same_lead(name: str) -> str:
    """A lead name in lower case and without spaces around it, to compare spellings."""
    return name.strip().lower()


def needed(leads: Sequence[str]) -> set[str]:
    """The leads that are read to obtain `leads`, as spelled by `same_lead`."""
    names = {same_lead(lead) for lead in leads}
    return names | ({"i", "ii"} if names & set(DERIVED) else set())


def arrange(record: Record, leads: Sequence[str]) -> Record:
    """The record with exactly `leads`, in this order; a lead that cannot be taken or derived is missing."""
    place = {same_lead(name): at for at, name in reversed(list(enumerate(record.leads)))}
    place = {name: at for name, at in place.items() if not record.missing[:, at].all()}
    signal_mv = np.zeros((len(record.signal_mv), len(leads)), np.float32)  # [T, L]
    missing = np.ones(signal_mv.shape, bool)
    for at, lead in enumerate(map(same_lead, leads)):
        if lead in place:
            signal_mv[:, at], missing[:, at] = record.signal_mv[:, place[lead]], record.missing[:, place[lead]]
        elif lead in DERIVED and {"i", "ii"} <= place.keys():
            sources = [place["i"], place["ii"]]
            missing[:, at] = record.missing[:, sources].any(axis=1)
            of_i, of_ii = (w * record.signal_mv[:, at] for w, at in zip(DERIVED[lead], sources, strict=True))
            signal_mv[:, at] = np.where(missing[:, at], 0, of_i + of_ii)
    return replace(record, signal_mv=signal_mv, missing=missing, leads=tuple(leads))
