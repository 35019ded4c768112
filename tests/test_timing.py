"""How many runs are trained as one program: measured from one upwards, with a simulated device."""

import jax
import pytest

from ecg_jax.training import timing


@pytest.fixture
def on_accelerator(monkeypatch):
    """Simulates an accelerator with the given examples/s of each number of runs; returns the numbers it compiled."""

    def simulate(speed_of, compiling_seconds):
        compiled = []

        def measured(plans):
            compiled.append(len(plans))
            if speed_of[len(plans)] is None:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED")
            return compiling_seconds * len(plans), speed_of[len(plans)]

        monkeypatch.setattr(timing.jax, "default_backend", lambda: "gpu")
        monkeypatch.setattr(timing, "_measured", measured)
        return compiled

    return simulate


NARROW = {1: 100.0, 2: 200.0, 4: 400.0}


@pytest.mark.parametrize(
    ("speed_of", "compiling_seconds", "best", "compiled"),
    [
        (NARROW, 0.1, 4, [1, 2, 4]),
        ({1: 100.0, 2: 101.0}, 0.1, 1, [1, 2]),  # wide networks: the smaller of equals
        ({1: 100.0, 2: 200.0, 4: None}, 0.1, 2, [1, 2, 4]),  # four do not fit into memory
        (NARROW, 1e9, 1, [1]),  # trainings so short that no other program pays
    ],
)
def test_so_many_runs_are_trained_together_that_all_end_soonest(
    config, on_accelerator, speed_of, compiling_seconds, best, compiled
):
    measured = on_accelerator(speed_of, compiling_seconds)
    assert timing.fastest_together([config] * 4) == best
    assert measured == compiled


def test_another_program_is_compiled_while_half_of_the_training_takes_longer(config, on_accelerator):
    """Four runs of 3 epochs of 6 batches of 16 examples take 1152 / 100 s alone and 1152 / 200 s as pairs."""
    measured = on_accelerator(NARROW, 2.0)  # half of 11.5 s are more than 2 s; half of 5.8 s are less than 2 * 2 s
    assert timing.fastest_together([config] * 4) == 2
    assert measured == [1, 2]


def test_a_cpu_and_a_run_without_others_need_no_measurement(config, on_accelerator):
    assert timing.fastest_together([config] * 4) == 1
    measured = on_accelerator(NARROW, 0.1)
    assert timing.fastest_together([config]) == 1
    assert measured == []
