"""Commands that take a run, or a part of it, out of its workdir: `pack` and `features`."""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from ecg_jax.config import FLAT
from ecg_jax.errors import ConfigError, DataError
from ecg_jax.file_layout import LayoutFlags
from ecg_jax.import_path import allow_code_flag
from ecg_jax.terminal import PlainConsole, next_step, say, with_bar

NOTHING_MORE = LayoutFlags()


def pack(workdir: tyro.conf.Positional[Path], to: Path, allow_code: bool = False) -> None:
    """Writes a finished run to one file to hand on; `predict --model FILE` takes it.

    The file holds the settings, the input that the network expects, its result on validation with the thresholds, and
    its best variables: no code, no recordings and no paths of this machine.

    Args:
        workdir: Folder of a finished run.
        to: The file, such as run.ecgjax.
        allow_code: Import the functions that the run's config.json names, if you trust them.
    """
    if to.suffix != ".ecgjax":
        raise ConfigError(f"--to {to}: the name of the file ends with .ecgjax")
    from ecg_jax.inference import load
    from ecg_jax.training.pack import Packed, write_pack

    model = load(workdir, allow_code=allow_code)
    write_pack(to, Packed(model.config, model.contract, model.variables, model.result))
    say(f"written: {to}, {to.stat().st_size:,} bytes")
    next_step("ecg-jax", "predict", "--model", to, *allow_code_flag(allow_code), "RECORD")


def features(
    workdir: tyro.conf.Positional[Path],
    records: tyro.conf.Positional[tuple[str, ...]],
    to: Path,
    files: Annotated[LayoutFlags, FLAT] = NOTHING_MORE,
    allow_code: bool = False,
) -> int:
    """Writes the input of a network's last layer for recordings: one vector for each, averaged over its windows.

    Args:
        workdir: Folder of a finished run, or a file of `ecg-jax pack`.
        records: Recordings, as for predict.
        to: The file: .npz with the arrays record and features, or .parquet with the columns record and feature_0, ...
        files: What the files do not say.
        allow_code: Import the functions that the run's config.json names, if you trust them.
    """
    if not records:
        raise ConfigError("no record is named; give WFDB records, with or without .hea, or other files of samples")
    layout = files.layout()
    from ecg_jax.answers import recordings_of
    from ecg_jax.features import check_suffix, write_features
    from ecg_jax.features import features as features_of
    from ecg_jax.inference import load
    from ecg_jax.records import Rejected

    check_suffix(to)
    found, failed = {}, False
    paths = recordings_of(records)
    vectors = features_of(load(workdir, allow_code=allow_code), paths, layout)
    for path, values in with_bar("features", vectors, len(paths), PlainConsole(stderr=True)):
        if isinstance(values, Rejected):
            say(f"{path}: {values.reason}; {values.remedy}", file=sys.stderr)
            failed = True
        else:
            found[path] = values
    if not found:
        raise DataError("no recording can be read; no file is written")
    import numpy as np

    write_features(to, list(found), np.stack(list(found.values())))
    say(f"written: {to}, {len(found)} recordings")
    return int(failed)
