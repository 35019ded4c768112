"""The command `ecg-jax`: parses the arguments, calls one function, prints. Heavy imports stay inside the commands."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ecg_jax.config import DataConfig, ModelConfig, RunConfig
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.errors import ConfigError, UserError

FLAT = tyro.conf.arg(name="")  # the fields of a nested config become flags without a prefix
MODEL, RUN = ModelConfig(), RunConfig()


def prepare(config: Annotated[PrepareConfig, FLAT]) -> None:
    """Reads the recordings of a data set and writes a prepared set."""
    from rich.console import Console

    from ecg_jax.dataset.prepare import prepare as prepare_set

    prepare_set(config, Console(stderr=True))


def show(data: tyro.conf.Positional[Path], record: str | None = None, out: Path | None = None) -> None:
    """Describes a prepared set, or draws one of its records on ECG paper.

    Args:
        data: Folder of a prepared set.
        record: Draw this record on ECG paper.
        out: File for the drawing; by default RECORD.png in the current folder.
    """
    import numpy as np
    from rich.console import Console

    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.dataset.summary import summary

    prepared = open_prepared(data)
    if record is None:
        Console().print(summary(prepared))
        return
    from ecg_jax.plots.ecg_paper import draw

    index = prepared.index_of(record)
    labels = ", ".join(np.array(prepared.labels)[prepared.label[index] > 0]) or "no label"
    figure = draw(prepared.signal_mv(index), prepared.rate_hz, prepared.leads, f"{record}: {labels}")
    out = out or Path(f"{record.replace('/', '_')}.png")
    figure.savefig(out)
    print(out)


def cost(
    data: Path | None = None,
    leads: int = 12,
    labels: int = 5,
    rate_hz: float = 100.0,
    window_seconds: float = 10.0,
    model: ModelConfig = MODEL,
) -> None:
    """Computes the cost of a network without training it.

    --model.preset NAME sets the fields of the model, as in train.

    Args:
        data: A prepared set that defines rate, leads and labels; otherwise the next three flags do.
        leads: Number of leads.
        labels: Number of labels.
        rate_hz: Sampling rate.
        window_seconds: Length of the window.
        model: The network.
    """
    from ecg_jax.models import cost as cost_of

    if data is not None:
        from ecg_jax.dataset.prepared import open_prepared

        prepared = open_prepared(data)
        leads, labels, rate_hz = len(prepared.leads), len(prepared.labels), prepared.rate_hz
    for name, value in {"leads": leads, "labels": labels, "rate-hz": rate_hz, "window-seconds": window_seconds}.items():
        if value <= 0:
            raise ConfigError(f"--{name} is {value:g}; give more than 0")
    window_samples = DataConfig(window_seconds=window_seconds).window_samples(rate_hz)
    known = cost_of(model, leads=leads, labels=labels, window_samples=window_samples, rate_hz=rate_hz)
    print(f"input             {window_samples} samples of {leads} leads at {rate_hz:g} Hz, {labels} labels")
    print(f"parameters        {known.parameters:,}")
    print(f"MACs per window   {known.macs:,}")
    print(f"receptive field   {known.receptive_field_samples} samples, {known.receptive_field_ms:g} ms")
    print(f"total stride      {known.total_stride} samples")
    print(f"activations       {known.activation_bytes / 2**20:.2f} MiB per window")


def train(workdir: Path, run: Annotated[RunConfig, FLAT] = RUN) -> None:
    """Trains a network on a prepared set.

    --preset NAME sets a complete run (ptb_xl, cinc2017), --model.preset NAME the fields of the model (resnet18_1d,
    resnet34_1d, resnet50_1d, resnet1d_wang, xresnet1d18, xresnet1d34, xresnet1d50, xresnet1d101); other flags
    override the values of a preset.

    Args:
        workdir: Folder of this run; if it contains an unfinished run, that run is continued.
    """
    if run.data.path == Path():
        raise ConfigError("--data is missing; give the folder of a prepared set (ecg-jax prepare makes one)")
    from ecg_jax.training import run as train_run

    _print(train_run(run, workdir))
    print(f"next: ecg-jax evaluate --workdir {workdir}")


def evaluate(workdir: Path, split: Literal["test", "validation"] = "test", data: Path | None = None) -> None:
    """Evaluates a finished run on its test folds.

    Args:
        workdir: Folder of a finished run.
        split: Which split of the run.
        data: The prepared set, if it has been moved since.
    """
    from ecg_jax.inference import evaluate as evaluate_run

    _print(evaluate_run(workdir, split, data=data))


def predict(records: tyro.conf.Positional[tuple[str, ...]], workdir: Path) -> int:
    """Predicts the labels of WFDB records: prints one line of JSON for each record.

    Args:
        records: WFDB records, with or without .hea.
        workdir: Folder of a finished run.
    """
    if not records:
        raise ConfigError("no record is named; give WFDB records, with or without .hea")
    from ecg_jax.inference import load

    model = load(workdir)
    failed = False
    for record in records:
        answer = model.predict(record)
        failed |= "error" in answer
        print(json.dumps(answer), flush=True)
    return int(failed)


def study(workdir: tyro.conf.Positional[Path], storage: str = "") -> None:
    """Shows the progress of a study: continuously in a terminal, otherwise once.

    Args:
        workdir: Folder of a study (experiments/scale.py makes one).
        storage: PostgreSQL URL of the study, if it needs a password.
    """
    from ecg_jax.study.status import show as show_study
    from ecg_jax.study.storage import check_storage

    check_storage(storage)
    show_study(workdir, storage=storage)


def report(workdir: tyro.conf.Positional[Path], data: Path | None = None) -> None:
    """Prints the findings of a study and writes its report; of an unfinished study, of its finished trials.

    Args:
        workdir: Folder of a study.
        data: The prepared set, if it has been moved since.
    """
    from ecg_jax.report.write import write_report

    written = write_report(workdir, data=data)
    print(*written.answer, f"report: {written.page}", sep="\n")


def recommend(
    workdir: tyro.conf.Positional[Path],
    max_macs: float | None = None,
    max_parameters: float | None = None,
    max_latency_ms: float | None = None,
    label: str | None = None,
    data: Path | None = None,
) -> None:
    """Recommends a scale within a budget, with its expected AUROC and the command that trains it.

    Args:
        workdir: Folder of a study.
        max_macs: Largest number of multiply-accumulates for one window.
        max_parameters: Largest number of parameters.
        max_latency_ms: Longest time for one window on this machine, in milliseconds.
        label: Choose by the AUROC of this label only.
        data: The prepared set, if it has been moved since.
    """
    from ecg_jax.report.recommend import advise

    limits = {"macs": max_macs, "parameters": max_parameters, "latency_ms": max_latency_ms}
    budget = {name: limit for name, limit in limits.items() if limit is not None}
    print(*advise(workdir, budget, label=label, data=data), sep="\n")


COMMANDS: dict[str, Callable[..., int | None]] = {
    command.__name__: command for command in (prepare, show, cost, train, evaluate, predict, study, report, recommend)
}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command that the arguments name and exits with its status."""
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    command, commands = arguments[0], COMMANDS
    with fail_in_one_line(f"ecg-jax {command}"):
        if command in ("cost", "train"):
            base, arguments = base_run(arguments)
            commands = COMMANDS | {"cost": partial(cost, model=base.model), "train": partial(train, run=base)}
        if command == "prepare" and ":" in "".join(arguments[1:2]):
            arguments.insert(1, "module:function")
        settings = {"prog": "ecg-jax", "config": (tyro.conf.CascadeSubcommandArgs,)}
        sys.exit(tyro.extras.subcommand_cli_from_dict(commands, args=arguments, **settings))


