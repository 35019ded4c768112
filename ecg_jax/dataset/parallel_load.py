"""Reads records with several processes and returns them in order. May import records and sources, and no more."""

import gc
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from multiprocessing import forkserver, get_context, parent_process
from pathlib import Path

from ecg_jax.errors import DataError
from ecg_jax.files import clean_up_now
from ecg_jax.records import Quantised, Rejected, load, quantise
from ecg_jax.sources import RecordRef

CHUNK = 32  # records that a worker reads at a time
CHUNK_BYTES = 2**24  # of their files: of long records it reads fewer
AHEAD = 3  # chunks read ahead for each worker, to limit the memory if writing is slower than reading


def read_all(
    refs: Sequence[RecordRef], *, leads: Sequence[str], rate_hz: float, workers: int | None
) -> Iterator[Quantised | Rejected]:
    """One result for each of `refs`, in their order.

    Raises:
        DataError: a worker was killed.
    """
    read = partial(_read_chunk, leads=tuple(leads), rate_hz=rate_hz)
    chunks = _chunks(refs)
    workers = min(workers or _cores(), len(chunks))
    if workers <= 1 or len(refs) <= 64:  # so few are read before a process has started
        for chunk in chunks:
            yield from read(chunk)
        return
    start_ahead(workers)
    pool = ProcessPoolExecutor(workers, get_context("forkserver"), initializer=_start)
    try:
        ahead: deque[Future[list[Quantised | Rejected]]] = deque()
        for chunk in chunks:
            ahead.append(pool.submit(read, chunk))
            if len(ahead) > AHEAD * workers:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()
    except BrokenProcessPool as error:
        raise DataError("a reading process was killed, perhaps because memory ran out; give fewer --workers") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _chunks(refs: Sequence[RecordRef]) -> list[list[RecordRef]]:
    """The records in parts whose files a worker reads together; a file with several records is counted once."""
    chunks: list[list[RecordRef]] = []
    size, before = 0, None
    for ref in refs:
        more = 0 if ref.path == before else _bytes(ref.path)
        if not chunks or len(chunks[-1]) == CHUNK or size + more > CHUNK_BYTES:
            chunks.append([])
            size = 0
        chunks[-1].append(ref)
        size, before = size + more, ref.path
    return chunks


def _bytes(path: Path) -> int:
    """Size of the file of a record, or of the files of a WFDB record that are named after it."""
    stem = path.with_suffix("") if path.suffix == ".hea" else path
    size = 0
    for file in (path, *(stem.parent / f"{stem.name}{suffix}" for suffix in (".dat", ".mat"))):
        with suppress(OSError, ValueError):  # there is none, or its name is impossible
            size += file.stat().st_size
    return size


def start_ahead(workers: int | None) -> None:
    """Starts a process without threads that imports what the workers need and from which they are forked.

    It takes most of a second beside other work, serves all calls of `read_all`, and ends with this process.
    """
    if (workers or _cores()) > 1:
        forkserver.set_forkserver_preload([__name__, "scipy.signal"])
        forkserver.ensure_running()


def _read_chunk(refs: Sequence[RecordRef], *, leads: Sequence[str], rate_hz: float) -> list[Quantised | Rejected]:
    records = (
        load(
            ref.path,
            leads=leads,
            rate_hz=rate_hz,
            record_id=ref.record_id,
            reader=ref.reader,
            key=ref.key,
            layout=ref.layout,
        )
        for ref in refs
    )
    return [record if isinstance(record, Rejected) else quantise(record) for record in records]


def _start() -> None:
    """Lets the parent alone handle interrupts, and ends this worker when the parent ends, even if it was killed."""
    gc.freeze()  # what was imported is never collected
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            clean_up_now()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
