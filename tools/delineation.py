"""Which library finds the segments of a beat more often: NeuroKit2 by one of its methods, or the QRS detector of wfdb.

    python tools/delineation.py --ludb ludb --json delineation.json

Truth: the boundaries that cardiologists marked in lead II of LUDB, and those of the generator of synthetic recordings.
Both are read at the rate of a run. wfdb finds QRS complexes only; the other waves are then put at
fixed shares of the RR interval.
"""

import itertools
import json
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
import wfdb
import wfdb.processing

from ecg_jax.explain.segments import QRS, SEGMENTS, Beats, find_beats
from ecg_jax.file_layout import STANDARD_LEADS
from ecg_jax.files import temporary_folder
from ecg_jax.records import Record, load
from ecg_jax.synthetic import write
from ecg_jax.synthetic.cohort import visits
from ecg_jax.synthetic.heart import draw_beats, draw_patient

METHODS = ("peak", "cwt", "dwt", "prominence")
Finder = Callable[[np.ndarray, float, tuple[str, ...]], Beats]


def by_wfdb(signal_mv: np.ndarray, rate_hz: float, leads: tuple[str, ...]) -> Beats:
    """QRS complexes of `wfdb.processing.xqrs_detect` in lead II, and the other waves at shares of the RR interval.

    A PQ interval of 0.16 s, a QRS complex of 0.1 s and a QT interval of 0.4 s at 60 beats a minute, which changes with
    the square root of the RR interval (Bazett 1920).
    """
    lead = np.nan_to_num(signal_mv[:, leads.index("II")])
    peaks = np.asarray(wfdb.processing.xqrs_detect(lead, fs=rate_hz, verbose=False), float)
    rr = np.diff(peaks, append=np.nan) / rate_hz
    rr = np.where(np.isnan(rr), np.nanmedian(rr) if len(peaks) > 1 else 0.8, rr)
    onset = peaks - 0.05 * rate_hz
    return Beats(onset - 0.16 * rate_hz, onset, peaks + 0.05 * rate_hz, onset + 0.4 * np.sqrt(rr) * rate_hz)


def of_ludb(root: Path, rate_hz: float, most: int) -> Iterator[tuple[Record, Beats, slice]]:
    """Recordings of LUDB, the beats that are marked in lead II, and the samples between the first and the last mark."""
    headers = sorted(root.rglob("*.hea"), key=lambda path: int(path.stem))
    for header in headers[:: max(1, len(headers) // most)][:most]:
        record = load(header.with_suffix(""), leads=STANDARD_LEADS, rate_hz=rate_hz)
        marks = wfdb.rdann(str(header.with_suffix("")), "ii")
        scale = rate_hz / 500
        waves: dict[str, list[tuple[float, float]]] = {"p": [], "N": [], "t": []}
        symbols = list(marks.symbol or ())
        for at, (first, middle, last) in enumerate(zip(symbols, symbols[1:], symbols[2:], strict=False)):
            if first == "(" and last == ")":
                waves[middle].append((marks.sample[at] * scale, marks.sample[at + 2] * scale))
        rows = []
        complexes = waves["N"]
        for at, (onset, offset) in enumerate(complexes):
            before = complexes[at - 1][1] if at else -np.inf
            after = complexes[at + 1][0] if at + 1 < len(complexes) else np.inf
            p_onset = next((wave[0] for wave in reversed(waves["p"]) if before < wave[0] < onset), np.nan)
            t_offset = next((wave[1] for wave in waves["t"] if offset <= wave[1] < after), np.nan)
            rows.append((p_onset, onset, offset, t_offset))
        if rows and isinstance(record, Record):
            span = slice(round(marks.sample[0] * scale), round(marks.sample[-1] * scale))
            yield record, Beats(*np.array(rows).T), span


def of_generator(records: int, seed: int, rate_hz: float) -> Iterator[tuple[Record, Beats, slice]]:
    """Synthetic recordings, their beats, and all of their samples."""
    with temporary_folder() as folder:
        write(folder, records=records, seed=seed)
        for place, visit in enumerate(itertools.islice(visits(seed), records)):
            record = load(folder / "records" / f"s{place:05d}", leads=STANDARD_LEADS, rate_hz=rate_hz)
            assert isinstance(record, Record)
            patient = draw_patient(np.random.default_rng([seed, 3, visit.patient]), visit.labels)
            random = np.random.default_rng([seed, 4, visit.patient, visit.number])
            rows = []
            for beat in draw_beats(random, patient, 10):
                pace = (0.6 * beat.rr_seconds + 0.4 * patient.rr_seconds) ** (1 / 3)
                t_wave = patient.ectopic[-1] if beat.ectopic else pace * patient.repolarisation[1]
                width = patient.ectopic[-2, 0] - 0.03 if beat.ectopic else patient.qrs_seconds
                p_onset = np.nan if beat.ectopic or beat.p_onset_seconds is None else beat.p_onset_seconds
                end = beat.onset_seconds + t_wave[0] + 2.1 * t_wave[2]
                rows.append((p_onset, beat.onset_seconds, beat.onset_seconds + width, end))
            yield record, Beats(*(rate_hz * np.array(rows)).T), slice(0, len(record.signal_mv))


def judge(found: Beats, truth: Beats, samples: int, span: slice) -> dict[str, float]:
    """Share of the samples with the right segment; of each segment the overlap (Jaccard); QRS complexes found."""
    ours, theirs = found.segments(samples)[span], truth.segments(samples)[span]
    figures = {"right": float((ours == theirs).mean())}
    for kind, name in enumerate(SEGMENTS):
        either = (ours == kind) | (theirs == kind)
        if either.any():
            figures[name] = float(((ours == kind) & (theirs == kind)).sum() / either.sum())
    inside = [
        (on, off)
        for on, off in zip(truth.qrs_onset, truth.qrs_offset, strict=True)
        if on >= span.start and off < span.stop
    ]
    of_span = found.segments(samples) == QRS
    if inside:
        figures["QRS found"] = float(np.mean([of_span[round(on) : round(off) + 1].any() for on, off in inside]))
    return figures


def main(
    ludb: Path,
    most: int = 40,
    rate_hz: float = 100.0,
    json_path: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Compares the libraries.

    Args:
        ludb: Folder with records of LUDB.
        most: Recordings of each kind; those of LUDB are evenly spaced.
        rate_hz: Sampling rate of a run.
        json_path: Output file for the results.
    """
    warnings.simplefilter("ignore")
    finders: dict[str, Finder] = {"wfdb": by_wfdb}
    finders |= {f"NeuroKit2 {method}": partial(find_beats, method=method) for method in METHODS}
    results: dict[str, Any] = {}
    for name, recordings in {"LUDB": of_ludb(ludb, rate_hz, most), "synthetic": of_generator(most, 1, rate_hz)}.items():
        known = list(recordings)
        for method, find in finders.items():
            began, rows = time.perf_counter(), []
            for record, truth, span in known:
                signal_mv = np.where(record.missing, np.nan, record.signal_mv)
                rows.append(judge(find(signal_mv, rate_hz, record.leads), truth, len(signal_mv), span))
            means = {
                key: float(np.mean([row[key] for row in rows if key in row]))
                for key in ("right", *SEGMENTS, "QRS found")
            }
            means["milliseconds"] = 1000 * (time.perf_counter() - began) / len(known)
            results.setdefault(name, {"records": len(known)})[method] = means
            print(f"{name:10}{method:24}" + "  ".join(f"{key} {value:.3f}" for key, value in means.items()), flush=True)
    if json_path:
        json_path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
