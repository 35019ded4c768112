"""What a finished study hands to its analysis: one value, checked where it is made. NumPy only."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ecg_jax.errors import ConfigError

AXES = ("depth", "channels", "kernel")
COSTS = ("parameters", "macs", "seconds", "latency_ms")
LEAST_OF_A_CLASS = 2  # records with and without a label that a figure of it needs, in a fold or in half of one

Scale = tuple[Any, ...]
"""Depth, channels, kernel; and the variant where trials have one."""
Score = Callable[[np.ndarray, np.ndarray], float]
"""A data set's own figure from labels [n, K] and probabilities [n, K]; NaN where it is not defined."""


@dataclass(frozen=True, eq=False)
class StudyPredictions:
    """Test predictions of all trials of a study on the same N records; T trials, K labels, F folds.

    Trials may come in any order, and scales may have different numbers of seeds; a scale has a seed once.
    """

    trials: Sequence[dict[str, Any]]
    """[T] with `depth`, `channels`, `kernel`, `seed`; where known `parameters`, `macs`, `seconds`, `latency_ms`. A
    `variant` sets apart what differs in more than scale."""
    labels: np.ndarray
    """[N, K] of 0 and 1."""
    probabilities: np.ndarray
    """[T, N, K]; each record once, a cross-fitted trial's from the run that held it out."""
    label_names: Sequence[str] | None = None
    """[K]; without them label 0, label 1, ..."""
    thresholds: np.ndarray | None = None
    """[T, K], or [T, F, K] in the sorted order of the folds, fitted on validation; without them .5."""
    folds: np.ndarray | None = None
    """[N]; figures are computed within folds and averaged. Without them all records are one fold."""
    patients: np.ndarray | None = None
    """[N] names or numbers: records of a patient vary together. "" or None: a patient of its own."""
    score: Score | None = None
    """The set's own figure."""
    exclusive: bool | None = None
    """A record has exactly one label, decided by the largest probability. None: so it is where no thresholds are
    given and every row of labels has exactly one 1 among two or more."""

    def __post_init__(self) -> None:
        """Takes arrays of their kind and refuses what does not fit, in one line."""

        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)  # the dataclass is frozen

        put("trials", list(self.trials))
        put("labels", _array("labels", self.labels))
        probabilities = _array("probabilities", self.probabilities)
        put("probabilities", probabilities if probabilities.dtype.kind == "f" else probabilities.astype(float))
        _check_trials(self.trials)
        self._check_arrays()
        put("labels", self.labels.astype(bool))
        names = self.label_names if self.label_names is not None else [f"label {k}" for k in range(self.n_labels)]
        put("label_names", tuple(str(name) for name in names))
        if len(self.names) != self.n_labels or len(set(self.names)) != self.n_labels:
            raise ConfigError(f"label_names must be {self.n_labels} different names; got {list(self.names)}")
        for name in ("folds", "patients"):
            given = getattr(self, name)
            if given is not None and np.shape(given) != (self.n_records,):
                raise ConfigError(f"{name} must have the shape [{self.n_records}]; got {list(np.shape(given))}")
        if self.thresholds is not None:
            self._check_thresholds()
        if self.score is not None and not callable(self.score):
            raise ConfigError("score must be a function of labels and probabilities")
        if self.exclusive is None:
            one_each = self.n_labels > 1 and bool((self.labels.sum(axis=1) == 1).all())
            put("exclusive", self.thresholds is None and one_each)

    def _check_arrays(self) -> None:
        labels, probabilities = self.labels, self.probabilities
        if labels.ndim != 2 or not labels.size:
            raise ConfigError(f"labels must have the shape [records, labels]; got {list(labels.shape)}")
        if labels.dtype.kind not in "bif" or not np.isin(labels, (0, 1)).all():
            raise ConfigError("labels must be 0 or 1")
        wanted = (len(self.trials), *labels.shape)
        if probabilities.shape != wanted:
            raise ConfigError(
                f"probabilities must have the shape [trials, records, labels], {list(wanted)}; "
                f"got {list(probabilities.shape)}"
            )
        if not np.isfinite(probabilities).all():
            raise ConfigError("probabilities must be finite numbers")

    def _check_thresholds(self) -> None:
        thresholds = _array("thresholds", self.thresholds)
        flat, by_fold = ((self.n_trials, *folds, self.n_labels) for folds in ((), (self.n_folds,)))
        if thresholds.dtype.kind not in "bif" or thresholds.shape not in (flat, by_fold):
            raise ConfigError(
                f"thresholds must have the shape [trials, labels], {list(flat)}, or [trials, folds, labels], "
                f"{list(by_fold)}; got {list(thresholds.shape)}"
            )
        object.__setattr__(self, "thresholds", thresholds.astype(float))

    @property
    def n_trials(self) -> int:
        """T."""
        return len(self.trials)

    @property
    def n_records(self) -> int:
        """N."""
        return self.labels.shape[0]

    @property
    def n_labels(self) -> int:
        """K."""
        return self.labels.shape[1]

    @property
    def n_folds(self) -> int:
        """F."""
        return int(self.fold_of.max()) + 1

    @property
    def n_patients(self) -> int:
        """U, the units that vary independently."""
        return int(self.patient_of.max()) + 1

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the K labels."""
        return tuple(self.label_names or ())

    @cached_property
    def scales(self) -> list[Scale]:
        """The different scales [C], sorted."""
        return sorted({_scale(trial) for trial in self.trials})

    @cached_property
    def scale_of(self) -> np.ndarray:
        """[T], each trial's place in `scales`."""
        place = {scale: c for c, scale in enumerate(self.scales)}
        return np.array([place[_scale(trial)] for trial in self.trials])

    @cached_property
    def n_seeds(self) -> int:
        """The number of different seeds."""
        return len({trial["seed"] for trial in self.trials})

    @cached_property
    def fold_of(self) -> np.ndarray:
        """[N], each record's place among the sorted folds."""
        if self.folds is None:
            return np.zeros(self.n_records, int)
        return np.unique(np.asarray(self.folds), return_inverse=True)[1].reshape(-1)

    @cached_property
    def patient_of(self) -> np.ndarray:
        """[N], each record's patient as a number from 0 to U - 1."""
        if self.patients is None:
            return np.arange(self.n_records)
        names = ["" if p is None or p != p else str(p) for p in np.asarray(self.patients).tolist()]
        own = [(name, -1) if name else ("", i) for i, name in enumerate(names)]
        number = {key: u for u, key in enumerate(dict.fromkeys(own))}
        return np.array([number[key] for key in own])

    @cached_property
    def unit_of(self) -> np.ndarray:
        """[N], what varies as one: the patient, or the record where one patient alone makes up a class of a fold."""
        alone = np.zeros(self.n_records, bool)
        for k, fold in zip(*np.nonzero(self.defined), strict=True):
            here = self.fold_of == fold
            for rows in (here & self.labels[:, k], here & ~self.labels[:, k]):
                alone |= rows & (len(np.unique(self.patient_of[rows])) == 1)
        own = np.where(alone, self.n_patients + np.arange(self.n_records), self.patient_of)
        return np.unique(own, return_inverse=True)[1].reshape(-1)

    @cached_property
    def defined(self) -> np.ndarray:
        """[K, F]: the label has enough records of both classes in the fold to be counted there."""
        there = np.stack([np.bincount(self.fold_of, weights=y, minlength=self.n_folds) for y in self.labels.T])
        size = np.bincount(self.fold_of, minlength=self.n_folds)
        return (there >= LEAST_OF_A_CLASS) & (size - there >= LEAST_OF_A_CLASS)

    def trials_of(self, scale: int) -> np.ndarray:
        """Which trials are of the scale with this place in `scales`."""
        return np.flatnonzero(self.scale_of == scale)

    def of_trials(self, kept: Iterable[int]) -> "StudyPredictions":
        """The same records with these trials only."""
        places = [int(t) for t in kept]
        return replace(
            self,
            trials=[self.trials[t] for t in places],
            probabilities=self.probabilities[places],
            thresholds=None if self.thresholds is None else self.thresholds[places],
        )


