"""A run on two processes over loopback: what it trains, and what one process does when the other one ends."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from rich.console import Console

from ecg_jax.config import flags, with_fields
from ecg_jax.errors import RunError
from ecg_jax.training import processes, run
from ecg_jax.training.checkpoint import read_checkpoint
from ecg_jax.training.processes import ENDED, agreed, joined
from ecg_jax.training.workdir import CHECKPOINTS, read_metrics

QUIET = Console(quiet=True)
ONE_DEVICE = "--xla_force_host_platform_device_count=1 --xla_backend_optimization_level=0"
LONGEST = 300


SPLIT = "from ecg_jax.dataset import feeds; feeds.RESIDENT_SHARE = 1e-12; from ecg_jax.cli import main; main()"


def start(config, workdir, *more, on=2, program=("-m", "ecg_jax"), **variables):
    """Starts the processes of a run; they find each other by flags, unless the variables of a cluster are given."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for number in range(on):
        command = [sys.executable, *program, "train", "--data", str(config.data.path), "--workdir", str(workdir)]
        command += [*flags(config), *more]
        if not variables:
            command += ["--coordinator", f"127.0.0.1:{port}", "--processes", str(on), "--process", str(number)]
        environment = {**os.environ, "XLA_FLAGS": ONE_DEVICE, **{key: of(number) for key, of in variables.items()}}
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
        started.append(subprocess.Popen(command, **settings))
    return started


def ended(started):
    """Exit status, standard output and standard error of each process."""
    said = [process.communicate(timeout=LONGEST) for process in started]
    return [(process.returncode, *texts) for process, texts in zip(started, said, strict=True)]


def assert_same_run(one, other):
    """Equal bytes, but for the seconds."""
    first, second = (read_metrics(workdir) for workdir in (one, other))
    assert first
    assert [{**line, "seconds": 0} for line in first] == [{**line, "seconds": 0} for line in second]
    assert (one / "predictions_validation.csv").read_bytes() == (other / "predictions_validation.csv").read_bytes()
    like = run_state(one)
    jax.tree.map(np.testing.assert_array_equal, like, run_state(other))


def run_state(workdir):
    """The arrays of the last checkpoint."""
    from ecg_jax.config import RunConfig, from_dict
    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.training.setup import TrainingSetup, make_plan

    config = from_dict(RunConfig, json.loads((workdir / "config.json").read_text()))
    plan = make_plan(config, open_prepared(config.data.path))
    like = jax.tree.map(lambda x: np.asarray(x[0]), jax.device_get(TrainingSetup([plan]).initial_state()))
    checkpoint = read_checkpoint(workdir / CHECKPOINTS, latest=like, best=like.variables)
    assert checkpoint is not None
    return checkpoint.latest, checkpoint.best


def test_two_processes_with_a_device_each_train_what_one_process_with_two_devices_trains(config, finished, tmp_path):
    first, second = ended(start(config, tmp_path / "pair"))
    assert (first[0], second[0]) == (0, 0), first[2] + second[2]
    assert "results:" in first[1]
    assert second[1:] == ("", ""), "one process speaks"
    assert jax.device_count() == 2
    assert_same_run(finished.workdir, tmp_path / "pair")


@pytest.mark.slow
@pytest.mark.parametrize("changes", [("--parallel", "pmap"), ("--feed", "host"), ("--train.best-metric", "loss")])
def test_two_processes_train_what_one_process_trains_in_every_mode(config, tmp_path, changes):
    given = {"--parallel": "train.parallel", "--feed": "data.feed", "--train.best-metric": "train.best_metric"}
    alone = run(with_fields(config, {given[changes[0]]: changes[1]}), tmp_path / "alone", console=QUIET)
    pair = ended(start(config, tmp_path / "pair", *changes))
    assert [status for status, *_ in pair] == [0, 0], pair
    assert_same_run(alone.workdir, tmp_path / "pair")


@pytest.mark.slow
def test_two_processes_that_hold_half_of_the_set_each_train_what_one_process_trains(config, finished, tmp_path):
    pair = ended(start(config, tmp_path / "pair", "--feed", "resident", program=("-c", SPLIT)))
    assert [status for status, *_ in pair] == [0, 0], pair
    for one, other in zip(*(jax.tree.leaves(run_state(w)) for w in (finished.workdir, tmp_path / "pair")), strict=True):
        difference = np.linalg.norm(np.asarray(one, float) - np.asarray(other, float))
        assert difference <= 1e-6 * np.linalg.norm(np.asarray(one, float)), "another program may sum in another order"


