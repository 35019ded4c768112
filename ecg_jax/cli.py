"""The command `ecg-jax`: parses the arguments, calls one function, prints. Heavy imports stay inside the commands."""

import itertools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, wraps
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ecg_jax.config import DataConfig, ModelConfig, RunConfig, flags
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.errors import ConfigError
from ecg_jax.file_layout import LayoutFlags
from ecg_jax.mistakes import fail_in_one_line, refuse_in_one_line
from ecg_jax.planning import plan
from ecg_jax.terminal import PlainConsole, next_step, say, script

if TYPE_CHECKING:
    from ecg_jax.dataset.prepared import PreparedSet

FLAT = tyro.conf.arg(name="")  # the fields of a nested config become flags without a prefix
MODEL, RUN, NOTHING_MORE = ModelConfig(), RunConfig(), LayoutFlags()


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
        if not 0 < value <= 100_000:
            raise ConfigError(f"--{name} is {value}; give more than 0, up to 100000")
    window_samples = DataConfig(window_seconds=window_seconds).window_samples(rate_hz)
    known = cost_of(model, leads=leads, labels=labels, window_samples=window_samples, rate_hz=rate_hz)
    say(
        f"input             {window_samples} samples of {leads} leads at {rate_hz:g} Hz, {labels} labels",
        f"parameters        {known.parameters:,}",
        f"MACs per window   {known.macs:,}",
        f"receptive field   {known.receptive_field_samples} samples, {known.receptive_field_ms:g} ms",
        f"total stride      {known.total_stride} samples",
        f"activations       {known.activation_bytes / 2**20:.2f} MiB per window",
    )
    if data is None:
        next_step("ecg-jax", "prepare", "--help")
    else:
        run = RunConfig(data=DataConfig(window_seconds=window_seconds), model=model)
        workdir = _unused(data.resolve().name)
        next_step("ecg-jax", "train", "--data", data, "--workdir", workdir, *flags(run))


def train(
    workdir: Path,
    run: Annotated[RunConfig, FLAT] = RUN,
    allow_code: bool = False,
    coordinator: str = "",
    processes: int | None = None,
    process: int | None = None,
) -> None:
    """Trains a network on a prepared set.

    --preset NAME sets a complete run (ptb_xl, cinc2017), --model.preset NAME the fields of the model (resnet18_1d,
    resnet34_1d, resnet50_1d, resnet1d_wang, xresnet1d18, xresnet1d34, xresnet1d50, xresnet1d101); other flags
    override the values of a preset.

    Args:
        workdir: Folder of this run; if it contains an unfinished run, that run is continued.
        allow_code: Continue with the functions that the folder's config.json names, if you trust them.
        coordinator: HOST:PORT of process 0, to train on several processes; the tasks of one srun and TPUs need no flag.
        processes: Number of processes; 1 trains on this one alone, whatever has started it.
        process: Number of this process, from 0.
    """
    if run.data.path == Path():
        raise ConfigError("--data is missing; give the folder of a prepared set (ecg-jax prepare makes one)")
    from ecg_jax.training import run as train_run
    from ecg_jax.training.compiled import compiled_folder, keep_compiled
    from ecg_jax.training.processes import agreed, joined

    keep_compiled(compiled_folder())
    given = run
    with joined(coordinator, processes, process) as is_first:
        run = agreed(lambda: _continued(workdir, given, allow_code=allow_code))
        result = train_run(run, workdir)
    if not is_first:
        return
    _print(result)
    if result.config["data"]["test_folds"] == []:  # the run keeps no records to evaluate it on
        _next_is_predict(workdir, run.data.path, allow_code=bool(run.functions.named))
    else:
        next_step("ecg-jax", "evaluate", "--workdir", workdir, *_allowed(bool(run.functions.named)))


def _continued(workdir: Path, run: RunConfig, *, allow_code: bool) -> RunConfig:
    """The run with the functions of the workdir's config, if there is one."""
    from ecg_jax.training.workdir import CONFIG, read_config, with_functions

    if not (workdir / CONFIG).is_file():
        return run
    return with_functions(run, read_config(workdir), workdir / CONFIG, allow_code=allow_code)