def _array(name: str, given: Any) -> np.ndarray:
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise ConfigError(f"{name} must be an array; its rows differ in length") from error
    if array.dtype.kind not in "biuf":
        raise ConfigError(f"{name} must be numbers; got {array.dtype}")
    return array.astype(int) if array.dtype.kind == "u" else array


def _scale(trial: dict[str, Any]) -> Scale:
    scale = int(trial["depth"]), int(trial["channels"]), int(trial["kernel"])
    return (*scale, trial["variant"]) if "variant" in trial else scale


def _check_trials(trials: Sequence[dict[str, Any]]) -> None:
    if not trials:
        raise ConfigError("a study needs at least one trial")
    seen: dict[tuple[Any, ...], int] = {}
    for t, trial in enumerate(trials):
        for name, least in (*((axis, 1) for axis in AXES), ("seed", 0)):
            value = trial.get(name)
            number = float(value) if isinstance(value, (int, float, np.integer, np.floating)) else math.nan
            if not (number >= least and number.is_integer()):
                raise ConfigError(f"trial {t}: {name} must be a whole number from {least} up; got {value!r}")
        key = (*_scale(trial), int(trial["seed"]))
        if key in seen:
            depth, channels, kernel, *_, seed = key
            raise ConfigError(
                f"trials {seen[key]} and {t} are the same: depth {depth}, channels {channels}, kernel {kernel}, "
                f"seed {seed}; give each once"
            )
        seen[key] = t
