"""A finished run as a function: `load(workdir)`, then records -> probabilities. What `evaluate` and `predict` call."""

from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from ecg_jax.config import RunConfig
from ecg_jax.dataset import sampler
from ecg_jax.dataset.batch import Batch, InputContract
from ecg_jax.dataset.prepared import PreparedSet, open_prepared
from ecg_jax.dataset.splits import split_records
from ecg_jax.errors import RunError
from ecg_jax.evaluation.pooling import decide, pool_windows
from ecg_jax.records import MISSING, Quantised, Rejected, quantise
from ecg_jax.records import load as load_record
from ecg_jax.training.checkpoint import read_best, read_meta
from ecg_jax.training.devices import Devices
from ecg_jax.training.evaluator import Evaluator
from ecg_jax.training.losses import bce
from ecg_jax.training.network import build_network
from ecg_jax.training.result import RunResult, conclude, read_result
from ecg_jax.training.setup import chosen_loss
from ecg_jax.training.step import make_predict
from ecg_jax.training.workdir import check_fingerprint, read_config

AT_ONCE = 64  # windows of a record in a batch: a day's recording has too many for one


class Model:
    """A trained network with its best variables, and the contract that its input keeps."""

    def __init__(self, config: RunConfig, contract: InputContract, variables: Any, result: RunResult):
        """`result` is that of the validation split, which holds the thresholds."""
        self.config, self.contract, self.variables, self.result = config, contract, variables, result
        target = contract.target
        limits = [result.per_label[name]["threshold"] for name in target.names]
        self.thresholds = np.array(limits, float) if target.has_thresholds else None
        self._network = build_network(config, len(target.names))
        self._predict = jax.jit(make_predict(self._network, bce, target))

    def probability(self, record: Quantised) -> np.ndarray:
        """Probability of each label [K] of a record in the contract's rate and leads, from `records.quantise`."""
        window, n_samples = self.contract.window_samples, len(record.signal)
        windows = sampler.evaluation_windows([n_samples], window=window, overlap=self.config.evaluate.overlap)
        signal = np.pad(record.signal, ((0, max(window - n_samples, 0)), (0, 0)), constant_values=MISSING)
        found = []
        for at in range(0, len(windows.offset), AT_ONCE):
            offsets = windows.offset[at : at + AT_ONCE]
            batch = _windows(signal, record.scale_mv, offsets, window, len(self.contract.target.names))
            probability, _ = self._predict(self.variables, batch, self.contract.normalisation)
            found.append(np.asarray(probability)[: len(offsets)])
        pooled = pool_windows(
            np.concatenate(found),
            np.asarray(windows.record),
            n_records=1,
            pool=self.config.evaluate.pool,
            target=self.contract.target,
        )
        return pooled[0]

    def predict(self, path: str) -> dict[str, Any]:
        """Probabilities, thresholds and decisions of the WFDB record at `path`, or the error that forbids them."""
        record = load_record(Path(path), leads=self.contract.leads, rate_hz=self.contract.rate_hz)
        if isinstance(record, Rejected):
            return {"record": path, "error": f"{record.reason}; {record.remedy}"}
        probability = self.probability(quantise(record))
        names, limits = self.contract.target.names, self.thresholds
        said = decide(probability[None], limits, self.contract.target)[0]
        return {
            "record": path,
            "probabilities": {name: round(float(p), 6) for name, p in zip(names, probability, strict=True)},
            "thresholds": {} if limits is None else dict(zip(names, limits.tolist(), strict=True)),
            "decisions": [name for name, yes in zip(names, said, strict=True) if yes],
        }


def _windows(signal: np.ndarray, scale_mv: np.ndarray, offsets: np.ndarray, window: int, n_labels: int) -> Batch:
    """Windows of one record as a batch; a power of two of rows, so that few shapes are compiled."""
    rows = 1 << (len(offsets) - 1).bit_length()
    windows = np.full((rows, window, signal.shape[1]), MISSING, np.int16)
    for row, offset in enumerate(offsets):
        windows[row] = signal[offset : offset + window]
    return Batch(
        signal=windows,
        scale_mv=np.broadcast_to(scale_mv, (rows, len(scale_mv))),
        valid=(windows != MISSING).any(axis=-1),
        label=np.zeros((rows, n_labels), np.float32),
        weight=(np.arange(rows) < len(offsets)).astype(np.float32),
    )


def load(workdir: Path) -> Model:
    """A finished run.

    Raises:
        RunError: the run is not finished, or its functions cannot be imported.
    """
    config, result = read_config(workdir), read_result(workdir)
    meta = read_meta(workdir / "checkpoints") if result else None
    if result is None or meta is None:
        raise RunError(f"the run in {workdir} is not finished; start ecg-jax train with the same flags again")
    contract = InputContract.from_json(meta["contract"])
    network = build_network(config, len(contract.target.names))
    example = jax.ShapeDtypeStruct((1, contract.window_samples, len(contract.leads)), jnp.float32)
    shapes = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, train=False), example)
    like = {"params": shapes["params"], "batch_stats": shapes.get("batch_stats", {})}
    return Model(config, contract, read_best(workdir / "checkpoints", like), result)


def predict_split(
    workdir: Path, split: Literal["validation", "test"], *, data: Path | None = None
) -> tuple[Model, PreparedSet, np.ndarray, np.ndarray]:
    """Predicts a split with a finished run; writes nothing.

    Args:
        workdir: of a finished run.
        split: which of the run's own splits.
        data: where the prepared set lies now, if it was moved.

    Returns:
        The run, the prepared set, the indices of the split's records [N] and their probabilities [N, K].

    Raises:
        RunError: the run is not finished, was trained on another set, or keeps no test folds.
    """
    model = load(workdir)
    prepared = open_prepared(data or model.config.data.path)
    check_fingerprint(workdir, model.result.data_fingerprint, prepared.fingerprint)
    splits = split_records(prepared, model.config.data)
    indices = getattr(splits, split)
    if not len(indices):
        raise RunError(f"the run in {workdir} keeps no {split} folds; train one with --data.test-folds N")
    config, contract, devices = model.config, model.contract, Devices()
    windows = Evaluator(prepared, indices, config=config, contract=contract, devices=devices)
    loss = chosen_loss(config, contract, prepared.label[splits.training])
    network = build_network(config, len(contract.target.names))
    compiled = windows.compile(make_predict(network, loss, contract.target))
    probability, _ = windows.predict(compiled, devices.put_everywhere(model.variables))
    return model, prepared, indices, probability


def evaluate(workdir: Path, split: Literal["validation", "test"] = "test", *, data: Path | None = None) -> RunResult:
    """Predicts a split with a finished run, writes predictions, plot and result beside it, and returns the result.

    Args and what is raised: those of `predict_split`.
    """
    model, prepared, indices, probability = predict_split(workdir, split, data=data)
    before = model.result
    return conclude(
        workdir,
        split,
        prepared,
        indices,
        probability,
        model.thresholds,
        resamples=model.config.evaluate.resamples,
        cost=before.cost,
        train=before.train,
        config=before.config,
    )
