"""A prepared set in words and one table, for `ecg-jax show`. May import numpy and rich; prints nothing."""

from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table

from ecg_jax.dataset.prepared import REJECTED, PreparedSet


def summary(prepared: PreparedSet) -> RenderableType:
    """Rate, leads, durations, what was left out and why, and the records by label and fold."""
    seconds = prepared.samples / prepared.rate_hz  # [N]
    counts = prepared.about["counts"]
    facts = Table(show_header=False, box=None, pad_edge=False)
    patients = len(set(prepared.patients.tolist()) - {""})
    facts.add_row("source", prepared.source)
    facts.add_row("records", f"{len(prepared):,}" + (f" of {patients:,} patients" if patients else ""))
    facts.add_row("rate", f"{prepared.rate_hz:g} Hz")
    facts.add_row("leads", ", ".join(prepared.leads))
    shortest, median, longest = np.quantile(seconds, [0, 0.5, 1])
    facts.add_row(
        "duration", f"{shortest:g} to {longest:g} s, median {median:g} s, {seconds.sum() / 3600:,.1f} h in all"
    )
    share = prepared.missing.sum() / max(1, prepared.samples.sum() * len(prepared.leads))
    facts.add_row("missing", f"{share:.2%} of the samples, in {np.count_nonzero(prepared.missing):,} records")
    for name in ("left_out", "rejected", "warnings"):
        what = ", ".join(f"{reason} {count:,}" for reason, count in counts[name].items())
        where = f" (each in {prepared.path / REJECTED})" if name == "rejected" and what else ""
        facts.add_row(name.replace("_", " "), (what or "none") + where)
    facts.add_row("fingerprint", prepared.fingerprint[:16])
    return Group(facts, "", _by_label_and_fold(prepared))


def _by_label_and_fold(prepared: PreparedSet) -> Table:
    """Labels down and folds across, or the other way round where the folds are more."""
    borne: dict[str, Any] = {name: prepared.label[:, at] > 0 for at, name in enumerate(prepared.labels)}
    unlabelled = ~prepared.label.any(axis=1)
    if unlabelled.any():
        borne["(none)"] = unlabelled
    everyone = np.full(len(prepared), True)
    within: dict[str, Any] = {str(fold): prepared.folds == fold for fold in np.unique(prepared.folds)}
    labels, folds = borne | {"records": everyone}, within | {"all": everyone}
    corner, down, across = ("fold", folds, labels) if len(folds) > len(labels) else ("label", labels, folds)
    note = " (labels exclude each other)" if prepared.target.kind == "exclusive" else ""
    table = Table(title=f"records by label and fold{note}")
    table.add_column(corner)
    for name in across:
        table.add_column(name, justify="right")
    for at, (name, ones) in enumerate(down.items()):
        counts = (f"{np.count_nonzero(ones & others):,}" for others in across.values())
        table.add_row(name, *counts, end_section=at == len(down) - 2)
    return table
