"""`run`: one training loop, resumed to the same bytes, which refuses other configs and data in its workdir."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import jax
import numpy as np
import pytest
from rich.console import Console
from run_content import content

from ecg_jax.config import TrainConfig, beginnings, extended, to_dict, with_fields
from ecg_jax.errors import RunError
from ecg_jax.training import loop, run
from ecg_jax.training.loop import run_together
from ecg_jax.training.saving import BackgroundSaves
from ecg_jax.training.workdir import read_metrics
from ecg_jax.training.writer import RunWriter

QUIET = Console(quiet=True)


def test_a_run_leaves_all_there_is_to_know(finished, config):
    workdir = finished.workdir
    result = json.loads((workdir / "result.json").read_text())
    assert set(result) == {
        "split", "metrics", "labels_defined", "per_label", "cost", "train", "data_fingerprint", "config"
    }  # fmt: skip
    assert result["split"] == "validation"
    assert {"macro_auroc", "macro_auprc", "macro_f1", "brier", "ece"} == set(result["metrics"])
    assert all(set(figure) == {"value", "low", "high"} for figure in result["metrics"].values())
    for figures in result["per_label"].values():
        assert set(figures) == {"auroc", "auprc", "f1", "threshold", "positives", "records"}
    assert {"parameters", "macs", "receptive_field_samples", "receptive_field_ms"} == set(result["cost"])
    assert {"steps", "seconds", "examples_per_second"} <= set(result["train"])
    assert result["config"] == to_dict(config)
    lines = read_metrics(workdir)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert set(lines[0]) == {
        "epoch", "step", "train_loss", "validation_loss", "validation_macro_auroc", "learning_rate", "seconds"
    }  # fmt: skip
    assert all((workdir / name).stat().st_size > 10_000 for name in ("training_curves.png", "roc_validation.png"))


def test_the_result_is_that_of_the_best_epoch(finished):
    best = max(line["validation_macro_auroc"] for line in read_metrics(finished.workdir))
    assert finished.figure("macro_auroc") == pytest.approx(best, abs=1e-6)


def test_the_same_config_gives_the_same_bytes(finished, config, tmp_path):
    run(config, tmp_path / "again", console=QUIET)
    assert content(tmp_path / "again") == content(finished.workdir)


def test_the_host_feed_trains_to_the_same_bytes(finished, config, tmp_path):
    run(replace(config, data=replace(config.data, feed="host")), tmp_path / "host", console=QUIET)
    expected, found = content(finished.workdir), content(tmp_path / "host")
    for part in ("metrics", "predictions", "variables"):
        assert found[part] == expected[part], part


def test_pmap_trains_the_whole_way_to_nearly_the_same_figures(finished, config, tmp_path):
    pmapped = run(replace(config, train=replace(config.train, parallel="pmap")), tmp_path / "pmap", console=QUIET)
    losses = [[line["train_loss"] for line in read_metrics(r.workdir)] for r in (finished, pmapped)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    assert pmapped.figure("macro_auroc") == pytest.approx(finished.figure("macro_auroc"), abs=0.01)


def test_a_finished_run_is_read_and_not_run_again(finished, config):
    before = (finished.workdir / "result.json").stat().st_mtime_ns
    again = run(config, finished.workdir, console=QUIET)
    assert again == finished
    assert (finished.workdir / "result.json").stat().st_mtime_ns == before


def test_another_config_in_the_same_workdir_is_refused_with_both_sides(finished, config):
    other = replace(config, model=replace(config.model, depth=2))
    with pytest.raises(RunError, match=r"model.depth was 1, is now 2"):
        run(other, finished.workdir, console=QUIET)


def test_a_run_that_goes_on_has_the_bytes_of_one_that_was_planned_so(finished, config, tmp_path):
    longer = extended(config, (2, 1))
    run(longer, tmp_path / "planned", console=QUIET)
    shutil.copytree(finished.workdir, tmp_path / "extended")
    (tmp_path / "extended" / "predictions_test.csv").write_text("of the shorter run")
    run(extended(config, (2,)), tmp_path / "extended", console=QUIET)
    run(longer, tmp_path / "extended", console=QUIET)
    assert content(tmp_path / "extended") == content(tmp_path / "planned")
    assert len(read_metrics(tmp_path / "extended")) == 6
    assert beginnings(longer) == [config, extended(config, (2,))]
    with pytest.raises(RunError, match=r"train.epochs was 6, is now 3; train.restarts was \[3, 5\], is now \[\]"):
        run(config, tmp_path / "extended", console=QUIET)
    with pytest.raises(RunError, match=r"train.epochs was 3, is now 5"):
        run(with_fields(config, {"train.epochs": 5}), finished.workdir, console=QUIET)


def test_a_run_that_pauses_ends_with_the_same_bytes(finished, config, tmp_path):
    for until in (1, 2, 2):
        assert run_together({tmp_path / "paused": config}, console=QUIET, until=until) == {}
        assert len(read_metrics(tmp_path / "paused")) == until
        assert not (tmp_path / "paused" / "result.json").exists()
    run(config, tmp_path / "paused", console=QUIET)
    assert content(tmp_path / "paused") == content(finished.workdir)


def test_feed_and_parallel_mode_may_differ_at_a_restart(finished, config):
    other = replace(config, data=replace(config.data, feed="host"), train=replace(config.train, parallel="pmap"))
    assert run(other, finished.workdir, console=QUIET).metrics == finished.metrics


def test_another_data_set_in_the_same_workdir_is_refused(finished, config, tmp_path):
    from ecg_jax.dataset.prepare import prepare
    from ecg_jax.dataset.prepare_config import PrepareConfig
    from ecg_jax.sources import Synthetic

    prepare(PrepareConfig(Synthetic(records=40), tmp_path / "other", seed=5, workers=1), QUIET)
    with pytest.raises(RunError, match="was trained on the set"):
        run(replace(config, data=replace(config.data, path=tmp_path / "other")), finished.workdir, console=QUIET)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(config, tmp_path):
    wild = replace(config, train=TrainConfig(learning_rate=1000.0, weight_decay=100.0, clip_norm=0.0, epochs=50))
    with pytest.raises(RunError, match=r"the loss is \S+ at step \d+"):
        run(wild, tmp_path / "wild", console=QUIET)
    assert not (tmp_path / "wild" / "result.json").exists()


def after_each_epoch(monkeypatch, call):
    """Lets a run call a function with the number of each epoch, between its line of metrics and its checkpoint."""
    end_epoch = RunWriter.end_epoch

    def end_epoch_and_call(self, line):
        end_epoch(self, line)
        call(line["epoch"])

    monkeypatch.setattr(RunWriter, "end_epoch", end_epoch_and_call)


def test_nothing_is_compiled_after_the_first_epoch(config, tmp_path, monkeypatch):
    events: list[int | str] = []

    def listen(event: str, duration: float, **_: object) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            events.append("compiled")

    jax.monitoring.register_event_duration_secs_listener(listen)
    after_each_epoch(monkeypatch, events.append)
    try:
        run(replace(config, train=replace(config.train, seed=1, epochs=4)), tmp_path / "run", console=QUIET)
    finally:
        jax.monitoring.clear_event_listeners()
    assert "compiled" in events[: events.index(1)]
    assert events[events.index(1) : events.index(4) + 1] == [1, 2, 3, 4]


def test_a_process_that_must_not_write_trains_the_same_and_leaves_no_file(finished, config, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    silent = run(config, tmp_path / "silent", console=QUIET)
    assert silent.metrics == finished.metrics
    assert not (tmp_path / "silent").exists()


def test_a_run_without_a_test_fold_keeps_none(config, tmp_path):
    from ecg_jax.assessment.split import evaluate

    run(replace(config, data=replace(config.data, test_folds=())), tmp_path / "run", console=QUIET)
    with pytest.raises(RunError, match="keeps no test folds"):
        evaluate(tmp_path / "run")


def test_evaluate_writes_a_result_of_the_same_form(finished):
    from ecg_jax.assessment.split import evaluate

    evaluate(finished.workdir)
    validation, test = (json.loads((finished.workdir / n).read_text()) for n in ("result.json", "result_test.json"))
    assert set(test) == set(validation) | {"groups", "operating_points", "calibration"}
    assert test["split"] == "test"
    for name, figures in test["per_label"].items():
        assert figures["threshold"] == validation["per_label"][name]["threshold"]
    header = (finished.workdir / "predictions_test.csv").read_text().splitlines()[0]
    assert header.startswith("record_id,p_")


COMMAND = [
    sys.executable, "-m", "ecg_jax", "train", "--model.depth", "1", "--model.channels", "4", "--model.kernel", "3",
    "--data.window-seconds", "2", "--train.batch-size", "16", "--augment.mixup", "0.3", "--model.dropout", "0.1",
    "--evaluate.resamples", "50",
]  # fmt: skip


def killed_and_started_again(synthetic_set, tmp_path, *, epochs: int, kills: int) -> None:
    """Compares a run that was left alone with one killed at random moments."""
    command = [*COMMAND, "--data", str(synthetic_set), "--train.epochs", str(epochs), "--workdir"]
    began = time.monotonic()
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    whole_seconds = time.monotonic() - began
    random = np.random.default_rng(0)
    victim = [*command, str(tmp_path / "killed")]
    done = 0
    while done < kills:
        process = subprocess.Popen(victim, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.25, 0.75) * whole_seconds)
        if process.poll() is not None:  # it finished first: begin again with a fresh workdir and go on killing
            assert process.returncode == 0
            assert content(tmp_path / "killed") == content(tmp_path / "whole")
            (tmp_path / "killed").rename(tmp_path / f"finished_{done}_{time.monotonic_ns()}")
            continue
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        done += 1
    subprocess.run(victim, check=True, capture_output=True)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
    assert not list((tmp_path / "killed" / "checkpoints").glob("*tmp*"))


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_byte(synthetic_set, tmp_path):
    killed_and_started_again(synthetic_set, tmp_path, epochs=60, kills=20)


@pytest.mark.slow
def test_a_small_network_learns_the_superclasses_of_real_recordings(real_data, tmp_path):
    from ecg_jax.dataset.prepare import prepare
    from ecg_jax.dataset.prepare_config import PrepareConfig
    from ecg_jax.presets import ptb_xl
    from ecg_jax.sources import PtbXl

    prepare(PrepareConfig(PtbXl(real_data / "ptb_xl"), tmp_path / "ptb_xl"), QUIET)
    preset = ptb_xl()
    config = replace(
        preset,
        data=replace(preset.data, path=tmp_path / "ptb_xl"),
        model=replace(preset.model, channels=16),
        train=replace(preset.train, epochs=15),
    )
    assert run(config, tmp_path / "run", console=QUIET).figure("macro_auroc") > 0.82


def test_a_run_of_which_only_the_end_is_saved_has_the_same_bytes(finished, config, tmp_path, monkeypatch):
    monkeypatch.setattr(BackgroundSaves, "is_due", lambda saves, run: False)
    run(config, tmp_path / "run", console=QUIET)
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 1
    assert content(tmp_path / "run") == content(finished.workdir)


def test_where_an_epoch_takes_ten_seconds_each_is_saved(config, tmp_path, monkeypatch):
    looks, saved = itertools.count(), []
    monkeypatch.setattr(loop, "monotonic", lambda: 10.0 * next(looks))
    monkeypatch.setattr(RunWriter, "save", lambda writer, step, **values: saved.append(step))
    start = BackgroundSaves.start
    monkeypatch.setattr(BackgroundSaves, "start", lambda *arguments: start(*arguments).result())
    run(config, tmp_path / "run", console=QUIET)
    assert saved == [line["step"] for line in read_metrics(tmp_path / "run")]


def test_a_kill_and_a_left_over_of_a_killed_save_change_no_byte(finished, config, tmp_path, monkeypatch):
    """The kill is simulated: the run ends after its third epoch, of which only the first was saved."""

    def stop(epoch):
        if epoch == 3:
            raise SystemExit

    first = iter([True])
    with monkeypatch.context() as patches:
        after_each_epoch(patches, stop)
        patches.setattr(BackgroundSaves, "is_due", lambda saves, run: next(first, False))
        with pytest.raises(SystemExit):
            run(config, tmp_path / "run", console=QUIET)
    assert [line["epoch"] for line in read_metrics(tmp_path / "run")] == [1, 2, 3]
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 1
    (tmp_path / "run" / "checkpoints" / "99.orbax-checkpoint-tmp").mkdir()
    run(config, tmp_path / "run", console=QUIET)
    assert content(tmp_path / "run") == content(finished.workdir)
    assert not list((tmp_path / "run" / "checkpoints").glob("*tmp*"))