def evaluate(
    workdir: Path,
    split: Literal["test", "validation"] = "test",
    data: Path | None = None,
    allow_code: bool = False,
) -> None:
    """Evaluates a finished run on its test folds.

    Args:
        workdir: Folder of a finished run.
        split: Which split of the run.
        data: The prepared set, if it has been moved since.
        allow_code: Import the functions that the run's config.json names, if you trust them.
    """
    from ecg_jax.inference import evaluate as evaluate_run

    result = evaluate_run(workdir, split, data=data, allow_code=allow_code)
    _print(result)
    _next_is_predict(workdir, data or Path(result.config["data"]["path"]), allow_code=allow_code)


def predict(
    records: tyro.conf.Positional[tuple[str, ...]],
    workdir: Path,
    files: Annotated[LayoutFlags, FLAT] = NOTHING_MORE,
    allow_code: bool = False,
) -> int:
    """Predicts the labels of recordings: prints one line of JSON for each.

    Args:
        records: WFDB records, with or without .hea, or files: .npy, .npz, .csv, .txt, .mat, .h5, .edf, and with the
            extra [formats] .xml, .dcm, .scp and .ecg.
        workdir: Folder of a finished run.
        files: What the files do not say.
        allow_code: Import the functions that the run's config.json names, if you trust them.
    """
    if not records:
        raise ConfigError("no record is named; give WFDB records, with or without .hea, or other files of samples")
    layout = files.layout()
    from ecg_jax.inference import load

    model = load(workdir, allow_code=allow_code)
    failed = False
    for record in records:
        answer = model.predict(record, layout)
        failed |= "error" in answer
        say(json.dumps(answer, allow_nan=False))
    if not failed:
        _next_is_a_study(model.config.data.path)
    return int(failed)


def study(
    workdir: tyro.conf.Positional[Path],
    storage: str = "",
    storage_file: Path | None = None,
    allow_code: bool = False,
) -> None:
    """Shows the progress of a study: continuously in a terminal, otherwise once.

    Args:
        workdir: Folder of a study (experiments/scale.py makes one).
        storage: PostgreSQL URL of the study, if it has moved.
        storage_file: File that holds this URL, if it needs a password; PGPASSWORD and ~/.pgpass work too.
        allow_code: Import the functions that the study's study.json names, if you trust them.
    """
    from ecg_jax.study.status import show as show_study
    from ecg_jax.study.storage import given_storage

    show_study(workdir, storage=given_storage(storage, storage_file), allow_code=allow_code)
    next_step("ecg-jax", "report", workdir, *_allowed(allow_code))


def report(workdir: tyro.conf.Positional[Path], data: Path | None = None, allow_code: bool = False) -> None:
    """Prints the findings of a study and writes its report; of an unfinished study, of its finished trials.

    Args:
        workdir: Folder of a study.
        data: The prepared set, if it has been moved since.
        allow_code: Import the functions that the study's study.json names, if you trust them.
    """
    from ecg_jax.report.write import write_report

    written = write_report(workdir, data=data, allow_code=allow_code)
    say(*written.answer, f"report: {written.page}")
    say(f"next: {written.next}", file=sys.stderr)


def recommend(
    workdir: tyro.conf.Positional[Path],
    max_macs: float | None = None,
    max_parameters: float | None = None,
    max_latency_ms: float | None = None,
    label: str | None = None,
    tolerate: float = 0.005,
    data: Path | None = None,
    allow_code: bool = False,
) -> None:
    """Recommends the cheapest scale that loses little against the best, with the command that trains it.

    Args:
        workdir: Folder of a study.
        max_macs: Largest number of multiply-accumulates for one window.
        max_parameters: Largest number of parameters.
        max_latency_ms: Longest time for one window on this machine, in milliseconds.
        label: Choose by the AUROC of this label only.
        tolerate: AUROC that the scale may be expected to lose against the best one within the budget.
        data: The prepared set, if it has been moved since.
        allow_code: Import the functions that the study's study.json names, if you trust them.
    """
    from ecg_jax.report.recommend import advise

    limits = {"macs": max_macs, "parameters": max_parameters, "latency_ms": max_latency_ms}
    budget = {name: limit for name, limit in limits.items() if limit is not None}
    say(*advise(workdir, budget, label=label, tolerate=tolerate, data=data, allow_code=allow_code))


