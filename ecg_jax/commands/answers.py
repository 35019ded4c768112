"""Commands that ask a finished run about recordings: `predict` and `explain`."""

import json
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ecg_jax.commands.runs import next_is_a_study
from ecg_jax.config import FLAT
from ecg_jax.errors import ConfigError
from ecg_jax.file_layout import FileLayout, LayoutFlags
from ecg_jax.import_path import allow_code_flag
from ecg_jax.terminal import PlainConsole, next_step, say, with_bar

if TYPE_CHECKING:
    from ecg_jax.inference import Model
    from ecg_jax.records import Quantised

NOTHING_MORE = LayoutFlags()


def predict(
    records: tyro.conf.Positional[tuple[str, ...]],
    workdir: Annotated[Path, tyro.conf.arg(aliases=("--model",))],
    files: Annotated[LayoutFlags, FLAT] = NOTHING_MORE,
    form: Annotated[Literal["json", "csv"], tyro.conf.arg(name="format")] = "json",
    out: Path | None = None,
    every: float | None = None,
    pictures: Path | None = None,
    html: Path | None = None,
    workers: int | None = None,
    allow_code: bool = False,
) -> int:
    """Predicts the labels of recordings: prints one line of JSON for each.

    Args:
        records: WFDB records, with or without .hea, or files: .npy, .npz, .csv, .txt, .mat, .h5, .edf, and with the
            extra [formats] .xml, .dcm, .scp and .ecg. A folder stands for all WFDB records below it or, if it has
            none, for all such files.
        workdir: Folder of a finished run, or a file of `ecg-jax pack`.
        files: What the files do not say.
        form: Lines of JSON, or a table with one row for each recording.
        out: File for the answers; by default they are printed.
        every: Answer each stretch of so many seconds of a recording, with its times.
        pictures: Folder for pictures of the answers over time, one for each recording; needs --every.
        html: File for a page on one recording: the tracing, the probabilities with their thresholds, and why; needs
            the extra [explain].
        workers: Number of processes that read; by default one for each processor core.
        allow_code: Import the functions that the run's config.json names, if you trust them.
    """
    if not records:
        raise ConfigError("no record is named; give WFDB records, with or without .hea, or other files of samples")
    if every is not None and not 1 <= every <= 86400:
        raise ConfigError(f"--every is {every:g}; give the seconds of each answer, 1 to 86400")
    if pictures is not None and every is None:
        raise ConfigError("--pictures shows answers over time; give the seconds of each answer with --every")
    if html is not None and (len(records) > 1 or every is not None):
        raise ConfigError("--html is a page on one whole recording; name one, without --every")
    layout = files.layout()
    from ecg_jax.answers import lines, recordings_of
    from ecg_jax.inference import load

    model, paths = load(workdir, allow_code=allow_code), recordings_of(records)
    if html is not None and len(paths) > 1:
        raise ConfigError(f"--html is a page on one recording; name one, such as {paths[0]}")
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
            elif html is not None:
                _write_page(model, of_record[0], layout, html)
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
    if not failed and model.config.data.path != Path():  # which a packed run does not say
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
    figure.savefig(folder / f"{_file_name(record)}.png")


def explain(
    record: tyro.conf.Positional[str],
    workdir: Path,
    label: str | None = None,
    out: Path | None = None,
    files: Annotated[LayoutFlags, FLAT] = NOTHING_MORE,
    allow_code: bool = False,
) -> int:
    """Explains a probability: prints the parts of leads and of segments of the beats in it, and marks the recording.

    Needs the extra [explain].

    Args:
        record: A WFDB record, with or without .hea, or a file as for predict.
        workdir: Folder of a finished run.
        label: The label; by default the most probable one of those that are decided, or of all if none is.
        out: File for the picture; by default RECORD_LABEL.png in the current folder.
        files: What the file does not say.
        allow_code: Import the functions that the run's config.json names, if you trust them.
    """
    from ecg_jax.explain.explanation import Explainer, signal_mv
    from ecg_jax.inference import load
    from ecg_jax.plots.saving import save_picture
    from ecg_jax.report.recording_page import explained_labels, marked

    model, layout = load(workdir, allow_code=allow_code), files.layout()
    answer = model.predict(record, layout)
    if "error" in answer:
        say(json.dumps(answer))
        return 1
    label = label or explained_labels(answer)[0]
    recording = _read(model, record, layout)
    found = Explainer(model).explain(recording, label)
    contract, title = model.contract, f"{record}: {label}, probability {found.probability:.3f}"
    out = out or Path(f"{_file_name(record)}_{_file_name(label)}.png")
    save_picture(marked(found, signal_mv(recording), contract.rate_hz, contract.leads, title), out)
    say(json.dumps({"record": record, "warnings": answer["warnings"], **found.to_dict()}, allow_nan=False))
    say(str(out), file=sys.stderr)
    flags = ["--workdir", workdir, *allow_code_flag(allow_code), "--html", f"{_file_name(record)}.html"]
    next_step("ecg-jax", "predict", *flags, Path(record))
    return 0


def _write_page(model: "Model", answer: dict[str, Any], layout: FileLayout, html: Path) -> None:
    from ecg_jax.explain.explanation import Explainer, signal_mv
    from ecg_jax.files import write_text
    from ecg_jax.report.recording_page import explained_labels, page

    recording, explainer, contract = _read(model, answer["record"], layout), Explainer(model), model.contract
    explanations = [explainer.explain(recording, label) for label in explained_labels(answer)]
    network = model.config.model
    about = (
        f"Predicted by the run {model.result.workdir}: depth {network.depth}, {network.channels} channels, kernel "
        f"{network.kernel}, windows of {model.config.data.window_seconds:g} s at {contract.rate_hz:g} Hz."
    )
    text = page(answer, explanations, signal_mv(recording), contract.rate_hz, contract.leads, about)
    write_text(html, text)
    say(f"page: {html}", file=sys.stderr)


def _read(model: "Model", record: str, layout: FileLayout) -> "Quantised":
    """A recording that has been predicted, as it was read for that."""
    from ecg_jax.errors import DataError, Rejected

    recording = next(model.read([record], layout))
    if isinstance(recording, Rejected):
        raise DataError(f"{record} has changed while it was read: {recording.reason}; {recording.remedy}")
    return recording


def _file_name(text: str) -> str:
    """A text as a part of a file name."""
    return text.strip("/").replace("/", "_")
