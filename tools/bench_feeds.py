"""How fast recordings are prepared and how fast windows are fed to a training, each against another way in one run.

Called by `bench.py`.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from ecg_jax.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from ecg_jax.dataset import sampler
from ecg_jax.dataset.feeds import HostFeed
from ecg_jax.dataset.flat_signals import FLAT
from ecg_jax.dataset.parallel_load import read_all
from ecg_jax.dataset.prepare import prepare
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.dataset.prepared import SIGNALS, PreparedSet, open_prepared
from ecg_jax.dataset.tfds_writer import Example, write_tfds
from ecg_jax.errors import DataError, Rejected
from ecg_jax.records.resample import ratio
from ecg_jax.sources import Cinc2017, Listing, RecordRef
from ecg_jax.training.devices import Devices
from ecg_jax.training.evaluator import stacked
from ecg_jax.training.setup import TrainingSetup, make_plan

BATCH = 32


@dataclass(frozen=True)
class Repeated(Cinc2017):
    """CinC 2017, each recording as often as is needed for a number of records."""

    records: int = 0

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The listing of CinC 2017 with `records` records."""
        listing = super().listing(rate_hz=rate_hz, seed=seed, folder=folder)
        once = listing.refs
        places = (divmod(number, len(once)) for number in range(self.records))
        refs = [replace(once[at], record_id=f"{once[at].record_id}_{copy}") for copy, at in places]
        return replace(listing, refs=tuple(refs))


def measure_prepare(root: Path, records: Sequence[int], *, workers: int | None, seconds: float) -> dict[str, Any]:
    """Records per second of wfdb with scipy in this process, of our reading, and of `prepare` at several sizes.

    Args:
        root: folder of CinC 2017.
        records: sizes of the prepared sets.
        workers: processes that read.
        seconds: for each of the two measurements of wfdb, before and after ours.
    """
    rate_hz = 100.0
    config = PrepareConfig(Repeated(root, max(records)), Path("set"), rate_hz=rate_hz, workers=workers)
    refs = config.source.listing(rate_hz=rate_hz, seed=0, folder=root).refs
    before = wfdb_and_scipy(refs, rate_hz, seconds)
    began, read = time.perf_counter(), 0
    for record in read_all(refs, leads=("ECG",), rate_hz=rate_hz, workers=workers):
        if isinstance(record, Rejected):
            raise DataError(f"{record.record}: {record.reason}; {record.remedy}")
        read += 1
    reading = read / (time.perf_counter() - began)
    sets = [_prepared_in(replace(config, source=Repeated(root, size))) for size in records]
    loop = statistics.mean([before, wfdb_and_scipy(refs, rate_hz, seconds)])
    return {
        "wfdb_and_scipy_per_second": loop,
        "reading_per_second": reading,
        "reading_ratio": reading / loop,
        "sets": [each | {"ratio": each["per_second"] / loop} for each in sets],
    }


def wfdb_and_scipy(refs: Sequence[RecordRef], rate_hz: float, seconds: float) -> float:
    """Records per second of a loop over `wfdb.rdrecord` and `resample_poly`."""
    import scipy.signal
    import wfdb

    def read(ref: RecordRef) -> np.ndarray:
        record: Any = wfdb.rdrecord(str(ref.path))
        change = ratio(record.fs, rate_hz)
        return scipy.signal.resample_poly(record.p_signal, change.numerator, change.denominator, padtype="line")

    read(refs[0])
    began, number = time.perf_counter(), 0
    while time.perf_counter() < began + seconds:
        read(refs[number % len(refs)])
        number += 1
    return number / (time.perf_counter() - began)


