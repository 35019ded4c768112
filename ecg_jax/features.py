"""What a trained network has found in recordings before its last layer: one vector for each."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ecg_jax.dataset.batch import Batch, Normalisation, to_input
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.file_layout import FileLayout
from ecg_jax.files import write_bytes
from ecg_jax.inference import Model
from ecg_jax.models.resnet import build_network
from ecg_jax.records import MISSING, Quantised, Rejected
from ecg_jax.training.variables import by_name

SUFFIXES = (".npz", ".parquet")


def features(
    model: Model, paths: Sequence[str], layout: FileLayout | None = None
) -> Iterator[tuple[str, np.ndarray | Rejected]]:
    """The input [F] of the last layer for each recording, averaged over its windows; or why it cannot be read.

    Args:
        model: of a finished run. A network of one's own keeps its features x with
            `self.sow("intermediates", "features", x)`.
        paths: as for `Model.predict`.
        layout: what the files do not say of themselves.

    Raises:
        RunError: the network keeps no features.
    """
    contract = model.contract
    network, normalisation = build_network(model.config, len(contract.target.names)), contract.normalisation

    @jax.jit
    def of_windows(variables: Any, batch: Batch, normalisation: Normalisation) -> Any:
        signal, _ = to_input(batch, normalisation)
        _, kept = network.apply(variables, signal, batch.valid, train=False, mutable=["intermediates"])
        found = by_name(kept.get("intermediates", {}))
        return next((values[0] for name, values in found.items() if name.endswith("features")), None)

    for path, record in zip(paths, model.read(paths, layout), strict=True):
        if isinstance(record, Rejected):
            yield path, record
            continue
        windows = _batch(model.windows(record))
        of_each = of_windows(model.variables, windows, normalisation)
        if of_each is None:
            raise RunError(
                f"the network of {model.result.workdir} keeps no features; call "
                'self.sow("intermediates", "features", x) in it'
            )
        yield path, np.asarray(of_each)[windows.weight > 0].mean(axis=0)


def _batch(windows: Sequence[Quantised]) -> Batch:
    """Windows as a batch, with padding rows up to a power of two, so that few shapes are compiled."""
    rows = 1 << (len(windows) - 1).bit_length()
    padding = [np.full_like(windows[0].signal, MISSING)] * (rows - len(windows))
    signal = np.stack([*(window.signal for window in windows), *padding])
    return Batch(
        signal=signal,
        scale_mv=np.tile(windows[0].scale_mv, (rows, 1)),
        valid=(signal != MISSING).any(axis=-1),
        label=np.zeros((rows, 0), np.float32),
        weight=(np.arange(rows) < len(windows)).astype(np.float32),
    )


def check_suffix(path: Path) -> None:
    """Refuses a file of another kind.

    Raises:
        ConfigError: its name ends otherwise.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"--to {path}: give a file that ends with {' or '.join(SUFFIXES)}")


def write_features(path: Path, records: Sequence[str], values: np.ndarray) -> None:
    """Writes the features [N, F] of records by the suffix of the path.

    NPZ: the arrays `record` and `features`; Parquet: the columns `record` and `feature_0` to `feature_<F - 1>`.
    """
    from io import BytesIO

    content = BytesIO()
    if path.suffix == ".npz":
        np.savez(content, record=np.array(records), features=values)
    else:
        import pandas as pd

        names = [f"feature_{number}" for number in range(values.shape[1])]
        table = pd.DataFrame(values, columns=names)
        table.insert(0, "record", list(records))
        table.to_parquet(content, index=False)
    write_bytes(path, content.getvalue())
