"""Workers of a study: each trial once, in order, whatever stops them. Nothing is trained, except in one test."""

import io
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from rich.console import Console
from study_fakes import GRID, QUIET, Fakes, begun, is_trial, queue_of, with_levels, worked

from ecg_jax.errors import ConfigError, DataError, RunError
from ecg_jax.study.design import Grid, Trial, merge_grids
from ecg_jax.study.results import load_results
from ecg_jax.study.storage import check_reachable, check_storage, open_storage
from ecg_jax.study.tasks import Attempt, Progress, Task, is_valid, next_task, tasks
from ecg_jax.study.trial_queue import TrialQueue, open_trial_queue
from ecg_jax.study.workdir import open_study
from ecg_jax.study.worker import LeaseWatch, heartbeats, process_is_dead

RATES = with_levels(GRID, learning_rates=(1e-3, 3e-3, 9e-3))
BELOW = [(0.000333, "pilot"), (0.000111, "pilot"), (3.7e-05, "pilot"), (3.7e-05, "s0")]


def tasks_of(folder) -> list[Task]:
    return tasks(folder.plan(), queue_of(folder).attempts(), folder.progress)


def states(folder) -> list[str]:
    return [task.state for task in tasks_of(folder)]


def free_tasks(grid: Grid) -> list[Task]:
    """The tasks of a grid of which nothing is trained yet."""
    return tasks(merge_grids([grid]), [], lambda trial, stage: Progress())


def test_every_trial_is_trained_once_seed_after_seed(synthetic_set, tmp_path):
    fakes = worked(begun(tmp_path, synthetic_set), Fakes())
    assert fakes.trained == [f"d1_c{c}_k3_lr0.003_s{s}" for s in (0, 1) for c in (4, 8)]
    assert fakes.predicted == fakes.trained
    assert (tmp_path / "trials.csv").is_file()


def test_rates_are_tried_on_one_fold_by_a_pilot_that_counts_in_no_trial(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set, RATES, folds=(2, 5, 6))
    fakes = worked(folder, Fakes())
    tried = [f"d1_c{c}_k3_lr{rate}_pilot/fold_2" for c in (4, 8) for rate in RATES.learning_rates]
    assert fakes.trained[:6] == tried
    trials = [f"d1_c{c}_k3_lr0.003_s{s}/fold_{fold}" for s in (0, 1) for c in (4, 8) for fold in (2, 5, 6)]
    assert fakes.trained[6:] == fakes.predicted == trials, "the fakes are best at this rate"
    found = load_results(folder)
    assert {row["seed"] for row in found.rows} == {0, 1}
    assert [row["learning_rate"] for row in found.pilot] == [*RATES.learning_rates] * 2
    assert [row["chosen"] for row in found.pilot] == [0, 1, 0] * 2
    assert {row["rate_edge"] for row in found.rows} == {None}


def test_a_study_begun_before_the_pilot_chooses_its_rates_with_seed_0_which_counts(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set, RATES, folds=(2, 5))
    values = json.loads((tmp_path / "study.json").read_text())
    del values["study"]["rate_seed"]  # as earlier versions wrote it
    (tmp_path / "study.json").write_text(json.dumps(values))
    fakes = worked(begun(tmp_path, synthetic_set, RATES, folds=(2, 5)), Fakes(best_rate=9e-3))
    tried = [f"d1_c{c}_k3_lr{rate}_s0/fold_2" for c in (4, 8) for rate in RATES.learning_rates]
    rest = [f"d1_c{c}_k3_lr0.009_s0/fold_5" for c in (4, 8)]
    assert fakes.trained[:8] == tried + rest, "the first fold of the chosen rate is there, and none beyond it is tried"
    found = load_results(open_study(tmp_path))
    assert found.pilot == []
    assert {row["rate_edge"] for row in found.rows if row["chosen"]} == {"high"}
    assert json.loads((tmp_path / "trials" / "d1_c4_k3_lr0.009_s0" / "trial.json").read_text())["key"] == (
        folder.study.trial_key(Trial(GRID.scales()[0], 9e-3, 0))
    )


def test_while_the_best_rate_is_at_an_edge_one_step_beyond_it_is_tried(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set, with_levels(RATES, channels=(4,), seeds=1))
    fakes = worked(folder, Fakes(best_rate=0.08))
    rates = [1e-3, 3e-3, 9e-3, 0.027, 0.081, 0.243]
    assert fakes.trained[:-1] == [f"d1_c4_k3_lr{rate}_pilot" for rate in rates]
    assert fakes.trained[-1] == "d1_c4_k3_lr0.081_s0"
    assert {row["rate_edge"] for row in load_results(folder).rows} == {None}


