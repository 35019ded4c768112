"""A finished run as a function: `load(workdir)`, then records -> probabilities. For `assessment` and `predict`."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from ecg_jax.config import EvaluateConfig, RunConfig, flags
from ecg_jax.dataset.batch import InputContract
from ecg_jax.dataset.feeds import InMemory, Recordings
from ecg_jax.dataset.parallel_load import read_all
from ecg_jax.dataset.prepared import PreparedSet, open_prepared
from ecg_jax.dataset.sampler import evaluation_windows
from ecg_jax.dataset.splits import split_records
from ecg_jax.errors import RunError
from ecg_jax.evaluation.pooling import decide, pool_windows
from ecg_jax.file_layout import FileLayout, reader_of
from ecg_jax.import_path import check_allowed
from ecg_jax.records import MISSING, Quantised, Rejected
from ecg_jax.sources.listing import RecordRef
from ecg_jax.terminal import command, say
from ecg_jax.training.checkpoint import read_checkpoint
from ecg_jax.training.devices import Devices
from ecg_jax.training.evaluator import LARGER, Evaluator
from ecg_jax.training.pack import check_network, read_pack
from ecg_jax.training.result import RunResult, SplitPredictions, read_result
from ecg_jax.training.variables import abstract_variables
from ecg_jax.training.workdir import CHECKPOINTS, CONFIG, read_config

Answer = dict[str, Any]


@dataclass
class _Question:
    """A recording, or a stretch of one, of which some windows have been predicted."""

    about: Answer
    """What is known without the network."""
    windows: list[Quantised] = field(default_factory=list)
    predicted: list[np.ndarray] = field(default_factory=list)  # [K] each


class Model:
    """A trained network with its best variables, and the contract that its input must follow."""

    def __init__(self, config: RunConfig, contract: InputContract, variables: Any, result: RunResult):
        """`result` is that of the validation split, which holds the thresholds."""
        self.config, self.contract, self.variables, self.result = config, contract, variables, result
        target = contract.target
        thresholds = [result.per_label[name]["threshold"] for name in target.names]
        self.thresholds = np.array(thresholds, float) if target.has_thresholds else None

    def probability(self, record: Quantised) -> np.ndarray:
        """Probability of each label [K] of a record in the contract's rate and leads, from `records.quantise`."""
        one = Devices(devices=tuple(jax.devices()[:1]))
        return self._pooled(self._of_windows(self.windows(record), one))

    def probabilities(self, prepared: PreparedSet, indices: np.ndarray) -> np.ndarray:
        """Probabilities [N, K] of the records `indices` of a prepared set, on all devices."""
        return self._predict(prepared, indices, self.config, Devices())

    def predict(self, path: str, layout: FileLayout | None = None) -> Answer:
        """The answer of `answers` for one recording."""
        return next(self.answers([path], layout))

    def answers(
        self,
        paths: Sequence[str],
        layout: FileLayout | None = None,
        *,
        every_seconds: float | None = None,
        workers: int | None = None,
    ) -> Iterator[Answer]:
        """What is predicted for recordings, in their order, as JSON values without NaN.

        Several processes read the recordings, at most a few batches ahead. Windows of different recordings share a
        batch of the network, so that the device is used fully; memory does not grow with the number of recordings.

        Args:
            paths: WFDB records with or without .hea, or files whose suffix is in `file_layout.READER_OF_SUFFIX`.
            layout: what the files do not say of themselves.
            every_seconds: answer each stretch of so many seconds as if it were a recording; a rest of less than half
                of it belongs to the last stretch.
            workers: processes that read; by default one for each processor core.

        Yields:
            `record`, the path; with `every_seconds` the `start_seconds` and `end_seconds` of a stretch; `warnings`,
            what is irregular; then `probabilities` and `thresholds` by label and `decisions`, the names of the labels
            that apply, or `error`, the reason why there are none. A stretch without a sample has no probabilities.

        Raises:
            DataError: a reading process was killed.
        """
        size, loaded = LARGER * self.config.train.batch_size, self.read(paths, layout, workers=workers)
        devices = Devices(devices=tuple(jax.devices()[:1]))  # of one batch that is not full
        waiting: deque[_Question] = deque()
        windows: list[Quantised] = []
        for question in self._questions(zip(paths, loaded, strict=True), every_seconds):
            waiting.append(question)
            windows += question.windows
            while len(windows) >= size:
                devices = Devices()
                yield from self._answered(waiting, self._of_windows(windows[:size], devices))
                del windows[:size]
        if windows:
            fill = 0 if devices.devices else size - len(windows)  # to the shape of the batches before
            padding = [Quantised(np.full_like(windows[0].signal, MISSING), windows[0].scale_mv, ())] * fill
            yield from self._answered(waiting, self._of_windows(windows + padding, devices))
        yield from self._answered(waiting, [])

    def read(
        self, paths: Sequence[str], layout: FileLayout | None = None, *, workers: int | None = None
    ) -> Iterator[Quantised | Rejected]:
        """The recordings in the contract's rate and leads, in their order; arguments and errors as for `answers`."""
        refs = [RecordRef(path, Path(path), frozenset(), reader=reader_of(Path(path)), layout=layout) for path in paths]
        return read_all(refs, leads=self.contract.leads, rate_hz=self.contract.rate_hz, workers=workers)

    def windows(self, record: Quantised, first: int = 0, end: int | None = None) -> list[Quantised]:
        """The windows [T, L] that are predicted of the samples `first` to `end` of a record.

        A stretch that is shorter than a window is filled up with missing samples.
        """
        length, overlap = self.contract.window_samples, self.config.evaluate.overlap
        stretch = record.signal[first:end]
        offsets = evaluation_windows([len(stretch)], window=length, overlap=overlap).offset
        filled = stretch
        if len(stretch) < length:
            filled = np.pad(stretch, ((0, length - len(stretch)), (0, 0)), constant_values=MISSING)
        return [replace(record, signal=filled[offset : offset + length]) for offset in offsets]

    def _questions(
        self, loaded: Iterable[tuple[str, Quantised | Rejected]], every_seconds: float | None
    ) -> Iterator[_Question]:
        rate_hz = self.contract.rate_hz
        for path, record in loaded:
            if isinstance(record, Rejected):
                yield _Question({"record": path, "warnings": [], "error": f"{record.reason}; {record.remedy}"})
                continue
            warnings = list(record.warnings)
            if every_seconds is None:
                yield _Question({"record": path, "warnings": warnings}, self.windows(record))
                continue
            for first, end in _stretches(len(record.signal), every_seconds * rate_hz):
                times = {"start_seconds": first / rate_hz, "end_seconds": end / rate_hz}
                has_samples = bool((record.signal[first:end] != MISSING).any())
                noted = warnings if has_samples else [*warnings, "no sample recorded"]
                windows = self.windows(record, first, end) if has_samples else []
                yield _Question({"record": path, **times, "warnings": noted}, windows)

    def _answered(self, waiting: deque[_Question], probability: Iterable[np.ndarray]) -> Iterator[Answer]:
        """Gives the probabilities [K] to the next windows, and takes the questions that are answered by them."""
        rows = iter(probability)
        for question in waiting:
            question.predicted += islice(rows, len(question.windows) - len(question.predicted))
        while waiting and len(waiting[0].predicted) == len(waiting[0].windows):
            yield self._answer(waiting.popleft())

    def _answer(self, question: _Question) -> Answer:
        if "error" in question.about:
            return question.about
        names, thresholds, shown, decided = self.contract.target.names, self.thresholds, {}, []
        if question.windows:
            probability = self._pooled(np.stack(question.predicted))
            if not np.isfinite(probability).all():
                reason = f"no number: the network in {self.result.workdir} is damaged; train it again"
                return question.about | {"error": reason}
            decision = decide(probability[None], thresholds, self.contract.target)[0]
            shown = {name: round(float(p), 6) for name, p in zip(names, probability, strict=True)}
            decided = [name for name, yes in zip(names, decision, strict=True) if yes]
        by_name = {} if thresholds is None else dict(zip(names, thresholds.tolist(), strict=True))
        return question.about | {"probabilities": shown, "thresholds": by_name, "decisions": decided}

    def _pooled(self, probability: np.ndarray) -> np.ndarray:
        """The probability [K] of a record from those of its windows [M, K]."""
        of_one, how = np.zeros(len(probability), np.int32), self.config.evaluate.pool
        return pool_windows(probability, of_one, n_records=1, pool=how, target=self.contract.target)[0]

    def _of_windows(self, windows: Sequence[Quantised], devices: Devices) -> np.ndarray:
        """Probabilities [M, K] of windows."""
        recordings = InMemory(windows, self.contract.leads, len(self.contract.target.names))
        data = replace(self.config.data, feed="resident")
        config = replace(self.config, data=data, evaluate=EvaluateConfig())  # the mean of one window is that window
        return self._predict(recordings, np.arange(len(windows)), config, devices)

    def _predict(self, recordings: Recordings, indices: np.ndarray, config: RunConfig, devices: Devices) -> np.ndarray:
        windows = Evaluator(recordings, [indices], config, [self.contract], devices)
        variables = jax.tree.map(lambda x: np.asarray(x)[None], self.variables)
        return windows.predict(devices.put_everywhere(variables))[0][0]


