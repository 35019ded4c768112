"""Training, validation and test records of a run, by folds. NumPy only."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from ecg_jax.config import DataConfig
from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.errors import ConfigError


@dataclass(frozen=True)
class Splits:
    """Folds of the three splits, and the indices of their records in a prepared set."""

    folds: dict[str, tuple[int, ...]]  # "training", "validation", "test"
    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def describe(self) -> str:
        """One line: the folds and records of each split."""
        return "; ".join(
            f"{name}: {len(getattr(self, name))} records (folds {', '.join(map(str, folds)) or 'none'})"
            for name, folds in self.folds.items()
        )


def split_records(prepared: PreparedSet, config: DataConfig) -> Splits:
    """Splits a prepared set by its folds, and keeps the config's fraction of the training patients.

    Patients are ordered by a hash of their names, so a larger fraction contains every smaller one; each draw has an
    order of its own.

    Raises:
        ConfigError: see `split_by_folds`.
    """
    splits = split_by_folds(prepared.folds, config)
    if config.training_share == 1:
        return splits
    training = splits.training
    names = np.where(prepared.patients == "", prepared.record_ids, prepared.patients)[training]
    draw = f"{config.training_draw} " if config.training_draw else ""
    patients = sorted(set(names.tolist()), key=lambda name: hashlib.sha256((draw + name).encode()).digest())
    kept = patients[: max(1, round(config.training_share * len(patients)))]
    return replace(splits, training=training[np.isin(names, kept)])


def split_by_folds(folds: np.ndarray, config: DataConfig) -> Splits:
    """Splits records by their fold [N].

    Without test folds in the config, the last fold present is the test fold. Without validation folds, the fold before
    the first test fold, cyclically, is the validation fold (the last fold, if there is no test fold).

    Raises:
        ConfigError: a fold has no record or is in two splits, or the training or validation split is empty.
    """
    present = sorted(set(folds.tolist()))
    test = (present[-1],) if config.test_folds is None else config.test_folds
    validation = config.validation_folds
    if validation is None:
        left = [fold for fold in present if fold not in test]
        before = [fold for fold in left if test and fold < test[0]] or left
        validation = tuple(before[-1:])
    for flag, folds_of_flag in (("--data.test-folds", test), ("--data.validation-folds", validation)):
        for fold in folds_of_flag:
            if fold not in present:
                raise ConfigError(f"{flag} {fold}: no record is in fold {fold}; the set has folds {present}")
    if both := set(test) & set(validation):
        raise ConfigError(f"fold {min(both)} is in --data.test-folds and --data.validation-folds; remove it from one")
    training = tuple(fold for fold in present if fold not in (*test, *validation))
    if not validation or not training:
        empty = "validation" if not validation else "training"
        raise ConfigError(f"no fold is left for {empty}: the set has folds {present}, test folds are {list(test)}")
    chosen = {"training": training, "validation": validation, "test": test}
    return Splits(folds=chosen, **{name: np.flatnonzero(np.isin(folds, which)) for name, which in chosen.items()})