def test_a_rate_that_is_plainly_worse_is_stopped_at_a_pause_and_is_not_chosen(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set, with_levels(RATES, channels=(4,), seeds=1), epochs=20)
    fakes = worked(folder, Fakes(worse=lambda config: config.train.learning_rate == 9e-3))
    names = [f"d1_c4_k3_lr{rate}_pilot" for rate in RATES.learning_rates]
    assert fakes.paused == [(name, 5) for name in names] + [(name, 10) for name in names[:2]]
    assert fakes.trained == [*names[:2], "d1_c4_k3_lr0.003_s0"]
    rows = {row["learning_rate"]: row for row in load_results(folder).pilot}
    assert [(rows[rate]["epochs"], rows[rate]["chosen"]) for rate in rows] == [(20, 0), (20, 1), (5, 0)]
    assert rows[9e-3]["validation_macro_auroc"] == 0.4
    assert worked(open_study(tmp_path), Fakes()).trained == []


def test_rates_of_short_trainings_do_not_pause(synthetic_set, tmp_path):
    fakes = worked(begun(tmp_path, synthetic_set, RATES, epochs=7), Fakes(worse=lambda config: True))
    assert fakes.paused == []


def test_a_pause_waits_for_all_rates_and_a_rate_that_fails_holds_none_up(synthetic_set, tmp_path):
    grid = with_levels(RATES, channels=(4,), seeds=1)
    folder = begun(tmp_path, synthetic_set, grid, epochs=20)
    fakes = worked(folder, Fakes(fails=lambda config: config.train.learning_rate == 1e-3))
    assert fakes.trained[-1] == "d1_c4_k3_lr0.003_s0"
    assert [task.state for task in tasks_of(folder)] == ["failed", "done", "done", "done"]


def test_three_steps_are_tried_beyond_an_edge_and_then_the_edge_is_said(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set, with_levels(RATES, channels=(4,), seeds=1))
    fakes = worked(folder, Fakes(best_rate=1e-9))
    assert fakes.trained[3:] == [f"d1_c4_k3_lr{rate}_{seed}" for rate, seed in BELOW]
    (row,) = load_results(folder).rows
    assert (row["rate_edge"], row["chosen"]) == ("low", 1)


def test_a_study_that_is_extended_goes_on_from_its_trials_and_keeps_the_rates_of_its_pilot(synthetic_set, tmp_path):
    first = worked(begun(tmp_path, synthetic_set, RATES, epochs=20), Fakes())
    folder = begun(tmp_path, synthetic_set, RATES, epochs=30, restarts=(20,))
    second = worked(folder, Fakes())
    assert second.trained == second.predicted == first.predicted, "each trial once more, and nothing of the pilot"
    assert open_study(tmp_path).study.base.train.restarts == (20,)
    found = load_results(open_study(tmp_path))
    assert found.notes == ()
    assert {row["epochs"] for row in found.rows} == {30}
    assert {row["epochs"] for row in found.pilot} == {20}
    assert not list((tmp_path / "trials").glob("*set_aside*"))
    for task in tasks_of(folder):
        said = json.loads((tmp_path / "trials" / task.name / "trial.json").read_text())
        assert said["key"] == folder.study.trial_key(task.trial)
    with pytest.raises(RunError, match=r"base.train.epochs was 30, is now 20"):
        begun(tmp_path, synthetic_set, RATES, epochs=20)


def test_a_study_without_a_pilot_is_extended_at_the_rates_it_chose_alone(synthetic_set, tmp_path):
    begun(tmp_path, synthetic_set, RATES, epochs=20)
    values = json.loads((tmp_path / "study.json").read_text())
    del values["study"]["rate_seed"]
    (tmp_path / "study.json").write_text(json.dumps(values))
    first = worked(begun(tmp_path, synthetic_set, RATES, epochs=20), Fakes())
    second = worked(begun(tmp_path, synthetic_set, RATES, epochs=30, restarts=(20,)), Fakes())
    assert second.trained == first.predicted


def test_trials_that_are_not_extended_yet_are_no_results(synthetic_set, tmp_path):
    worked(begun(tmp_path, synthetic_set, epochs=20), Fakes())
    folder = begun(tmp_path, synthetic_set, epochs=30, restarts=(20,))
    assert states(folder) == ["free"] * 4
    assert load_results(folder).predictions is None


