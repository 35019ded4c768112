"""The command `ecg-jax`: parse, call one function, print. Heavy imports stay inside the commands."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ecg_jax.config import ModelConfig, RunConfig
from ecg_jax.errors import ConfigError, UserError

FLAT = tyro.conf.arg(name="")  # the fields of a nested config without a prefix for it


def prepare(arguments: Sequence[str]) -> int:
    """Reads the recordings of a source and writes a prepared set."""
    from ecg_jax.dataset.prepare_config import PrepareConfig

    request = _parse(PrepareConfig, "prepare", prepare, arguments)
    from rich.console import Console

    from ecg_jax.dataset.prepare import prepare as run_prepare

    run_prepare(request, Console(stderr=True))
    return 0


@dataclass(frozen=True)
class ShowArguments:
    """What `show` takes."""

    data: tyro.conf.Positional[Path]
    """Folder of a prepared set."""
    record: str | None = None
    """Draw this record on ECG paper."""
    out: Path | None = None
    """Where the picture goes; by default RECORD.png in this folder."""


def show(arguments: Sequence[str]) -> int:
    """Says what is in a prepared set, or draws one of its records on ECG paper."""
    asked = _parse(ShowArguments, "show", show, arguments)
    import numpy as np
    from rich.console import Console

    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.dataset.summary import summary

    prepared = open_prepared(asked.data)
    if asked.record is None:
        Console().print(summary(prepared))
        return 0
    from ecg_jax.plots.ecg_paper import draw

    index = prepared.index_of(asked.record)
    said = ", ".join(np.array(prepared.labels)[prepared.label[index] > 0]) or "no label"
    figure = draw(prepared.signal_mv(index), prepared.rate_hz, prepared.leads, f"{asked.record}: {said}")
    out = asked.out or Path(f"{asked.record.replace('/', '_')}.png")
    figure.savefig(out)
    print(out)
    return 0


@dataclass(frozen=True)
class CostArguments:
    """What `cost` takes."""

    data: Path | None = None
    """A prepared set that says rate, leads and labels; or give them by the flags below."""
    leads: int = 12
    """Number of leads."""
    labels: int = 5
    """Number of labels."""
    rate_hz: float = 100.0
    """Samples a second."""
    window_seconds: float = 10.0
    """Length of the window."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The network."""

    def __post_init__(self) -> None:
        for knob in ("leads", "labels", "rate_hz", "window_seconds"):
            if getattr(self, knob) <= 0:
                raise ConfigError(f"--{knob.replace('_', '-')} is {getattr(self, knob):g}; give more than 0")


def cost(arguments: Sequence[str]) -> int:
    """Says what a scale costs before anyone trains it.

    --model.preset NAME sets the model's fields, as in train.
    """
    model_preset, rest = _take_flag("--model.preset", arguments)
    asked = _parse(CostArguments, "cost", cost, rest, CostArguments(model=_model(model_preset, ModelConfig())))
    from ecg_jax.models import cost as cost_of

    leads, labels, rate_hz = asked.leads, asked.labels, asked.rate_hz
    if asked.data is not None:
        from ecg_jax.dataset.prepared import open_prepared

        prepared = open_prepared(asked.data)
        leads, labels, rate_hz = len(prepared.leads), len(prepared.labels), prepared.rate_hz
    window_samples = max(1, round(asked.window_seconds * rate_hz))
    known = cost_of(asked.model, leads=leads, labels=labels, window_samples=window_samples, rate_hz=rate_hz)
    print(f"input             {window_samples} samples of {leads} leads at {rate_hz:g} Hz, {labels} labels")
    print(f"parameters        {known.parameters:,}")
    print(f"MACs a window     {known.macs:,}")
    print(f"receptive field   {known.receptive_field_samples} samples, {known.receptive_field_ms:g} ms")
    print(f"total stride      {known.total_stride} samples")
    print(f"activations       {known.activation_bytes / 2**20:.2f} MiB a window")
    return 0


