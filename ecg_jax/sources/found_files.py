"""Files of recordings that a table names without their folders. Standard library only."""

from collections.abc import Sequence
from pathlib import Path

from ecg_jax.errors import DataError, Rejected
from ecg_jax.file_layout import READER_OF_SUFFIX

Files = dict[str, list[Path]]
"""Files by their names without suffix."""


def files_below(root: Path, *suffixes: str) -> Files:
    """The files below a folder with one of the suffixes (in lower case), but those whose names begin with a dot."""
    found: Files = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file():
            found.setdefault(path.stem, []).append(path)
    return found


def only_file(files: Files, name: str, where: str) -> Path | Rejected:
    """The file of a record that the table names at `where`, or why there is none."""
    paths = files.get(name, ())
    if len(paths) == 1:
        return paths[0]
    if paths:
        reason = f"several files: {where} may mean {paths[0]} or {paths[1]}"
        return Rejected(name, reason, "keep one of them below --from")
    return Rejected(name, f"no file: {where}", "download it, or check --from")


def only_table(root: Path, names: Sequence[str], remedy: str) -> Path:
    """The first of the files `names` that lies in the folder or, exactly once, below it.

    Raises:
        DataError: there is none, or there are several.
    """
    for name in names:
        found = [root / name] if (root / name).is_file() else sorted(root.rglob(name))
        if len(found) > 1:
            raise DataError(f"{root} has both {found[0]} and {found[1]}; keep one of them below --from")
        if found:
            return found[0]
    raise DataError(f"{root / names[0]} is missing; {remedy}")


def recordings_below(folder: Path) -> list[Path]:
    """The WFDB records below a folder, without .hea, in order; where there is none, the files of other formats."""
    found = files_below(folder, ".hea", *READER_OF_SUFFIX).values()
    paths = sorted(path for of_name in found for path in of_name)
    return [path.with_suffix("") for path in paths if path.suffix == ".hea"] or paths
