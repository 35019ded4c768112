"""From a source to a prepared set, which is written completely or not at all.

Several processes read the records. This process assigns folds, orders the records by id and writes all files, so that
the bytes are the same for any number of workers. May import records and sources; never jax.
"""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ecg_jax.dataset.folds import assign_folds
from ecg_jax.dataset.parallel_load import read_all
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.dataset.prepared import ABOUT, FORMAT, INDEX, REJECTED, PreparedSet, open_prepared
from ecg_jax.dataset.tfds_writer import Example, write_tfds
from ecg_jax.errors import DataError
from ecg_jax.files import clear_staging, publish, staging
from ecg_jax.records import MISSING, STANDARD_LEADS, Quantised, Rejected
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef
from ecg_jax.terminal import PlainConsole, tell


def prepare(config: PrepareConfig, console: Console | None = None) -> PreparedSet:
    """Prepares a set and reports on `console` (standard error) which records were left out or rejected.

    A set that was finished with the same configuration is opened and not changed.

    Raises:
        DataError: the folder contains something else, the source cannot be used, no record is left, or with `strict`
            a record is rejected.
    """
    console = console or PlainConsole(stderr=True)
    if (config.to / ABOUT).is_file():
        return _finished(config, console)
    if config.to.exists() and (not config.to.is_dir() or any(config.to.iterdir())):
        raise DataError(f"{config.to} exists and is not a prepared set; choose another --to")
    with staging(config.to) as folder:
        listing = _list(config, folder / "source")
        refs = sorted(listing.refs, key=lambda ref: ref.record_id)
        label = np.array([[name in ref.labels for name in listing.target.names] for ref in refs], np.uint8)  # [N, K]
        leads = config.leads or listing.leads or STANDARD_LEADS
        collected = _Collected()
        loaded = read_all(refs, leads=leads, rate_hz=config.rate_hz, workers=config.workers)
        folds = _folds(refs, label, config.folds or listing.folds, config.seed)
        examples = collected.examples(refs, label, folds, _with_bar(loaded, len(refs), console))
        built = folder / "set"
        built.mkdir()
        write_tfds(built, examples, leads=len(leads), labels=len(listing.target.names))
        if not collected.rows:
            raise DataError(f"no record is left: {_rejections(collected.rejected)}")
        if config.strict and collected.rejected:
            raise DataError(f"--strict: {_rejections(collected.rejected)}; correct them or omit --strict")
        _write_beside(built, _about(config, listing, leads, collected), collected)
        publish(built, config.to)
    prepared = open_prepared(config.to)
    _report(prepared, console)
    return prepared


def _list(config: PrepareConfig, folder: Path) -> Listing:
    """The listing of the source; `folder` is for recordings that the source generates."""
    source = config.source
    if isinstance(source, FolderSource) and not source.root.is_dir():
        raise DataError(f"--from {source.root} is not a folder; give the folder with the files of {source.name}")
    listing = source.listing(rate_hz=config.rate_hz, seed=config.seed, folder=folder)
    if not listing.refs:
        raise DataError(f"no record is left: {_counts(listing.left_out) or 'the table is empty'}; check --from")
    if len({ref.record_id for ref in listing.refs}) < len(listing.refs):
        raise DataError(f"source {source.name} names a record twice; give each record an id of its own")
    return listing


INDEX_ARRAYS = ("record_ids", "patients", "folds", "label", "samples", "missing", "gapless")


