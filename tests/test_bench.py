"""The benchmarks in small form: what they compare is equal, and every part writes its result. No time is checked."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))


def test_every_part_that_needs_no_other_package_writes_its_result(tmp_path, config, monkeypatch):
    import bench_device

    monkeypatch.setattr(bench_device, "STUDY_SEEDS", 2)
    monkeypatch.setattr(bench_device, "PRECISION_SEEDS", 2)
    monkeypatch.setitem(sys.modules, "torch", None)  # not installed
    path, small = tmp_path / "device.json", {"shape": (2, 64, 2), "labels": 3, "together": (1, 2)}
    bench_device.measure([(1, 2, 3)], path, minutes=20, **small, base=config, study_cells=[(1, 2, 3), (1, 2, 5)])
    results = json.loads(path.read_text())
    assert [row["cell"] for row in results["study"]] == [[1, 2, 3], [1, 2, 5]]
    assert [len(row["macro_auroc"]) for row in results["quality"]] == [2, 2]
    assert [len(results[part]) for part in ("steps", "bfloat16")] == [1, 1]
    assert [row["runs"] for row in results["together"]] == [1, 2]
    assert results["accuracy"][0]["largest_difference"] == 0  # the CPU against itself
    tables = path.with_suffix(".md").read_text()
    assert "| 1, 2, 3 |" in tables
    assert "| all 2 |" in tables
    assert "bfloat16 minus float32, 2 seeds" in tables


def test_after_its_minutes_no_other_measurement_begins(tmp_path):
    from bench_device import measure

    path = tmp_path / "device.json"
    measure([(1, 2, 3)], path, minutes=0, shape=(2, 64, 2), labels=3, together=(1,))
    assert not path.exists()


def test_a_worker_returns_values_and_its_end_is_an_error_of_one_line():
    from bench_worker import Worker

    from ecg_jax.errors import UserError

    with Worker() as worker:
        assert worker.call("statistics.median", data=[1, 2, 4])["value"] == 2
        with pytest.raises(UserError, match="has ended"):
            worker.call("os._exit", status=1)


@pytest.mark.parametrize("stem_pool", [True, False])
@pytest.mark.parametrize("depth", [1, 2])
def test_the_network_of_pytorch_has_the_parameters_of_ours(depth, stem_pool):
    pytest.importorskip("torch")
    from bench_torch import torch_network

    from ecg_jax.config import ModelConfig
    from ecg_jax.models.cost import cost

    model = ModelConfig(depth=depth, channels=4, kernel=5, strides=(1, 2), stem_pool=stem_pool, head_dropout=0.2)
    ours = cost(model, leads=3, labels=2, window_samples=100, rate_hz=100.0).parameters
    assert sum(p.numel() for p in torch_network(model, 3, 2).parameters()) == ours


def test_whole_runs_take_as_many_steps_in_both_and_learn(config, tmp_path):
    pytest.importorskip("torch")
    from bench_run import measure

    easy = replace(config, train=replace(config.train, epochs=6, learning_rate=1e-2))
    timings = measure(easy, tmp_path / "case", None, runs=2)
    assert timings.steps == -(-6 * 96 // 16)
    assert len(timings.ours) == len(timings.torch) == len(timings.pure_steps) + 1 == 2
    assert timings.auroc > 0.5 < timings.torch_auroc
    assert not (tmp_path / "case").exists()


def test_a_run_is_as_required_where_both_limits_are_kept():
    from bench_run import Timings

    timings = Timings(151, (9.0, 2.5, 2.5), 1.0, (2.0, 2.0), (9.0, 3.0, 3.0), (), 0.9, 0.9)
    assert timings.summary()["as_required"]
    assert not replace(timings, ours=(9.0, 2.7, 2.7)).summary()["as_required"]  # .7 s are more than .4 s and a tenth
    assert not replace(timings, torch=(9.0, 2.9, 2.9)).summary()["as_required"]  # less than 1.2 times as fast
    small = replace(timings, pure_steps=(1.9, 1.9), ours=(9.0, 2.4, 2.4), torch=(9.0, 2.0, 2.0))
    assert small.summary()["as_required"]  # .83 times as fast


@pytest.mark.slow
def test_a_study_and_the_script_train_the_same_scales_and_predict_the_test_fold(synthetic_set, tmp_path):
    pytest.importorskip("torch")
    from bench_study import measure

    grid = {"depths": (1,), "channels": (2, 4), "kernels": (3,)}
    found = measure(synthetic_set, tmp_path / "study", 1, grid, seeds=1)
    assert set(found.of_scale) == set(found.torch_of_scale) == {"1, 2, 3", "1, 4, 3"}
    assert sum(found.of_scale.values()) < found.seconds
    assert sum(found.torch_of_scale.values()) < found.torch_seconds
    assert (tmp_path / "study" / "report.html").is_file()
    assert len(list((tmp_path / "study").rglob("predictions_test.csv"))) == 2
