"""Commands on runs: `cost` and `train`."""

import itertools
from pathlib import Path
from typing import Annotated

from ecg_jax.config import FLAT, DataConfig, ModelConfig, RunConfig, flags
from ecg_jax.errors import ConfigError, DataError
from ecg_jax.import_path import allow_code_flag
from ecg_jax.terminal import next_step, say, script

MODEL, RUN = ModelConfig(), RunConfig()


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
    for name, value, most in (
        ("leads", leads, 100_000),
        ("labels", labels, 100_000),
        ("rate-hz", rate_hz, 100_000),
        ("window-seconds", window_seconds, 3600),
    ):
        if not 0 < value <= most:
            raise ConfigError(f"--{name} is {value}; give more than 0, up to {most}")
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

    --preset NAME sets a complete run (ptb_xl, cinc2017, cinc2021, mitdb_beats), --model.preset NAME the fields of the
    model (resnet18_1d, resnet34_1d, resnet50_1d, resnet1d_wang, xresnet1d18, xresnet1d34, xresnet1d50, xresnet1d101);
    other flags override the values of a preset.

    Args:
        workdir: Folder of this run; if it contains an unfinished run, that run is continued.
        allow_code: Continue with the functions that the folder's config.json names, if you trust them.
        coordinator: HOST:PORT of process 0, to train on several processes; the tasks of one srun and TPUs need no flag.
        processes: Number of processes; 1 trains on this one alone, whatever has started it.
        process: Number of this process, from 0.
    """
    if run.data.path == Path():
        raise ConfigError("--data is missing; give the folder of a prepared set (ecg-jax prepare makes one)")
    from ecg_jax.assessment.split import summary_of
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
    say(*summary_of(result), f"results: {result.workdir / result.file_name}")
    if result.config["data"]["test_folds"] == []:  # the run keeps no records to evaluate it on
        next_is_predict(workdir, run.data.path, allow_code=bool(run.functions.named))
    else:
        next_step("ecg-jax", "evaluate", "--workdir", workdir, *allow_code_flag(bool(run.functions.named)))


def _continued(workdir: Path, run: RunConfig, *, allow_code: bool) -> RunConfig:
    """The run with the functions of the workdir's config, if there is one."""
    from ecg_jax.training.workdir import CONFIG, read_config, with_functions

    if not (workdir / CONFIG).is_file():
        return run
    return with_functions(run, read_config(workdir), workdir / CONFIG, allow_code=allow_code)


def _unused(name: str) -> Path:
    """The first of the folders NAME, NAME-2, NAME-3 and so on below `runs` that does not exist."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(folder for name in names if not (folder := Path("runs", name)).exists())


def next_is_predict(workdir: Path, data: Path, *, allow_code: bool) -> None:
    """Names a record of the set that is still where it was read from; if there is none, a study comes next."""
    from ecg_jax.dataset.prepared import open_prepared

    try:
        prepared = open_prepared(data)
    except DataError:  # a run can be used without its set
        next_step("ecg-jax", "predict", "--help")
        return
    root, record = prepared.about["request"].get("root"), str(prepared.record_ids[0])
    if root and Path(root, f"{record}.hea").is_file():
        next_step("ecg-jax", "predict", "--workdir", workdir, *allow_code_flag(allow_code), Path(root, record))
    else:
        next_is_a_study(data)


def next_is_a_study(data: Path) -> None:
    """Names the command of a study of a prepared set."""
    next_step("python", script("scale.py"), "--data", data, "--workdir", _unused("study"), "--dry-run")
