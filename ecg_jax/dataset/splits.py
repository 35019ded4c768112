"""Which records train, which choose, which test: by folds. NumPy only."""

from dataclasses import dataclass

import numpy as np

from ecg_jax.config import DataConfig
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
        parts = []
        for name, folds in self.folds.items():
            numbers = ", ".join(map(str, folds)) or "none"
            parts.append(f"{name}: {len(getattr(self, name))} records (folds {numbers})")
        return "; ".join(parts)


def split_by_folds(folds: np.ndarray, config: DataConfig) -> Splits:
    """Splits records by their fold [N].

    Where the config names no test folds, the last fold that is present is it; where it names no validation folds, the
    fold before the first test fold is it, cyclically (before none: the last).

    Raises:
        ConfigError: a fold has no record, stands in two splits, or a split that a run needs is empty.
    """
    present = sorted(set(folds.tolist()))
    test = (present[-1],) if config.test_folds is None else config.test_folds
    _check_present("--data.test-folds", test, present)
    if config.validation_folds is None:
        left = [fold for fold in present if fold not in test]
        before = [fold for fold in left if test and fold < test[0]] or left
        validation = tuple(before[-1:])
    else:
        validation = config.validation_folds
    _check_present("--data.validation-folds", validation, present)
    both = set(test) & set(validation)
    if both:
        raise ConfigError(f"fold {min(both)} is in --data.test-folds and --data.validation-folds; leave it in one")
    training = tuple(fold for fold in present if fold not in (*test, *validation))
    if not validation or not training:
        lacking = "validation" if not validation else "training"
        raise ConfigError(f"no fold is left for {lacking}: the set has folds {present}, test folds are {list(test)}")
    chosen = {"training": training, "validation": validation, "test": test}
    return Splits(folds=chosen, **{name: np.flatnonzero(np.isin(folds, which)) for name, which in chosen.items()})


def _check_present(flag: str, wanted: tuple[int, ...], present: list[int]) -> None:
    for fold in wanted:
        if fold not in present:
            raise ConfigError(f"{flag} {fold}: no record is in fold {fold}; the set has folds {present}")
