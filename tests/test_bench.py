"""The benchmark of accelerators in small form; what it measures on CPU has no meaning."""

import json
import sys
from pathlib import Path

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
    assert [row["precision"] for row in results["steps"]] == ["float32", "bfloat16"]
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
