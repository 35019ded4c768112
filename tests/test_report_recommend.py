"""What `ecg-jax recommend` prints for a study, and the command that trains the recommended scale."""

import json
import shlex
import sys

import pytest
from study_fakes import GRID, Fakes, begun, with_levels, worked

from ecg_jax.cli import main
from ecg_jax.report.recommend import advise
from ecg_jax.study.latency import machine
from ecg_jax.study.runner import Runner


@pytest.fixture(scope="module")
def study(larger_set, tmp_path_factory):
    path = tmp_path_factory.mktemp("study")
    worked(begun(path, larger_set, with_levels(GRID, depths=(1, 2)), epochs=3, batch_size=32), Fakes())
    return path


def test_the_command_that_is_printed_trains_that_scale(study, monkeypatch):
    runner = Runner(measure_latency=lambda study, scale: float(scale["depth"]))
    lines = advise(study, {"latency_ms": 1.5}, runner=runner)
    assert any(line.startswith("judgement    it is expected to lose 0.") for line in lines)
    assert any(line.startswith("guarantee    it loses at most 0.") for line in lines)
    (line,) = [line for line in lines if line.startswith("train it")]
    command = shlex.split(line.removeprefix("train it"))
    assert command[:2] == ["ecg-jax", "train"]
    configs = []
    monkeypatch.setattr("ecg_jax.training.loop.run", lambda config, workdir: configs.append(config) or sys.exit(0))
    with pytest.raises(SystemExit):
        main(command[1:])
    config = configs[0]
    trained = [*study.glob("trials/*/result.json")]
    assert (config.model.depth, config.train.epochs, config.train.batch_size) == (1, 3, 32)
    assert (config.data.window_seconds, config.train.learning_rate) == (2.0, 3e-3)
    assert f"d1_c{config.model.channels}_k3_lr0.003_s0" in {file.parent.name for file in trained}


def test_with_a_runtime_latency_and_bytes_are_those_of_the_exported_files(study):
    costs = Runner(measure_file=lambda study, scale, runtime: (10.0 / scale["depth"], 1000 * scale["depth"]))
    lines = advise(study, {"latency_ms": 6.0}, runner=costs, runtime="onnx")
    assert lines[0].startswith("scale        depth 2") or lines[1].startswith("scale        depth 2")
    assert any(line.startswith("costs        5 ms per window on ") and line.endswith("for onnx") for line in lines)
    assert "costs        2,000 bytes of the exported file" in lines
    measured = json.loads((study / "latency.json").read_text())
    assert {name for name in measured if "onnx" in name} == {machine("onnx"), "bytes, onnx"}


def test_an_impossible_budget_is_one_line(study, capsys):
    with pytest.raises(SystemExit) as left:
        main(["recommend", str(study), "--max-parameters", "10"])
    assert left.value.code == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "the smallest, depth 1, channels 4, kernel 3" in error
