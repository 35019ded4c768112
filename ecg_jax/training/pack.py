"""A finished run as one file to hand on: a zip archive of run.json and of the best variables as NumPy arrays.

Nothing is compressed and nothing in the file is code, so that it can be opened whoever made it: `run.json` says which
arrays there must be, of which shape, and all else is refused before it is read.
"""

import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from flax.traverse_util import unflatten_dict

from ecg_jax.config import RunConfig, from_dict, same_run, to_dict
from ecg_jax.dataset.batch import InputContract
from ecg_jax.errors import ConfigError, RunError, reason_of
from ecg_jax.files import parse_json, write_bytes
from ecg_jax.models.layout import layout
from ecg_jax.training.result import RunResult, result_of
from ecg_jax.training.variables import by_name, shapes_by_name

ABOUT, FORMAT = "run.json", 1
LONGEST_ABOUT = 2**24  # bytes
RATES_HZ = (1, 10_000)


@dataclass(frozen=True)
class Packed:
    """The content of a file: what `inference.Model` is made of."""

    config: RunConfig
    contract: InputContract
    variables: Any
    result: RunResult


def write_pack(path: Path, packed: Packed) -> None:
    """Writes a run to a file. Paths of this machine are left out.

    Raises:
        OSError: it cannot be written.
    """
    arrays = by_name(packed.variables)
    about = {
        "format": FORMAT,
        "config": to_dict(same_run(packed.config)),
        "contract": to_dict(packed.contract),
        "result": {**asdict(packed.result), "config": to_dict(same_run(from_dict(RunConfig, packed.result.config)))},
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
    }
    del about["result"]["workdir"]
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(ABOUT), json.dumps(about, indent=1) + "\n")
        for name, array in arrays.items():
            file = BytesIO()
            np.lib.format.write_array(file, np.asarray(array, np.float32, order="C"), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), file.getvalue())
    write_bytes(path, content.getvalue())


def read_pack(path: Path) -> Packed:
    """Reads a file of `write_pack`, whoever has written it. No name in it becomes a path, and nothing is imported.

    Raises:
        RunError: it is not such a file, or it is damaged.
        OSError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, path)
    except (zipfile.BadZipFile, ConfigError, ValueError, LookupError, TypeError, AttributeError, EOFError) as error:
        what = f"{path} is not a file of `ecg-jax pack`, or is damaged ({reason_of(error)}); ask for it again"
        raise RunError(what) from error
    except (NotImplementedError, RuntimeError, RecursionError, MemoryError) as error:  # encrypted, or of another kind
        raise RunError(f"{path} is not a file of `ecg-jax pack` ({reason_of(error)}); ask for it again") from error


def _read(archive: zipfile.ZipFile, path: Path) -> Packed:
    members, size = archive.infolist(), path.stat().st_size
    if any(m.compress_type != zipfile.ZIP_STORED or m.file_size != m.compress_size for m in members):
        raise ValueError("a part of it is compressed")
    if sum(member.file_size for member in members) > size:
        raise ValueError("its parts are larger than the file")
    by_name = {member.filename: member for member in members}
    if ABOUT not in by_name or by_name[ABOUT].file_size > LONGEST_ABOUT:
        raise ValueError(f"it has no usable {ABOUT}")
    about = parse_json(archive.read(ABOUT))
    if about["format"] != FORMAT:
        raise ValueError(f"its format is {about['format']!r}")
    shapes: Mapping[str, list[int]] = about["arrays"]
    if {f"{name}.npy" for name in shapes} != by_name.keys() - {ABOUT} or len(by_name) != len(members):
        raise ValueError("its parts are not those that it names")
    arrays = {}
    for name, shape in shapes.items():
        with archive.open(f"{name}.npy") as file:
            arrays[name] = _read_array(file, name, tuple(shape), by_name[f"{name}.npy"].file_size)
    variables = unflatten_dict(arrays, sep="/")
    return Packed(
        config=from_dict(RunConfig, about["config"]),
        contract=InputContract.from_json(about["contract"]),
        variables={"params": variables["params"], "batch_stats": variables.get("batch_stats", {})},
        result=result_of(about["result"], path, "validation"),
    )


def _read_array(file: IO[bytes], name: str, shape: tuple[int, ...], size: int) -> np.ndarray:
    """An array of finite float32; its header is compared with what is expected before room is made for it."""
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"{name} has another version of the NumPy format")
    header = np.lib.format.read_array_header_1_0(file)
    n_bytes = 4 * math.prod(shape)
    if header != (shape, False, np.dtype(np.float32)) or not 0 <= n_bytes <= size:
        raise ValueError(f"{name} has another shape or type than it should have")
    array = np.frombuffer(file.read(), np.float32).reshape(shape)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has a number that is not finite")
    return array


def check_network(packed: Packed, path: Path) -> None:
    """Refuses variables, an input or labels that are not those of the network that the config describes.

    Raises:
        RunError: they are not, or the network is a function that cannot be imported.
    """
    contract, result, arrays = packed.contract, packed.result, by_name(packed.variables)
    names, leads = contract.target.names, contract.leads
    fits = (
        RATES_HZ[0] <= contract.rate_hz <= RATES_HZ[1]
        and contract.window_samples == packed.config.data.window_samples(contract.rate_hz)
        and len(contract.mean_mv) == len(contract.std_mv) == len(leads) > 0
        and result.per_label.keys() == set(names)
        and (packed.config.functions.network or len(layout(packed.config.model)) <= len(arrays))
    )
    if fits:  # else a network without end could be described
        found = {name: array.shape for name, array in arrays.items()}
        fits = found == shapes_by_name(packed.config, contract)
    if not fits:
        raise RunError(f"{path} has other variables, input or labels than its network needs; ask for it again")
