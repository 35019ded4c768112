"""Reads an array of samples from a .npy, .npz, .csv, .txt, .mat or .h5 file, in mV. May import numpy, scipy and h5py.

Nothing is unpickled, and of an HDF5 file only what is asked for is read.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ecg_jax.errors import Unusable, reason_of
from ecg_jax.file_layout import FileLayout
from ecg_jax.records.leads import choose_leads, lead_list, same_lead
from ecg_jax.records.record import Record
from ecg_jax.records.wfdb_header import shown

SEPARATORS = (";", "\t", ",")  # of text; without any of them, blanks
MOST_UNPACKED = 100_000_000, 1000  # bytes that a file unpacks to: always, and for each of its own
OPEN_FILES = 32  # of many records each, that a process keeps open

Named = Mapping[str, Any]
"""Arrays by name, in memory or in an open file; each has `shape` and `dtype`."""


def read_array(path: Path, key: str | None, leads: Sequence[str] | None, layout: FileLayout) -> Record:
    """Reads one record.

    Args:
        path: of the file.
        key: the number of the record along the first axis of the array; None if the array is one record.
        leads: the leads to read, with those from which they are derived; None: all.
        layout: what the file does not say. Its names of leads replace those of the file.

    Raises:
        Unusable: the file is damaged, or what it holds cannot be meant in one way.
    """
    with reading(path):
        names, time_axis, array, person = _array(path, key, layout)
        array, notes = _by_time(array, len(names), time_axis)
        spelled, columns = lead_columns(names)
        chosen = choose_leads(spelled, leads)
        if layout.is_padded:
            array = _without_padding(array)
        signal_mv = np.asarray(array[:, [columns[name] for name in chosen]], np.float32)  # [T, L]
    if not len(signal_mv):
        raise Unusable("empty: it has no samples", "download it again")
    if layout.rate_hz is None:
        raise Unusable("rate unknown: the file does not say it", "give it with --rate-hz-of-files")
    if layout.mv_per_unit is None:
        raise Unusable("unit unknown: the file does not say it", "give it with --unit")
    with np.errstate(over="ignore"):  # what is not finite is rejected
        signal_mv *= np.float32(layout.mv_per_unit)
    missing = np.isnan(signal_mv)
    signal_mv[missing] = 0
    read, unused = (tuple(spelled[name] for name in part) for part in (chosen, spelled.keys() - {*chosen}))
    return Record(str(path), signal_mv, missing, layout.rate_hz, read, notes, tuple(sorted(unused)), person)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Makes whatever a package raises for a damaged file an `Unusable` that says why.

    Raises:
        Unusable: the block raised an exception, except if memory ran out.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (Unusable, MemoryError):
        raise
    except FileNotFoundError as error:
        raise Unusable(f"no file: {shown(str(path), 200)}", "check the name") from error
    except OSError as error:
        reason = error.strerror or reason_of(error)
        raise Unusable(f"file unreadable: {shown(reason, 200)}", "make it readable, or write it again") from error
    except Exception as error:
        raise Unusable(f"file unreadable: {shown(reason_of(error), 200)}", "write or download it again") from error


def lead_columns(names: Sequence[str]) -> tuple[dict[str, str], dict[str, int]]:
    """By their lower case, the names of leads as spelled first, and their columns; of a name twice, the first."""
    spelled: dict[str, str] = {}
    columns: dict[str, int] = {}
    for column, name in enumerate(names):
        spelled.setdefault(same_lead(name), name.strip())
        columns.setdefault(same_lead(name), column)
    return spelled, columns


class _Found(NamedTuple):
    """The array of one record in its file, and what is known of it."""

    leads: Sequence[str]
    time_axis: int | None  # if it is known
    array: Any
    person: tuple[str, str] = ("", "")


def _array(path: Path, key: str | None, layout: FileLayout) -> _Found:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".txt"):
        array, header = _text(path)
        if not (names := layout.leads or header):
            raise Unusable("leads unknown: its first line does not name them", "name them with --lead-names")
        return _Found(names, 0 if header else layout.time_axis, array)
    if not layout.leads:
        raise Unusable("leads unknown: the file does not name them", "name them in its order with --lead-names")
    if suffix == ".npy":
        return _Found(layout.leads, layout.time_axis, np.load(path, mmap_mode="r", allow_pickle=False))
    about = path.stat()
    named = _READ[suffix](path) if key is None else _kept_open(path, about.st_mtime_ns, about.st_size)
    array = named[_variable(named, layout)]
    if key is not None:
        array = array[int(key)]
    elif array.size * array.dtype.itemsize > max(MOST_UNPACKED[0], MOST_UNPACKED[1] * about.st_size):
        raise Unusable(f"too large: an array of {_shape(array)} in so small a file", "leave the file out")
    age, sex = (str(named[name]) if name in named else "" for name in layout.person)
    return _Found(layout.leads, layout.time_axis, array, (age, sex))


def _variable(named: Named, layout: FileLayout) -> str:
    """The name of the array with the samples: the one asked for, or the only one that can be."""
    found = {name: array for name, array in named.items() if getattr(array, "dtype", np.dtype(object)).kind in "iuf"}
    if layout.variable:
        if layout.variable not in found:
            reason = f"array absent: there is no array of numbers {shown(layout.variable)}; it has {lead_list(found)}"
            raise Unusable(reason, "name one with --variable")
        return layout.variable
    fitting = [name for name, array in found.items() if len(layout.leads) in _lengths(array)]
    if len(fitting) != 1:
        arrays = ", ".join(f"{shown(name)} ({_shape(array)})" for name, array in [*found.items()][:15]) or "none"
        count = f"{len(fitting)} arrays with {len(layout.leads)} leads"
        raise Unusable(f"array unclear: {count} among its arrays of numbers: {arrays}", "name one with --variable")
    return fitting[0]


def _lengths(array: Any) -> tuple[int, ...]:
    """The lengths of the axes of an array of one or two leads and time; () if it cannot hold a recording."""
    lengths = tuple(length for length in array.shape if length != 1)
    return {1: (1, *lengths), 2: lengths}.get(len(lengths), ())


def _by_time(array: Any, count: int, time_axis: int | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """The array as [T, L] for a `count` L of leads, and a note if its shape alone says which axis is time."""
    shape = _shape(array)
    if array.dtype.kind not in "iuf":
        raise Unusable(f"array unusable: it holds no numbers but {shown(str(array.dtype))}", "write it as numbers")
    array = np.asarray(array)
    array = array.reshape([length for length in array.shape if length != 1])
    if array.ndim < 2 and count == 1:
        return array.reshape(-1, 1), ()
    axes = [axis for axis, length in enumerate(array.shape) if length == count]
    if time_axis is not None:
        axes = [axis for axis in axes if axis != time_axis]
    if array.ndim != 2 or not axes:
        raise Unusable(f"shape unusable: {shape} for {count} leads", "correct --lead-names, or leave the file out")
    if len(axes) == 2:
        raise Unusable(f"shape unclear: {shape} for {count} leads", "leave the file out, or make it longer")
    row, signal = ("a lead", array.T) if axes[0] == 0 else ("a sample", array)
    return signal, () if time_axis is not None else (f"each row is {row}: {shape}",)


def _without_padding(array: np.ndarray) -> np.ndarray:
    """The samples [T, L] from the first to the last in which any lead differs from 0."""
    recorded = np.flatnonzero((array != 0).any(axis=1))
    return array[recorded[0] : recorded[-1] + 1] if recorded.size else array[:0]


def _shape(array: Any) -> str:
    return " x ".join(map(str, array.shape)) or "a single number"


def _npz(path: Path) -> Named:
    with np.load(path, allow_pickle=False) as file:
        unpacked = sum(member.file_size for member in file.zip.infolist())
        if unpacked > max(MOST_UNPACKED[0], MOST_UNPACKED[1] * path.stat().st_size):
            raise Unusable(f"too large: it unpacks to {unpacked:,} bytes", "leave the file out")
        return {name: file[name] for name in file.files}


def _mat(path: Path) -> Named:
    """The arrays of a MATLAB file; fields of a structure are named `ECG.data`. Version 7.3 is HDF5."""
    with path.open("rb") as file:
        if b"MATLAB 7.3" in file.read(128):
            return _hdf5(path)
    from scipy.io import loadmat  # takes half a second to import

    found: dict[str, Any] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for field, inner in value.items():
                add(f"{name}.{field}", inner)
        else:
            found[name] = value

    for name, value in loadmat(path, simplify_cells=True).items():
        add(name, value)
    return found


def _hdf5(path: Path) -> Named:
    """The datasets of an HDF5 file, which is open as long as any of them; those of a group are named `group/ecg`."""
    import h5py

    found: dict[str, Any] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not (item.external or item.is_virtual):  # they lead to other files
            found[name] = item

    h5py.File(path, "r").visititems(add)
    return found


@lru_cache(maxsize=OPEN_FILES)
def _kept_open(path: Path, changed_ns: int, size: int) -> Named:
    """The arrays of a file of many records, which is opened once by each process."""
    return _READ[path.suffix.lower()](path)


def hdf5_numbers(path: Path, name: str) -> list[int]:
    """A dataset of whole numbers [N] of an HDF5 file.

    Raises:
        Unusable: the file is damaged or has no such dataset.
    """
    with reading(path):
        return [int(number) for number in _hdf5(path)[name][:]]


def _text(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """The numbers [T, L] of a text of lines, and the names of the leads if its first line has them.

    An empty cell is a missing sample. Names 0, 1, 2 and so on, which pandas writes for columns without names, are none.
    """
    content = path.read_bytes()
    text = content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    first, _, rest = text.lstrip("\r\n").partition("\n")
    separator = next((mark for mark in SEPARATORS if mark in first), None)
    line = first.strip("\r") if separator else first.strip().removeprefix("#")
    names = tuple(cell.strip().strip("\"'#").strip() for cell in line.split(separator))
    if names == tuple(map(str, range(len(names)))) and len(names) > 1:
        text, names = rest, ()
    elif all(map(_is_number, names)):
        names = ()
    else:
        text = rest
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise Unusable("empty: it has no samples", "download it again")
    try:
        array = np.loadtxt(lines, delimiter=separator, ndmin=2)
    except ValueError:
        array = np.loadtxt(lines, delimiter=separator, ndmin=2, converters=_number)
    if names and array.shape[1] != len(names):
        raise Unusable(f"leads unclear: {len(names)} names for {array.shape[1]} columns", "correct its first line")
    return array, names


def _number(cell: str) -> float:
    return float(cell) if cell.strip() else np.nan


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True


_READ: dict[str, Callable[[Path], Named]] = {".npz": _npz, ".mat": _mat, ".h5": _hdf5, ".hdf5": _hdf5}
