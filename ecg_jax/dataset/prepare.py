"""From a source to a prepared set, which is written completely or not at all.

Several processes read the records. This process assigns folds, orders the records by id and writes all files, so that
the bytes are the same for any number of workers. May import records and sources; never jax.
"""

import csv
import hashlib
import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from rich.console import Console

from ecg_jax.dataset.flat_signals import FLAT, checksums_of
from ecg_jax.dataset.folds import assign_folds
from ecg_jax.dataset.parallel_load import read_all, start_ahead
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.dataset.prepare_report import causes, report
from ecg_jax.dataset.prepared import (
    ABOUT,
    FORMAT,
    INDEX,
    INDEX_KINDS,
    LISTS,
    SIGNALS,
    About,
    Counts,
    PreparedSet,
    fingerprint_of,
    open_prepared,
)
from ecg_jax.dataset.tfds_writer import Example, write_tfds
from ecg_jax.errors import DataError, Rejected
from ecg_jax.files import clear_staging, publish, staging
from ecg_jax.records import MISSING, STANDARD_LEADS, Quantised
from ecg_jax.sources.listing import FolderSource, Listing, RecordRef
from ecg_jax.sources.tables import age_years, is_missing, sex, shortened
from ecg_jax.terminal import PlainConsole, tell, with_bar


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
        start_ahead(config.workers)
        listing = _without_rare_labels(_list(config, folder / "source"), config.at_least or 0, console)
        listing = replace(listing, refs=listing.refs[: config.limit])
        refs = sorted(listing.refs, key=lambda ref: ref.record_id)
        label = np.array([[name in ref.labels for name in listing.target.names] for ref in refs], np.uint8)  # [N, K]
        leads = config.leads or listing.leads or STANDARD_LEADS
        collected = _Collected()
        loaded = read_all(refs, leads=leads, rate_hz=config.stored_rate_hz, workers=config.workers)
        folds = _folds(refs, label, config.folds or listing.folds, config.seed, listing.divided_patients)
        examples = collected.examples(refs, label, folds, with_bar("reading", loaded, len(refs), console))
        built = folder / "set"
        built.mkdir()
        with (built / FLAT).open("wb") as flat:
            written = _written_to(flat, examples)
            write_tfds(built, written, leads=len(leads), labels=len(listing.target.names))
        if not collected.rows:
            raise DataError(f"no record is left: {causes(collected.rejected)}")
        if config.strict and collected.rejected:
            raise DataError(f"--strict: {causes(collected.rejected)}; or omit --strict")
        _write_beside(built, config, listing, leads, collected)
        publish(built, config.to)
    prepared = open_prepared(config.to)
    report(prepared, console)
    return prepared


def _list(config: PrepareConfig, folder: Path) -> Listing:
    """The listing of the source; `folder` is for recordings that the source generates."""
    source = config.source
    if isinstance(source, FolderSource) and not source.root.is_dir():
        raise DataError(f"--from {source.root} is not a folder; give the folder with the files of {source.name}")
    listing = source.listing(rate_hz=config.stored_rate_hz, seed=config.seed, folder=folder)
    if not listing.refs:
        raise DataError(f"no record is left: {causes(listing.left_out) or 'the table has no rows'}")
    known: set[str] = set()
    for ref in listing.refs:
        where = f"source {source.name}, record {shortened(ref.record_id)}"
        if ref.record_id in known:
            raise DataError(f"{where} is named twice; give each record an id of its own")
        known.add(ref.record_id)
        if unknown := set(ref.labels) - set(listing.target.names):
            raise DataError(f"{where} has the label {min(unknown)}; name it in the target too")
        if listing.target.kind == "exclusive" and len(ref.labels) != 1:
            raise DataError(f"{where} has {len(ref.labels)} labels that exclude each other; give it one")
        if ref.fold is not None and not 0 <= ref.fold < 10**9:
            raise DataError(f"{where} is in fold {ref.fold}; give 0 or more, and at most nine digits")
    return replace(listing, refs=_with_patients(listing.refs))


def _with_patients(refs: Sequence[RecordRef]) -> tuple[RecordRef, ...]:
    """The records with patients as a table means them: nan is unknown, and 17.0 is 17 where there is a patient 17."""
    known = {ref.patient for ref in refs}

    def meant(patient: str) -> str:
        whole = patient.removesuffix(".0")
        return "" if is_missing(patient) else whole if whole in known else patient

    return tuple(replace(ref, patient=meant(ref.patient)) for ref in refs)


def _without_rare_labels(listing: Listing, at_least: int, console: Console) -> Listing:
    """The listing with the labels that so many records have; a score of the set is that of all its labels."""
    counts = Counter(name for ref in listing.refs for name in ref.labels)
    names = tuple(name for name in listing.target.names if counts[name] >= at_least)
    if names == listing.target.names:
        return listing
    if listing.target.kind == "exclusive":
        rarest = min(listing.target.names, key=lambda name: counts[name])
        detail = f"{rarest}, one of labels that exclude each other, has {counts[rarest]} records"
        raise DataError(f"--at-least {at_least}: {detail}; give at most {counts[rarest]}")
    if not names:
        raise DataError(f"--at-least {at_least}: no label has so many records; give at most {max(counts.values())}")
    tell(console, f"--at-least {at_least}: {len(names)} of {len(listing.target.names)} labels are kept")
    refs = tuple(replace(ref, labels=ref.labels.intersection(names)) for ref in listing.refs)
    return replace(listing, refs=refs, target=replace(listing.target, names=names), score=None)


