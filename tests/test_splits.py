"""Folds become splits: by default the last tests and the one before it validates."""

import numpy as np
import pytest

from ecg_jax.config import DataConfig
from ecg_jax.dataset.splits import split_by_folds
from ecg_jax.errors import ConfigError

FOLDS = np.array([1, 2, 3, 4, 5, 1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("given_test", "given_validation", "test", "validation"),
    [
        (None, None, (5,), (4,)),
        ((1,), None, (1,), (5,)),  # cyclically
        ((3,), None, (3,), (2,)),
        ((), None, (), (5,)),
        ((1, 2), (3,), (1, 2), (3,)),
        ((), (1, 2), (), (1, 2)),
    ],
)
def test_each_record_is_in_the_split_of_its_fold(given_test, given_validation, test, validation):
    splits = split_by_folds(FOLDS, DataConfig(test_folds=given_test, validation_folds=given_validation))
    assert splits.folds["test"] == test
    assert splits.folds["validation"] == validation
    assert set(FOLDS[splits.training]) == {1, 2, 3, 4, 5} - set(test) - set(validation)
    assert sorted([*splits.training, *splits.validation, *splits.test]) == list(range(len(FOLDS)))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (DataConfig(test_folds=(9,)), "--data.test-folds 9: no record is in fold 9"),
        (DataConfig(validation_folds=(0,)), "--data.validation-folds 0"),
        (DataConfig(test_folds=(1,), validation_folds=(1,)), "fold 1 is in"),
        (DataConfig(test_folds=(1, 2, 3, 4)), "no fold is left for training"),
        (DataConfig(validation_folds=()), "no fold is left for validation"),
    ],
)
def test_folds_that_cannot_be_are_refused_by_flag(config, says):
    with pytest.raises(ConfigError, match=says):
        split_by_folds(FOLDS, config)
