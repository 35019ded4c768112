"""Exports a trained network: writes the file, proves it, and keeps it."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from ecg_jax.config import RunConfig
from ecg_jax.dataset.batch import InputContract
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.export.formats import format_of
from ecg_jax.export.function import Precision, contract_of, window_function
from ecg_jax.export.proof import Proof, measured, prove, windows_of
from ecg_jax.files import naming, temporary_folder, write_bytes
from ecg_jax.models.resnet import build_network
from ecg_jax.target import Target
from ecg_jax.training.result import SplitPredictions

MEASURING_WINDOWS = 256  # by which the ranges of 8 bits are measured
RUNTIMES: dict[str, tuple[str, Precision]] = {
    "onnx": (".onnx", "float32"),
    "tflite": (".tflite", "float32"),
    "tflite-int8": (".tflite", "int8"),
}
"""What `recommend --runtime` may be -> the file that it runs."""


def export(
    to: Path,
    config: RunConfig,
    contract: InputContract,
    variables: Any,
    thresholds: np.ndarray | None,
    predictions: SplitPredictions,
    *,
    calibration: Any = None,
    precision: Precision = "float32",
) -> Proof:
    """Writes a trained network to a file whose suffix names the format, unless the file's predictions are others.

    Args:
        to: the file.
        config: of the run.
        contract: of its input.
        variables: of its network.
        thresholds: [K], None where labels exclude each other.
        predictions: of the run on its validation records, with which the file is compared.
        calibration: of the run, for the contract; see `contract_of`.
        precision: of the numbers in the file.

    Returns:
        The proof.

    Raises:
        ConfigError: there is no such format, or the network has an operation that cannot be written in it.
        RunError: the file cannot be run, or its predictions are others; the message has the figures.
    """
    kind = format_of(to, precision)
    if not to.parent.is_dir():
        raise ConfigError(f"--to is {to}, but there is no folder {to.parent}; make it, or give another file")
    facts = contract_of(
        config, contract, thresholds, fingerprint=predictions.prepared.fingerprint, calibration=calibration
    )
    function = window_function(config, contract, variables, facts | {"precision": precision})
    windows = windows_of(predictions, config.evaluate, contract.window_samples)
    refusal: RunError | None = None
    for signal_mv in (windows.signal_mv, usual(windows.signal_mv)) if precision == "int8" else (windows.signal_mv,):
        some = np.unique(np.linspace(0, len(signal_mv) - 1, MEASURING_WINDOWS).astype(int))
        content = kind.write(function, precision, signal_mv[some])
        with temporary_folder() as folder:
            file = folder / f"model{to.suffix}"
            with naming(file):
                file.write_bytes(content)
            exact = config.model.precision == "float32"
            try:
                proof = prove(file, windows, precision, config.evaluate, exact=exact)
            except RunError as error:
                refusal = error
                continue
        write_bytes(to, content)
        return proof
    raise refusal or RunError(f"{to} has no windows to be compared with")


def usual(signal_mv: np.ndarray) -> np.ndarray:
    """The windows of [M, T, L] whose largest deviation from a lead's mean is not above the median.

    The range of 8 bits reaches to the largest value that is seen: a spike in one window leaves few steps for others.
    """
    recorded = np.isfinite(signal_mv)
    mean_mv = np.sum(signal_mv, axis=1, keepdims=True, where=recorded) / np.maximum(
        recorded.sum(axis=1, keepdims=True), 1
    )
    largest_mv = np.max(np.abs(signal_mv - mean_mv), axis=(1, 2), where=recorded, initial=0.0)
    return signal_mv[largest_mv <= np.median(largest_mv)]


def cost_of_file(
    config: RunConfig, runtime: str, *, window_samples: int, leads: int, labels: int, rate_hz: float
) -> tuple[float, int]:
    """The milliseconds of one window on this machine, and the bytes, of the exported file of an untrained network.

    Raises:
        ConfigError, RunError: as for `export`.
    """
    suffix, precision = RUNTIMES[runtime]
    kind = format_of(Path(f"model{suffix}"), precision, asked=f"--runtime {runtime}")
    contract = InputContract(
        rate_hz,
        tuple(f"lead {number}" for number in range(leads)),
        Target("multilabel", tuple(f"label {number}" for number in range(labels))),
        window_samples,
        (0.0,) * leads,
        (1.0,) * leads,
        config.data.normalise,
    )
    windows = np.random.default_rng(0).normal(size=(MEASURING_WINDOWS, window_samples, leads)).astype(np.float32)
    variables = build_network(config, labels).init(jax.random.key(0), windows[:1], train=False)
    facts = contract_of(config, contract, None, fingerprint="")
    with temporary_folder() as folder:
        file = folder / f"model{suffix}"
        file.write_bytes(kind.write(window_function(config, contract, variables, facts), precision, windows))
        return float(measured(file, windows[:1])["latency_ms"]), file.stat().st_size
