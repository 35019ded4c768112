"""Studies whose files, data or storage are damaged, exchanged or away: nothing false is counted, and advice helps."""

import io
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import InMemoryStorage
from rich.console import Console
from study_fakes import GRID, Fakes, begun, is_trial, queue_of, with_levels, worked

from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import DataError, InUseError, RunError, UserError
from ecg_jax.report.recommend import advise
from ecg_jax.report.write import conclude_study
from ecg_jax.scripts.experiment import finished_predictions
from ecg_jax.study.latency import forget, latencies
from ecg_jax.study.results import load_results
from ecg_jax.study.status import show
from ecg_jax.study.storage import StorageAway
from ecg_jax.study.tasks import Task, tasks
from ecg_jax.study.trial_queue import TrialQueue
from ecg_jax.study.workdir import create_or_open, open_study
from ecg_jax.study.worker import heartbeats

NAMES = [f"d1_c{c}_k3_lr0.003_s{s}" for s in (0, 1) for c in (4, 8)]
FIRST = GRID.scales()[0]


@pytest.fixture(scope="module")
def other_set(tmp_path_factory) -> Path:
    """A prepared set with the labels and folds of `synthetic_set`, and other recordings."""
    from ecg_jax.dataset.prepare import prepare
    from ecg_jax.dataset.prepare_config import PrepareConfig
    from ecg_jax.sources import Synthetic

    folder = tmp_path_factory.mktemp("prepared") / "other"
    prepare(PrepareConfig(Synthetic(records=40), folder, workers=1), Console(quiet=True))
    return folder


def task_of(folder, name: str) -> Task:
    return next(task for task in tasks(folder.plan(), [], folder.progress) if task.name == name)


def train_elsewhere(folder, name: str, data: Path) -> None:
    """Leaves the files that a run on another set leaves in the folder of a trial."""
    config = folder.study.config(task_of(folder, name).scale, 3e-3, task_of(folder, name).seed)
    config = replace(config, data=replace(config.data, path=data))
    Fakes().runner.finish({folder.path / "trials" / name: config}, predict=True, console=Console(quiet=True))


# --- the set of the study ---------------------------------------------------------------------------------------------


