"""Saving in the background, not too often and not too rarely. Measures time with the clock that it is given."""

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

LARGEST_SHARE = 0.05  # of the time, for saving
LONGEST_SECONDS = 10.0  # between two saves


class BackgroundSaves:
    """Saves runs one after the other, in a thread; when the block is left, all saves have ended."""

    def __init__(self, clock: Callable[[], float]):
        """`clock` gives the time in seconds."""
        self._clock, self._began, self._seconds = clock, clock(), 0.0
        self._thread = ThreadPoolExecutor(1)
        self._last: dict[Hashable, tuple[float, Future[None]]] = {}

    def is_due(self, run: Hashable) -> bool:
        """Whether a run should be saved now.

        It should if saving has taken less than 5 % of the time so far, or if its last save began 10 s ago; never while
        it is being saved, so that training does not wait.

        Raises:
            OSError, RunError: a save has failed.
        """
        for _, save in self._last.values():
            if save.done():
                save.result()
        now, ended = self._clock(), all(save.done() for _, save in self._last.values())
        began, last = self._last.get(run, (self._began, None))
        if last is not None and not last.done():
            return False
        return (ended and self._seconds < LARGEST_SHARE * (now - self._began)) or now - began >= LONGEST_SECONDS

    def start(self, run: Hashable, save: Callable[[], object]) -> Future[None]:
        """Saves a run by calling a function in the background, after the saves that were started before."""
        began = self._clock()
        future = self._thread.submit(self._timed, save)
        self._last[run] = (began, future)
        return future

    def _timed(self, save: Callable[[], object]) -> None:
        began = self._clock()
        save()
        self._seconds += self._clock() - began

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *others: Any) -> None:
        """Waits for all saves.

        Raises:
            OSError, RunError: the last save of a run has failed, and nothing else has.
        """
        self._thread.shutdown()
        for _, save in self._last.values():
            if kind is None:
                save.result()
