"""The progress of a study: computed from its plan, its files and its attempts, and shown."""

import io

import pytest
from rich.console import Console
from study_fakes import GRID, Fakes, begun, queue_of, scale_of, with_levels, worked

from ecg_jax.cli import main
from ecg_jax.errors import RunError
from ecg_jax.formatting import duration
from ecg_jax.study.design import merge_grids
from ecg_jax.study.status import render, show
from ecg_jax.study.tasks import Attempt, Progress, is_finished, seconds_left, tasks

NAMES = [f"d1_c{c}_k3_lr0.003_s{s}" for s in (0, 1) for c in (4, 8)]
PLAN = merge_grids([GRID])
RATES = merge_grids([with_levels(GRID, channels=(4,), learning_rates=(1e-3, 3e-3))])
NAN, NOW = "the loss is nan at step 3", 1000.0


def running(number, name, **more):
    return Attempt(number, name, "whole", True, **more)


def done(value, seconds=40.0):
    return Progress(True, value, seconds)


def files(**stages):
    """What the files say: `rate` and `whole` are each trial name -> progress."""
    return lambda trial, stage: stages.get(stage, {}).get(trial.name, Progress())


def left_of(listed, plan=PLAN, folds=0):
    return seconds_left(listed, plan, folds, lambda scale: float(scale["channels"]), NOW)


def shown(listed, left=None) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render(listed, left, NOW))
    return console.export_text()


def test_what_is_done_running_failed_and_to_come_is_counted_once():
    attempts = [
        Attempt(0, NAMES[0], "whole", False),
        Attempt(1, NAMES[2], "whole", False),
        running(2, NAMES[2], worker="host:7", began=990.0, heartbeat=997.0),
    ]
    progress = {NAMES[0]: done(0.7), NAMES[1]: Progress(failure=NAN)}
    listed = tasks(PLAN, attempts, files(whole=progress))
    assert [(task.name, task.state) for task in listed] == list(
        zip(NAMES, ("done", "failed", "running", "free"), strict=True)
    )
    assert left_of(listed) == pytest.approx(40 - 7 + 80), "twice the channels, twice the time, less what is done"
    assert not is_finished(listed)


def test_a_trial_whose_files_are_done_is_done_whatever_its_attempts_say():
    stuck = running(0, NAMES[0], heartbeat=0.0)
    failed_before = Progress(True, 0.7, 40.0, failure=NAN)
    assert tasks(PLAN, [stuck], files(whole={NAMES[0]: failed_before}))[0].state == "done"


def test_a_study_is_finished_when_every_trial_is_done_or_failed():
    progress = dict.fromkeys(NAMES, done(0.7)) | {NAMES[1]: Progress(failure=NAN)}
    assert is_finished(tasks(PLAN, [], files(whole=progress)))
    del progress[NAMES[0]]
    assert not is_finished(tasks(PLAN, [], files(whole=progress)))


def test_the_time_left_is_shared_by_the_workers_and_not_known_before_the_first_is_done():
    attempts = [running(n, NAMES[n], began=1000.0, heartbeat=1000.0) for n in (1, 2)]
    listed = tasks(PLAN, attempts, files())
    assert left_of(listed) is None
    assert "not known before the first trial is done" in shown(listed)
    both = tasks(PLAN, attempts, files(whole={NAMES[0]: done(0.7)}))
    assert left_of(both) == pytest.approx((80 + 40 + 80) / 2)


def test_a_worker_that_has_not_reported_for_its_lease_is_not_active():
    attempts = [
        running(n, NAMES[n], worker=f"host:{n}", heartbeat=heartbeat, lease_seconds=60.0)
        for n, heartbeat in enumerate((990.0, 900.0))
    ]
    rows = shown(tasks(PLAN, attempts, files())).splitlines()
    assert any(row.split() == ["running", "1"] for row in rows)
    assert any(row.split()[:2] == ["silent", "1:"] and "start the study's command again" in row for row in rows)


