"""`ecg-jax doctor` and shell completion."""

import subprocess
import sys

from test_cli import called

from ecg_jax.cli import COMMANDS
from ecg_jax.doctor import examined


def test_doctor_names_versions_and_devices_and_the_remedy_for_each_fault(tmp_path, monkeypatch, capsys):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('libsomething.so is missing')")
    (tmp_path / "a_file").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a_file"))
    assert called("doctor") == 1
    lines = capsys.readouterr().out.splitlines()
    said = {line.split()[0]: line for line in lines if not line.startswith(" ")}
    assert f"Python {sys.version.split()[0]}" in said["versions"]
    assert "cpu" in said["devices"]
    assert "GiB" in said["memory"]
    place = lines.index(said["TensorFlow"])
    assert "cannot be imported (ImportError: libsomething.so is missing)" in lines[place]
    assert lines[place + 1].strip() == "fault: pip install tensorflow-cpu; or --feed resident"
    place = lines.index(said["cache"])
    assert "cannot be written" in lines[place]
    assert "set XDG_CACHE_HOME" in lines[place + 1]
    assert lines[-1] == "faults: 2"


def test_doctor_finds_a_gpu_that_jax_does_not_use(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100, 550.1'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("ecg_jax.doctor._tensorflow", lambda: None)
    (found,) = [finding for finding in examined() if finding is not None and finding.name == "CUDA"]
    assert found.text == "1 NVIDIA GPU: NVIDIA H100, 550.1, which JAX does not use"
    assert "ecg-jax[cuda12]" in found.remedy


def test_a_shell_completes_every_command(tmp_path, capsys):
    script = tmp_path / "completion.bash"
    assert called("--tyro-write-completion", "bash", str(script)) == 0
    text = script.read_text()
    assert all(command in text for command in COMMANDS)
    assert "--train.start-from" in text
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert called("--tyro-write-completion", "cmd", str(script)) == 1
    assert "needs a shell, one of bash, zsh, fish, tcsh" in capsys.readouterr().err