@dataclass(frozen=True)
class TrainArguments:
    """What `train` takes."""

    workdir: Path
    """Folder of this run; started again in it, a run goes on where it stopped."""
    run: Annotated[RunConfig, FLAT] = field(default_factory=RunConfig)


def train(arguments: Sequence[str]) -> int:
    """Trains a network on a prepared set.

    --preset NAME sets a whole run (ptb_xl, cinc2017), --model.preset NAME the model's fields (resnet18_1d, resnet34_1d,
    resnet50_1d, resnet1d_wang, xresnet1d18, xresnet1d34, xresnet1d50, xresnet1d101); flags given beside them win.
    """
    base, rest = base_run(arguments)
    asked = _parse(TrainArguments, "train", train, rest, TrainArguments(workdir=tyro.MISSING, run=base))
    if asked.run.data.path == Path():
        raise ConfigError("--data is missing; give the folder of a prepared set (ecg-jax prepare makes one)")
    from ecg_jax.training import run

    result = run(asked.run, asked.workdir)
    _say(result)
    print(f"next: ecg-jax evaluate --workdir {asked.workdir}")
    return 0


@dataclass(frozen=True)
class EvaluateArguments:
    """What `evaluate` takes."""

    workdir: Path
    """Folder of a finished run."""
    split: Literal["test", "validation"] = "test"
    """Which of the run's own splits."""
    data: Path | None = None
    """The prepared set, if it has been moved since."""


def evaluate(arguments: Sequence[str]) -> int:
    """Evaluates a finished run on its test folds."""
    asked = _parse(EvaluateArguments, "evaluate", evaluate, arguments)
    from ecg_jax.inference import evaluate as run_evaluate

    _say(run_evaluate(asked.workdir, asked.split, data=asked.data))
    return 0


@dataclass(frozen=True)
class PredictArguments:
    """What `predict` takes."""

    records: tyro.conf.Positional[tuple[str, ...]]
    """WFDB records, with or without .hea."""
    workdir: Path
    """Folder of a finished run."""


def predict(arguments: Sequence[str]) -> int:
    """Predicts the labels of WFDB records: one JSON line a record on standard output."""
    asked = _parse(PredictArguments, "predict", predict, arguments)
    if not asked.records:
        raise ConfigError("no record is named; give WFDB records, with or without .hea")
    from ecg_jax.inference import load

    model = load(asked.workdir)
    failed = False
    for record in asked.records:
        answer = model.predict(record)
        failed |= "error" in answer
        print(json.dumps(answer), flush=True)
    return int(failed)


@dataclass(frozen=True)
class StudyArguments:
    """What `study` takes."""

    workdir: tyro.conf.Positional[Path]
    """Folder of a study (experiments/scale.py makes one)."""
    storage: str = ""
    """The study's PostgreSQL URL, where it needs a password."""


def study(arguments: Sequence[str]) -> int:
    """Shows how a study stands: live in a terminal, once elsewhere."""
    asked = _parse(StudyArguments, "study", study, arguments)
    from ecg_jax.study.status import show as show_study
    from ecg_jax.study.workdir import check_storage

    check_storage(asked.storage)
    show_study(asked.workdir, storage=asked.storage)
    return 0


@dataclass(frozen=True)
class ReportArguments:
    """What `report` takes."""

    workdir: tyro.conf.Positional[Path]
    """Folder of a study."""
    data: Path | None = None
    """The prepared set, if it has been moved since."""


def report(arguments: Sequence[str]) -> int:
    """Says what a study found, and writes its report; of a half-finished study too."""
    asked = _parse(ReportArguments, "report", report, arguments)
    from ecg_jax.report.write import write_report

    written = write_report(asked.workdir, data=asked.data)
    print(*written.answer, f"report: {written.page}", sep="\n")
    return 0


@dataclass(frozen=True)
class RecommendArguments:
    """What `recommend` takes."""

    workdir: tyro.conf.Positional[Path]
    """Folder of a study."""
    max_macs: float | None = None
    """The most multiply-accumulates a window."""
    max_parameters: float | None = None
    """The most parameters."""
    max_latency_ms: float | None = None
    """The most milliseconds that one window may take on this machine."""
    label: str | None = None
    """Judge by this label alone."""
    data: Path | None = None
    """The prepared set, if it has been moved since."""