def test_a_trial_of_another_set_is_named_left_out_and_trained_again(synthetic_set, other_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    train_elsewhere(folder, NAMES[3], other_set)
    fakes = Fakes()
    fakes.before = lambda config: stop() if len(fakes.trained) == 2 else None
    with pytest.raises(KeyboardInterrupt):
        worked(folder, fakes)
    found = load_results(folder)
    assert found.seeds == (0,)
    assert [(row["channels"], row["seed"]) for row in found.rows] == [(4, 0), (8, 0)]
    (note,) = (note for note in found.notes if note.startswith("left out"))
    for part in (NAMES[3], open_prepared(other_set).fingerprint, folder.study.fingerprint, "trains it again"):
        assert part in note
    assert worked(folder, Fakes()).trained == NAMES[2:]
    found = load_results(folder)
    assert found.seeds == (0, 1)
    assert found.notes == ()


def stop():
    raise KeyboardInterrupt


def test_what_was_set_aside_is_kept(synthetic_set, other_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    train_elsewhere(folder, NAMES[0], other_set)
    before = (tmp_path / "trials" / NAMES[0] / "result.json").read_bytes()
    worked(folder, Fakes())
    (aside,) = (tmp_path / "trials").glob(f"{NAMES[0]}.*")
    assert (aside / "result.json").read_bytes() == before


def test_a_set_exchanged_under_a_worker_ends_it_and_fails_no_trial(synthetic_set, other_set, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(synthetic_set, data)
    folder = begun(tmp_path / "study", data)
    fakes = Fakes()

    def exchange(config):
        if len(fakes.trained) == 1:
            shutil.rmtree(data)
            shutil.copytree(other_set, data)

    fakes.before = exchange
    with pytest.raises(DataError, match=r"data is now the set \w+, the study is of \w+; put that set back"):
        worked(folder, fakes)
    assert [attempt.running for attempt in queue_of(folder).attempts()] == [False, False]
    assert folder.foreign(task_of(folder, NAMES[1]).trial), "it was trained on the other set"
    with pytest.raises(DataError, match="put that set back"):
        worked(folder, Fakes())
    shutil.rmtree(data)
    shutil.copytree(synthetic_set, data)
    assert worked(folder, Fakes()).trained == NAMES[1:], "as the message says"
    assert load_results(folder).notes == ()


def test_another_set_at_the_place_of_the_data_is_refused_with_both_fingerprints(finished, other_set):
    folder = open_study(finished)
    with pytest.raises(RunError, match=f"is a study of the set {folder.study.fingerprint}.*give its new place"):
        load_results(folder, data=other_set)


def test_trials_of_a_study_with_other_settings_do_not_count(synthetic_set, tmp_path):
    worked(begun(tmp_path, synthetic_set, epochs=3), Fakes())
    (tmp_path / "study.json").unlink()
    folder = begun(tmp_path, synthetic_set, epochs=4)
    assert [task.state for task in tasks(folder.plan(), [], folder.progress)] == ["free"] * 4
    assert "begun by a study of other settings" in load_results(folder).notes[0]
    assert worked(folder, Fakes()).trained == NAMES


def test_labels_that_are_not_those_of_the_set_are_refused(finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "trials" / NAMES[3] / "predictions_test.csv"
    header, *rows = path.read_text().splitlines()
    rows = [row[:-1] + ("0" if row.endswith("1") else "1") for row in rows]
    path.write_text("\n".join([header, *rows]) + "\n")
    with pytest.raises(RunError, match=f"{NAMES[3]}/predictions_test.csv has other records or labels.*delete it"):
        load_results(open_study(tmp_path))


@pytest.mark.parametrize("threshold", [None, "of another label"])
def test_a_result_without_a_threshold_of_each_label_is_refused(threshold, finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "trials" / NAMES[3] / "result.json"
    values = json.loads(path.read_text())
    name, figures = next(iter(values["per_label"].items()))
    if threshold == "of another label":
        values["per_label"]["other"] = values["per_label"].pop(name)
    else:
        figures["threshold"] = None
    path.write_text(json.dumps(values))
    with pytest.raises(RunError, match=rf"{NAMES[3]}/result\.json has no threshold of each label; delete it"):
        load_results(open_study(tmp_path))


# --- damaged files ----------------------------------------------------------------------------------------------------

DAMAGED = {
    "empty": b"",
    "zeros": b"\0" * 50,
    "not UTF-8": b"\xff\xfe{}",
    "a list": b"[]",
    "no keys": b"{}",
    "wrong types": b'{"key": 1, "failure": [], "name": [], "study": 3, "depths": 7, "metrics": 0}',
    "endless": b"[" * 100_000,
}


@pytest.fixture(scope="module")
def finished(synthetic_set, tmp_path_factory) -> Path:
    """A finished study, to be copied."""
    folder = begun(tmp_path_factory.mktemp("finished"), synthetic_set)
    worked(folder, Fakes())
    return folder.path


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("name", ["study.json", "grids", "trial.json", "result.json", "predictions_test.csv"])
def test_a_damaged_file_is_one_line_that_names_it_and_its_advice_helps(name, damage, finished, synthetic_set, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    path = tmp_path / name if name == "study.json" else tmp_path / "trials" / NAMES[3] / name
    path = next((tmp_path / "grids").iterdir()) if name == "grids" else path
    path.write_bytes(DAMAGED[damage])
    with pytest.raises(RunError) as refused:
        load_results(open_study(tmp_path))
    assert path.name in str(refused.value)
    assert "delete it" in str(refused.value)
    assert "\n" not in str(refused.value)
    path.unlink()
    worked(begun(tmp_path, synthetic_set), Fakes())
    assert load_results(open_study(tmp_path)).seeds == (0, 1)


@pytest.mark.parametrize("name", ["study.json", "trials/d1_c4_k3_lr0.003_s0/trial.json"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(name, finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(RunError, match=r"cannot be read \(it is not a file\)"):
        load_results(open_study(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": "3"},
        {"seeds": 10**9},
        {"learning_rates": ["fast"]},
        {"learning_rates": [float("nan")]},
        {"channels": 5},
        {"channels": [10**400]},
        {"kernels": ["../../x"]},
        {"kernels": list(range(1, 100_000))},
    ],
)
def test_a_grid_of_wrong_or_endless_values_is_refused(change, synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    path = next((tmp_path / "grids").iterdir())
    path.write_text(json.dumps(GRID.to_dict() | change))
    with pytest.raises(RunError, match=f"{path.name} cannot be read .*delete it, and give its grid again"):
        folder.plan()


@pytest.mark.parametrize(
    ("axis", "levels"),
    [
        ({"field": "functions.network", "kind": "categorical"}, ["os:system"]),
        ({"field": "data.path", "kind": "categorical"}, ["/"]),
        ({"field": "model.head", "kind": "categorical"}, ["../../../x"]),
        ({"field": "model.stem_kernel", "kind": "categorical"}, ["7"]),
        ({"field": "model.stem_kernel"}, [True]),
    ],
)
def test_axes_and_levels_from_a_file_are_those_that_a_command_could_give(axis, levels, synthetic_set, tmp_path):
    begun(tmp_path, synthetic_set)
    values = json.loads((tmp_path / "study.json").read_text())
    values["study"]["axes"] = [axis]
    (tmp_path / "study.json").write_text(json.dumps(values))
    grid = next((tmp_path / "grids").iterdir())
    grid.write_text(json.dumps({"axes": {axis["field"]: levels}, "seeds": 1, "learning_rates": [0.1]}))
    with pytest.raises(RunError, match="cannot be read"):
        open_study(tmp_path).plan()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"m": 3}', b'{"m": {"d1": "x"}}', b'{"m": {"d1": NaN}}', b"\xff"])
def test_damaged_latencies_are_one_line_and_are_measured_again(content, synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    path = tmp_path / "latency.json"
    path.write_bytes(content)
    for read in (lambda: latencies(folder, GRID.scales(), Fakes().runner), lambda: forget(tmp_path)):
        with pytest.raises(RunError, match=r"latency\.json cannot be read .*delete it"):
            read()
    path.unlink()
    assert latencies(folder, GRID.scales(), Fakes().runner) == {FIRST: 4.0, GRID.scales()[1]: 8.0}


ENTRY = b'{"op_code":4,"worker_id":"w","study_id":0,"datetime_start":"2026-01-01T00:00:00","state":0'
LINES = [b"\0" * 40, b"[]", b"7", b"{}", b'{"op_code": 77}', b'{"op_code": 8, "trial_id": 99}', b"\xff\xfe"]
LINES += [ENTRY + b"}", ENTRY + b',"user_attrs":{"trial":7}}', ENTRY + b',"user_attrs":[]}', b"[" * 100_000]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_damaged_journal_is_one_line_and_without_it_the_study_goes_on(line, finished, synthetic_set, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    folder = begun(tmp_path, synthetic_set)
    journal = tmp_path / "journal.log"
    first, *rest = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(first + line + b"\n" + b"".join(rest))
    folder.add_grid(with_levels(GRID, kernels=(5,)))
    with pytest.raises(RunError, match=r"the study's journal\.log cannot be read \(.*\); stop all workers, delete it"):
        worked(folder, Fakes())
    journal.unlink()
    assert len(worked(folder, Fakes()).trained) == 4


def test_a_journal_that_ends_in_zeros_is_repaired(synthetic_set, tmp_path):
    """As a file may end after the power failed."""
    folder = begun(tmp_path, synthetic_set)
    queue_of(folder)
    with (tmp_path / "journal.log").open("ab") as file:
        file.write(b"\0" * 4096)
    assert len(worked(folder, Fakes()).trained) == 4


def test_a_study_without_its_journal_is_shown_and_none_is_made(finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    (tmp_path / "journal.log").unlink()
    console = Console(record=True, width=100, file=io.StringIO())
    show(tmp_path, console=console)
    assert "4 of 4" in console.export_text()
    assert not (tmp_path / "journal.log").exists()


# --- somebody else's study --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "storage",
    [
        "../../home_bash_aliases",
        "/etc/passwd",
        "other.log",
        "sqlite:///s.db",
        "mysql://h/d",
        "file://journal.log",
        "",
        7,
    ],
)
def test_a_study_that_names_another_storage_is_refused_and_nothing_is_written(storage, synthetic_set, tmp_path):
    folder = begun(tmp_path / "a" / "study", synthetic_set)
    file = folder.path / "study.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"storage": storage}))
    before = sorted(tmp_path.rglob("*"))
    for use in (open_study, show, lambda path: create_or_open(path, folder.study)):
        with pytest.raises(RunError, match=r"study\.json cannot be read \(its storage .* is neither"):
            use(folder.path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "\ud800", 7, None])
def test_a_study_whose_name_is_not_plain_text_is_refused(name, synthetic_set, tmp_path):
    begun(tmp_path, synthetic_set)
    file = tmp_path / "study.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"name": name}))
    with pytest.raises(RunError, match=r"its name .* is not plain text"):
        open_study(tmp_path)


def test_a_study_in_a_folder_of_any_name_has_a_plain_name(synthetic_set, tmp_path):
    folder = begun(tmp_path / "mine $(touch x) [b] é", synthetic_set)
    assert re.fullmatch(r"[\w.-]+", folder.name, re.ASCII)
    assert len(worked(folder, Fakes()).trained) == 4


@pytest.mark.parametrize("name", ["journal.log", "journal.log.lock", "report.lock"])
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_a_journal_or_lock_that_is_no_plain_file_is_not_opened(kind, name, synthetic_set, tmp_path):
    folder, target = begun(tmp_path / "study", synthetic_set), tmp_path / "target"
    target.write_text("precious")
    place = folder.path / name
    place.symlink_to(target) if kind == "link" else os.mkfifo(place)
    with pytest.raises(UserError, match=f"{name} is not a plain file; remove it"):
        worked(folder, Fakes(), conclude=conclude_study)
    assert target.read_text() == "precious"
    place.unlink()
    worked(folder, Fakes())
    assert load_results(folder).seeds == (0, 1)


# --- workers ----------------------------------------------------------------------------------------------------------


def test_a_reason_with_brackets_is_shown_as_it_is_and_leaves_no_claim(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)

    def fail(config):
        raise RunError("no such [/old] value [red]")

    console = Console(record=True, width=200, file=io.StringIO())
    worked(folder, Fakes(before=fail), console=console)
    assert console.export_text().count("failed: no such [/old] value [red]") == 4
    assert not any(attempt.running for attempt in queue_of(folder).attempts())


def test_a_worker_that_cannot_write_the_reason_of_a_failure_leaves_no_claim(synthetic_set, tmp_path, monkeypatch):
    folder = begun(tmp_path, synthetic_set)

    def full(*_):
        raise OSError(28, "No space left on device")

    def fail(config):
        monkeypatch.setattr("ecg_jax.study.workdir.write_text", full)
        raise RunError("the loss is nan")

    with pytest.raises(OSError, match="No space left"):
        worked(folder, Fakes(before=fail))
    assert [attempt.running for attempt in queue_of(folder).attempts()] == [False]


@pytest.mark.parametrize("together", [1, 4])
def test_a_trial_in_whose_folder_a_process_is_still_training_waits_and_the_others_go_on(
    together, synthetic_set, tmp_path
):
    folder = begun(tmp_path, synthetic_set, with_levels(GRID, channels=(4,), seeds=3))
    names, fakes = [f"d1_c4_k3_lr0.003_s{seed}" for seed in range(3)], Fakes()
    is_first = is_trial(folder, 4, 0)

    def in_use(config):
        workdir = folder.path / "trials" / names[0]
        if is_first(config) and len(fakes.trained) < 2:
            raise InUseError(f"{workdir} is in use by process 7 on elsewhere; wait until it has ended", workdir)

    fakes.before = in_use
    worked(folder, fakes, together=together, lease_seconds=0.3)
    assert fakes.trained == [*names[1:], names[0]]
    assert not any(attempt.running for attempt in queue_of(folder).attempts())
    assert load_results(folder).notes == ()


def test_a_study_without_a_finished_seed_says_what_to_do(synthetic_set, tmp_path):
    folder = begun(tmp_path, synthetic_set)
    for ask in (finished_predictions, lambda folder: advise(folder.path, {})):
        with pytest.raises(
            RunError,
            match=r"no seed is finished at every scale yet; to continue: (start|python .*experiments/scale.py)",
        ):
            ask(folder)
    worked(folder, Fakes(fails=lambda config: True))
    with pytest.raises(RunError, match=r"every scale failed; to try again: .*, with --retry-failed"):
        finished_predictions(folder)
    worked(folder, Fakes(), retry_failed=True)
    assert finished_predictions(folder).n_trials == 4


# --- a storage that is away -------------------------------------------------------------------------------------------


class Clock:
    """Time that passes only while somebody sleeps, in place of the module `time`."""

    def __init__(self):
        self.now = 0.0
        self.time = self.monotonic = lambda: self.now

    def sleep(self, seconds):
        self.now += seconds


class Server(InMemoryStorage):
    """A storage that does not answer between two times."""

    def __init__(self, clock):
        super().__init__()
        self.clock, self.away = clock, (1e9, 1e9)

    def __getattribute__(self, name):
        value = super().__getattribute__(name)
        if callable(value) and name.split("_")[0] in ("get", "set", "create"):
            begin, end = self.away
            if begin <= self.clock.now < end:
                raise StorageInternalError("connection refused")
        return value


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("ecg_jax.study.trial_queue.time", clock)
    return clock


def test_a_queue_waits_for_its_storage_up_to_its_patience(clock, capsys):
    server = Server(clock)
    queue = TrialQueue(server, "s", place="postgresql://me:secret@h/d", patience_seconds=60)
    server.away = (0, 12)
    assert queue.attempts() == []
    assert 12 <= clock.now < 14
    assert queue.outages > 0
    said = capsys.readouterr().err
    assert said == "the study's storage does not answer (connection refused); trying again for up to 60 s\n"
    server.away = (0, 1e9)
    began = clock.now
    with pytest.raises(
        StorageAway, match=r"does not answer \(connection refused\); check the server, then the same command continues"
    ):
        queue.attempts()
    assert 60 <= clock.now - began < 63


def test_a_worker_outlasts_a_restart_of_the_server(clock, synthetic_set, tmp_path, monkeypatch):
    server = Server(clock)
    monkeypatch.setattr("ecg_jax.study.trial_queue.open_storage", lambda *_: server)
    folder, fakes = begun(tmp_path, synthetic_set), Fakes()

    def restart(config):
        server.away = (clock.now, clock.now + 12)

    fakes.before = restart
    worked(folder, fakes, lease_seconds=60)
    assert fakes.trained == NAMES
    attempts = TrialQueue(server, folder.name).attempts()
    assert [attempt.trial for attempt in attempts] == NAMES, "none is lost, none is done twice"
    assert not any(attempt.running for attempt in attempts)


def test_a_worker_whose_server_stays_away_ends_with_one_line_and_its_training_is_kept(
    clock, synthetic_set, tmp_path, monkeypatch
):
    server = Server(clock)
    monkeypatch.setattr("ecg_jax.study.trial_queue.open_storage", lambda *_: server)
    folder, fakes = begun(tmp_path, synthetic_set), Fakes()
    fakes.before = lambda config: setattr(server, "away", (clock.now, 1e9))
    with pytest.raises(StorageAway) as ended:
        worked(folder, fakes, lease_seconds=60)
    assert "\n" not in str(ended.value)
    server.away = (1e9, 1e9)
    clock.now += 100  # then the attempt of the dead worker is given up
    assert worked(folder, Fakes(), lease_seconds=1).trained == NAMES[1:]


def test_a_stop_during_an_outage_does_not_wait(clock, synthetic_set, tmp_path, monkeypatch):
    server = Server(clock)
    monkeypatch.setattr("ecg_jax.study.trial_queue.open_storage", lambda *_: server)
    folder = begun(tmp_path, synthetic_set)

    def stopped(config):
        server.away = (clock.now, 1e9)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worked(folder, Fakes(before=stopped), lease_seconds=60)
    assert clock.now < 1


def test_a_lease_that_cannot_be_renewed_ends_its_worker_when_others_may_take_the_trial(monkeypatch, capsys):
    clock, lost = Clock(), []
    monkeypatch.setattr("ecg_jax.study.worker.time", clock)

    def away():
        clock.now += 10
        raise StorageAway("connection refused")

    with heartbeats(away, 0.001, 60, lost.append):
        for _ in range(1000):
            if lost:
                break
            __import__("time").sleep(0.005)
    assert lost == [
        "the study's storage does not answer (connection refused); check the server, then the same command continues"
    ]
    assert clock.now == 60
    assert capsys.readouterr().err.count("trying again") == 1


def test_no_worker_is_given_up_for_the_time_of_an_outage(synthetic_set, tmp_path, monkeypatch):
    """While the server is away nobody can renew a lease."""
    clock = Clock()
    for module in ("trial_queue", "worker"):
        monkeypatch.setattr(f"ecg_jax.study.{module}.time", clock)
    server = Server(clock)
    monkeypatch.setattr("ecg_jax.study.trial_queue.open_storage", lambda *_: server)
    folder = begun(tmp_path, synthetic_set)
    other = TrialQueue(server, folder.name)
    attempt = other.claim(task_of(folder, NAMES[0]), key="k", worker="elsewhere:1", lease_seconds=30)
    assert attempt is not None
    heard = []

    def renewed_after_the_outage(seconds):
        clock.now += seconds
        if 20 <= clock.now < 60:
            server.away = (0, 60)
        elif clock.now >= 61 and not heard:
            other.heartbeat(attempt)
            heard.append(clock.now)
        elif clock.now >= 70:
            raise KeyboardInterrupt

    clock.sleep = renewed_after_the_outage
    with pytest.raises(KeyboardInterrupt):
        worked(folder, Fakes(), lease_seconds=60)
    assert heard
    assert other.attempts()[0].running


def test_a_worker_that_is_stopped_while_it_claims_trials_gives_those_back_that_it_has(
    synthetic_set, tmp_path, monkeypatch
):
    folder = begun(tmp_path, synthetic_set, with_levels(GRID, channels=(4,)))
    claim = TrialQueue.claim

    def stopped(queue, task, **about):
        if task.seed == 1:
            raise KeyboardInterrupt
        return claim(queue, task, **about)

    monkeypatch.setattr(TrialQueue, "claim", stopped)
    with pytest.raises(KeyboardInterrupt):
        worked(folder, Fakes(), together=2)
    assert [attempt.running for attempt in queue_of(folder).attempts()] == [False]
