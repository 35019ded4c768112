"""Why a run answers as it does: the parts of a recording in the log-odds of a label, by lead and by segment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecg_jax.dataset.batch import Batch, to_input
from ecg_jax.dataset.sampler import evaluation_windows
from ecg_jax.errors import ConfigError
from ecg_jax.explain.attribution import LEAST_CHANGE, integrated_gradients, log_odds, occlusion
from ecg_jax.explain.segments import SEGMENTS, Beats, find_beats, level_line
from ecg_jax.inference import Model
from ecg_jax.models.resnet import build_network
from ecg_jax.records import MISSING, Quantised


@dataclass(frozen=True)
class Parts:
    """How much each lead and each segment adds to the log-odds of a label."""

    by_lead: dict[str, float]
    by_segment: dict[str, float]

    def shares(self) -> "Parts":
        """The parts that add something, each as a share of all of these; the others are 0."""
        return Parts(_shares(self.by_lead), _shares(self.by_segment))


def _shares(parts: dict[str, float]) -> dict[str, float]:
    positive = {name: max(part, 0.0) for name, part in parts.items()}
    total = sum(positive.values())
    return {name: part / total if total else 0.0 for name, part in positive.items()}


@dataclass(frozen=True)
class Explanation:
    """Why a label has its probability in a recording, compared with the same recording without any wave."""

    label: str
    probability: float
    log_odds: float
    """Mean over the windows; with `--evaluate.pool max` of the window with the largest one."""
    log_odds_without_waves: float
    samples: np.ndarray  # [T, L], the part of each sample in the difference of these two, by integrated gradients
    completeness_error: float
    """By which the sum of these parts misses the difference, relative to it or to 0.1 if that is larger."""
    gradients: Parts
    """Sums of `samples`."""
    occlusion: Parts
    """By how much the log-odds fall without the waves of a lead or a segment."""

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON values: parts in log-odds, and shares of those that are positive."""
        values: dict[str, Any] = {"label": self.label, "probability": round(self.probability, 6)}
        for name in ("log_odds", "log_odds_without_waves", "completeness_error"):
            values[name] = round(float(getattr(self, name)), 6)
        for method in ("gradients", "occlusion"):
            parts = getattr(self, method)
            shares = parts.shares()
            values[method] = {
                "lead_shares": _rounded(shares.by_lead),
                "segment_shares": _rounded(shares.by_segment),
                "leads": _rounded(parts.by_lead),
                "segments": _rounded(parts.by_segment),
            }
        return values


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in values.items()}


class Explainer:
    """Explains the answers of a run; what is compiled serves all recordings."""

    def __init__(self, model: Model):
        """Compiles nothing yet."""
        self.model, target = model, model.contract.target
        self._functions = log_odds(build_network(model.config, len(target.names)), target)

    def explain(self, record: Quantised, label: str, beats: Beats | None = None) -> Explanation:
        """Explains the probability of a label in a record.

        Args:
            record: in the rate and leads of the run, from `records.quantise`.
            label: the label.
            beats: of the record; by default those that `find_beats` finds.

        Raises:
            ConfigError: the run has no such label, or the extra [explain] is not installed.
        """
        model, contract, variables = self.model, self.model.contract, self.model.variables
        names = contract.target.names
        if label not in names:
            raise ConfigError(f"--label {label}: the run has no such label; choose from {', '.join(names)}")
        k, length, n_samples = names.index(label), contract.window_samples, len(record.signal)
        if beats is None:
            beats = find_beats(signal_mv(record), contract.rate_hz, contract.leads)
        segment = beats.segments(max(n_samples, length))  # [T]
        batch = _batch(model.windows(record), len(names))
        overlap = model.config.evaluate.overlap
        offsets = evaluation_windows([n_samples], window=length, overlap=overlap).offset
        windows, measured = map(np.asarray, to_input(batch, contract.normalisation))  # [M, T, L]
        of_windows = np.asarray(self._functions.of(variables, windows, batch.valid), np.float64)[:, k]
        weight = _weights(of_windows, model.config.evaluate.pool)

        samples, without = np.zeros((len(segment), len(contract.leads))), 0.0
        occluded = np.zeros(len(contract.leads) + len(SEGMENTS))
        for m in np.flatnonzero(weight):
            span = slice(offsets[m], offsets[m] + length)
            line = level_line(windows[m], measured[m], beats.qrs_onset - offsets[m], contract.rate_hz)
            pair = windows[m], line, batch.valid[m]
            of_line = self._functions.of(variables, line[None], batch.valid[m][None])
            without += weight[m] * float(of_line[0, k])
            samples[span] += weight[m] * integrated_gradients(self._functions, variables, *pair, k)
            masks = _masks(segment[span], len(contract.leads))
            occluded += weight[m] * occlusion(self._functions, variables, *pair, k, masks)
        mean = float(weight @ of_windows)
        n_leads = len(contract.leads)
        return Explanation(
            label=label,
            probability=float(model.probability(record)[k]),
            log_odds=mean,
            log_odds_without_waves=without,
            samples=samples[:n_samples],
            completeness_error=abs(samples.sum() - (mean - without)) / max(abs(mean - without), LEAST_CHANGE),
            gradients=self._parts([samples[mask].sum() for mask in _masks(segment, n_leads)]),
            occlusion=self._parts(occluded.tolist()),
        )

    def _parts(self, values: Sequence[float]) -> Parts:
        """The parts from those of all leads and then of all segments."""
        leads = self.model.contract.leads
        by_lead, by_segment = values[: len(leads)], values[len(leads) :]
        return Parts(dict(zip(leads, by_lead, strict=True)), dict(zip(SEGMENTS, by_segment, strict=True)))


def signal_mv(record: Quantised) -> np.ndarray:
    """The signal [T, L] in mV, NaN where it is missing."""
    return np.where(record.signal == MISSING, np.nan, record.signal * record.scale_mv)


def _batch(windows: Sequence[Quantised], n_labels: int) -> Batch:
    signal = np.stack([window.signal for window in windows])
    return Batch(
        signal=signal,
        scale_mv=np.stack([window.scale_mv for window in windows]),
        valid=(signal != MISSING).any(axis=-1),
        label=np.zeros((len(windows), n_labels), np.float32),
        weight=np.ones(len(windows), np.float32),
    )


def _weights(of_windows: np.ndarray, pool: str) -> np.ndarray:
    """How much each window counts in the answer of its record, from the log-odds of the windows [M]."""
    if pool == "mean":
        return np.full(len(of_windows), 1 / len(of_windows))
    return (np.arange(len(of_windows)) == of_windows.argmax()).astype(float)


def _masks(segment: np.ndarray, n_leads: int) -> np.ndarray:
    """The samples [L + S, T, L] of each lead, and those of each segment in all leads."""
    of_lead = np.broadcast_to(np.eye(n_leads, dtype=bool)[:, None, :], (n_leads, len(segment), n_leads))
    of_segment = segment == np.arange(len(SEGMENTS))[:, None]  # [S, T]
    return np.concatenate([of_lead, np.repeat(of_segment[:, :, None], n_leads, axis=2)])
