"""When a run is saved: as often as a twentieth of the time allows, at least every ten seconds, never twice at once."""

from contextlib import suppress
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_jax.training.saving import BackgroundSaves

SECONDS = st.floats(0.001, 30)


class Clock:
    """A clock that goes on only when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def save_when_due(epochs: list[tuple[float, float]]) -> list[tuple[float, float, bool]]:
    """Trains epochs of these seconds, each with the seconds that a save after it would take.

    Returns:
        For each epoch the time, the seconds of saving before it, and whether it was saved.
    """
    clock, saving, history = Clock(), 0.0, []
    with BackgroundSaves(clock) as saves:
        for seconds, save_seconds in epochs:
            clock.wait(seconds)
            is_due = saves.is_due("run")
            history.append((clock.now - 100.0, saving, is_due))
            if is_due:
                saves.start("run", lambda s=save_seconds: clock.wait(s)).result()
                saving += save_seconds
    return history


@given(st.lists(st.tuples(SECONDS, SECONDS), max_size=20))
def test_an_epoch_is_saved_if_saving_took_less_than_a_twentieth_of_the_time_or_the_last_save_is_ten_seconds_old(epochs):
    last = 0.0
    for now, saving, is_saved in save_when_due(epochs):
        assert is_saved == (saving < 0.05 * now or now - last >= 10)
        last = now if is_saved else last


def test_the_first_epoch_is_saved_and_saves_that_cost_nothing_come_after_each():
    assert [saved for *_, saved in save_when_due([(0.1, 0.0)] * 5)] == [True] * 5
    assert [saved for *_, saved in save_when_due([(0.1, 1.0)] * 5)] == [True, False, False, False, False]


def test_a_run_is_never_due_while_it_is_being_saved_and_another_one_only_after_ten_seconds():
    clock, goes_on = Clock(), Event()
    with BackgroundSaves(clock) as saves:
        clock.wait(1)
        running = saves.start("slow", goes_on.wait)
        clock.wait(8)
        assert not saves.is_due("other")
        clock.wait(8)
        assert not saves.is_due("slow")
        assert saves.is_due("other")
        goes_on.set()
        running.result()
        assert saves.is_due("slow")


def fail() -> None:
    raise OSError("the disk is full")


def test_a_save_that_failed_is_raised_when_the_next_epoch_ends():
    with suppress(OSError), BackgroundSaves(Clock()) as saves:
        saves.start("run", fail).exception()
        with pytest.raises(OSError, match="the disk is full"):
            saves.is_due("run")


def test_a_last_save_that_failed_is_raised_at_the_end():
    saves = BackgroundSaves(Clock())
    saves.start("run", fail)
    with pytest.raises(OSError, match="the disk is full"):
        saves.__exit__(None)


def test_the_failure_of_a_training_is_not_replaced_by_that_of_a_save():
    saves = BackgroundSaves(Clock())
    saves.start("run", fail)
    saves.__exit__(ValueError)
