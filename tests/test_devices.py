"""The devices of a process, and a study on one machine with a worker for each of eight devices."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "experiments" / "scale.py"
EIGHT = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"}


@pytest.mark.parametrize(("numbers", "found"), [((), 8), ((3,), 1), ((0, 6), 2)])
def test_a_process_uses_the_devices_of_its_numbers_only(numbers, found):
    code = f"from ecg_jax.training.devices import *; {numbers} and use_only({numbers}); print(len(Devices()))"
    assert subprocess.check_output([sys.executable, "-c", code], env=EIGHT, text=True) == f"{found}\n"


def test_numbers_of_devices_that_cannot_be_are_refused_in_one_line(synthetic_set, tmp_path):
    command = [sys.executable, SCRIPT, "--data", synthetic_set, "--workdir", tmp_path / "study", "--devices", "1", "1"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (1, "scale.py: --devices 1 1: give different numbers, from 0 up\n")
    assert not (tmp_path / "study").exists()


@pytest.mark.slow
def test_eight_workers_with_a_device_each_train_what_one_worker_trains(synthetic_set, tmp_path):
    def start(name, device):
        command = [sys.executable, SCRIPT, "--data", synthetic_set, "--workdir", tmp_path / name, "--base", "local"]
        command += ["--depths", "1", "--channels", "4", "--kernels", "3", "5", "--seeds", "4", "--train.epochs", "2"]
        command += ["--learning-rates", "0.003"]
        command += ["--data.window-seconds", "2", "--evaluate.resamples", "20", "--devices", str(device)]
        environment = {**EIGHT, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    said = [worker.communicate(timeout=500)[0] for worker in [start("many", device) for device in range(8)]]
    said += [start("alone", 5).communicate(timeout=500)[0]]
    trained = [line.partition(":")[0] for text in said[:8] for line in text.splitlines() if " of 8 done" in line]
    assert len(set(trained)) == len(trained) == 8, said
    assert sum(" of 8 done" in text for text in said[:8]) > 1, "several workers trained"
    one, other = (sorted((tmp_path / name / "trials").glob("*/predictions_test.csv")) for name in ("many", "alone"))
    assert len(one) == 8
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]
