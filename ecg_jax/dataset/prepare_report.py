"""What `ecg-jax prepare` says about a set, and why records were left out. May import numpy and rich."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from ecg_jax.dataset.prepared import LISTS, PreparedSet
from ecg_jax.errors import Rejected
from ecg_jax.sources.tables import shortened
from ecg_jax.terminal import tell


def report(prepared: PreparedSet, console: Console) -> None:
    """Says what the set contains, and which records were left out, rejected or read with a warning."""
    counts = prepared.about["counts"]
    kind = "exclusive labels" if prepared.target.kind == "exclusive" else "labels"
    size = f"{len(prepared):,} records, {len(prepared.leads)} leads, {prepared.rate_hz:g} Hz"
    lines = [f"{prepared.path}: {size}, {len(prepared.labels)} {kind}"]
    nowhere = prepared.leads_in_no_record()
    for name, title in (("left_out", "left out"), ("rejected", "rejected"), ("warnings", "read with a warning")):
        said_below = {f"lead {lead} missing" for lead in nowhere}
        if by_kind := {kind: count for kind, count in counts[name].items() if kind not in said_below}:
            lines.append(f"{title}: {_listed(by_kind, prepared.path / LISTS[name])}")
    if nowhere:
        lines.append(f"leads that no record has: {', '.join(nowhere)}; choose others with --leads")
    if unused := [f"{lead or '(without a name)'} {count:,}" for lead, count in counts["unused_leads"].items()]:
        listed = ", ".join(map(shortened, unused[:20])) + (", ..." if len(unused) > 20 else "")
        lines.append(f"leads that were not asked for: {listed}; choose them with --leads")
    if without_patient := np.count_nonzero(prepared.patients == ""):
        lines.append(f"records without a patient: {without_patient:,}; each counts as a patient of its own")
    lines += [
        f"patient {patient} is in folds {', '.join(map(str, folds))}: the published division, which is kept, has it so"
        for patient, folds in _divided_patients(prepared).items()
    ]
    tell(console, *lines)


def _divided_patients(prepared: PreparedSet) -> dict[str, list[int]]:
    """The folds of each known patient who is in several."""
    folds: dict[str, set[int]] = {}
    for patient, fold in zip(prepared.patients.tolist(), prepared.folds.tolist(), strict=True):
        folds.setdefault(patient, set()).add(fold)
    return {patient: sorted(found) for patient, found in folds.items() if patient and len(found) > 1}


def _listed(counts: Mapping[str, int], table: Path) -> str:
    """Counts by kind with the first names of each from a table beside the set; older versions did not write all."""
    names: dict[str, dict[str, None]] = {}
    if table.is_file():
        with table.open(newline="", encoding="utf-8", errors="replace") as file:
            for record, reason, *_ in (row for row in csv.reader(file) if len(row) > 1):
                names.setdefault(reason.partition(":")[0], {})[record] = None
    listed = "; ".join(f"{kind} {count:,}{_first_names([*names.get(kind, ())])}" for kind, count in counts.items())
    return f"{listed}; all of them in {table}" if names else listed


def causes(rejected: Iterable[Rejected]) -> str:
    """Counts by kind with the first names of each, and the reason and remedy of the first."""
    by_kind: dict[str, list[Rejected]] = {}
    for rejection in rejected:
        by_kind.setdefault(rejection.kind, []).append(rejection)
    causes = []
    for kind, of_kind in sorted(by_kind.items()):
        names = _first_names([rejection.record for rejection in of_kind])
        detail = of_kind[0].reason.removeprefix(kind)
        causes.append(f"{kind} {len(of_kind):,}{names}{detail}; {of_kind[0].remedy}")
    return "; ".join(causes)


def _first_names(names: Sequence[str]) -> str:
    return f" ({', '.join(map(shortened, names[:3]))}{', ...' if len(names) > 3 else ''})" if names else ""
