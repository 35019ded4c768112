"""The test predictions of a study: what every analysis starts from, checked where it is made. NumPy only.

Letters of this room: R trials, N records, K labels, F folds, U sampling units (patients as a rule), S seeds of a scale.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ecg_jax.analysis.axes import READY_MADE, Axis, Level, Scale
from ecg_jax.errors import ConfigError
from ecg_jax.target import Target

COSTS = ("parameters", "macs", "seconds", "latency_ms", "bytes")
FEWEST_OF_A_CLASS = 5  # records with and without a label that a metric of it needs in a fold, for its variance

Score = Callable[[np.ndarray, np.ndarray], float]
"""A data set's own metric from labels [n, K] and probabilities or decisions [n, K]; NaN where it is not defined."""


class StudyPredictions:
    """Test predictions of all trials of a study on the same records.

    Trials may come in any order, and scales may have different numbers of seeds.

    Attributes:
        n_trials, n_records, n_labels: R, N and K.
        axes: what the study varies, each with the levels that occur.
        target: the labels and their kind.
        trials, labels, probabilities, label_names, thresholds, folds, patients, validation: as given, converted to
            arrays.
        score, score_of: as given.
    """

    def __init__(
        self,
        trials: Sequence[Mapping[str, Any]],
        labels: Any,
        probabilities: Any,
        label_names: Sequence[str] | None = None,
        thresholds: Any = None,
        folds: Any = None,
        patients: Any = None,
        score: Score | None = None,
        score_of: Literal["probabilities", "decisions"] = "probabilities",
        exclusive: bool | None = None,
        axes: Sequence[Axis] | None = None,
        validation: Any = None,
    ):
        """Checks that everything fits together.

        Args:
            trials: [R] mappings with the level of each axis and `seed`; where known also `parameters`, `macs`,
                `seconds`, `latency_ms`, `bytes`, `learning_rate`, `receptive_field_samples`, `receptive_field_ms` and
                `validation_macro_auroc`. A scale has each seed once.
            labels: [N, K] of 0 and 1.
            probabilities: [R, N, K]; of a cross-fitted trial those of the run that held the record out.
            label_names: [K]; by default label 0, label 1 and so on.
            thresholds: [R, K], or [R, F, K] in the sorted order of the folds, fitted on validation; by default .5.
            folds: [N]; metrics are computed within folds and averaged. By default all records are one fold.
            patients: [N] names or numbers; "" or None is a patient of its own. By default each record is.
            score: the data set's own metric.
            score_of: what it is computed from beside the labels.
            exclusive: a record has exactly one label, decided by the largest probability. By default this holds if
                no thresholds are given and every row of two or more labels has exactly one 1.
            axes: what the study varies; by default depth, channels and kernel.
            validation: [R], macro AUROC of each trial on its validation records, by which the best scale is selected;
                by default it is selected on one half of the test records and seeds and read on the other half.

        Raises:
            ConfigError: something does not fit; the message names it.
        """
        self.trials = [dict(trial) for trial in trials]
        self.axes = _with_levels(self.trials, READY_MADE if axes is None else axes)
        _check_trials(self.trials, self.axes)
        self.labels, self.probabilities = _checked(labels, probabilities, n_trials=len(self.trials))
        self.n_trials, self.n_records, self.n_labels = self.probabilities.shape
        names = [f"label {k}" for k in range(self.n_labels)] if label_names is None else label_names
        self.label_names = tuple(str(name) for name in names)
        if len(self.label_names) != self.n_labels or len(set(self.label_names)) != self.n_labels:
            raise ConfigError(f"label_names must be {self.n_labels} different names; got {list(self.label_names)}")
        for name, value in (("folds", folds), ("patients", patients)):
            if value is not None and np.shape(value) != (self.n_records,):
                raise ConfigError(f"{name} must have the shape [{self.n_records}]; got {list(np.shape(value))}")
        self.folds, self.patients = folds, patients
        self.thresholds = None if thresholds is None else self._checked_thresholds(thresholds)
        if score is not None and not callable(score):
            raise ConfigError("score must be a function of labels and probabilities")
        self.score: Score | None = score
        self.score_of: Literal["probabilities", "decisions"] = score_of
        if exclusive is None:
            one_each = self.n_labels > 1 and bool((self.labels.sum(axis=1) == 1).all())
            exclusive = thresholds is None and one_each
        self.validation = None if validation is None else self._checked_validation(validation)
        self.target = Target("exclusive" if exclusive else "multilabel", self.label_names)

    def _checked_validation(self, validation: Any) -> np.ndarray:
        array = _array("validation", validation)
        if array.shape != (self.n_trials,) or not np.isfinite(array).all():
            raise ConfigError(f"validation must be {self.n_trials} finite numbers, one for each trial")
        return array.astype(float)

    def _checked_thresholds(self, thresholds: Any) -> np.ndarray:
        array = _array("thresholds", thresholds)
        shape, shape_by_fold = (self.n_trials, self.n_labels), (self.n_trials, self.n_folds, self.n_labels)
        if array.shape not in (shape, shape_by_fold):
            raise ConfigError(
                f"thresholds must have the shape [trials, labels], {list(shape)}, or [trials, folds, labels], "
                f"{list(shape_by_fold)}; got {list(array.shape)}"
            )
        return array.astype(float)

    def replace(self, **changes: Any) -> "StudyPredictions":
        """The same predictions with other arguments of the constructor."""
        given = {
            "trials": self.trials,
            "labels": self.labels,
            "probabilities": self.probabilities,
            "label_names": self.label_names,
            "thresholds": self.thresholds,
            "folds": self.folds,
            "patients": self.patients,
            "score": self.score,
            "score_of": self.score_of,
            "exclusive": self.target.kind == "exclusive",
            "axes": self.axes,
            "validation": self.validation,
        }
        return StudyPredictions(**{**given, **changes})

    def with_trials(self, trials: Sequence[Mapping[str, Any]]) -> "StudyPredictions":
        """The same predictions with other facts about their trials."""
        return self.replace(trials=trials)

    def of_trials(self, kept: Iterable[int]) -> "StudyPredictions":
        """The predictions of these trials only, on the same records."""
        places = [int(r) for r in kept]
        thresholds = None if self.thresholds is None else self.thresholds[places]
        validation = None if self.validation is None else self.validation[places]
        trials, probabilities = [self.trials[r] for r in places], self.probabilities[places]
        return self.replace(trials=trials, probabilities=probabilities, thresholds=thresholds, validation=validation)

    def at_level(self, field: str, level: Level) -> "StudyPredictions":
        """The trials at one level of the axis that varies `field`, which is no axis any more."""
        kept = [r for r, trial in enumerate(self.trials) if trial[field] == level]
        return self.of_trials(kept).replace(axes=[axis for axis in self.axes if axis.field != field])

    def of_label(self, name: str) -> "StudyPredictions":
        """The predictions of one label only, without thresholds, score and validation.

        Raises:
            ConfigError: there is no such label.
        """
        if name not in self.label_names:
            raise ConfigError(f"--label {name}: there is no such label; choose from {', '.join(self.label_names)}")
        k = [self.label_names.index(name)]
        labels, probabilities = self.labels[:, k], self.probabilities[:, :, k]
        changes = {"labels": labels, "probabilities": probabilities, "label_names": (name,)}
        return self.replace(**changes, thresholds=None, score=None, exclusive=False, validation=None)

    @property
    def n_folds(self) -> int:
        """F."""
        return int(self.fold_of.max()) + 1

    @property
    def n_patients(self) -> int:
        """The number of patients; a record without a patient counts as one."""
        return int(self.patient_of.max()) + 1

    @cached_property
    def n_seeds(self) -> int:
        """The number of different seeds."""
        return len({trial["seed"] for trial in self.trials})

    @cached_property
    def scales(self) -> list[Scale]:
        """The different scales, sorted by their levels, axis by axis."""
        place = [{level: i for i, level in enumerate(axis.levels)} for axis in self.axes]
        different = {Scale.of(trial, self.axes) for trial in self.trials}
        return sorted(different, key=lambda s: [where[x] for where, x in zip(place, s.levels, strict=True)])

    @cached_property
    def scale_of(self) -> np.ndarray:
        """[R], the place of each trial's scale in `scales`."""
        place = {scale: c for c, scale in enumerate(self.scales)}
        return np.array([place[Scale.of(trial, self.axes)] for trial in self.trials])

    def axis(self, name: str) -> Axis:
        """The axis of that name."""
        return next(axis for axis in self.axes if axis.name == name)

    def trials_of(self, scale: int) -> np.ndarray:
        """The places of the trials of the scale with this place in `scales`."""
        return np.flatnonzero(self.scale_of == scale)

    def mean_weights(self) -> np.ndarray:
        """Weights [scales, R] of the scales' means over their seeds."""
        member = (np.arange(len(self.scales))[:, None] == self.scale_of).astype(float)
        return member / member.sum(axis=1, keepdims=True)

    @cached_property
    def fold_of(self) -> np.ndarray:
        """[N], the place of each record's fold among the sorted folds."""
        if self.folds is None:
            return np.zeros(self.n_records, int)
        return np.unique(np.asarray(self.folds), return_inverse=True)[1].reshape(-1)

    @cached_property
    def patient_of(self) -> np.ndarray:
        """[N], the patient of each record as a number from 0 up."""
        if self.patients is None:
            return np.arange(self.n_records)
        names = ["" if p is None or p != p else str(p) for p in np.asarray(self.patients).tolist()]
        own = [(name, -1) if name else ("", i) for i, name in enumerate(names)]
        number = {key: u for u, key in enumerate(dict.fromkeys(own))}
        return np.array([number[key] for key in own])

    @cached_property
    def unit_of(self) -> np.ndarray:
        """[N], the sampling unit: the patient, or the record where a single patient makes up a class of a fold."""
        alone = np.zeros(self.n_records, bool)
        for k, fold in zip(*np.nonzero(self.defined), strict=True):
            in_fold = self.fold_of == fold
            for rows in (in_fold & self.labels[:, k], in_fold & ~self.labels[:, k]):
                alone |= rows & (len(np.unique(self.patient_of[rows])) == 1)
        own = np.where(alone, self.n_patients + np.arange(self.n_records), self.patient_of)
        return np.unique(own, return_inverse=True)[1].reshape(-1)

    @cached_property
    def defined(self) -> np.ndarray:
        """[K, F]: the label has enough records of both classes in the fold to be counted there."""
        positives = np.stack([np.bincount(self.fold_of, weights=y, minlength=self.n_folds) for y in self.labels.T])
        size = np.bincount(self.fold_of, minlength=self.n_folds)
        return (positives >= FEWEST_OF_A_CLASS) & (size - positives >= FEWEST_OF_A_CLASS)