def test_with_several_rates_and_folds_the_runs_that_are_left_are_counted():
    listed = tasks(RATES, [], files(rate={"d1_c4_k3_lr0.001_s0": done(0.6, 10.0)}))
    assert [task.state for task in listed] == ["done", "free", "blocked", "blocked"]
    assert left_of(listed, RATES, folds=3) == pytest.approx(10 * (1 + 2 + 3)), "a rate; the rest of seed 0; seed 1"
    assert "0.6000  d1_c4_k3_lr0.001_s0 (validation macro AUROC, of the first fold)" in shown(listed)


def test_a_whole_trial_is_best_before_a_rate_that_was_tried():
    rates = {"d1_c4_k3_lr0.001_s0": done(0.9), "d1_c4_k3_lr0.003_s0": done(0.8)}
    whole = {"d1_c4_k3_lr0.001_s0": done(0.7)}
    listed = tasks(RATES, [], files(rate=rates, whole=whole))
    assert "0.7000  d1_c4_k3_lr0.001_s0 (validation macro AUROC)" in shown(listed)


def test_a_later_seed_comes_after_all_of_an_earlier_one_and_a_rate_before_its_trials():
    plan = merge_grids([with_levels(GRID, learning_rates=(1e-3, 3e-3))])
    listed = tasks(plan, [], files())
    assert [(task.stage, task.seed, task.state) for task in listed] == [
        *[("rate", 0, "free")] * 4,
        *[("whole", seed, "blocked") for seed in (0, 0, 1, 1)],
    ]
    tried = {f"d1_c{c}_k3_lr{rate}_s0": done(rate) for c, rate in [(4, 0.001), (4, 0.003), (8, 0.001)]}
    listed = tasks(plan, [], files(rate=tried))
    assert [task.state for task in listed] == ["done"] * 3 + ["free", "free", "blocked", "free", "blocked"]
    assert listed[4].scale == scale_of(1, 4, 3)
    assert listed[4].rate == 0.003


def test_a_failure_is_retried_once():
    failed = {NAMES[0]: Progress(failure=NAN, failed_at=5)}
    assert tasks(PLAN, [], files(whole=failed))[0].state == "failed"
    assert tasks(PLAN, [], files(whole=failed), {NAMES[0]: 5})[0].state == "free"
    again = {NAMES[0]: Progress(failure=NAN, failed_at=6)}
    assert tasks(PLAN, [], files(whole=again), {NAMES[0]: 5})[0].state == "failed"


def test_reasons_workers_and_the_best_are_shown():
    attempts = [running(2, NAMES[2], worker="host:7", began=880.0, heartbeat=997.0)]
    progress = {NAMES[0]: done(0.71234), NAMES[1]: Progress(failure=NAN)}
    text = shown(tasks(PLAN, attempts, files(whole=progress)), 3700.0)
    for part in ("1 of 4", "0.7123", NAMES[0], NAN, "host:7", "2 min 00 s", "3 s ago", "1 h 01 min"):
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
    folder = begun(tmp_path, synthetic_set)
    worked(folder, Fakes())
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(["study", str(tmp_path)])
    assert not end.value.code
    out = capsys.readouterr().out
    assert "4 of 4" in out
    assert "the study is finished" in out


def test_the_live_table_ends_with_the_study(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    worked(folder, Fakes())
    console = Console(force_terminal=True, record=True, width=120)
    show(tmp_path, console=console)
    assert "4 of 4" in console.export_text()


def test_looking_at_a_study_that_is_not_there_is_one_line_and_makes_nothing(tmp_path):
    with pytest.raises(RunError, match=r"is not the folder of a study: it has no study\.json"):
        show(tmp_path)
    assert not list(tmp_path.iterdir())


def test_looking_changes_nothing(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    queue_of(folder).claim(tasks(PLAN, [], files())[0], key="k", worker="w")
    before = (tmp_path / "journal.log").read_bytes()
    show(tmp_path, console=Console(quiet=True))
    assert (tmp_path / "journal.log").read_bytes() == before
