"""A finished run as a function: `load(workdir)`, then records -> probabilities. Called by `evaluate` and `predict`."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from ecg_jax.config import RunConfig, flags
from ecg_jax.dataset.batch import InputContract
from ecg_jax.dataset.feeds import InMemory, Recordings
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.dataset.splits import split_records
from ecg_jax.errors import RunError
from ecg_jax.evaluation.pooling import decide
from ecg_jax.file_layout import FileLayout, reader_of
from ecg_jax.import_path import check_allowed
from ecg_jax.models.resnet import build_network
from ecg_jax.records import Quantised, Rejected, quantise
from ecg_jax.records import load as load_record
from ecg_jax.terminal import command, say
from ecg_jax.training.checkpoint import check_fingerprint, read_checkpoint
from ecg_jax.training.devices import Devices
from ecg_jax.training.evaluator import Evaluator
from ecg_jax.training.result import RunResult, SplitPredictions, make_result, read_result
from ecg_jax.training.workdir import CHECKPOINTS, CONFIG, read_config
from ecg_jax.training.writer import RunWriter


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
        recording = InMemory(record, self.contract.leads, len(self.contract.target.names))
        config = replace(self.config, data=replace(self.config.data, feed="resident"))
        return self._predict(recording, np.array([0]), config, Devices(devices=tuple(jax.devices()[:1])))[0]

    def probabilities(self, recordings: Recordings, indices: np.ndarray) -> np.ndarray:
        """Probabilities [N, K] of the records `indices` of a prepared set, on all devices."""
        return self._predict(recordings, indices, self.config, Devices())

    def _predict(self, recordings: Recordings, indices: np.ndarray, config: RunConfig, devices: Devices) -> np.ndarray:
        windows = Evaluator(recordings, [indices], config, [self.contract], devices)
        variables = jax.tree.map(lambda x: np.asarray(x)[None], self.variables)
        return windows.predict(devices.put_everywhere(variables))[0][0]

    def predict(self, path: str, layout: FileLayout | None = None) -> dict[str, Any]:
        """What is predicted for the recording at `path`, as JSON values without NaN.

        Args:
            path: a WFDB record with or without .hea, or a file whose suffix is in `file_layout.READER_OF_SUFFIX`.
            layout: what the file does not say of itself.

        Returns:
            `record`, the path; `warnings`, what is irregular in the record; then `probabilities` and `thresholds` by
            label and `decisions`, the names of the labels that apply, or `error`, the reason why there are none.
        """
        contract, reader = self.contract, reader_of(Path(path))
        record = load_record(Path(path), leads=contract.leads, rate_hz=contract.rate_hz, reader=reader, layout=layout)
        if isinstance(record, Rejected):
            return {"record": path, "warnings": [], "error": f"{record.reason}; {record.remedy}"}
        answer = {"record": path, "warnings": list(record.warnings)}
        probability = self.probability(quantise(record))
        if not np.isfinite(probability).all():
            return answer | {"error": f"no number: the network in {self.result.workdir} is damaged; train it again"}
        names, thresholds = self.contract.target.names, self.thresholds
        decision = decide(probability[None], thresholds, self.contract.target)[0]
        return answer | {
            "probabilities": {name: round(float(p), 6) for name, p in zip(names, probability, strict=True)},
            "thresholds": {} if thresholds is None else dict(zip(names, thresholds.tolist(), strict=True)),
            "decisions": [name for name, yes in zip(names, decision, strict=True) if yes],
        }


def load(workdir: Path, *, allow_code: bool = False) -> Model:
    """Loads a finished run.

    Args:
        workdir: of a finished run.
        allow_code: import the functions that its config names, if it names any.

    Raises:
        RunError: the run is not finished, its checkpoints are damaged, or its own functions are not allowed or cannot
            be imported.
    """
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
    network = build_network(config, len(contract.target.names))
    example = jax.ShapeDtypeStruct((1, contract.window_samples, len(contract.leads)), jnp.float32)
    shapes = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, train=False), example)
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
    check_fingerprint(workdir, prepared.fingerprint)
    indices = getattr(split_records(prepared, model.config.data), split)
    if not len(indices):
        raise RunError(f"the run in {workdir} keeps no {split} folds; train one with --data.test-folds N")
    return model, SplitPredictions(split, prepared, indices, model.probabilities(prepared, indices))


def evaluate(
    workdir: Path,
    split: Literal["validation", "test"] = "test",
    *,
    data: Path | None = None,
    allow_code: bool = False,
) -> RunResult:
    """Predicts a split of a finished run, writes predictions, pictures and result, and returns the result.

    Arguments and errors are those of `predict_split`.
    """
    model, predictions = predict_split(workdir, split, data=data, allow_code=allow_code)
    before = model.result
    result = make_result(
        workdir, predictions, model.thresholds, config=model.config, cost=before.cost, train=before.train
    )
    RunWriter(workdir).write_result(predictions, result)
    return result