def _stretches(samples: int, every: float) -> Iterator[tuple[int, int]]:
    """First sample and end of each stretch of a record; a rest of less than half a stretch belongs to the last one."""
    count = max(1, round(samples / every))
    limits = [*(round(place * every) for place in range(count)), samples]
    return pairwise(limits)


def load(workdir: Path, *, allow_code: bool = False) -> Model:
    """Loads a finished run.

    Args:
        workdir: of a finished run, or a file of `ecg-jax pack`.
        allow_code: import the functions that its config names, if it names any.

    Raises:
        RunError: the run is not finished, its checkpoints or the file are damaged, or its own functions are not allowed
            or cannot be imported.
    """
    if workdir.is_file():
        packed = read_pack(workdir)
        check_allowed(packed.config.functions.named, workdir, allow_code=allow_code)
        check_network(packed, workdir)
        return Model(packed.config, packed.contract, packed.variables, packed.result)
    config, result, folder = read_config(workdir), read_result(workdir), workdir / CHECKPOINTS
    check_allowed(config.functions.named, workdir / CONFIG, allow_code=allow_code)
    again = command("ecg-jax", "train", "--data", config.data.path, "--workdir", workdir, *flags(config))
    if result is None:
        raise RunError(f"the run in {workdir} is not finished; to continue: {again}")
    again = f"delete {workdir / result.file_name}, and train again: {again}"
    checkpoint = read_checkpoint(folder)
    if checkpoint is None:
        raise RunError(f"{folder} has no checkpoint; {again}")
    contract = checkpoint.contract
    shapes = abstract_variables(config, contract)
    like = {"params": shapes["params"], "batch_stats": shapes.get("batch_stats", {})}
    whole = read_checkpoint(folder, best=like) or checkpoint
    say(*(f"{note}; the one before is used" for note in whole.damaged), file=sys.stderr)
    if whole.course.best_epoch != result.train.best_epoch or result.per_label.keys() != set(contract.target.names):
        raise RunError(f"the last whole checkpoint in {folder} does not belong to {result.file_name}; {again}")
    return Model(config, contract, whole.best, result)


def predict_split(
    workdir: Path, split: Literal["validation", "test"], *, data: Path | None = None, allow_code: bool = False
) -> tuple[Model, SplitPredictions]:
    """Predicts a split of a finished run; writes nothing.

    Args:
        workdir: of a finished run.
        split: which of the run's own splits.
        data: where the prepared set is, if it was moved.
        allow_code: as for `load`.

    Returns:
        The run, and its predictions.

    Raises:
        RunError: the run is not finished, names code that is not allowed, was trained on another set, or has no test
            folds.
    """
    model = load(workdir, allow_code=allow_code)
    prepared = open_prepared(data or model.config.data.path)
    if prepared.fingerprint != model.result.data_fingerprint:
        raise RunError(
            f"{workdir} was trained on the set {model.result.data_fingerprint}, {prepared.path} is another one "
            f"({prepared.fingerprint}); give the set of the run with --data"
        )
    indices = getattr(split_records(prepared, model.config.data), split)
    if not len(indices):
        raise RunError(f"the run in {workdir} keeps no {split} folds; train one with --data.test-folds N")
    return model, SplitPredictions(split, prepared, indices, model.probabilities(prepared, indices))