@contextmanager
def fail_in_one_line(program: str) -> Iterator[None]:
    """Turns an error that the user can correct into one line and exit status 1."""
    try:
        yield
    except (UserError, OSError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"{program}: stopped; the same command continues it", file=sys.stderr)
        sys.exit(130)


@dataclass(frozen=True)
class _Presets:
    run: Annotated[str | None, tyro.conf.arg(name="preset")] = None
    model: Annotated[str | None, tyro.conf.arg(name="model.preset")] = None


def base_run(arguments: Sequence[str]) -> tuple[RunConfig, list[str]]:
    """The run that `--preset` and `--model.preset` name, and the other arguments, which are changes of it.

    Raises:
        ConfigError: there is no such preset.
    """
    from ecg_jax.presets import RUN_PRESETS

    names, others = tyro.cli(_Presets, args=arguments, add_help=False, return_unknown_args=True)
    if names.run is not None and names.run not in RUN_PRESETS:
        raise ConfigError(f"--preset {names.run}: there is no such preset; choose from {', '.join(RUN_PRESETS)}")
    base = RunConfig() if names.run is None else RUN_PRESETS[names.run]()
    if names.model is None:
        return base, others
    from ecg_jax.models import preset

    return replace(base, model=preset(names.model)), others


def _print(result: Any) -> None:
    for name, figure in result.metrics.items():
        if figure["value"] is not None and name != "ece":
            interval = "" if figure["low"] is None else f"  (95 % {figure['low']:.3f} to {figure['high']:.3f})"
            print(f"{result.split} {name:12}{figure['value']:.3f}{interval}")
    undefined = [name for name, figures in result.per_label.items() if figures["auroc"]["value"] is None]
    if undefined:
        print(f"not in the means, because this split lacks one of their classes: {', '.join(undefined)}")
    print(f"results: {result.workdir / result.file_name}")