def _array(name: str, given: Any) -> np.ndarray:
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise ConfigError(f"{name} must be an array; its rows differ in length") from error
    if array.dtype.kind not in "biuf":
        raise ConfigError(f"{name} must be numbers; got {array.dtype}")
    return array.astype(int) if array.dtype.kind == "u" else array


def _checked(given_labels: Any, given_probabilities: Any, *, n_trials: int) -> tuple[np.ndarray, np.ndarray]:
    labels, probabilities = _array("labels", given_labels), _array("probabilities", given_probabilities)
    if labels.ndim != 2 or not labels.size:
        raise ConfigError(f"labels must have the shape [records, labels]; got {list(labels.shape)}")
    if not np.isin(labels, (0, 1)).all():
        raise ConfigError("labels must be 0 or 1")
    shape = (n_trials, *labels.shape)
    if probabilities.shape != shape:
        raise ConfigError(
            f"probabilities must have the shape [trials, records, labels], {list(shape)}; "
            f"got {list(probabilities.shape)}"
        )
    if not np.isfinite(probabilities).all():
        raise ConfigError("probabilities must be finite numbers")
    return labels.astype(bool), probabilities if probabilities.dtype.kind == "f" else probabilities.astype(float)


def _with_levels(trials: list[dict[str, Any]], axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """The axes with the levels that occur, after each trial's levels were turned into values of the axis."""
    if not trials:
        raise ConfigError("a study needs at least one trial")
    if not axes or len({axis.name for axis in axes}) < len(axes):
        raise ConfigError("a study needs one axis or more, each once")
    for r, trial in enumerate(trials):
        for axis in axes:
            trial[axis.name] = axis.level(trial.get(axis.name), f"trial {r}: ")
    occurring = {axis: {trial[axis.name] for trial in trials} for axis in axes}
    return tuple(
        axis.with_levels([*filter(levels.__contains__, axis.levels), *sorted(levels, key=_numbers_first)])
        for axis, levels in occurring.items()
    )


def _numbers_first(level: Level) -> tuple[bool, Level]:
    return isinstance(level, str), level


def _check_trials(trials: list[dict[str, Any]], axes: tuple[Axis, ...]) -> None:
    seen: dict[tuple[Any, ...], int] = {}
    for r, trial in enumerate(trials):
        seed = trial.get("seed")
        if not (isinstance(seed, (int, float, np.integer, np.floating)) and seed >= 0 and float(seed).is_integer()):
            raise ConfigError(f"trial {r}: seed must be a whole number from 0 up; got {seed!r}")
        scale = Scale.of(trial, axes)
        if (scale, int(seed)) in seen:
            levels = ", ".join(f"{name} {level}" for name, level in scale.to_dict().items())
            raise ConfigError(
                f"trials {seen[scale, int(seed)]} and {r} are the same: {levels}, seed {int(seed)}; give each once"
            )
        seen[scale, int(seed)] = r
