"""Commands that ask a finished run about recordings: `predict`."""

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ecg_jax.commands.runs import next_is_a_study
from ecg_jax.config import FLAT
from ecg_jax.errors import ConfigError
from ecg_jax.file_layout import LayoutFlags
from ecg_jax.terminal import PlainConsole, say, with_bar

if TYPE_CHECKING:
    from ecg_jax.inference import Model

NOTHING_MORE = LayoutFlags()


def predict(
    records: tyro.conf.Positional[tuple[str, ...]],
    workdir: Path,
    files: Annotated[LayoutFlags, FLAT] = NOTHING_MORE,
    form: Annotated[Literal["json", "csv"], tyro.conf.arg(name="format")] = "json",
    out: Path | None = None,
    every: float | None = None,
    pictures: Path | None = None,
    workers: int | None = None,
    allow_code: bool = False,
) -> int:
    """Predicts the labels of recordings: prints one line of JSON for each.

    Args:
        records: WFDB records, with or without .hea, or files: .npy, .npz, .csv, .txt, .mat, .h5, .edf, and with the
            extra [formats] .xml, .dcm, .scp and .ecg. A folder stands for all WFDB records below it or, if it has
            none, for all such files.
        workdir: Folder of a finished run.
        files: What the files do not say.
        form: Lines of JSON, or a table with one row for each recording.
        out: File for the answers; by default they are printed.
        every: Answer each stretch of so many seconds of a recording, with its times.
        pictures: Folder for pictures of the answers over time, one for each recording; needs --every.
        workers: Number of processes that read; by default one for each processor core.
        allow_code: Import the functions that the run's config.json names, if you trust them.
    """
    if not records:
        raise ConfigError("no record is named; give WFDB records, with or without .hea, or other files of samples")
    if every is not None and not 1 <= every <= 86400:
        raise ConfigError(f"--every is {every:g}; give the seconds of each answer, 1 to 86400")
    if pictures is not None and every is None:
        raise ConfigError("--pictures shows answers over time; give the seconds of each answer with --every")
    layout = files.layout()
    from ecg_jax.answers import lines, recordings_of
    from ecg_jax.inference import load

    model, paths = load(workdir, allow_code=allow_code), recordings_of(records)
    failed: set[int] = set()

    def answers() -> Iterator[dict[str, Any]]:
        asked = groupby(model.answers(paths, layout, every_seconds=every, workers=workers), lambda a: a["record"])
        shown = asked if out is None else with_bar("predicting", asked, len(paths), PlainConsole(stderr=True))
        for place, (_, found) in enumerate(shown):
            of_record = list(found)
            if any("error" in answer for answer in of_record):
                failed.add(place)
            elif pictures is not None:
                _draw(model, of_record, pictures)
            yield from of_record

    written = lines(answers(), form, model.contract.target.names, timed=every is not None)
    if out is None:
        for line in written:
            say(line)
    else:
        _write(out, written)
        say(str(out))
        if failed:
            say(f"{len(failed)} of {len(paths)} recordings have an error in place of an answer", file=sys.stderr)
    if not failed:
        next_is_a_study(model.config.data.path)
    return int(bool(failed))


def _write(out: Path, lines: Iterator[str]) -> None:
    from ecg_jax.files import written

    with written(out) as file:
        for line in lines:
            file.write(f"{line}\n".encode())


def _draw(model: "Model", answers: list[dict[str, Any]], folder: Path) -> None:
    """Draws the answers of the stretches of one recording over time."""
    import numpy as np

    from ecg_jax.plots.timeline import timeline

    names, record = model.contract.target.names, answers[0]["record"]
    seconds = np.array([*(answer["start_seconds"] for answer in answers), answers[-1]["end_seconds"]])
    probability = [[answer["probabilities"].get(name, np.nan) for name in names] for answer in answers]
    decided = [[name in answer["decisions"] for name in names] for answer in answers]
    figure = timeline(seconds, np.array(probability), np.array(decided), model.thresholds, names, record)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{record.strip('/').replace('/', '_')}.png")
