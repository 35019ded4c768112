"""Complete settings of a run: each trains, and sees of an example what its data set has."""

import numpy as np
import pytest

from ecg_jax.config import with_fields
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.presets import RUN_PRESETS
from ecg_jax.training.setup import TrainingSetup, make_plan


@pytest.mark.parametrize("name", RUN_PRESETS)
def test_a_preset_takes_a_step_and_validates(name, synthetic_set):
    fields = {"data.path": synthetic_set, "train.batch_size": 8}
    setup = TrainingSetup([make_plan(with_fields(RUN_PRESETS[name](), fields), open_prepared(synthetic_set))])
    state, losses = setup.train(setup.initial_state(), [0], 1, lambda steps: None)
    ((probability, loss),) = setup.validate(state.variables)
    assert np.isfinite([losses.item(), loss, *probability.ravel()]).all()


def test_the_window_of_beats_is_a_whole_example():
    before_seconds, after_seconds, rate_hz = 1.0, 0.6, 360
    samples = RUN_PRESETS["mitdb_beats"]().data.window_samples(rate_hz)
    assert samples == (before_seconds + after_seconds) * rate_hz
