"""The trials of a study: what they are, what they are called, and what they cost."""

import importlib.util
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from study_fakes import Fakes, begun, worked

from ecg_jax.config import DataConfig, ModelConfig, RunConfig
from ecg_jax.dataset.splits import split_by_folds
from ecg_jax.errors import ConfigError, UserError
from ecg_jax.models import cost
from ecg_jax.study.design import (
    Grid,
    Plan,
    Scale,
    Study,
    Trial,
    chosen_rate,
    fit_seconds,
    local,
    make_study,
    marks,
    merged,
)
from ecg_jax.study.dry_run import estimated, trials_table
from ecg_jax.study.workdir import without_password

GRID = Grid(depths=(1, 2), channels=(4,), kernels=(3, 15), seeds=2, learning_rates=(1e-3,))
TRIAL = Trial(Scale(1, 16, 3), 3e-3, 0)


def study_of(base: RunConfig | None = None, folds=(), fingerprint="f") -> Study:
    return make_study(base or RunConfig(), folds, fingerprint=fingerprint, rate_hz=100.0, leads=12, labels=5)


def test_the_local_base_sees_51_samples_at_depth_1_and_kernel_3():
    model = replace(local(ModelConfig()), depth=1, kernel=3)
    known = cost(model, leads=12, labels=5, window_samples=1000, rate_hz=100)
    assert (known.receptive_field_samples, known.total_stride, len(model.strides)) == (51, 8, 3)


def test_a_trial_has_a_readable_name_and_no_two_have_the_same():
    assert TRIAL.name == "d1_c16_k3_lr0.003_s0"
    rates = (1e-3, 1e-3 + 1e-12, 1e-5)
    trials = [Trial(scale, rate, seed) for scale in GRID.scales() for rate in rates for seed in (0, 1, 10)]
    assert len({trial.name for trial in trials}) == len(trials)


@pytest.mark.parametrize(
    "same",
    [
        RunConfig(data=DataConfig(path=Path("elsewhere"))),
        RunConfig(data=DataConfig(feed="host")),
        replace(RunConfig(), train=replace(RunConfig().train, parallel="pmap")),
        replace(RunConfig(), model=ModelConfig(depth=4, channels=5, kernel=6)),  # the trial says these itself
    ],
)
def test_a_key_does_not_know_path_feed_and_parallel_mode(same):
    assert TRIAL.key(study_of(same)) == TRIAL.key(study_of())


def test_a_key_knows_everything_else():
    longer = replace(RunConfig(), train=replace(RunConfig().train, epochs=31))
    others = [
        TRIAL.key(study_of(longer)),
        TRIAL.key(study_of(fingerprint="g")),
        TRIAL.key(study_of(folds=(1,))),
        TRIAL.key(study_of(folds=(1, 2))),
        replace(TRIAL, seed=1).key(study_of()),
        replace(TRIAL, learning_rate=4e-3).key(study_of()),
        replace(TRIAL, scale=Scale(1, 16, 5)).key(study_of()),
    ]
    assert len({TRIAL.key(study_of()), *others}) == 8


def test_the_fold_before_a_test_fold_chooses_cyclically_among_those_present():
    runs = TRIAL.runs(study_of(folds=(1, 4)))
    present = np.array([1, 2, 4, 7])
    splits = {below: split_by_folds(present, config.data).folds for below, config in runs.items()}
    assert splits["fold_1"] == {"training": (2, 4), "validation": (7,), "test": (1,)}
    assert splits["fold_4"] == {"training": (1, 7), "validation": (2,), "test": (4,)}


def test_folds_are_not_given_twice_over():
    with pytest.raises(ConfigError, match="--folds"):
        study_of(RunConfig(data=DataConfig(test_folds=(3,))), folds=(1, 2))


def test_a_wider_grid_adds_only_its_new_points():
    wider = Grid(depths=(1,), channels=(4, 8), kernels=(3,), seeds=3, learning_rates=(1e-3, 1e-2))
    plan, before = merged([GRID, wider]), merged([GRID])
    assert set(plan.rates) == {*GRID.scales(), Scale(1, 8, 3)}
    assert plan.rates[Scale(1, 4, 3)] == (1e-3, 1e-2)
    assert plan.seeds[Scale(1, 4, 3)] == 3
    assert plan.rates[Scale(2, 4, 15)] == before.rates[Scale(2, 4, 15)]
    assert merged([wider, GRID]) == plan


@pytest.mark.parametrize(
    ("tried", "chosen"),
    [
        ({1e-3: 0.8, 1e-2: 0.9}, 1e-2),
        ({1e-3: 0.9, 1e-2: 0.9, 1e-4: 0.9}, 1e-4),
        ({1e-3: None, 1e-2: 0.5}, 1e-2),
        ({1e-3: None, 1e-2: None}, None),
    ],
)
def test_the_best_rate_is_chosen_and_of_equal_ones_the_smaller(tried, chosen):
    assert chosen_rate(tried) == chosen


def test_scales_that_see_beyond_the_window_or_outgrow_the_last_stage_are_marked():
    def marked(seconds: float, scale: Scale) -> list[str]:
        base = RunConfig(data=DataConfig(window_seconds=seconds), model=local(ModelConfig()))
        return marks(study_of(base), scale)

    sees_51 = Scale(1, 4, 3)
    assert marked(0.51, sees_51) == []
    assert marked(0.50, sees_51) == ["sees beyond the window of 50 samples"]
    assert "its kernel is longer than the last stage of 32" in marked(2.5, Scale(1, 4, 33))
    assert not any("kernel" in mark for mark in marked(2.5, Scale(1, 4, 32)))


