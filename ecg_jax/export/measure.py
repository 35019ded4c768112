"""Runs an exported file as a program does that knows nothing of this package: it needs NumPy and the file's runtime.

    python measure.py FILE WINDOWS.npy ANSWER.npz

WINDOWS.npy has windows in mV [M, T, L]. ANSWER.npz gets their probabilities [M, K], the milliseconds of one window
(median of 100 calls, after 10 to warm up), and the bytes by which loading the file and calling it with one window have
raised the memory of this process at most.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

CALLS, WARM_UP_CALLS = 100, 10
BATCH = 64
THREADS = 1  # JAX takes as many as it wants
Call = Callable[[np.ndarray], np.ndarray]


def load_onnx() -> Callable[[Path], Call]:
    """Imports ONNX Runtime, and returns the function that loads a file with it."""
    import onnxruntime

    def opened(path: Path) -> Call:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda windows: np.asarray(session.run(["probability"], {"signal_mv": windows})[0])

    return opened


def load_tflite() -> Callable[[Path], Call]:
    """Imports LiteRT, and returns the function that loads a file with it; it takes one window at a time."""
    from ai_edge_litert.interpreter import Interpreter

    def opened(path: Path) -> Call:
        run = Interpreter(str(path), num_threads=THREADS).get_signature_runner()
        return lambda windows: np.concatenate([run(signal_mv=window[None])["probability"] for window in windows])

    return opened


def load_stablehlo() -> Callable[[Path], Call]:
    """Imports JAX, and returns the function that loads a file with it."""
    import jax
    from jax import export

    jax.devices()  # starts the backend

    def opened(path: Path) -> Call:
        call = jax.jit(export.deserialize(bytearray(path.read_bytes())).call)
        return lambda windows: np.asarray(call(windows))

    return opened


RUNTIMES = {".onnx": load_onnx, ".tflite": load_tflite, ".stablehlo": load_stablehlo}


def memory_bytes(name: str) -> int | None:
    """A figure of this process on Linux, `VmRSS` or `VmHWM`; None elsewhere."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), None)


def latency_ms(call: Call, window: np.ndarray) -> float:
    """Milliseconds of one call: the median of 100, after 10 to warm up."""
    taken = []
    for _ in range(WARM_UP_CALLS + CALLS):
        start = time.perf_counter()
        call(window)
        taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken[WARM_UP_CALLS:])


def main(path: Path, windows_file: Path, answer_file: Path) -> None:
    """Measures a file, and writes the answer."""
    opened = RUNTIMES[path.suffix]()
    windows = np.load(windows_file, mmap_mode="r")
    window = np.array(windows[:1])
    before = memory_bytes("VmRSS")
    call = opened(path)
    milliseconds = latency_ms(call, window)
    peak = memory_bytes("VmHWM")
    size = min(BATCH, len(windows))
    padded = np.arange(-(-len(windows) // size) * size).clip(max=len(windows) - 1)  # all batches have one size
    probability = np.concatenate([call(np.array(windows[part])) for part in padded.reshape(-1, size)])
    memory = -1 if before is None or peak is None else peak - before
    np.savez(answer_file, probability=probability[: len(windows)], latency_ms=milliseconds, memory_bytes=memory)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
