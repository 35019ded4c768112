"""Commands on prepared sets: `prepare` and `show`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ecg_jax.config import FLAT
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.terminal import PlainConsole, next_step, say

if TYPE_CHECKING:
    from ecg_jax.dataset.prepared import PreparedSet


def prepare(config: Annotated[PrepareConfig, FLAT]) -> None:
    """Reads the recordings of a data set and writes a prepared set."""
    from ecg_jax.dataset.prepare import prepare as prepare_set

    prepare_set(config)
    next_step("ecg-jax", "show", config.to)


def show(data: tyro.conf.Positional[Path], record: str | None = None, out: Path | None = None) -> None:
    """Describes a prepared set, or draws one of its records on ECG paper.

    Args:
        data: Folder of a prepared set.
        record: Draw this record on ECG paper.
        out: File for the drawing; by default RECORD.png in the current folder.
    """
    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.dataset.summary import summary

    prepared = open_prepared(data)
    if record is None:
        PlainConsole().print(summary(prepared))
        next_step("ecg-jax", "show", data, "--record", prepared.record_ids[0])
        return
    out = out or Path(f"{record.replace('/', '_')}.png")
    _draw(prepared, record, out)
    say(str(out))
    next_step("ecg-jax", "cost", "--data", data)


def _draw(prepared: "PreparedSet", record: str, out: Path) -> None:
    import numpy as np

    from ecg_jax.plots.ecg_paper import draw
    from ecg_jax.plots.saving import save_picture

    index = prepared.index_of(record)
    labels = ", ".join(np.array(prepared.labels)[prepared.label[index] > 0]) or "no label"
    figure = draw(prepared.signal_mv(index), prepared.rate_hz, prepared.leads, f"{record}: {labels}")
    save_picture(figure, out)
