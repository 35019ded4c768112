"""A description of a prepared set and a table of its records, for `ecg-jax show`. May import numpy and rich."""

from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table

from ecg_jax.dataset.prepared import LISTS, PreparedSet


def summary(prepared: PreparedSet) -> RenderableType:
    """Rate, leads, durations, omitted records with the reasons, and the number of records by label and fold."""
    seconds = prepared.samples / prepared.rate_hz  # [N]
    counts = prepared.about["counts"]
    facts = Table(show_header=False, box=None, pad_edge=False)
    patients = len(set(prepared.patients.tolist()) - {""})
    facts.add_row("source", prepared.source)
    facts.add_row("records", f"{len(prepared):,}" + (f" of {patients:,} patients" if patients else ""))
    for name, row in (("age", _ages(prepared)), ("sex", _shares(prepared.sexes)), ("from", _shares(prepared.sources))):
        if row:
            facts.add_row(name, row)
    facts.add_row("rate", f"{prepared.rate_hz:g} Hz")
    facts.add_row("leads", ", ".join(prepared.leads))
    shortest, median, longest = np.quantile(seconds, [0, 0.5, 1])
    span = f"{shortest:g} to {longest:g} s, median {median:g} s"
    facts.add_row("duration", f"{span}, {seconds.sum() / 3600:,.1f} h in all")
    share = prepared.missing.sum() / max(1, prepared.samples.sum() * len(prepared.leads))
    facts.add_row("missing", f"{share:.2%} of the samples, in {np.count_nonzero(prepared.missing):,} records")
    for name, file in LISTS.items():
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts[name].items())
        where = f" (listed in {prepared.path / file})" if reasons and (prepared.path / file).is_file() else ""
        facts.add_row(name.replace("_", " "), (reasons or "none") + where)
    unused = ", ".join(f"{lead} {count:,}" for lead, count in counts["unused_leads"].items())
    facts.add_row("unused leads", unused or "none")
    facts.add_row("fingerprint", prepared.fingerprint[:16])
    return Group(facts, "", _by_label_and_fold(prepared))


def _ages(prepared: PreparedSet) -> str:
    known = prepared.ages[~np.isnan(prepared.ages)]
    if not known.size:
        return ""
    youngest, median, oldest = np.quantile(known, [0, 0.5, 1])
    return f"{youngest:g} to {oldest:g} years, median {median:g}, {len(prepared) - known.size:,} unknown"


def _shares(names: np.ndarray) -> str:
    """How many records have each name, and how many have none; "" if no name is known."""
    known, counts = np.unique(names, return_counts=True)
    return ", ".join(f"{name or 'unknown'} {n:,}" for name, n in zip(known, counts, strict=True)) if any(known) else ""


def _by_label_and_fold(prepared: PreparedSet) -> Table:
    """A row for each label and a column for each fold, or the reverse if there are more folds than labels."""
    labels: dict[str, Any] = {name: prepared.label[:, k] > 0 for k, name in enumerate(prepared.labels)}
    unlabelled = ~prepared.label.any(axis=1)
    if unlabelled.any():
        labels["(none)"] = unlabelled
    folds: dict[str, Any] = {str(fold): prepared.folds == fold for fold in np.unique(prepared.folds)}
    labels["records"] = folds["all"] = np.full(len(prepared), True)
    corner, rows, columns = ("fold", folds, labels) if len(folds) > len(labels) else ("label", labels, folds)
    note = " (labels exclude each other)" if prepared.target.kind == "exclusive" else ""
    table = Table(title=f"records by label and fold{note}")
    table.add_column(corner)
    for name in columns:
        table.add_column(name, justify="right")
    for number, (name, in_row) in enumerate(rows.items(), start=1):
        counts = (f"{np.count_nonzero(in_row & in_column):,}" for in_column in columns.values())
        table.add_row(name, *counts, end_section=number == len(rows) - 1)  # a line above the totals
    return table