def _prepared_in(config: PrepareConfig) -> dict[str, Any]:
    """Prepares a set in a temporary folder; the writer is timed alone with some of its records."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        prepared = prepare(replace(config, to=Path(folder) / "set"), Console(quiet=True, stderr=True))
        seconds = time.perf_counter() - began
        examples = [_example(prepared, index) for index in range(min(2000, len(prepared)))]
        (Path(folder) / "again").mkdir()
        began = time.perf_counter()
        write_tfds(Path(folder) / "again", examples, leads=1, labels=len(prepared.labels))
        writing = (time.perf_counter() - began) * len(prepared) / len(examples)
        return {
            "records": len(prepared),
            "seconds": seconds,
            "per_second": len(prepared) / seconds,
            "tfds_writer_seconds": writing,
            **_sizes(prepared),
        }


def _example(prepared: PreparedSet, index: int) -> Example:
    (signal, scale_mv), label = prepared.read([index])[0], prepared.label[index]
    names = {"record_id": str(prepared.record_ids[index]), "patient": "", "fold": np.int32(prepared.folds[index])}
    return {**names, "signal": np.array(signal), "scale_mv": scale_mv, "labels": label}


def _sizes(prepared: PreparedSet) -> dict[str, float]:
    """Megabytes of the two files with the signals."""
    tfds = sum(file.stat().st_size for file in prepared.path.glob(SIGNALS))
    return {"tfds_mb": tfds / 1e6, "flat_mb": (prepared.path / FLAT).stat().st_size / 1e6}


def measure_feeds(data: Path, *, window_seconds: float, steps: int, rounds: int) -> dict[str, Any]:
    """Windows per second: reading by the host feed alone, and trainings of scale (1, 8, 3) with either feed.

    Args:
        data: a prepared set.
        window_seconds: length of a window.
        steps: in each measurement.
        rounds: of measurements; the ways alternate, and the medians are compared.
    """
    prepared = open_prepared(data)
    if prepared.flat is None:
        raise DataError(f"{data} was prepared by an older version and has no {FLAT}; prepare it again")
    older = replace(prepared, flat=None)
    ways: dict[str, Callable[[], float]] = {
        "read": _reading(prepared, window_seconds, steps),
        "read_tfds": _reading(older, window_seconds, max(1, steps // 10)),
        "train_host": _training(prepared, "host", window_seconds, steps),
        "train_resident": _training(prepared, "resident", window_seconds, steps),
    }
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, measure in ways.items():
            speeds[name].append(measure())
    pairs = zip(speeds["train_host"], speeds["train_resident"], strict=True)
    results = {f"{name}_windows_per_second": statistics.median(values) for name, values in speeds.items()}
    ratios = [host / resident for host, resident in pairs]
    return results | {"host_over_resident": statistics.median(ratios), "ratios": ratios, **_sizes(prepared)}


def _reading(prepared: PreparedSet, window_seconds: float, steps: int) -> Callable[[], float]:
    window = DataConfig(window_seconds=window_seconds).window_samples(prepared.rate_hz)
    batch = {"samples": prepared.samples, "window": window, "batch_size": BATCH, "seed": 0}
    feed = HostFeed(prepared, np.arange(len(prepared)), window, Devices())

    def measure() -> float:
        began = time.perf_counter()
        for items, _, _ in feed.stream(lambda step: stacked([sampler.training_rows(step, **batch)]), steps):
            jax.block_until_ready(items)
        return steps * BATCH / (time.perf_counter() - began)

    return measure


def _training(prepared: PreparedSet, feed: Any, window_seconds: float, steps: int) -> Callable[[], float]:
    config = RunConfig(
        data=DataConfig(path=prepared.path, window_seconds=window_seconds, feed=feed),
        model=ModelConfig(depth=1, channels=8, kernel=3),
        train=TrainConfig(batch_size=BATCH, epochs=1000),
    )
    setup = TrainingSetup([make_plan(config, prepared)])
    state = setup.initial_state()

    def measure() -> float:
        nonlocal state
        began = time.perf_counter()
        state, _ = setup.train(state, [0], steps, lambda taken: None)
        return steps * setup.batch_size / (time.perf_counter() - began)

    measure()
    return measure


def write(results: dict[str, Any], path: Path | None) -> None:
    """Prints the results, and writes them to a JSON file if a path is given."""
    text = json.dumps(results, indent=1)
    print(text)
    if path:
        path.write_text(text + "\n", encoding="utf-8")
