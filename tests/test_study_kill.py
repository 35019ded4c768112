"""Workers that are killed with -9 lose no trial and double none: real processes, real training."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import cycle
from pathlib import Path

import pytest
from optuna.trial import TrialState

from ecg_jax.study.storage import open_storage
from ecg_jax.study.tasks import tasks
from ecg_jax.study.workdir import open_study
from ecg_jax.training.workdir import read_metrics

SCRIPT = Path(__file__).parents[1] / "experiments" / "scale.py"
EPOCHS, SEEDS, CHANNELS, LEASE_SECONDS, KILL_SECONDS = 500, 4, (4, 8), 10.0, 20.0
LEAST_KILLS = 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["journal", "postgresql"])
def test_four_workers_of_which_one_is_killed_time_and_again_lose_and_double_nothing(
    kind, synthetic_set, tmp_path, request
):
    study = tmp_path / "study"
    command = [sys.executable, str(SCRIPT), "--data", str(synthetic_set), "--workdir", str(study)]
    command += ["--depths", "1", "--channels", *map(str, CHANNELS), "--kernels", "3", "--seeds", str(SEEDS)]
    command += ["--base", "local", "--train.epochs", str(EPOCHS), "--data.window-seconds", "2"]
    command += ["--learning-rates", "0.003"]
    command += ["--evaluate.resamples", "20", "--lease-seconds", str(LEASE_SECONDS)]
    storage = "" if kind == "journal" else request.getfixturevalue("postgresql")
    command += ["--storage", storage] if storage else []
    log = (tmp_path / "log").open("w")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def start() -> subprocess.Popen:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)

    workers, kills, taken = [start() for _ in range(4)], 0, cycle(range(4))
    time.sleep(KILL_SECONDS)
    while all(worker.poll() is None for worker in workers):  # the first that ends by itself has seen the study done
        victim = next(taken)
        os.kill(workers[victim].pid, signal.SIGKILL)
        workers[victim].wait()
        workers[victim] = start()
        kills += 1
        time.sleep(KILL_SECONDS)
    codes = [worker.wait(timeout=300) for worker in workers]
    log.close()
    said = (tmp_path / "log").read_text()
    assert codes == [0] * 4, said[-3000:]

    folder = open_study(study)
    optuna_storage = open_storage(study, storage or folder.storage)
    trials = optuna_storage.get_all_trials(optuna_storage.get_study_id_from_name(folder.name))
    complete = Counter(trial.user_attrs["key"] for trial in trials if trial.state == TrialState.COMPLETE)
    states = [task.state for task in tasks(folder.plan(), [], folder.progress)]
    assert len(states) == len(CHANNELS) * SEEDS
    lost, doubled = len(states) - states.count("done"), sum(complete.values()) - len(complete)
    again = Counter(trial.user_attrs["key"] for trial in trials)
    resumed = sum(number > 1 for number in again.values())
    print(f"{kind}: kills {kills}, taken up again {resumed}, trials lost {lost}, doubled {doubled}")
    assert (lost, doubled) == (0, 0)
    assert not [trial.number for trial in trials if trial.state == TrialState.RUNNING]
    assert kills >= LEAST_KILLS
    assert resumed, "no worker was killed at work"
    assert "continuing after epoch" in said, "a trial continues from its checkpoint"
    with (study / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert Counter((row["channels"], row["seed"]) for row in rows) == {
        (str(c), str(s)): 1 for c in CHANNELS for s in range(SEEDS)
    }
    for folder in (study / "trials").iterdir():
        assert [line["epoch"] for line in read_metrics(folder)] == list(range(1, EPOCHS + 1))
        assert not list((folder / "checkpoints").glob("*tmp*"))


@pytest.mark.slow
def test_a_worker_leaves_within_20_s_of_sigterm_and_another_one_continues_its_trial(
    synthetic_set, tmp_path, postgresql
):
    study = tmp_path / "study"
    command = [sys.executable, str(SCRIPT), "--data", str(synthetic_set), "--workdir", str(study), "--depths", "1"]
    command += ["--channels", "4", "--kernels", "3", "--seeds", "1", "--base", "local", "--storage", postgresql]
    command += ["--train.epochs", "400", "--data.window-seconds", "2", "--evaluate.resamples", "20"]
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **settings) as worker:
        for _ in range(1200):
            if any(path.name.isdecimal() for path in study.glob("trials/*/checkpoints/*")):
                break
            assert worker.poll() is None, worker.communicate()
            time.sleep(0.1)
        began = time.monotonic()
        worker.terminate()
        said, _ = worker.communicate(timeout=60)
    assert time.monotonic() - began < 20
    assert worker.returncode == 143
    assert said.splitlines()[-1] == "scale.py: stopped; the same command continues it"
    storage = open_storage(study, postgresql)
    attempts = storage.get_all_trials(storage.get_study_id_from_name(open_study(study).name))
    assert [attempt.state for attempt in attempts] == [TrialState.FAIL], "released"
    again = subprocess.run(command, check=True, **settings).stdout
    assert "continuing after epoch" in again
    assert "gave up" not in again
    assert (study / "report.html").is_file()


@pytest.mark.slow
def test_trials_that_train_together_and_are_killed_reach_the_same_end(synthetic_set, tmp_path):
    command = [sys.executable, str(SCRIPT), "--data", str(synthetic_set), "--depths", "1", "--channels", "4"]
    command += ["--kernels", "3", "--seeds", "4", "--together", "4", "--base", "local", "--train.epochs", "250"]
    command += ["--learning-rates", "0.002", "--data.window-seconds", "2", "--evaluate.resamples", "20"]
    command += ["--lease-seconds", str(LEASE_SECONDS), "--workdir"]
    began = time.monotonic()
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    whole_seconds, kills, said = time.monotonic() - began, 0, ""
    merged = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    for _ in range(3):
        with subprocess.Popen([*command, str(tmp_path / "killed")], **merged) as worker:
            time.sleep(0.5 * whole_seconds)
            kills += worker.poll() is None
            worker.kill()
            said += worker.communicate()[0]
    said += subprocess.run([*command, str(tmp_path / "killed")], check=True, **merged).stdout
    assert kills >= 2
    assert "continuing after epoch" in said
    whole, killed = (
        {path.parent.name: path.read_bytes() for path in (tmp_path / name).glob("trials/*/predictions_*.csv")}
        for name in ("whole", "killed")
    )
    assert len(whole) == 4
    assert killed == whole
