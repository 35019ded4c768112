"""From a source to a prepared set: read in parallel, judged, written whole or not at all.

Reading is spread over processes; folds, order, files and fingerprint are made in this one from the sorted record ids,
so that the bytes are the same for any number of workers. May import records, sources, synthetic; never jax.
"""

import csv
import hashlib
import importlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ecg_jax.dataset.folds import assign_folds
from ecg_jax.dataset.parallel_load import Loaded, read_all
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.dataset.prepared import ABOUT, FORMAT, INDEX, REJECTED, PreparedSet, open_prepared
from ecg_jax.dataset.staging import clear_left_over, publish, staging
from ecg_jax.dataset.tfds_writer import Example, write_tfds
from ecg_jax.errors import DataError
from ecg_jax.records import MISSING, Rejected
from ecg_jax.sources import Listing, RecordRef, cinc2017, ptb_xl, wfdb_folder


def prepare(request: PrepareConfig, console: Console | None = None) -> PreparedSet:
    """Makes the prepared set that `request` asks for and says on `console` (standard error) what became of the records.

    A finished set of the same request is opened as it is.

    Raises:
        DataError: the folder holds something else, the source cannot be used, no record is left, or with `strict` one
            is rejected.
    """
    console = console or Console(stderr=True)
    if (request.to / ABOUT).is_file():
        return _as_it_is(request, console)
    if request.to.exists() and (not request.to.is_dir() or any(request.to.iterdir())):
        raise DataError(f"{request.to} is there and is no prepared set; choose another --to")
    with staging(request.to) as folder:
        listing = _list(request, folder / "source")
        refs = sorted(listing.refs, key=lambda ref: ref.record_id)
        if not refs:
            raise DataError(f"no record is left: {_counts(listing.left_out) or 'the table is empty'}; check --from")
        if len({ref.record_id for ref in refs}) < len(refs):
            raise DataError(f"source {request.source} names a record twice; give every record an id of its own")
        leads = request.leads or listing.leads
        collected = _Collected(listing.target.names)
        loaded = read_all(refs, leads=leads, rate_hz=request.rate_hz, workers=request.workers)
        examples = collected.examples(refs, _folds(refs, listing, request), _with_bar(loaded, len(refs), console))
        first = next(examples, None)
        if first is None:
            raise DataError(f"no record is left: {_rejections(collected.rejected)}")
        built = folder / "set"
        built.mkdir()
        write_tfds(built, chain([first], examples), leads=len(leads), labels=len(listing.target.names))
        if request.strict and collected.rejected:
            raise DataError(f"--strict: {_rejections(collected.rejected)}; mend them or leave --strict out")
        about = _about(request, listing, leads, collected)
        _write_beside(built, about, collected)
        publish(built, request.to)
    prepared = open_prepared(request.to)
    _say(prepared, console)
    return prepared


@dataclass
class _Collected:
    """What is gathered while the records stream by."""

    labels: tuple[str, ...]
    record_ids: list[str] = field(default_factory=list)
    patients: list[str] = field(default_factory=list)
    folds: list[int] = field(default_factory=list)
    label: list[np.ndarray] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    gapless: list[bool] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)
    content: Any = field(default_factory=hashlib.sha256)

    def examples(
        self, refs: Sequence[RecordRef], folds: np.ndarray, loaded: Iterable[Loaded | Rejected]
    ) -> Iterator[Example]:
        """The records that can be used, as examples; all else is noted."""
        for ref, fold, result in zip(refs, folds.tolist(), loaded, strict=True):
            if isinstance(result, Rejected):
                self.rejected.append(result)
                continue
            signal, scale_mv = result.stored.signal, result.stored.scale_mv
            label = np.array([name in ref.labels for name in self.labels], np.uint8)
            gone = signal == MISSING  # [T, L]
            self.warnings.update(result.warnings)
            self.record_ids.append(ref.record_id)
            self.patients.append(ref.patient)
            self.folds.append(fold)
            self.label.append(label)
            self.samples.append(len(signal))
            self.missing.append(int(gone.sum()))
            self.gapless.append(not gone.all(axis=1).any())
            known = json.dumps([ref.record_id, ref.patient, fold, list(signal.shape)])
            for part in (known.encode(), label.tobytes(), scale_mv.tobytes(), signal.tobytes()):
                self.content.update(part)
            yield {
                "record_id": ref.record_id,
                "signal": signal,
                "scale_mv": scale_mv,
                "labels": label,
                "patient": ref.patient,
                "fold": fold,
            }

    def index(self) -> dict[str, np.ndarray]:
        """The arrays of `index.npz`."""
        return {
            "record_ids": np.array(self.record_ids, dtype=str),
            "patients": np.array(self.patients, dtype=str),
            "folds": np.array(self.folds, np.int32),
            "label": np.stack(self.label),
            "samples": np.array(self.samples, np.int64),
            "missing": np.array(self.missing, np.int64),
            "gapless": np.array(self.gapless, bool),
        }


