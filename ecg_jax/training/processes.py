"""A run on several processes, as a rule on several machines: they find each other, agree, and end together.

All of them execute the same program, each on its own devices and with its own rows of each batch; process 0 alone
reads checkpoints and writes files.
"""

import atexit
import importlib.util
import os
import pickle
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from ecg_jax.errors import ConfigError, RunError, UserError, reason_of
from ecg_jax.files import cleaned_up
from ecg_jax.interrupts import exit_status

HEARTBEAT_SECONDS = 30  # without a sign of life, after which a process counts as dead
CONNECT_SECONDS = 300
ENDED = "another process of this run ended; the same command, started for every process, continues it"
CONNECTION = re.compile(r"gloo|nccl|coordination|connection|peer|barrier", re.IGNORECASE)
Value = TypeVar("Value")


def agreed(make: Callable[[], Value]) -> Value:
    """What `make` returns in process 0, in all processes; in the others it is not called.

    Raises:
        UserError: what it raises in process 0; in the others a RunError with the same message.
    """
    if jax.process_count() == 1:
        return make()
    is_first, made, failure = jax.process_index() == 0, None, None
    if is_first:
        try:
            made = make()
        except UserError as error:
            failure = error
    content = np.frombuffer(pickle.dumps((made, failure and str(failure))), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    sent = content if is_first else np.zeros(size, np.uint8)
    made, message = pickle.loads(np.asarray(multihost_utils.broadcast_one_to_all(sent)).tobytes())
    if message is not None:
        raise failure or RunError(message)
    return made


@contextmanager
def joined(coordinator: str, processes: int | None, process: int | None) -> Iterator[bool]:
    """Joins the processes of a run for the block, which they leave together; yields whether this is the first one.

    Without arguments this happens where several processes were started together: as the tasks of one `srun` of Slurm,
    on a TPU, or as a Kubernetes job of indexed pods in which the package `kubernetes` is installed.

    Args:
        coordinator: HOST:PORT of process 0; "" finds it.
        processes: their number; 1 joins nothing.
        process: the number of this one, from 0.

    Raises:
        ConfigError: the arguments contradict each other.
        RunError: the processes do not find each other, or one of them has ended.
    """
    if processes == 1 and not coordinator and process is None:
        yield True
        return
    if coordinator and processes is not None and process is not None:
        if not (re.fullmatch(r".+:\d+", coordinator) and 0 <= process < processes):
            raise ConfigError(
                f"--coordinator {coordinator} --processes {processes} --process {process}: give HOST:PORT of process "
                "0, the number of processes, and the number of this one, from 0"
            )
    elif coordinator or processes is not None or process is not None:
        raise ConfigError("--coordinator, --processes and --process belong together; give all three, or none of them")
    elif not _started_together():
        yield True
        return
    place: dict[str, Any] = {"heartbeat_timeout_seconds": HEARTBEAT_SECONDS, "initialization_timeout": CONNECT_SECONDS}
    if coordinator:
        place |= {"coordinator_address": coordinator, "num_processes": processes, "process_id": process}
        place |= {"cluster_detection_method": "deactivate"}
    with _one_line_at_sudden_end():
        try:
            jax.config.update("jax_enable_preemption_service", False)  # it would replace what SIGTERM does
            jax.distributed.initialize(**place)
            jax.devices()  # the processes exchange what they have
        except (RuntimeError, ValueError) as error:
            _leave_at_exit(1)
            raise RunError(f"the processes of this run did not find each other ({reason_of(error)})") from error
        try:
            yield jax.process_index() == 0
            jax.distributed.shutdown()  # waits for the others
        except KeyboardInterrupt as stop:
            _leave_at_exit(exit_status(stop))
            raise
        except Exception as error:
            _leave_at_exit(1)
            if isinstance(error, RuntimeError | ValueError) and CONNECTION.search(str(error)):
                raise RunError(ENDED) from error
            raise


def _started_together() -> bool:
    """Whether a cluster has started this process as one of several of a run."""
    if os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1":  # set by `srun`: a batch script has none
        return True
    is_indexed = {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= os.environ.keys()
    is_tpu = os.environ.get("TPU_ML_PLATFORM") == "JAX"  # set by JAX on a machine with a TPU
    return is_tpu or (is_indexed and importlib.util.find_spec("kubernetes") is not None)


def _leave_at_exit(status: int) -> None:
    """Lets Python end without waiting for the other processes, which wait for this one in a step."""
    atexit.register(os._exit, status)


@contextmanager
def _one_line_at_sudden_end() -> Iterator[None]:
    """Lets a child print one line if this process ends inside the block without Python.

    JAX ends a process whose run has lost another one: it aborts, after many lines of its own. In the block those are
    not printed; what Python prints is.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork() == 0:
        _watch(reading)
    os.close(reading)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        setattr(sys, name, os.fdopen(os.dup(stream.fileno()), "w", buffering=1, errors="backslashreplace"))
        os.dup2(writing, stream.fileno())

    def ends_itself() -> None:
        os.write(writing, b"\0")

    with cleaned_up(ends_itself):
        yield


def _watch(reading: int) -> None:
    """The child: waits until the process has ended, and prints a line unless it has written a zero."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    reading, stderr = os.dup2(reading, 0), sys.stderr.fileno()
    os.closerange(stderr + 1, os.sysconf("SC_OPEN_MAX"))
    left = False
    while content := os.read(reading, 1 << 16):
        left |= b"\0" in content
    if not left:
        os.write(stderr, f"ecg-jax train: {ENDED}\n".encode())
    os._exit(0)