@dataclass
class _Collected:
    """What is known of the records read so far, and the hash of their content."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)  # one value for each of INDEX_KINDS
    scales: list[np.ndarray] = field(default_factory=list)  # [L] float32 of each record
    rejected: list[Rejected] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)  # record and warning
    unused_leads: Counter[str] = field(default_factory=Counter)
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
            self.warnings += [(ref.record_id, warning) for warning in result.warnings]
            self.unused_leads.update(result.unused_leads)
            about_signal = fold, label, len(signal), missing.sum(), gapless
            age, of_sex = result.person  # as the file says, for what the table does not say
            age = age_years(age) if math.isnan(ref.age) else float(ref.age)
            about_person = age, ref.sex or sex(of_sex), ref.source, ref.device
            self.rows.append((ref.record_id, ref.patient, *about_signal, *about_person))
            self.scales.append(scale_mv)
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
        return {name: np.array(column) for name, column in zip(INDEX_KINDS, columns, strict=True)}


def _written_to(flat: BinaryIO, examples: Iterable[Example]) -> Iterator[Example]:
    """The examples; their signals are written to `flat` one after the other."""
    for example in examples:
        flat.write(example["signal"].astype("<i2", copy=False).tobytes())
        yield example


def _folds(refs: Sequence[RecordRef], label: np.ndarray, folds: int, seed: int, divided: Collection[str]) -> np.ndarray:
    """The fold of each record, [N] int32; made if `folds` is not 0. A record without a patient is its own patient.

    Folds that are made have the same share of each label and, in a set that joins several, of each source. They are
    made for the records without a fold, or for all records if all have one. `divided` names the patients who may be in
    several.
    """
    patients = [f"patient {ref.patient}" if ref.patient else f"record {ref.record_id}" for ref in refs]
    fold = np.array([ref.fold or 0 for ref in refs], np.int32)
    if folds:
        given = np.array([ref.fold is not None for ref in refs])
        made = np.flatnonzero(~given if not given.all() else given)
        sources = np.array([ref.source for ref in refs])  # [N]
        from_source = sources[:, None] == np.unique(sources[sources != ""])  # [N, sources]
        traits = np.concatenate([label, from_source], axis=1)[made]
        others = set(np.delete(fold, made).tolist())
        fold[made] = assign_folds(traits, [patients[record] for record in made], folds=folds, seed=seed)
        if both := others.intersection(fold[made].tolist()):
            raise DataError(f"--folds {folds} would make fold {min(both)}, which the source has already; give fewer")
    fold_of: dict[str, int] = {}
    for ref, patient, number in zip(refs, patients, fold.tolist(), strict=True):
        if fold_of.setdefault(patient, number) != number and ref.patient not in divided:
            raise DataError(f"{patient} is in folds {fold_of[patient]} and {number}; keep each patient in one")
    return fold


def _write_beside(
    folder: Path, config: PrepareConfig, listing: Listing, leads: Sequence[str], collected: _Collected
) -> None:
    """Writes the files beside the signals in `folder`; `prepared.json` comes last, with hashes of the others."""
    flat = {"scale_mv": np.stack(collected.scales), "checksums": checksums_of(folder / FLAT)}
    np.savez(folder / INDEX, allow_pickle=False, **collected.index(), **flat)
    for name, rejected in (("left_out", listing.left_out), ("rejected", collected.rejected)):
        _write_table(folder / LISTS[name], ("record", "reason", "remedy"), map(astuple, rejected))
    _write_table(folder / LISTS["warnings"], ("record", "warning"), collected.warnings)
    rate_hz, content, request = config.stored_rate_hz, collected.content.hexdigest(), config.identity()
    about = About(
        format=FORMAT,
        rate_hz=rate_hz,
        leads=list(leads),
        labels=list(listing.target.names),
        target=listing.target.kind,
        score=listing.score,
        source=" ".join(filter(None, (request["source"], request.get("task")))),
        request=request,
        fingerprint=fingerprint_of(content, rate_hz=rate_hz, leads=leads, target=listing.target),
        counts=Counts(
            kept=len(collected.rows),
            left_out=_by_kind((rejected.record, rejected.reason) for rejected in listing.left_out),
            rejected=_by_kind((rejected.record, rejected.reason) for rejected in collected.rejected),
            warnings=_by_kind(collected.warnings),
            unused_leads=dict(sorted(collected.unused_leads.items())),
        ),
        content=content,
        index_sha256=hashlib.sha256((folder / INDEX).read_bytes()).hexdigest(),
        record_bytes={path.name: path.stat().st_size for path in sorted(folder.glob(SIGNALS))},
    )
    (folder / ABOUT).write_text(json.dumps(asdict(about), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)


def _by_kind(reasons: Iterable[tuple[str, str]]) -> dict[str, int]:
    """The number of records by kind, from records and reasons: a record may have several reasons of one kind."""
    kinds = {(record, reason.partition(":")[0]) for record, reason in reasons}
    return dict(sorted(Counter(kind for _, kind in kinds).items()))


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
        raise DataError(f"--strict: {config.to} was prepared without {rejected} records, see {LISTS['rejected']} in it")
    tell(console, f"{config.to} is finished already; remove it to prepare it again")
    report(prepared, console)
    return prepared