def test_time_is_a_fixed_part_and_one_for_each_operation():
    seconds = fit_seconds([(1e6, 3.0), (2e6, 4.0), (8e6, 10.0)])
    assert seconds(4e6) == pytest.approx(6.0)
    assert fit_seconds([(1e6, 3.0), (2e6, 2.0)])(4e6) > 0  # noise must not make time negative
    assert fit_seconds([(1e6, 3.0)])(2e6) == pytest.approx(6.0)


def test_a_dry_run_lists_every_trial_and_the_sum_of_their_times(tmp_path):
    grid = replace(GRID, learning_rates=(1e-3, 1e-2))
    study = study_of(folds=(1, 2, 3))
    plan = merged([grid])
    seconds = estimated(study, list(plan.rates), lambda config: (60.0, 0.0))
    table = trials_table(tmp_path, study, plan, seconds)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    lines = console.export_text().splitlines()
    for scale in grid.scales():
        assert sum(line.startswith(f"│ {scale.name}_") for line in lines) == 2 + 2, "two rates, two seeds"
    runs = 4 * (2 * 1 + 2 + 3)  # each scale: two rates on one fold; the two folds left of seed 0; three of seed 1
    assert any(line.startswith("│ all") and f"{runs} min 00 s" in line for line in lines)
    assert any("15 (150 ms)" in line for line in lines)


def test_a_dry_run_of_a_finished_study_has_nothing_left(synthetic_set, tmp_path):
    grid = Grid(depths=(1,), channels=(4, 8), kernels=(3,), seeds=2, learning_rates=(1e-3, 3e-3))
    founded = begun(tmp_path, synthetic_set, grid, folds=(1, 2))
    worked(tmp_path, founded, Fakes())
    plan = merged([grid])
    console = Console(width=200, record=True, file=io.StringIO())
    seconds = estimated(founded.study, list(plan.rates), lambda config: (60.0, 1.0))
    console.print(trials_table(tmp_path, founded.study, plan, seconds))
    (last,) = (line for line in console.export_text().splitlines() if line.startswith("│ all"))
    assert last.split("│")[-2].strip() == "0 s"


def test_a_password_is_not_written_down():
    assert without_password("postgresql://me:secret@host:5/data") == "postgresql://me@host:5/data"
    assert without_password("postgresql:///data") == "postgresql:///data"
    assert without_password("journal.log") == "journal.log"
    for url in ("postgresql://me:se/cret@host/data", "postgresql+psycopg://me:se%23cret@host/data?password=secret"):
        assert without_password(url) == "postgresql://me@host/data"
    with pytest.raises(ConfigError, match="--storage cannot be read") as refused:
        without_password("postgresql://me:secret@host:port/data")
    assert "secret" not in str(refused.value)


@pytest.fixture(scope="module")
def script():
    path = Path(__file__).parents[1] / "experiments" / "scale.py"
    spec = importlib.util.spec_from_file_location("scale", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["scale"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "--data is missing"),
        (["--data", "nowhere", "--model.depth", "3"], "give --depths"),
        (["--data", "nowhere", "--train.seed", "3"], "give --seeds"),
        (["--data", "nowhere", "--train.learning-rate", ".1", "--learning-rates", ".2"], "not both"),
        (["--data", "nowhere", "--storage", "sqlite:///study.db"], "hands one trial to two workers"),
        (["--data", "nowhere", "--kernels", "0"], "--kernels is [0]"),
        (["--data", "nowhere", "--learning-rates", "nan"], "--learning-rates is [nan]"),
        (["--data", "nowhere", "--learning-rates", "2000"], "--learning-rates is [2000.0]"),
        (["--data", "nowhere", "--lease-seconds", "-5"], "--lease-seconds is -5"),
        (["--data", "nowhere"], "nowhere is not a prepared set"),
    ],
)
def test_a_mistake_is_one_line(script, flags, says, tmp_path):
    with pytest.raises(UserError) as raised:
        script.main(*script.parsed(["--workdir", str(tmp_path / "study"), *flags]))
    assert says in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_presets_bases_and_flags_go_together_and_flags_win(script):
    flags = ["--workdir", "w", "--preset", "cinc2017", "--base", "local", "--model.strides", "2", "2", "2"]
    args, _ = script.parsed(flags)
    assert args.run.model.strides == (2, 2, 2)
    assert args.run.model.stem_pool is False
    assert args.run.train.loss == "weighted"
    assert script.parsed(flags[:6])[0].run.model.strides == (1, 2, 2)
    assert script.rates(*script.parsed(flags)) == (6e-3,)


def test_a_plan_without_grids_is_empty():
    assert merged([]) == Plan({}, {})


def test_plan_status_and_files_of_a_study_load_neither_jax_nor_optuna():
    modules = "ecg_jax.study.design, ecg_jax.study.tasks, ecg_jax.study.status, ecg_jax.study.workdir"
    code = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"jax", "optuna", "tensorflow", "matplotlib"} & set(loaded.split())
