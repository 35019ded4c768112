"""`ecg-jax plan`: what it proposes can be started, and what the records cannot decide is not promised."""

import shlex

import pytest
from study_fakes import GRID, Fakes, begun, with_levels, worked

from ecg_jax.commands import planning
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.scripts.experiment import read_arguments
from ecg_jax.scripts.timed_study import TimedArgs
from ecg_jax.study.workdir import open_study


@pytest.fixture(scope="module")
def planned_study(larger_set, tmp_path_factory):
    """A small finished study, from which another is planned."""
    path = tmp_path_factory.mktemp("study")
    worked(begun(path, larger_set, with_levels(GRID, depths=(1, 2), channels=(4, 8), seeds=2), folds=(2, 5)), Fakes())
    return path


def said(capsys, **settings):
    values = {"data": None, "study": None, "effect": 0.005, "power": 0.8, "hours": None, "workdir": None}
    planning.print_plan(**{**values, **settings})
    printed = capsys.readouterr()
    return printed.out, [line.removeprefix("next: ") for line in printed.err.splitlines() if line.startswith("next: ")]


def test_a_pilot_is_two_seeds_of_the_corner_scales_and_what_is_proposed_can_be_started(larger_set, tmp_path, capsys):
    fakes = Fakes()
    settings = {"data": larger_set, "workdir": tmp_path / "pilot", "runner": fakes.runner, "effect": 0.4}
    out, (command,) = said(capsys, **settings)
    plan = open_study(tmp_path / "pilot").plan()
    assert len(plan.rates) == 8
    assert set(plan.seeds.values()) == {2}
    program, _, *words = shlex.split(command)
    args = read_arguments(TimedArgs, words)
    assert (program, args.depths, args.channels, args.kernels) == ("python", (1, 2, 4), (8, 16, 32), (3, 7, 15))
    assert f"{args.seeds} seeds of 27 scales find an effect of 0.4" in out
    assert args.folds == open_study(tmp_path / "pilot").study.folds
    assert args.run.model == open_study(tmp_path / "pilot").study.base.model
    trained = len(fakes.trained)
    said(capsys, **settings)
    assert len(fakes.trained) == trained, "started again, the pilot is read"


def test_an_effect_that_the_records_cannot_show_is_not_promised(planned_study, capsys):
    out, commands = said(capsys, study=planned_study, effect=1e-6)
    assert not commands
    assert "no number of seeds finds an effect of 1e-06" in out
    assert "no study is proposed" in out


def test_a_time_that_is_too_short_is_said_with_what_it_can_find(planned_study, capsys):
    out, commands = said(capsys, study=planned_study, effect=0.3, hours=1e-9)
    assert not commands
    assert "more than 0 s, which is too short for two seeds" in out


def test_one_seed_is_no_plan(larger_set, tmp_path, capsys):
    worked(begun(tmp_path, larger_set, with_levels(GRID, depths=(1, 2), seeds=1)), Fakes())
    with pytest.raises(RunError, match="two finished seeds"):
        said(capsys, study=tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "give --data, to train a pilot, or --study"),
        ({"data": "a", "study": "b"}, "give --data, to train a pilot, or --study"),
        ({"data": "a", "effect": 0.0}, "--effect is 0.0"),
        ({"data": "a", "power": 1.0}, "--power is 1.0"),
        ({"data": "a", "hours": -1.0}, "--hours is -1.0"),
        ({"data": "a", "hours": 0.0}, "--hours is 0.0"),
    ],
)
def test_a_mistake_is_one_line(values, message):
    with pytest.raises(ConfigError, match=message):
        planning.plan(**values)