def recommend(arguments: Sequence[str]) -> int:
    """Recommends a scale for a budget, with what to expect of it and the command that trains it."""
    asked = _parse(RecommendArguments, "recommend", recommend, arguments)
    from ecg_jax.report.recommend import advise

    limits = {"macs": asked.max_macs, "parameters": asked.max_parameters, "latency_ms": asked.max_latency_ms}
    budget = {name: most for name, most in limits.items() if most is not None}
    print(*advise(asked.workdir, budget, label=asked.label, data=asked.data), sep="\n")
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "prepare": prepare,
    "show": show,
    "cost": cost,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "study": study,
    "report": report,
    "recommend": recommend,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command that the arguments name; leaves with its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in COMMANDS:
        asked_for_help = bool(arguments) and arguments[0] in ("-h", "--help")
        if arguments and not asked_for_help:
            print(f"ecg-jax: there is no command {arguments[0]!r}", file=sys.stderr)
        _usage(sys.stdout if asked_for_help else sys.stderr)
        sys.exit(0 if asked_for_help else 2)
    with fail_in_one_line(f"ecg-jax {arguments[0]}"):
        sys.exit(COMMANDS[arguments[0]](arguments[1:]))


@contextmanager
def fail_in_one_line(program: str) -> Iterator[None]:
    """Turns what a user can mend into one line and exit status 1."""
    try:
        yield
    except (UserError, OSError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"{program}: stopped; the same command again goes on", file=sys.stderr)
        sys.exit(130)


def base_run(arguments: Sequence[str]) -> tuple[RunConfig, list[str]]:
    """The run that `--preset` and `--model.preset` name, to which the other arguments are changes."""
    run_preset, rest = _take_flag("--preset", arguments)
    model_preset, rest = _take_flag("--model.preset", rest)
    base = _run(run_preset)
    return replace(base, model=_model(model_preset, base.model)), rest


def _usage(file: Any) -> None:
    print("usage: ecg-jax COMMAND ...   (ecg-jax COMMAND --help says more)\n", file=file)
    for name, command in COMMANDS.items():
        print(f"  {name:10}{(command.__doc__ or '').splitlines()[0]}", file=file)


def _parse(kind: Any, name: str, command: Callable[..., int], arguments: Sequence[str], default: Any = None) -> Any:
    settings = {} if default is None else {"default": default}
    return tyro.cli(kind, prog=f"ecg-jax {name}", description=command.__doc__, args=list(arguments), **settings)


def _take_flag(flag: str, arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """The value of a flag that must be known before the others are read, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(flag, dest="value")
    found, rest = parser.parse_known_args(arguments)
    return found.value, rest


def _run(name: str | None) -> RunConfig:
    from ecg_jax.presets import RUN_PRESETS

    if name is not None and name not in RUN_PRESETS:
        raise ConfigError(f"--preset {name}: there is no such preset; choose from {', '.join(RUN_PRESETS)}")
    return RunConfig() if name is None else RUN_PRESETS[name]()


def _model(name: str | None, otherwise: ModelConfig) -> ModelConfig:
    if name is None:
        return otherwise
    from ecg_jax.models import preset

    return preset(name)


def _say(result: Any) -> None:
    for name, figure in result.metrics.items():
        if figure["value"] is not None and name != "ece":
            interval = "" if figure["low"] is None else f"  (95 % {figure['low']:.3f} to {figure['high']:.3f})"
            print(f"{result.split} {name:12}{figure['value']:.3f}{interval}")
    undefined = [name for name, figures in result.per_label.items() if figures["auroc"]["value"] is None]
    if undefined:
        print(f"left out of the means, since this split lacks one class: {', '.join(undefined)}")
    print(f"results: {result.workdir / result.file_name}")


if __name__ == "__main__":
    main()
