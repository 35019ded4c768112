"""Variants that differ in more than scale, read on the same records."""

import json
import runpy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from study_fakes import QUIET, Fakes, begun, worked

from ecg_jax.analysis.influence import aurocs, mean_of
from ecg_jax.config import DataConfig, ModelConfig, RunConfig
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.models import cost
from ecg_jax.study.design import Grid
from ecg_jax.study.variants import Variant, compared, joined, train
from ecg_jax.study.worker import work
from ecg_jax.training.result import read_predictions

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
GRID = Grid(depths=(1,), channels=(4, 8), kernels=(3,), seeds=2, learning_rates=(3e-3,))


@pytest.fixture
def base(synthetic_set):
    return RunConfig(data=DataConfig(path=synthetic_set, window_seconds=2.0))


def worker(fakes):
    return partial(work, run=fakes.run, predict=fakes.predict, console=QUIET, conclude=lambda *_: None)


def variants(base):
    gap = Variant("gap", base, GRID)
    worse = replace(GRID, learning_rates=(1e-3,))  # what the fakes predict depends on the rate, not on the head
    return [gap, Variant("attention", replace(base, model=replace(base.model, head="attention")), worse)]


def test_variants_are_compared_on_the_same_records(base, tmp_path):
    train(tmp_path, variants(base), folds=(2, 5), work=worker(Fakes()))
    outcomes = joined(tmp_path, ["gap", "attention"])
    assert [(t["variant"], t["channels"], t["seed"]) for t in outcomes.trials] == [
        (name, c, seed) for name in ("gap", "attention") for c in (4, 8) for seed in (0, 1)
    ]
    for trial, probability in zip(outcomes.trials, outcomes.probabilities, strict=True):
        name = f"d1_c{trial['channels']}_k3_lr{trial['learning_rate']}_s{trial['seed']}"
        folders = [tmp_path / trial["variant"] / "trials" / name / f"fold_{fold}" for fold in (2, 5)]
        read = [read_predictions(folder / "predictions_test.csv")[1] for folder in folders]
        np.testing.assert_array_equal(probability, np.concatenate(read))
    rows = compared(outcomes, against=lambda scale: scale["variant"] == "gap" and scale["channels"] == 8)
    macro = mean_of(aurocs(outcomes))
    assert macro is not None
    value = {(t["variant"], t["channels"], t["seed"]): v for t, v in zip(outcomes.trials, macro.value, strict=True)}
    mean = {key: np.mean([value[*key, seed] for seed in (0, 1)]) for key in {key[:2] for key in value}}
    assert len(rows) == 4
    for row in rows:
        key = row["variant"], row["channels"]
        assert row["mean"] == pytest.approx(mean[key])
        assert row["difference"] == pytest.approx(mean[key] - mean["gap", 8])
        assert row["low"] <= row["difference"] <= row["high"]


def test_seeds_go_one_after_the_other_over_all_variants(base, tmp_path):
    fakes = Fakes()
    train(tmp_path, variants(base), folds=(), work=worker(fakes))
    seeds = [int(name.rpartition("_s")[2].partition("/")[0]) for name in fakes.trained]
    assert seeds == [0] * 4 + [1] * 4


def test_a_variant_without_a_finished_seed_is_named(base, tmp_path):
    failing = Fakes(fails=lambda config: config.model.head == "attention")
    train(tmp_path, variants(base), folds=(), work=worker(failing))
    with pytest.raises(RunError, match="attention has no finished seed"):
        joined(tmp_path, ["gap", "attention"])


def test_one_seed_of_unlike_networks_says_nothing_of_the_noise_of_seeds(base, tmp_path):
    one = [replace(v, grid=replace(v.grid, channels=(4 * (i + 1),), seeds=1)) for i, v in enumerate(variants(base))]
    train(tmp_path, one, folds=(), work=worker(Fakes()))
    rows = compared(joined(tmp_path, ["gap", "attention"]), against=lambda scale: scale["variant"] == "gap")
    assert [row["mean_low"] for row in rows] == [None, None]
    assert [row["low"] for row in rows if row["variant"] == "attention"] == [None]


def test_variants_of_equal_size_differ_in_what_they_see():
    script = runpy.run_path(str(EXPERIMENTS / "receptive_field.py"))
    shape = {"leads": 12, "labels": 5, "window_samples": 250, "rate_hz": 100.0}
    local = ModelConfig(strides=(1, 2, 2), stem_pool=False)
    found = list(script["variants_of"](script["Args"](workdir=Path()), RunConfig(model=local), shape))
    assert len({variant.name for variant in found}) == len(found) == 21
    by_head: dict[str, list] = {}
    for variant in found:
        by_head.setdefault(variant.run.model.head, []).append(cost(variant.run.model, **shape))
    for costs in by_head.values():
        sizes = [known.parameters for known in costs]
        assert max(sizes) < 1.1 * min(sizes)
        assert len({known.receptive_field_samples for known in costs}) == len(costs)


def test_a_published_network_is_judged_by_the_records_of_the_study(synthetic_set, tmp_path, monkeypatch):
    fakes = Fakes()
    worked(tmp_path, begun(tmp_path, synthetic_set, folds=(2, 5)), fakes)
    monkeypatch.setattr("ecg_jax.training.run", fakes.run)
    monkeypatch.setattr("ecg_jax.study.worker.predict_test", fakes.predict)
    script = runpy.run_path(str(EXPERIMENTS / "published.py"))
    args = script["Args"](study=tmp_path, presets=("resnet18_1d",))
    script["main"](args)
    written = json.loads((tmp_path / "published.json").read_text())
    assert written["seeds"] == [0, 1]
    (network,) = written["networks"]
    assert (written["best"]["variant"], network["variant"]) == ("study", "resnet18_1d")
    assert network["low"] < network["difference"] < network["high"]
    assert isinstance(network["parameters"], int)
    assert len([name for name in fakes.trained if "published" in name]) == 4  # two seeds, two folds
    trained = len(fakes.trained)
    script["main"](args)
    assert len(fakes.trained) == trained


def test_a_share_of_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"--data\.training-share is 0"):
        DataConfig(training_share=0)
