"""What Ctrl-C does: the first one stops a command as usual, the second one ends the process at once."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ecg_jax.files import clean_up_now


@contextmanager
def second_interrupt_ends(message: str) -> Iterator[None]:
    """Lets a second Ctrl-C inside the block remove all temporary files, print a message and end the process.

    A thread waits for it, because Python handles a signal only between two steps of the main thread, and one step may
    compile for a minute. Nothing is changed where an interrupt does not raise `KeyboardInterrupt`.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler or not _is_main_thread():
        yield
        return
    received, sent = os.pipe()
    os.set_blocking(sent, False)
    interrupts: list[int] = []

    def first(number: int, _: Any) -> None:
        if not interrupts:
            interrupts.append(number)
            raise KeyboardInterrupt

    def watch() -> None:
        left = 2
        while left and (number := os.read(received, 1)):
            left -= number[0] == signal.SIGINT
        if not left:
            clean_up_now()
            os.write(sys.stderr.fileno(), f"{message}\n".encode())
            os._exit(130)

    signal.signal(signal.SIGINT, first)
    before = signal.set_wakeup_fd(sent)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:  # an interrupt after the first one ends the process without a word: there is nothing left to remove
        signal.signal(signal.SIGINT, signal.SIG_DFL if interrupts else signal.default_int_handler)
        signal.set_wakeup_fd(before)
        os.close(sent)
        watcher.join()
        os.close(received)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