@dataclass
class _Collected:
    """What is known of the records read so far, and the hash of their content."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)  # one value for each of INDEX_ARRAYS
    rejected: list[Rejected] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)
    content: Any = field(default_factory=hashlib.sha256)

    def examples(
        self, refs: Sequence[RecordRef], labels: np.ndarray, folds: np.ndarray, loaded: Iterable[Quantised | Rejected]
    ) -> Iterator[Example]:
        """The usable records as TFDS examples; the others are added to `rejected`."""
        for ref, label, fold, result in zip(refs, labels, folds, loaded, strict=True):
            if isinstance(result, Rejected):
                self.rejected.append(result)
                continue
            signal, scale_mv = result.signal, result.scale_mv
            missing = signal == MISSING  # [T, L]
            gapless = not missing.all(axis=1).any()
            self.warnings.update(result.warnings)
            self.rows.append((ref.record_id, ref.patient, fold, label, len(signal), missing.sum(), gapless))
            known = json.dumps([ref.record_id, ref.patient, int(fold), list(signal.shape)])
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
        """The arrays of `index.npz`, which `PreparedSet` describes."""
        columns = zip(*self.rows, strict=True)
        return {name: np.array(column) for name, column in zip(INDEX_ARRAYS, columns, strict=True)}


def _folds(refs: Sequence[RecordRef], label: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each record, [N] int32; made if `folds` is not 0. A record without a patient is its own patient."""
    patients = [f"patient {ref.patient}" if ref.patient else f"record {ref.record_id}" for ref in refs]
    if folds:
        return assign_folds(label, patients, folds=folds, seed=seed)
    fold_of: dict[str, int] = {}
    for ref, patient in zip(refs, patients, strict=True):
        fold = 0 if ref.fold is None else ref.fold
        if fold_of.setdefault(patient, fold) != fold:
            raise DataError(f"{patient} is in folds {fold_of[patient]} and {fold}; keep each patient in one")
    return np.array([fold_of[patient] for patient in patients], np.int32)


def _about(config: PrepareConfig, listing: Listing, leads: Sequence[str], collected: _Collected) -> dict[str, Any]:
    contract = {"rate_hz": float(config.rate_hz), "leads": leads, "unit": "mV", "labels": listing.target.names}
    hashed = contract | {"exclusive": listing.target.kind == "exclusive"}  # never changes, or all fingerprints would
    fingerprint = hashlib.sha256(json.dumps(hashed).encode() + collected.content.digest())
    request = config.identity()
    return contract | {
        "target": listing.target.kind,
        "score": listing.score,
        "format": FORMAT,
        "fingerprint": fingerprint.hexdigest(),
        "source": " ".join(filter(None, (request["source"], request.get("task")))),
        "request": request,
        "counts": {
            "kept": len(collected.rows),
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


def _finished(config: PrepareConfig, console: Console) -> PreparedSet:
    """The set that exists already, if it was prepared with the same configuration."""
    prepared = open_prepared(config.to)
    clear_staging(config.to)
    before, now = prepared.about["request"], config.identity()
    differing = [f"{key} {before.get(key)} (now {now[key]})" for key in now if before.get(key) != now[key]]
    if differing:
        raise DataError(f"{config.to} was prepared with {', '.join(differing)}; choose another --to, or remove it")
    rejected = sum(prepared.about["counts"]["rejected"].values())
    if config.strict and rejected:
        raise DataError(f"--strict: {config.to} was prepared without {rejected} records, see {REJECTED} in it")
    tell(console, f"{config.to} is finished already; remove it to prepare it again")
    _report(prepared, console)
    return prepared


def _with_bar(loaded: Iterable[Quantised | Rejected], total: int, console: Console) -> Iterator[Quantised | Rejected]:
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(loaded, total=total)


def _report(prepared: PreparedSet, console: Console) -> None:
    counts = prepared.about["counts"]
    kind = "exclusive labels" if prepared.target.kind == "exclusive" else "labels"
    size = f"{len(prepared):,} records, {len(prepared.leads)} leads, {prepared.rate_hz:g} Hz"
    lines = [f"{prepared.path}: {size}, {len(prepared.labels)} {kind}"]
    if counts["left_out"]:
        lines.append(f"left out: {_counts(counts['left_out'])}")
    if counts["rejected"]:
        with (prepared.path / REJECTED).open(newline="", encoding="utf-8") as file:
            rejected = [Rejected(**row) for row in csv.DictReader(file)]
        lines.append(f"rejected: {_rejections(rejected)}; all of them in {prepared.path / REJECTED}")
    if counts["warnings"]:
        lines.append(f"read with a warning: {_counts(counts['warnings'])}")
    tell(console, *lines)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items())


def _rejections(rejected: Sequence[Rejected]) -> str:
    """Number of rejections by kind, with the names of the first three of each."""
    by_kind: dict[str, list[str]] = {}
    for rejection in rejected:
        by_kind.setdefault(rejection.kind, []).append(rejection.record)
    return "; ".join(
        f"{kind} {len(names):,} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for kind, names in sorted(by_kind.items())
    )