def test_key_and_name_are_in_the_trials_folder(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    worked(folder, Fakes())
    for scale in GRID.scales():
        trial = Trial(scale, 3e-3, 1)
        said = json.loads((tmp_path / "trials" / trial.name / "trial.json").read_text())
        assert (said["key"], said["seed"], said["failure"]) == (folder.study.trial_key(trial), 1, None)


def test_a_finished_study_does_nothing_and_says_so(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    worked(folder, Fakes())
    before = (tmp_path / "journal.log").read_bytes(), (tmp_path / "trials.csv").stat().st_mtime_ns
    console = Console(record=True, file=io.StringIO())
    fakes = worked(folder, Fakes(), console=console)
    assert fakes.trained == fakes.predicted == []
    assert "is finished: nothing to do" in console.export_text()
    assert ((tmp_path / "journal.log").read_bytes(), (tmp_path / "trials.csv").stat().st_mtime_ns) == before


def test_a_wider_grid_trains_only_its_new_points(synthetic_set, tmp_path):
    worked(begun(tmp_path, synthetic_set), Fakes())
    wider = with_levels(GRID, kernels=(3, 5), channels=(4,), seeds=3)
    fakes = worked(begun(tmp_path, synthetic_set, wider), Fakes())
    news = ["d1_c4_k5_lr0.003_s0", "d1_c4_k5_lr0.003_s1", "d1_c4_k3_lr0.003_s2", "d1_c4_k5_lr0.003_s2"]
    assert fakes.trained == news


def test_another_base_or_another_set_is_refused_with_both_sides(synthetic_set, tmp_path):
    begun(tmp_path, synthetic_set)
    with pytest.raises(RunError, match=r"base.train.epochs was 30, is now 7"):
        begun(tmp_path, synthetic_set, epochs=7)
    with pytest.raises(RunError, match=r"folds was \[\], is now \[1, 2\]"):
        begun(tmp_path, synthetic_set, folds=(1, 2))
    begun(tmp_path, synthetic_set, parallel="pmap")  # may differ from worker to worker
    text = (tmp_path / "study.json").read_text()
    fingerprint = json.loads(text)["study"]["fingerprint"]
    (tmp_path / "study.json").write_text(text.replace(fingerprint, "other"))
    with pytest.raises(RunError, match=f"fingerprint was 'other', is now '{fingerprint}'"):
        begun(tmp_path, synthetic_set)


def test_a_trial_that_fails_is_recorded_and_the_study_goes_on(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    worked(folder, Fakes(fails=is_trial(folder, 4, 0)))
    assert states(folder) == ["failed", "done", "done", "done"]
    assert tasks_of(folder)[0].failure == "the loss is nan at step 3; no epoch was whole"
    assert worked(folder, Fakes()).trained == [], "only when asked"
    assert worked(folder, Fakes(), retry_failed=True).trained == ["d1_c4_k3_lr0.003_s0"]
    assert states(folder) == ["done"] * 4


def test_together_the_seeds_of_a_scale_are_trained_in_one_call(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set, with_levels(GRID, seeds=3))
    fakes = worked(folder, Fakes(), together=2)
    assert fakes.together == [2, 2, 1, 1]  # two seeds of each scale, then the third ones
    assert states(folder) == ["done"] * 6


def test_by_default_as_many_runs_as_are_fastest_are_trained_together(synthetic_set, tmp_path):
    fakes = Fakes()
    fakes.fastest = 4
    folder = begun(tmp_path, synthetic_set, with_levels(GRID, seeds=3), folds=(1, 2))
    assert worked(folder, fakes).together == [4, 4, 2, 2]  # two seeds of two folds, then one


def test_a_trial_with_more_runs_than_are_trained_together_is_trained_in_parts(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set, with_levels(GRID, seeds=1, channels=(4,)), folds=(1, 2, 3))
    assert worked(folder, Fakes(), together=2).together == [2, 1]


def test_of_trials_together_one_that_fails_fails_alone(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    fakes = Fakes(fails=is_trial(folder, 4, 1))
    worked(folder, fakes, together=2)
    assert states(folder) == ["done", "done", "failed", "done"]


def test_a_failed_trial_is_retried_once_and_not_for_ever(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    always = Fakes(fails=lambda config: config.model.channels == 4)
    worked(folder, always)
    worked(folder, always, retry_failed=True)
    assert states(folder) == ["failed", "done", "failed", "done"]
    assert len(queue_of(folder).attempts()) == 2 + 2 + 2


def test_a_rate_that_fails_is_not_chosen_and_a_scale_without_rates_is_left(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set, RATES)
    fakes = Fakes(fails=lambda c: c.train.learning_rate == 3e-3 or c.model.channels == 8)
    worked(folder, fakes)
    assert [(task.name, task.state) for task in tasks_of(folder) if task.stage == "whole"] == [
        ("d1_c4_k3_lr0.001_s0", "done"),
        ("d1_c8_k3_s0", "failed"),
        ("d1_c4_k3_lr0.001_s1", "done"),
        ("d1_c8_k3_s1", "failed"),
    ]


def test_a_stop_gives_the_trial_back_at_once(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)

    def stop(config):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worked(folder, Fakes(before=stop))
    assert states(folder) == ["free"] * 4
    began = time.monotonic()
    assert len(worked(folder, Fakes(), lease_seconds=60).trained) == 4
    assert time.monotonic() - began < 60


def test_the_trial_of_a_silent_worker_is_taken_up_by_another(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    queue, task = queue_of(folder), free_tasks(GRID)[0]
    attempt = queue.claim(task, key="k", worker="elsewhere:1", lease_seconds=0.3)  # and killed with -9
    assert attempt is not None
    fakes = worked(folder, Fakes())
    assert fakes.trained[-1] == task.name, "what was free came first"
    assert sorted(fakes.trained) == sorted(f"d1_c{c}_k3_lr0.003_s{s}" for s in (0, 1) for c in (4, 8))
    assert not queue.attempts()[attempt.number].running
    assert not queue.complete(attempt, 0.5), "it is another's now"
    assert states(folder) == ["done"] * 4


def test_each_attempt_is_judged_by_its_own_lease():
    patient = Attempt(0, "t", "whole", True, heartbeat=1.0, lease_seconds=60.0)
    both = [patient, replace(patient, number=1, lease_seconds=1.0)]
    watch = LeaseWatch()
    watch.expired(both, now=0.0)
    assert [attempt.number for attempt in watch.expired(both, now=5.0)] == [1]


def test_a_set_that_is_away_ends_the_worker_and_fails_no_trial(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)

    def away(config):
        raise DataError("the prepared set is away")

    with pytest.raises(DataError):
        worked(folder, Fakes(before=away))
    assert len(worked(folder, Fakes()).trained) == 4
    assert states(folder) == ["done"] * 4


def test_a_retry_that_is_cut_off_leaves_the_failure_as_it_was(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    worked(folder, Fakes(fails=lambda config: config.model.channels == 4))
    before = load_results(folder)

    def stop(config):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worked(folder, Fakes(before=stop), retry_failed=True)
    assert load_results(folder).seeds == before.seeds == (0, 1)
    worked(folder, Fakes(), retry_failed=True)
    assert load_results(folder).left_out == {}


def test_a_study_is_begun_on_a_server_before_its_first_trial_only(tmp_path, monkeypatch):
    monkeypatch.setattr("ecg_jax.study.trial_queue.open_storage", lambda *_: optuna.storages.InMemoryStorage())
    server = "postgresql://me@elsewhere/data"
    assert open_trial_queue(tmp_path, "mine", server, create=True).attempts() == []
    (tmp_path / "trials").mkdir()
    for create, storage in ((True, server), (False, server), (False, "journal.log")):
        with pytest.raises(RunError, match="no study mine in this storage"):
            open_trial_queue(tmp_path, "mine", storage, create=create)
    assert open_trial_queue(tmp_path, "mine", server, create=True, begun=False).attempts() == []


def test_workers_share_a_study_and_wait_for_a_slow_one(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set, with_levels(GRID, channels=(4, 8, 12), seeds=3))
    many = [Fakes(before=lambda config: time.sleep(1.5 if config.model.channels == 4 else 0.05)) for _ in range(4)]
    threads = [threading.Thread(target=worked, args=(folder, fakes), kwargs={"lease_seconds": 0.9}) for fakes in many]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trained = [name for fakes in many for name in fakes.trained]
    assert len(trained) == len(set(trained)) == 9, "a trial longer than the lease stays its worker's"
    assert states(folder) == ["done"] * 9
    assert not any(attempt.running for attempt in queue_of(folder).attempts())


def test_beside_others_a_worker_begins_a_scale_that_it_compiled_then_one_that_nobody_trains_and_never_a_later_seed():
    free = free_tasks(with_levels(GRID, channels=(4, 8, 12)))
    first, second, third = (task.scale for task in free[:3])

    def begins(compiled, in_training):
        task = next_task(free, compiled, in_training)
        return task.scale, task.seed

    assert begins({third}, ()) == (first, 0), "alone it keeps the order"
    assert begins((), {first}) == (second, 0)
    assert begins({third}, {first}) == (third, 0)
    assert begins((), {first, second, third}) == (first, 0), "it helps rather than waits"
    without_third = [task for task in free if task.seed == 1 or task.scale != third]
    assert next_task(without_third, {third}, {first}).seed == 0, "a seed is finished before the next begins"


def race(queues: list[TrialQueue], grid: Grid) -> list[Attempt]:
    """All queues claim all tasks at the same moment, each in the same order."""
    won: list[Attempt] = []
    start = threading.Barrier(len(queues))

    def claim_all(queue: TrialQueue) -> None:
        start.wait()
        for task in free_tasks(grid):
            attempt = queue.claim(task, key=task.name, worker="w")
            if attempt is not None:
                won.append(attempt)

    threads = [threading.Thread(target=claim_all, args=(queue,)) for queue in queues]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won


@pytest.mark.parametrize("kind", ["journal", "postgresql"])
def test_of_many_attempts_at_a_trial_one_is_valid(kind, tmp_path, request):
    storage = "journal.log" if kind == "journal" else request.getfixturevalue("postgresql")
    grid = with_levels(GRID, kernels=(3, 5, 7))
    queues: list[TrialQueue] = []
    threads = [
        threading.Thread(target=lambda: queues.append(TrialQueue(open_storage(tmp_path, storage), "r")))
        for _ in range(6)
    ]
    for thread in threads:  # all create the tables and the study at once
        thread.start()
    for thread in threads:
        thread.join()
    assert len(queues) == 6
    won = race(queues, grid)
    assert sorted(attempt.trial for attempt in won) == sorted(task.name for task in free_tasks(grid))


def test_a_worker_is_dead_when_its_heartbeat_does_not_change_for_the_whole_lease():
    def attempt(number, heartbeat):
        return Attempt(number, "t", "whole", True, heartbeat=heartbeat, lease_seconds=10.0)

    watch = LeaseWatch()
    assert watch.expired([attempt(0, 1.0), attempt(1, 1.0)], now=0.0) == []
    assert watch.expired([attempt(0, 1.0), attempt(1, 2.0)], now=9.0) == []
    assert watch.expired([attempt(0, 1.0), attempt(1, 2.0)], now=10.5) == [attempt(0, 1.0)]
    assert watch.expired([attempt(1, 2.0)], now=18.0) == []
    assert LeaseWatch().expired([attempt(0, -1e9)], now=5.0) == [], "the clocks of other machines count for nothing"


def test_a_dead_process_of_this_machine_need_not_be_watched_first():
    process = subprocess.Popen(["true"])
    process.wait()
    dead = Attempt(0, "t", "whole", True, worker=f"{platform.node()}:{process.pid}", lease_seconds=10.0)
    dead = replace(dead, heartbeat=time.time() - 20)
    assert process_is_dead(dead)
    assert not process_is_dead(replace(dead, lease_seconds=30.0)), "it reported lately, perhaps from a container"
    assert not process_is_dead(replace(dead, worker=f"{platform.node()}:{os.getpid()}"))
    assert not process_is_dead(replace(dead, worker=f"elsewhere:{process.pid}"))
    assert LeaseWatch(process_is_dead).expired([dead], now=0.0) == [dead]


def test_a_worker_that_lost_its_attempt_ends_and_one_whose_storage_is_away_does_not():
    lost, calls = [], []

    def heartbeat():
        calls.append(1)
        raise OSError("away") if len(calls) < 3 else UpdateFinishedTrialError("another's")

    with heartbeats(heartbeat, 0.01, 60, lost.append):
        time.sleep(0.5)
    assert lost == ["this worker did not report for too long, and its trial was taken over; start it again"]
    assert len(calls) == 3


def test_an_older_running_attempt_at_the_same_trial_makes_a_younger_one_invalid():
    older, younger = (Attempt(number, "t", "whole", True) for number in (0, 1))
    assert is_valid(older, [older, younger])
    assert not is_valid(younger, [older, younger])
    assert not is_valid(younger, [replace(older, stage="rate"), younger]), "the folder is the same"
    assert is_valid(younger, [replace(older, running=False), younger])
    assert is_valid(younger, [replace(older, trial="another"), younger])


def test_a_trial_whose_files_are_gone_is_trained_again(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    worked(folder, Fakes())
    gone = Trial(GRID.scales()[1], 3e-3, 0)
    shutil.rmtree(folder.trial_folder(gone))
    assert states(folder) == ["done", "free", "done", "done"]
    assert worked(folder, Fakes()).trained == [gone.name]


def test_a_trial_that_a_kill_cut_off_after_its_last_file_is_done(synthetic_set, tmp_path):
    folder, fakes = begun(tmp_path, synthetic_set), Fakes()
    trial = Trial(GRID.scales()[0], 3e-3, 0)
    fakes.runner.finish(
        {folder.trial_folder(trial): folder.study.config(*vars(trial).values())}, predict=True, console=QUIET
    )
    assert states(folder) == ["done", "free", "free", "free"]


def test_a_line_that_a_kill_cut_off_does_not_spoil_the_journal(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    queue_of(folder)
    with (tmp_path / "journal.log").open("ab") as file:
        file.write(b'{"op_code": 4, "worker')
    assert len(worked(folder, Fakes()).trained) == 4
    assert states(folder) == ["done"] * 4


def test_a_storage_that_does_not_answer_is_one_line():
    pytest.importorskip("psycopg")
    with pytest.raises(RunError, match=r"the study's storage does not answer \(connection failed"):
        check_reachable("postgresql://me@127.0.0.1:1/nothing")
    check_reachable("")


def test_sqlite_is_refused():
    with pytest.raises(ConfigError, match="one trial to two workers"):
        check_storage("sqlite:///s.db")


WHOLE = """
import collections, jax, sys
counts = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **_: counts.update([event.rpartition("/")[2]]))
from ecg_jax.scripts.experiment import GridArgs, read_arguments, train_study
from ecg_jax.training import loop
trained = loop.run_together
def run_together(runs, **settings):
    before = counts.copy()
    results = trained(runs, **settings)
    (workdir,) = runs
    print("compiled", workdir.parent.name, (counts - before)["cache_misses"], (counts - before)["cache_hits"])
    return results
loop.run_together = run_together
train_study(read_arguments(GridArgs, sys.argv[1:]))
"""


def test_the_whole_with_real_training_compiles_a_scale_once_draws_nothing_and_reads_no_test_label(
    synthetic_set, tmp_path
):
    flags = ["--depths", "1", "--channels", "4", "--kernels", "3", "--base", "local", "--seeds", "2"]
    flags += [
        "--learning-rates",
        "0.003",
        "--folds",
        "3",
        "5",
        "--train.epochs",
        "2",
        "--data.window-seconds",
        "2",
        "--evaluate.resamples",
        "20",
    ]
    command = [sys.executable, "-c", WHOLE, "--data", str(synthetic_set), "--workdir"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command += [str(tmp_path / "study"), *flags]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("compiled")]
    assert [line[1] for line in lines] == [f"d1_c4_k3_lr0.003_s{s}" for s in (0, 0, 1, 1)]
    assert int(lines[0][2]) > 0, "the first has to be compiled"
    assert [line[2:] for line in lines[2:]] == [["0", "0"]] * 2, "nothing of a scale seen before, not even from files"
    assert list((tmp_path / "cache" / "ecg_jax" / "compiled").rglob("*-cache"))
    assert not list((tmp_path / "study").rglob("*-cache")), "what is compiled is executed, so no study brings it along"
    folders = [tmp_path / "study" / "trials" / f"d1_c4_k3_lr0.003_s{s}" / f"fold_{f}" for s in (0, 1) for f in (3, 5)]
    from ecg_jax.inference import predict_split
    from ecg_jax.training.result import read_predictions

    for folder in folders:
        assert (folder / "predictions_test.csv").is_file()
        assert not list(folder.glob("*.png"))
        assert not (folder / "result_test.json").exists()
    ids, probability, _ = read_predictions(folders[0] / "predictions_test.csv")
    _, expected = predict_split(folders[0], "test")
    assert list(ids) == list(expected.prepared.record_ids[expected.indices])
    assert abs(probability - expected.probability).max() < 1e-4
    assert set(expected.prepared.folds[expected.indices]) == {3}