COMMANDS: dict[str, Callable[..., int | None]] = {
    command.__name__: command
    for command in (prepare, show, cost, train, evaluate, predict, plan, study, report, recommend)
}


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command that the arguments name and exits with its status."""
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    command, program = arguments[0], f"ecg-jax {arguments[0]}" if arguments[0] in COMMANDS else "ecg-jax"
    with fail_in_one_line(program):
        if command == "--version":
            say(f"ecg-jax {_version()}")
            sys.exit()
        if not (command in COMMANDS or command.startswith("-")):
            say(f"ecg-jax: there is no command {command}; choose from {', '.join(COMMANDS)}", file=sys.stderr)
            sys.exit(2)
        with refuse_in_one_line(program, f"{program} --help"):
            commands = {name: _deferred(function) for name, function in COMMANDS.items()}
            if command in ("cost", "train"):
                base, arguments = base_run(arguments)
                commands["cost"] = partial(commands["cost"], model=base.model)
                commands["train"] = partial(commands["train"], run=base)
            if command == "prepare" and ":" in "".join(arguments[1:2]):
                arguments.insert(1, "module:function")
            settings = {"prog": "ecg-jax", "config": (tyro.conf.CascadeSubcommandArgs,)}
            chosen = tyro.extras.subcommand_cli_from_dict(commands, args=arguments, **settings)
        sys.exit(chosen())


def _deferred(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command as a function that only keeps its arguments: reading them is apart from running it."""

    @wraps(command)
    def keep(*arguments: Any, **flags: Any) -> Callable[[], Any]:
        return partial(command, *arguments, **flags)

    return keep


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


def _version() -> str:
    try:
        return version("ecg-jax")
    except PackageNotFoundError as error:
        raise ConfigError("it runs from its source, which has no version; pip install -e . makes one") from error


def _draw(prepared: "PreparedSet", record: str, out: Path) -> None:
    import numpy as np

    from ecg_jax.plots.ecg_paper import draw

    index = prepared.index_of(record)
    labels = ", ".join(np.array(prepared.labels)[prepared.label[index] > 0]) or "no label"
    figure = draw(prepared.signal_mv(index), prepared.rate_hz, prepared.leads, f"{record}: {labels}")
    formats = figure.canvas.get_supported_filetypes()
    if out.suffix.removeprefix(".") not in formats:
        raise ConfigError(f"--out {out} is not the name of a picture; end it in one of .{', .'.join(formats)}")
    figure.savefig(out)


def _unused(name: str) -> Path:
    """The first of the folders NAME, NAME-2, NAME-3 and so on below `runs` that does not exist."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(folder for name in names if not (folder := Path("runs", name)).exists())


def _allowed(allow_code: bool) -> list[str]:
    return ["--allow-code"] if allow_code else []


def _next_is_predict(workdir: Path, data: Path, *, allow_code: bool) -> None:
    """Names a record of the set that is still where it was read from; if there is none, a study comes next."""
    from ecg_jax.dataset.prepared import open_prepared

    prepared = open_prepared(data)
    root, record = prepared.about["request"].get("root"), str(prepared.record_ids[0])
    if root and Path(root, f"{record}.hea").is_file():
        next_step("ecg-jax", "predict", "--workdir", workdir, *_allowed(allow_code), Path(root, record))
    else:
        _next_is_a_study(data)


def _next_is_a_study(data: Path) -> None:
    next_step("python", script("scale.py"), "--data", data, "--workdir", _unused("study"), "--dry-run")


def _print(result: Any) -> None:
    for name, figure in result.metrics.items():
        if figure["value"] is not None and name != "ece":
            interval = "" if figure["low"] is None else f"  (95 % {figure['low']:.3f} to {figure['high']:.3f})"
            say(f"{result.split} {name:14}{figure['value']:.3f}{interval}")
    undefined = [name for name, figures in result.per_label.items() if figures["auroc"]["value"] is None]
    if undefined:
        say(f"not in the means, because this split lacks one of their classes: {', '.join(undefined)}")
    say(f"results: {result.workdir / result.file_name}")
