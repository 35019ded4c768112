"""The formats in which a network can be exported, by the suffix of the file. Their packages are imported when used."""

import importlib.util
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecg_jax.errors import ConfigError
from ecg_jax.export.function import Precision, WindowFunction

CONTRACT = "contract.json"  # in a ZIP archive at the end of a file whose format has no place for it


@dataclass(frozen=True)
class Format:
    """How a format is written, the packages that write and run it, and the precisions that it has."""

    write: Callable[[WindowFunction, Precision, np.ndarray], bytes]
    """The file of a function; its windows are those by which ranges are measured."""
    needs: tuple[str, ...]
    precisions: tuple[Precision, ...]


def _onnx(function: WindowFunction, precision: Precision, windows: np.ndarray) -> bytes:
    from ecg_jax.export.onnx_format import write

    return write(function, precision)  # with the contract as metadata


def _tflite(function: WindowFunction, precision: Precision, windows: np.ndarray) -> bytes:
    from ecg_jax.export.tflite import write

    return _with_contract(write(function, precision, windows), function)


def _stablehlo(function: WindowFunction, precision: Precision, windows: np.ndarray) -> bytes:
    from ecg_jax.export.stablehlo import write

    return _with_contract(write(function, precision), function)


def _with_contract(content: bytes, function: WindowFunction) -> bytes:
    """The file, which readers of its format read as before, and which is a ZIP archive with the contract, too."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr(zipfile.ZipInfo(CONTRACT), json.dumps(function.contract, indent=1))  # without the time
    return content + archive.getvalue()


FORMATS = {
    ".onnx": Format(_onnx, ("onnx", "onnxruntime"), ("float32", "float16")),
    ".tflite": Format(_tflite, ("tensorflow", "onnx", "ai_edge_litert"), ("float32", "float16", "int8")),
    ".stablehlo": Format(_stablehlo, (), ("float32", "float16")),
}


def format_of(path: Path, precision: Precision, *, asked: str = "") -> Format:
    """The format of a file; `asked` is the flag, with its value, that asks for it, by default that of `export`.

    Raises:
        ConfigError: there is no such format, it lacks the precision, or its packages are not installed.
    """
    if path.suffix not in FORMATS:
        raise ConfigError(f"--to is {path}; give a file that ends in {', '.join(FORMATS)}")
    found = FORMATS[path.suffix]
    if precision not in found.precisions:
        raise ConfigError(f"--{precision} is not possible for {path.suffix}; it has {', '.join(found.precisions)}")
    missing = [name for name in found.needs if importlib.util.find_spec(name) is None]
    if missing:
        package = "tensorflow-cpu" if "tensorflow" in missing else "'ecg-jax[export]'"
        raise ConfigError(
            f"{asked or f'--to {path}'} needs {', '.join(missing)}, which is not installed: pip install {package}"
        )
    return found
