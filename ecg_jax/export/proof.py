"""The proof of an exported file: it is run in a process of its own, and compared with `predict`. Arrays and numbers."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_jax.config import EvaluateConfig
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.dataset.sampler import evaluation_windows
from ecg_jax.errors import RunError
from ecg_jax.evaluation.metrics import auroc, macro, per_label
from ecg_jax.evaluation.pooling import pool_windows
from ecg_jax.export import measure
from ecg_jax.export.function import Precision
from ecg_jax.records.record import MISSING
from ecg_jax.training.result import SplitPredictions

MOST_WINDOWS = 4096  # with which a file is run, of records that are drawn at random if there are more
LARGEST_DIFFERENCE = 1e-5  # of a probability, where file and network compute in float32
LARGEST_LOSS = {"float32": 0.002, "float16": 0.002, "int8": 0.005}  # of macro AUROC


@dataclass(frozen=True)
class Proof:
    """How a file differs from the run, on validation records, and what it costs on this machine."""

    precision: Precision
    records: int
    windows: int
    difference: float
    """The largest one of the probability of a label of a record."""
    auroc_before: float | None
    """Macro AUROC of the run on these records; None if no label has both classes among them."""
    auroc_after: float | None
    bytes: int
    latency_ms: float
    memory_bytes: int | None


@dataclass(frozen=True)
class Windows:
    """The windows of some validation records, as a program would hand them over."""

    signal_mv: np.ndarray  # [M, T, L] float32, NaN where nothing was recorded
    record: np.ndarray  # [M], place of the record that each is from
    predictions: SplitPredictions  # of these records


def windows_of(predictions: SplitPredictions, how: EvaluateConfig, window_samples: int) -> Windows:
    """The windows of the records, or of as many of them as have about `MOST_WINDOWS` windows."""
    prepared, samples = predictions.prepared, predictions.prepared.samples[predictions.indices]
    order = np.random.default_rng(0).permutation(len(samples))
    rows = evaluation_windows(samples[order], window=window_samples, overlap=how.overlap)
    kept = rows.record <= rows.record[:MOST_WINDOWS][-1]
    places = order[np.unique(rows.record[kept])]
    indices = predictions.indices[places]
    signal_mv = _signal_mv(prepared, indices[rows.record[kept]], rows.offset[kept], window_samples)
    chosen = SplitPredictions(predictions.split, prepared, indices, predictions.probability[places])
    return Windows(signal_mv, rows.record[kept], chosen)


def _signal_mv(prepared: PreparedSet, indices: np.ndarray, offsets: np.ndarray, samples: int) -> np.ndarray:
    signal_mv = np.full((len(indices), samples, len(prepared.leads)), np.nan, np.float32)
    crops = prepared.crops(indices.tolist(), offsets.tolist(), samples)
    for window, (signal, scale_mv) in zip(signal_mv, crops, strict=True):
        window[: len(signal)] = np.where(signal == MISSING, np.nan, signal * scale_mv)
    return signal_mv


def measured(path: Path, signal_mv: np.ndarray) -> dict[str, np.ndarray]:
    """The `probability`, `latency_ms` and `memory_bytes` of a file, run in a process of its own; see `measure`.

    Raises:
        RunError: it cannot be run.
    """
    windows, answer = path.with_name("windows.npy"), path.with_name("answer.npz")
    np.save(windows, signal_mv)
    command = [sys.executable, "-P", measure.__file__, str(path), str(windows), str(answer)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
        raise RunError(f"the exported {path.suffix} file cannot be run: {said[-1]}; nothing is kept")
    with np.load(answer) as values:
        return dict(values)


def prove(path: Path, windows: Windows, precision: Precision, how: EvaluateConfig, *, exact: bool) -> Proof:
    """Runs a file on windows and compares it with the predictions of their records.

    Args:
        path: of the file; other files are written beside it.
        windows: of validation records.
        precision: of the numbers in the file.
        how: how the run combines windows.
        exact: whether the run computes in float32, so that file and run must give the same probabilities.

    Raises:
        RunError: the file cannot be run, or differs too much; the message has the figures.
    """
    answer, predictions = measured(path, windows.signal_mv), windows.predictions
    target = predictions.prepared.target
    pooled = pool_windows(
        answer["probability"], windows.record, n_records=len(predictions.indices), pool=how.pool, target=target
    )
    memory = int(answer["memory_bytes"])
    proof = Proof(
        precision=precision,
        records=len(pooled),
        windows=len(windows.record),
        difference=float(np.abs(pooled - predictions.probability).max()),
        auroc_before=_macro_auroc(predictions.label, predictions.probability),
        auroc_after=_macro_auroc(predictions.label, pooled) if np.isfinite(pooled).all() else None,
        bytes=path.stat().st_size,
        latency_ms=float(answer["latency_ms"]),
        memory_bytes=None if memory < 0 else memory,
    )
    _check(proof, exact=exact and precision == "float32")
    return proof


def _macro_auroc(label: np.ndarray, probability: np.ndarray) -> float | None:
    value = float(macro(per_label(auroc, label, probability, np.ones((1, len(label)))))[0])
    return None if np.isnan(value) else value


def _check(proof: Proof, *, exact: bool) -> None:
    """Refuses a file whose probabilities are others.

    Raises:
        RunError: with the figures.
    """
    before, after, most = proof.auroc_before, proof.auroc_after, LARGEST_LOSS[proof.precision]
    figures = f"on {proof.records} validation records the largest difference of a probability is {proof.difference:.2g}"
    if before is not None and after is not None:
        figures += f", and macro AUROC is {after:.4f} instead of {before:.4f}"
    wrong = None
    if not np.isfinite(proof.difference):
        wrong = "it gives no number for some record"
    elif exact and proof.difference > LARGEST_DIFFERENCE:
        wrong = f"the largest difference allowed is {LARGEST_DIFFERENCE:g}"
    elif before is not None and after is not None and before - after > most:
        wrong = f"the largest loss of AUROC allowed for {proof.precision} is {most:g}"
    elif before is None and not exact:
        wrong = "AUROC is not defined there: a label needs records with it and without it to judge the loss"
    if wrong:
        raise RunError(f"the exported file is not kept: {figures}; {wrong}")
