"""The benchmarks of preparing and of feeds in small form; what they measure here has no meaning."""

import sys
from pathlib import Path

from wfdb_writing import RAMP, write_record

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))


def test_preparing_is_compared_with_wfdb_and_says_what_it_takes_on_disk(tmp_path):
    from bench_feeds import measure_prepare

    for name in ("A1", "A2", "A3", "A4", "A5"):
        write_record(tmp_path / "training2017", name, leads=("ECG",), rate="300", digital=RAMP[:, :1])
    (tmp_path / "REFERENCE-v3.csv").write_text("A1,N\nA2,A\nA3,O\nA4,~\nA5,N\n")
    results = measure_prepare(tmp_path, (10, 20), workers=1, seconds=0.01)
    assert [each["records"] for each in results["sets"]] == [10, 20]
    assert [each["flat_mb"] for each in results["sets"]] == [10 * 67 * 2 / 1e6, 20 * 67 * 2 / 1e6]  # 200 samples / 3
    assert results["reading_ratio"] == results["reading_per_second"] / results["wfdb_and_scipy_per_second"]


def test_trainings_with_both_feeds_are_timed_alternately(synthetic_set):
    from bench_feeds import measure_feeds

    results = measure_feeds(synthetic_set, window_seconds=2.5, steps=3, rounds=2)
    assert len(results["ratios"]) == 2
    assert all(value > 0 for name, value in results.items() if name.endswith("per_second"))
