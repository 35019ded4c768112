"""What Ctrl-C and SIGTERM do: either stops a command as usual; a second Ctrl-C, or 15 s after SIGTERM, ends it at once.

Slurm, Kubernetes and preempted machines send SIGTERM and kill what is still there 30 s later.
"""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ecg_jax.files import clean_up_now

LEAVE_SECONDS = 15.0  # after SIGTERM
DEFAULTS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class Terminated(KeyboardInterrupt):
    """Raised by SIGTERM."""


def exit_status(stop: KeyboardInterrupt) -> int:
    """The exit status of a command that was stopped: 128 and the number of the signal."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)


@contextmanager
def stoppable(message: str) -> Iterator[None]:
    """Lets Ctrl-C and SIGTERM raise `KeyboardInterrupt` inside the block, and end the process if that takes too long.

    After a second Ctrl-C, or 15 s after SIGTERM, all temporary files are removed, a message is printed and the process
    ends. A thread does this, because Python handles a signal only between two steps of the main thread, and one step
    may compile for a minute. A signal that is handled in another way than by default, such as one that is ignored in
    the background, keeps its meaning.
    """
    ours = [number for number, default in DEFAULTS.items() if signal.getsignal(number) == default]
    if threading.current_thread() is not threading.main_thread() or not ours:
        yield
        return
    received, sent = os.pipe()
    os.set_blocking(sent, False)
    raised: list[int] = []

    def first(number: int, _: Any) -> None:
        if not raised:
            raised.append(number)
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    def watch() -> None:
        interrupts, leave_at = 0, None
        while interrupts < 2:
            left = None if leave_at is None else leave_at - time.monotonic()
            if left is not None and (left <= 0 or not select.select([received], [], [], left)[0]):
                break
            if not (number := os.read(received, 1)):
                return
            interrupts += number[0] == signal.SIGINT
            if number[0] == signal.SIGTERM and leave_at is None:
                leave_at = time.monotonic() + LEAVE_SECONDS
        clean_up_now()
        os.write(sys.stderr.fileno(), f"{message}\n".encode())
        os._exit(exit_status(KeyboardInterrupt() if interrupts == 2 else Terminated()))

    for number in ours:
        signal.signal(number, first)
    before = signal.set_wakeup_fd(sent)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:  # a signal after the first one ends the process without a word: there is nothing left to remove
        for number in ours:
            signal.signal(number, signal.SIG_DFL if raised else DEFAULTS[number])
        signal.set_wakeup_fd(before)
        os.close(sent)
        watcher.join()
        os.close(received)
