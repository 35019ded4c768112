"""A scale for a budget, what to expect of it, and the command that trains it."""

import shlex
from dataclasses import replace

import numpy as np
import pytest
from study_fakes import GRID, Fakes, begun, worked

from ecg_jax.analysis import analyse
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.cli import TrainArguments, _parse, base_run, main, train
from ecg_jax.errors import ConfigError
from ecg_jax.report.recommend import recommend
from ecg_jax.study import latency


def costly(setting, seed=0):
    """A simulated study in which a scale costs the product of its sizes, and its latency is its depth."""
    outcomes = simulate(setting, seed=seed)
    product = [t["depth"] * t["channels"] * t["kernel"] for t in outcomes.trials]
    trials = [
        {**t, "macs": p, "parameters": 10 * p, "latency_ms": float(t["depth"]), "seconds": p * (1.0 + t["seed"])}
        for t, p in zip(outcomes.trials, product, strict=True)
    ]
    return replace(outcomes, trials=trials)


WIDE = Setting(effects=(0.0, 0.04, 0.0), seeds=3, levels=((1, 2), (4, 8, 16), (3,)))


def test_without_a_budget_it_is_the_studys_best_with_the_studys_value():
    outcomes = costly(WIDE)
    found, best = recommend(outcomes), analyse(outcomes)["best"]
    assert found.scale == best["scale"]
    assert (found.quality, found.low, found.high) == pytest.approx((best["value"], best["low"], best["high"]))


def test_a_budget_leaves_the_best_of_the_affordable_scales():
    outcomes = costly(WIDE)
    assert recommend(outcomes).scale["channels"] == 16
    found = recommend(outcomes, {"macs": 30.0})
    assert found.scale == {"depth": 1, "channels": 8, "kernel": 3}
    assert (found.affordable, found.of) == (3, 6)
    assert found.costs["macs"] == {"value": 24, "low": 24, "high": 24}
    assert found.costs["seconds"] == {"value": 48, "low": 24, "high": 72}
    both = recommend(outcomes, {"macs": 60.0, "latency_ms": 1.0})
    assert both.scale == {"depth": 1, "channels": 16, "kernel": 3}


def test_a_budget_that_nothing_meets_names_the_smallest():
    outcomes = costly(WIDE)
    with pytest.raises(ConfigError, match=r"no scale has at most 5 MACs.*depth 1, channels 4, kernel 3, has 12"):
        recommend(outcomes, {"macs": 5})
    with pytest.raises(ConfigError, match=r"no scale has at most 0.5 ms a window.*depth 1.*has 1"):
        recommend(outcomes, {"latency_ms": 0.5})
    swapped = replace(outcomes, trials=[{**t, "latency_ms": 100.0 / t["macs"]} for t in outcomes.trials])
    with pytest.raises(ConfigError, match="not all by one scale"):
        recommend(swapped, {"macs": 12, "latency_ms": 2.0})
    unknown = replace(outcomes, trials=[{**t, "latency_ms": None} for t in outcomes.trials])
    with pytest.raises(ConfigError, match="not known"):
        recommend(unknown, {"latency_ms": 2.0})


def test_a_label_is_judged_alone():
    outcomes = costly(WIDE)
    probabilities = outcomes.probabilities.copy()
    small = np.array([t["channels"] == 4 for t in outcomes.trials])
    probabilities[~small, :, 1] = 0.5  # only narrow networks know label 1
    found = recommend(replace(outcomes, probabilities=probabilities), label="label 1")
    assert found.scale["channels"] == 4
    assert found.quality == pytest.approx(0.8, abs=0.1)
    with pytest.raises(ConfigError, match="no such label; choose from label 0, label 1, label 2"):
        recommend(outcomes, label="label 9")


def test_the_expected_quality_has_no_winners_favour_within_the_budget():
    """Where no scale is better than another, the mean of the recommended one is too high, its quality is not."""
    setting = Setting(seeds=3, ratio=2.0, records=300, levels=((1, 2, 4), (4, 8), (3, 5)))
    favour, told = [], []
    for seed in range(25):
        outcomes = costly(setting, seed=seed)
        found, truth = recommend(outcomes, {"macs": 60}), setting.truth.mean()
        means = {tuple(s[a] for a in ("depth", "channels", "kernel")): s["mean"] for s in analyse(outcomes)["scales"]}
        favour.append(means[tuple(found.scale.values())] - truth)
        told.append(found.quality - truth)
    error = np.std(told) / 5
    assert np.mean(favour) > np.mean(told) + 0.002
    assert abs(np.mean(told)) < 3 * error


@pytest.fixture(scope="module")
def study(synthetic_set, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("study")
    worked(workdir, begun(workdir, synthetic_set, replace(GRID, depths=(1, 2)), epochs=3, batch_size=32), Fakes())
    return workdir


def test_the_command_that_is_printed_trains_that_scale(study, monkeypatch, capsys):
    monkeypatch.setattr(latency, "measured", lambda study, scale: float(scale.depth))
    with pytest.raises(SystemExit) as left:
        main(["recommend", str(study), "--max-latency-ms", "1.5"])
    assert left.value.code == 0
    said = capsys.readouterr().out
    line = next(line for line in said.splitlines() if line.startswith("train it"))
    command = shlex.split(line.removeprefix("train it"))
    assert command[:2] == ["ecg-jax", "train"]
    base, rest = base_run(command[2:])
    config = _parse(TrainArguments, "train", train, rest, TrainArguments(workdir=study, run=base)).run
    trained = [*study.glob("trials/*/result.json")]
    assert (config.model.depth, config.train.epochs, config.train.batch_size) == (1, 3, 32)
    assert (config.data.window_seconds, config.train.learning_rate) == (2.0, 3e-3)
    assert f"d1_c{config.model.channels}_k3_lr0.003_s0" in {file.parent.name for file in trained}


def test_an_impossible_budget_is_one_line(study, capsys):
    with pytest.raises(SystemExit) as left:
        main(["recommend", str(study), "--max-parameters", "10"])
    assert left.value.code == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "the smallest, depth 1, channels 4, kernel 3" in error
