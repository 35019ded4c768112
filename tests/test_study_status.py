"""How a study stands: computed from its plan and its claims alone, and shown."""

import io
from dataclasses import replace

import pytest
from rich.console import Console
from study_fakes import GRID, Fakes, begun, desk_of, worked

from ecg_jax.cli import main
from ecg_jax.errors import RunError
from ecg_jax.study.design import Scale, merged
from ecg_jax.study.status import duration, render, show, status
from ecg_jax.study.tasks import Claim, holds, tasks

NAMES = [f"d1_c{c}_k3_lr0.003_s{s}" for s in (0, 1) for c in (4, 8)]
PLAN = merged([GRID])


def claim(number, name, state, **more):
    return Claim(number, name, "whole", state, **more)


def status_of(claims, plan=PLAN, folds=0, now=1000.0):
    return status(plan, claims, folds=folds, macs_of=lambda scale: float(scale.channels), now=now)


def test_what_is_done_running_failed_and_to_come_is_counted_once():
    claims = [
        claim(0, NAMES[0], "dropped"),
        claim(1, NAMES[0], "done", value=0.7, seconds=40.0),
        claim(2, NAMES[1], "failed", reason="the loss is nan"),
        claim(3, NAMES[2], "dropped"),
        claim(4, NAMES[2], "running", worker="host:7", began=990.0, beat=997.0),
    ]
    found = status_of(claims)
    assert (found.total, found.done, found.to_come, found.finished) == (4, 1, 1, False)
    assert found.running == ((NAMES[2], "host:7", 10.0, 3.0),)
    assert found.failed == ((NAMES[1], "the loss is nan"),)
    assert found.best == (NAMES[0], 0.7)
    assert found.seconds_left == pytest.approx(40 - 7 + 80), "twice the channels, twice the time, less what is done"


def test_the_time_left_is_shared_by_the_workers_and_not_known_before_the_first_is_done():
    running = [claim(n, NAMES[n], "running", began=1000.0, beat=1000.0) for n in (1, 2)]
    assert status_of(running).seconds_left is None
    both = status_of([claim(0, NAMES[0], "done", value=0.7, seconds=40.0), *running])
    assert both.seconds_left == pytest.approx((80 + 40 + 80) / 2)


def test_a_worker_that_was_not_heard_of_for_its_lease_is_not_at_work():
    beats = enumerate((990.0, 900.0))
    found = status_of([claim(n, NAMES[n], "running", worker=f"host:{n}", beat=beat, lease=60.0) for n, beat in beats])
    assert (len(found.running), found.silent) == (2, 1)
    assert "start the study's command again" in shown(found)


def test_with_several_rates_and_folds_the_runs_that_are_left_are_counted():
    plan = merged([replace(GRID, channels=(4,), learning_rates=(1e-3, 3e-3))])
    done = Claim(0, "d1_c4_k3_lr0.001_s0", "rate", "done", value=0.6, seconds=10.0)
    found = status_of([done], plan, folds=3)
    assert (found.total, found.done, found.to_come) == (2 + 2, 1, 3)
    assert found.seconds_left == pytest.approx(10 * (1 + 2 + 3)), "a rate; the rest of seed 0; seed 1"
    assert found.best_is_of_rates
    assert "of the first fold" in shown(found)


def test_a_whole_trial_is_best_before_a_rate_that_was_tried():
    plan = merged([replace(GRID, channels=(4,), learning_rates=(1e-3, 3e-3))])
    rates = [Claim(n, f"d1_c4_k3_lr{r}_s0", "rate", "done", value=v) for n, r, v in ((0, 0.001, 0.9), (1, 0.003, 0.8))]
    whole = Claim(2, "d1_c4_k3_lr0.001_s0", "whole", "done", value=0.7)
    assert status_of([*rates, whole], plan).best == ("d1_c4_k3_lr0.001_s0", 0.7)


def test_an_older_claim_holds_against_a_younger_one():
    older, younger = claim(0, "t", "running"), claim(1, "t", "running")
    assert holds(older, [older, younger])
    assert not holds(younger, [older, younger])
    assert holds(younger, [replace(older, state="dropped"), younger])
    assert holds(younger, [replace(older, trial="another"), younger])
    assert not holds(younger, [replace(older, state="done"), younger])
    assert holds(younger, [replace(older, state="done", stage="rate"), younger])


def test_a_later_seed_comes_after_all_of_an_earlier_one_and_a_rate_before_its_trials():
    plan = merged([replace(GRID, learning_rates=(1e-3, 3e-3))])
    listed = tasks(plan, [])
    assert [(task.stage, task.seed, task.state) for task in listed] == [
        *[("rate", 0, "free")] * 4,
        *[("whole", seed, "blocked") for seed in (0, 0, 1, 1)],
    ]
    tried = [
        Claim(n, f"d1_c{c}_k3_lr{rate}_s0", "rate", "done", value=rate)
        for n, (c, rate) in enumerate([(4, 0.001), (4, 0.003), (8, 0.001)])
    ]
    listed = tasks(plan, tried)
    assert [task.state for task in listed] == ["done"] * 3 + ["free", "free", "blocked", "free", "blocked"]
    assert listed[4].scale == Scale(1, 4, 3)
    assert listed[4].rate == 0.003


def shown(found) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render(found))
    return console.export_text()


def test_reasons_workers_and_the_best_are_shown():
    claims = [
        claim(0, NAMES[0], "done", value=0.71234, seconds=40.0),
        claim(1, NAMES[1], "failed", reason="the loss is nan at step 3"),
        claim(2, NAMES[2], "running", worker="host:7", began=880.0, beat=997.0),
    ]
    text = shown(status_of(claims))
    for part in ("1 of 4", "0.7123", NAMES[0], "the loss is nan at step 3", "host:7", "2 min 00 s", "3 s ago"):
        assert part in text, part


def test_durations_are_readable():
    assert [duration(s) for s in (-1, 59.4, 61, 3599, 7384)] == [
        "0 s",
        "59 s",
        "1 min 01 s",
        "59 min 59 s",
        "2 h 03 min",
    ]


def test_the_command_shows_a_study_once_where_there_is_no_terminal(synthetic_set, tmp_path, capsys):
    founded = begun(tmp_path, synthetic_set)
    worked(tmp_path, founded, Fakes())
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(["study", str(tmp_path)])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert "4 of 4" in out
    assert "the study is finished" in out


def test_the_live_table_ends_with_the_study(synthetic_set, tmp_path):
    founded = begun(tmp_path, synthetic_set)
    worked(tmp_path, founded, Fakes())
    console = Console(force_terminal=True, record=True, width=120)
    show(tmp_path, console=console)
    assert "4 of 4" in console.export_text()


def test_looking_at_a_study_that_is_not_there_is_one_line_and_makes_nothing(tmp_path):
    with pytest.raises(RunError, match=r"holds no study: it has no study\.json"):
        show(tmp_path)
    assert not list(tmp_path.iterdir())


def test_looking_changes_nothing(synthetic_set, tmp_path):
    founded = begun(tmp_path, synthetic_set)
    desk = desk_of(tmp_path, founded)
    task = tasks(PLAN, [])[0]
    desk.take(task, key="k", worker="w")
    before = (tmp_path / "journal.log").read_bytes()
    show(tmp_path, console=Console(quiet=True))
    assert (tmp_path / "journal.log").read_bytes() == before
