"""How many runs are trained as one program: measured from the largest number down, with no device."""

import jax
import pytest

from ecg_jax.training import timing


@pytest.fixture
def on_accelerator(monkeypatch):
    """Lets `fastest_together` believe in an accelerator with the given examples/s; returns the numbers it measured."""

    def simulate(speed_of):
        measured = []

        def examples_per_second(plans):
            measured.append(len(plans))
            if speed_of[len(plans)] is None:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED")
            return speed_of[len(plans)]

        monkeypatch.setattr(timing.jax, "default_backend", lambda: "gpu")
        monkeypatch.setattr(timing, "_examples_per_second", examples_per_second)
        return measured

    return simulate


@pytest.mark.parametrize(
    ("speed_of", "best", "compiled"),
    [
        ({4: 300.0, 2: 200.0, 1: 100.0}, 4, [4, 2]),  # narrow networks
        ({4: 100.0, 2: 100.0, 1: 100.0}, 1, [4, 2, 1]),  # wide ones: the smallest of equals
        ({4: None, 2: 200.0, 1: 100.0}, 2, [4, 2, 1]),  # four do not fit into memory
        ({4: None, 2: None}, 1, [4, 2]),  # one alone has no rival
        ({4: 100.0, 2: 97.0, 1: 94.0}, 2, [4, 2, 1]),  # 5 % are counted from the fastest, not from step to step
        ({3: 300.0, 1: 100.0}, 3, [3, 1]),
        ({1: 100.0}, 1, []),
    ],
)
def test_the_number_of_runs_together_is_the_smallest_within_five_percent(
    config, synthetic_set, on_accelerator, speed_of, best, compiled
):
    measured = on_accelerator(speed_of)
    assert timing.fastest_together([config] * max(speed_of)) == best
    assert measured == compiled


def test_a_cpu_trains_one_run_at_a_time(config):
    assert timing.fastest_together([config] * 4) == 1
