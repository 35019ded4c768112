"""Ctrl-C and SIGTERM stop a command after it has cleaned up; a second Ctrl-C, or some time, ends it at once."""

import os
import signal
import subprocess
import sys
import time

import pytest

STUBBORN = """
import hashlib, sys
from pathlib import Path
from ecg_jax.files import staging, temporary_folder
from ecg_jax.mistakes import fail_in_one_line

with fail_in_one_line("ecg-jax prepare"), staging(Path(sys.argv[1])) as folder, temporary_folder():
    (folder / "half").touch()
    try:
        print("ready", flush=True)
        WAIT
    finally:
        print("stopping", flush=True)
        CLEAN_UP
"""
WAITING = "import time; [time.sleep(0.1) for _ in range(1000)]"  # a signal just before a sleep does not shorten it
BUSY = "hashlib.pbkdf2_hmac('sha512', b'', b'', 10**9)"  # minutes in one step of Python, as if compiling


def interrupted(tmp_path, *, wait, clean_up="pass", after, number=signal.SIGINT, leave_seconds=60):
    """Starts a process, interrupts it after each of the lines that it prints, and `again` until it ends."""
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in a background job
    code += f"import ecg_jax.interrupts; ecg_jax.interrupts.LEAVE_SECONDS = {leave_seconds}\n"
    code += STUBBORN.replace("WAIT", wait).replace("CLEAN_UP", clean_up)
    command = [sys.executable, "-c", code, tmp_path / "set"]
    settings = {"env": {**os.environ, "TMPDIR": str(tmp_path)}, "text": True}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings) as process:
        try:
            for line in after:
                while line != "again" and process.stdout.readline().strip() != line:
                    pass
                os.kill(process.pid, number)
            for _ in range(600):
                if process.poll() is None:
                    time.sleep(0.1)
                    if after[-1] == "again":  # the kernel makes one of two interrupts that follow too closely
                        os.kill(process.pid, signal.SIGINT)
        finally:
            process.kill()
        return process.returncode, process.stderr.read().splitlines(), sorted(path.name for path in tmp_path.iterdir())


STOPPED = (130, ["ecg-jax prepare: stopped; the same command continues it"], [])
TERMINATED = (143, *STOPPED[1:])


def test_one_interrupt_stops_in_one_line_after_the_clean_up(tmp_path):
    assert interrupted(tmp_path, wait=WAITING, after=["ready"]) == STOPPED


@pytest.mark.parametrize("slow", [WAITING, BUSY])
def test_a_second_interrupt_ends_a_slow_clean_up_at_once_without_temporary_files(tmp_path, slow):
    waits = {"wait": WAITING, "clean_up": slow}
    assert interrupted(tmp_path, **waits, after=["ready", "stopping"]) == STOPPED


def test_two_interrupts_end_a_process_that_is_deep_in_one_step(tmp_path):
    assert interrupted(tmp_path, wait=BUSY, after=["ready", "again"]) == STOPPED


def test_sigterm_stops_in_one_line_after_the_clean_up(tmp_path):
    waits = {"wait": WAITING, "number": signal.SIGTERM}
    assert interrupted(tmp_path, **waits, after=["ready"]) == TERMINATED


@pytest.mark.parametrize(("wait", "slow"), [(WAITING, BUSY), (BUSY, "pass")])
def test_a_process_that_does_not_leave_after_sigterm_is_ended_without_temporary_files(tmp_path, wait, slow):
    settings = {"number": signal.SIGTERM, "leave_seconds": 0.5}
    assert interrupted(tmp_path, wait=wait, clean_up=slow, **settings, after=["ready"]) == TERMINATED


def test_sigterm_stops_a_process_in_the_background_of_a_script_where_ctrl_c_is_ignored(tmp_path):
    wait = WAITING
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which the process inherits
    try:
        assert interrupted(tmp_path, wait=wait, number=signal.SIGTERM, after=["ready"]) == TERMINATED
    finally:
        signal.signal(signal.SIGINT, before)