def _list(request: PrepareConfig, made: Path) -> Listing:
    if request.source == "synthetic":
        from ecg_jax.synthetic import write

        write(made, records=request.records, seed=request.seed)
        return wfdb_folder(made, made / "labels.csv")
    root = request.root or Path()
    if not root.is_dir():
        raise DataError(f"--from {root} is no folder; give the one that holds the files of {request.source}")
    if request.source == "ptb_xl":
        return ptb_xl(root, task=request.task, rate_hz=request.rate_hz, keep_unlabelled=request.keep_unlabelled)
    if request.source == "cinc2017":
        return cinc2017(root)
    if request.source == "wfdb":
        return wfdb_folder(root, request.labels or Path(), request.exclusive)
    return _own_source(request.source)(root)


def _own_source(name: str) -> Callable[[Path], Listing]:
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise DataError(f"source {name} cannot be imported ({error}); put its folder on PYTHONPATH") from error


def _folds(refs: Sequence[RecordRef], listing: Listing, request: PrepareConfig) -> np.ndarray:
    """[N] int32. A record without a patient's name stands for itself."""
    patients = [f"patient {ref.patient}" if ref.patient else f"record {ref.record_id}" for ref in refs]
    folds = request.folds or listing.folds
    if folds:
        label = np.array([[name in ref.labels for name in listing.target.names] for ref in refs], float)
        return assign_folds(label, patients, folds=folds, seed=request.seed)
    fold_of: dict[str, int] = {}
    for ref, patient in zip(refs, patients, strict=True):
        fold = 0 if ref.fold is None else ref.fold
        if fold_of.setdefault(patient, fold) != fold:
            raise DataError(f"{patient} is in folds {fold_of[patient]} and {fold}; keep each patient in one")
    return np.array([fold_of[patient] for patient in patients], np.int32)


def _about(request: PrepareConfig, listing: Listing, leads: Sequence[str], collected: _Collected) -> dict[str, Any]:
    contract = {
        "rate_hz": float(request.rate_hz),
        "leads": list(leads),
        "unit": "mV",
        "labels": list(listing.target.names),
    }
    hashed = contract | {"exclusive": listing.target.kind == "exclusive"}  # as in the sets prepared so far
    whole = hashlib.sha256(json.dumps(hashed).encode() + collected.content.digest())
    return contract | {
        "target": listing.target.kind,
        "score": listing.score,
        "format": FORMAT,
        "fingerprint": whole.hexdigest(),
        "source": f"ptb_xl {request.task}" if request.source == "ptb_xl" else request.source,
        "request": request.identity(),
        "counts": {
            "kept": len(collected.record_ids),
            "left_out": dict(sorted(listing.left_out.items())),
            "rejected": dict(sorted(Counter(rejected.kind for rejected in collected.rejected).items())),
            "warnings": dict(sorted(collected.warnings.items())),
        },
    }


def _write_beside(folder: Path, about: dict[str, Any], collected: _Collected) -> None:
    np.savez(folder / INDEX, allow_pickle=False, **collected.index())
    with (folder / REJECTED).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("record", "reason", "remedy"))
        table.writerows((rejected.record, rejected.reason, rejected.remedy) for rejected in collected.rejected)
    (folder / ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _as_it_is(request: PrepareConfig, console: Console) -> PreparedSet:
    prepared = open_prepared(request.to)
    clear_left_over(request.to)
    there, asked = prepared.about["request"], json.loads(json.dumps(request.identity()))
    differing = [f"{key} {there.get(key)} (now {asked[key]})" for key in asked if there.get(key) != asked[key]]
    if differing:
        raise DataError(f"{request.to} was prepared with {', '.join(differing)}; choose another --to, or remove it")
    rejected = sum(prepared.about["counts"]["rejected"].values())
    if request.strict and rejected:
        raise DataError(f"--strict: {request.to} was prepared without {rejected} records, see {REJECTED} in it")
    console.print(f"{request.to} is finished already; remove it to prepare it anew", soft_wrap=True, highlight=False)
    _say(prepared, console)
    return prepared


def _with_bar(loaded: Iterable[Loaded | Rejected], total: int, console: Console) -> Iterator[Loaded | Rejected]:
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(loaded, total=total)


def _say(prepared: PreparedSet, console: Console) -> None:
    counts = prepared.about["counts"]
    labels = f"{len(prepared.labels)} {'exclusive ' if prepared.target.kind == 'exclusive' else ''}labels"
    lines = [
        f"{prepared.path}: {len(prepared):,} records, {len(prepared.leads)} leads, {prepared.rate_hz:g} Hz, {labels}"
    ]
    if counts["left_out"]:
        lines.append(f"left out: {_counts(counts['left_out'])}")
    if counts["rejected"]:
        with (prepared.path / REJECTED).open(newline="", encoding="utf-8") as file:
            names = [Rejected(**row) for row in csv.DictReader(file)]
        lines.append(f"rejected: {_rejections(names)}; all in {prepared.path / REJECTED}")
    if counts["warnings"]:
        lines.append(f"read nevertheless: {_counts(counts['warnings'])}")
    console.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items())


def _rejections(rejected: Sequence[Rejected]) -> str:
    """Rejections by kind, the first few of each by name."""
    by_kind: dict[str, list[str]] = {}
    for one in rejected:
        by_kind.setdefault(one.kind, []).append(one.record)
    parts = []
    for kind, names in sorted(by_kind.items()):
        more = ", ..." if len(names) > 3 else ""
        parts.append(f"{kind} {len(names):,} ({', '.join(names[:3])}{more})")
    return "; ".join(parts)