@pytest.mark.slow
def test_two_processes_begin_with_the_variables_of_another_run_as_one_does(config, finished, tmp_path):
    started = with_fields(config, {"train.start_from": finished.workdir, "train.start_rate": 0.1, "train.seed": 1})
    alone = run(started, tmp_path / "alone", console=QUIET)
    pair = ended(start(started, tmp_path / "pair"))
    assert [status for status, *_ in pair] == [0, 0], pair
    assert_same_run(alone.workdir, tmp_path / "pair")


@pytest.mark.slow
def test_the_tasks_of_one_srun_are_one_run_without_a_flag(config, finished, tmp_path):
    job = 10_000 + os.getpid() % 4096  # which decides the port
    variables = {"SLURM_JOB_ID": str(job), "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": "2"}
    variables |= {"SLURM_STEP_NUM_TASKS": "2"}
    settings = {key: lambda number, value=value: value for key, value in variables.items()}
    pair = ended(start(config, tmp_path / "pair", **settings, SLURM_PROCID=str, SLURM_LOCALID=str))
    assert [status for status, *_ in pair] == [0, 0], pair
    assert_same_run(finished.workdir, tmp_path / "pair")


def wait_for_checkpoint(workdir, started):
    until = time.monotonic() + LONGEST
    while time.monotonic() < until and all(process.poll() is None for process in started):
        if any(path.name.isdecimal() for path in (workdir / CHECKPOINTS).glob("*")):
            return
        time.sleep(0.1)
    raise AssertionError([process.communicate() for process in started])


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_if_one_process_ends_the_other_ends_in_one_line_and_one_process_goes_on(config, tmp_path, victim, number):
    config, workdir = with_fields(config, {"train.epochs": 400}), tmp_path / "pair"
    started = start(config, workdir)
    wait_for_checkpoint(workdir, started)
    os.kill(started[victim].pid, number)
    began = time.monotonic()
    status, _, stderr = ended(started)[1 - victim]
    assert time.monotonic() - began < 60
    assert status != 0
    lines = [line for line in stderr.splitlines() if not line.startswith(("training", "epoch"))]
    assert lines == [f"ecg-jax train: {ENDED}"]
    epochs = len(read_metrics(workdir))
    assert 0 < epochs < 400

    console = Console(record=True, width=200, file=io.StringIO())
    result = run(config, workdir, console=console)
    assert "continuing after epoch" in console.export_text()
    assert_same_run(run(config, tmp_path / "alone", console=QUIET).workdir, result.workdir)


@pytest.mark.slow
def test_a_second_run_and_a_run_of_another_config_are_refused_in_every_process(config, finished):
    again = ended(start(config, finished.workdir))
    assert [status for status, *_ in again] == [0, 0], "a finished run is read"
    other = ended(start(with_fields(config, {"train.seed": 1}), finished.workdir))
    assert [status for status, *_ in other] == [1, 1]
    for _, _, stderr in other:
        assert stderr.splitlines()[-1].startswith(f"ecg-jax train: {finished.workdir} holds a run of another config")
        assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["--coordinator", "h:1"], "belong together"),
        (["--processes", "2"], "belong together"),
        (["--coordinator", "h", "--processes", "2", "--process", "0"], "give HOST:PORT"),
        (["--coordinator", "h:1", "--processes", "2", "--process", "2"], "the number of this one, from 0"),
    ],
)
def test_flags_that_name_no_process_of_a_run_are_refused(given, reason):
    values = dict(zip(given[::2], given[1::2], strict=True))
    numbers = [int(values[name]) if name in values else None for name in ("--processes", "--process")]
    with pytest.raises(Exception, match=reason), joined(values.get("--coordinator", ""), *numbers):
        pass


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, False),  # a batch script, without srun
        ({"SLURM_JOB_ID": "1", "SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_JOB_ID": "1", "SLURM_STEP_NUM_TASKS": "4"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, False),  # without the package
        ({"TPU_ML_PLATFORM": "Tensorflow"}, False),  # set by TensorFlow everywhere
        ({"TPU_ML_PLATFORM": "JAX"}, True),
    ],
)
def test_several_processes_are_found_only_where_a_cluster_has_started_them_together(monkeypatch, variables, expected):
    for name in list(os.environ):
        if name.startswith(("SLURM_", "KUBERNETES_", "JOB_", "TPU_")):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert processes._started_together() == expected
    with joined("", 1, None) as is_first:
        assert is_first, "--processes 1 trains alone"


def test_in_one_process_what_is_agreed_is_what_is_made():
    assert agreed(lambda: 3) == 3
    with pytest.raises(RunError, match="no"):
        agreed(lambda: (_ for _ in ()).throw(RunError("no")))
