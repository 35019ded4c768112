"""Folds become splits: by default the last fold is the test fold, and the one before it validates."""

import numpy as np
import pytest

from ecg_jax.config import DataConfig
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.dataset.splits import split_by_folds, split_records
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


def test_a_share_of_the_training_patients_lies_within_every_larger_one(synthetic_set):
    prepared = open_prepared(synthetic_set)
    whole = split_records(prepared, DataConfig())
    before: set[int] = set()
    for share in (0.2, 0.5, 0.9, 1.0):
        splits = split_records(prepared, DataConfig(training_share=share))
        now = set(splits.training.tolist())
        patients = {prepared.patients[i] or prepared.record_ids[i] for i in now}
        left_out = {prepared.patients[i] or prepared.record_ids[i] for i in set(whole.training.tolist()) - now}
        assert before <= now
        assert not patients & left_out
        assert len(patients) == round(share * (len(patients) + len(left_out)))
        assert splits.validation.tolist() == whole.validation.tolist()
        assert splits.test.tolist() == whole.test.tolist()
        before = now


def test_each_draw_is_another_share_of_the_same_size_and_the_first_one_is_that_of_before(synthetic_set):
    prepared = open_prepared(synthetic_set)

    def patients(draw):
        rows = split_records(prepared, DataConfig(training_share=0.5, training_draw=draw)).training
        return frozenset(prepared.patients[i] or prepared.record_ids[i] for i in rows)

    draws = [patients(draw) for draw in range(6)]
    assert len(set(draws)) == 6
    assert len({len(draw) for draw in draws}) == 1
    assert draws[0] == patients(DataConfig().training_draw)
    common = [len(one & other) / len(one) for one in draws for other in draws if one is not other]
    assert 0.35 < sum(common) / len(common) < 0.65, "halves that are drawn independently have half in common"
