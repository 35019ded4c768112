"""Runs in damaged, used and full folders: what is whole is used, what is not is named, and the advice works."""

import json
import os
import platform
import re
import shutil
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from run_content import content
from test_files import no_file_larger_than

from ecg_jax.assessment.split import evaluate
from ecg_jax.errors import InUseError, RunError
from ecg_jax.inference import load
from ecg_jax.training import run
from ecg_jax.training.checkpoint import read_checkpoint
from ecg_jax.training.result import read_predictions, read_result
from ecg_jax.training.workdir import read_metrics
from ecg_jax.training.writer import RunWriter

QUIET = Console(quiet=True)


@pytest.fixture
def workdir(finished, tmp_path):
    """A copy of a finished run."""
    return shutil.copytree(finished.workdir, tmp_path / "run")


def steps_of(workdir):
    return sorted((int(path.name) for path in (workdir / "checkpoints").iterdir()), reverse=True)


def newest_files(workdir, part):
    newest = workdir / "checkpoints" / str(steps_of(workdir)[0])
    return [path for path in sorted((newest / part).rglob("*")) if path.is_file()]


def flip(path, place):
    damaged = bytearray(path.read_bytes())
    damaged[int(place * len(damaged))] ^= 1 << int(place * 8000) % 8
    path.write_bytes(damaged)


def run_with_output(config, workdir):
    output = StringIO()
    run(config, workdir, console=Console(file=output, width=1000))
    return output.getvalue()


@settings(max_examples=25)
@given(st.sampled_from(["best", "meta"]), st.floats(0, 1, exclude_max=True), st.sampled_from(["flip", "cut", "gone"]))
def test_no_damaged_file_of_a_checkpoint_is_read(finished, tmp_path_factory, part, place, kind):
    workdir = shutil.copytree(finished.workdir, tmp_path_factory.mktemp("damaged") / "run")
    newest, older = steps_of(workdir)
    files = newest_files(workdir, part)
    path = files[int(place * len(files))]
    if kind == "flip":
        flip(path, place)
    elif kind == "cut":
        os.truncate(path, int(place * path.stat().st_size))
    else:
        path.unlink()
    shutil.rmtree(workdir / "checkpoints" / str(older))
    with pytest.raises(RunError, match=rf"^checkpoint \S+/checkpoints/{newest} cannot be read \(its file {part}/"):
        load(workdir)


def test_a_checkpoint_of_version_0_1_0_which_has_no_checksums_is_read(finished, tmp_path):
    whole = read_checkpoint(finished.workdir / "checkpoints")
    best = load(finished.workdir).variables
    meta = json.loads((newest_files(finished.workdir, "meta")[-1]).read_text())
    del meta["sha256"], meta["arrays"]
    options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=True)
    with ocp.CheckpointManager(tmp_path, item_names=("latest", "best", "meta"), options=options) as manager:
        latest = ocp.args.StandardSave({"step": np.zeros(3)})
        items = {"latest": latest, "best": ocp.args.StandardSave(best), "meta": ocp.args.JsonSave(meta)}
        manager.save(18, args=ocp.args.Composite(**items))
    old = read_checkpoint(tmp_path, best=best)
    jax.tree.map(np.testing.assert_array_equal, old.best, best)
    assert replace(old, best=None) == replace(whole, arrays=None), "it does not name its arrays"


def damage_newest(workdir):
    for path in newest_files(workdir, "latest"):
        path.write_bytes(b"")


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one_and_says_so(finished, config, workdir):
    (workdir / "result.json").unlink()
    damage_newest(workdir)
    newest = steps_of(workdir)[0]
    (workdir / "checkpoints" / "999").mkdir()  # as after a crash of the file system
    (workdir / "predictions_test.csv").touch()  # of the run before
    said = run_with_output(config, workdir)
    for step in (999, newest):
        assert re.search(rf"checkpoint \S+/{step} cannot be read \(.*\); the one before is used", said)
    assert "continuing after epoch 2 of 3" in said
    assert not (workdir / "predictions_test.csv").exists()
    assert content(workdir) == content(finished.workdir)


def test_where_no_checkpoint_is_whole_the_advice_leads_to_the_same_result(finished, config, workdir):
    for step in steps_of(workdir):
        os.truncate(workdir / "checkpoints" / str(step) / "sha256", 100)
    with pytest.raises(RunError) as refusal:
        evaluate(workdir)
    follow(refusal.value, workdir)
    run(config, workdir, console=QUIET)
    assert content(workdir) == content(finished.workdir)


def follow(error, workdir):
    """Deletes what a message says is to be deleted; the rest of it is to start a command again."""
    text = str(error)
    assert len(text.splitlines()) == 1
    path, beside = re.search(r"delete (\S+?)(?: and the file (\S+) beside it)?,? and .*again", text).groups()
    assert path.startswith(str(workdir))
    shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
    if beside:
        (workdir / beside).unlink(missing_ok=True)


def test_predictions_never_come_from_another_epoch_than_the_result(finished, config, workdir):
    flip(newest_files(workdir, "best")[0], 0.5)
    values = json.loads((workdir / "result.json").read_text())
    values["train"]["best_epoch"] = 3  # as if the damaged one had been the first with the best variables
    (workdir / "result.json").write_text(json.dumps(values))
    with pytest.raises(RunError, match=r"checkpoint in .* does not belong to result\.json; delete .* train --data"):
        load(workdir)


@pytest.mark.parametrize(("name", "damage"), [("config.json", b""), ("result.json", b"\xff\xfe\x00")])
def test_a_finished_run_with_a_damaged_file_ends_the_same_after_the_advice(finished, config, workdir, name, damage):
    (workdir / name).write_bytes(damage)
    with pytest.raises(RunError, match=rf"^{workdir / name} cannot be read \(it is .*\); delete it, and start"):
        run(config, workdir, console=QUIET)
    (workdir / name).unlink()
    run(config, workdir, console=QUIET)
    assert content(workdir) == content(finished.workdir)


def test_lost_lines_of_metrics_are_said_and_only_the_curves_lack_them(finished, config, workdir):
    (workdir / "result.json").unlink()
    lines = (workdir / "metrics.jsonl").read_bytes().splitlines()
    (workdir / "metrics.jsonl").write_bytes(
        b"\n".join([lines[0][:20], b"\xff", b"[]", b'{"epoch": "2"}', lines[2], b""])
    )
    said = run_with_output(config, workdir)
    assert "metrics.jsonl lacks 2 of 3 epochs" in said
    assert [line["epoch"] for line in read_metrics(workdir)] == [3]
    assert content(workdir) | {"metrics": b""} == content(finished.workdir) | {"metrics": b""}


def test_without_its_config_a_workdir_still_refuses_another_one(config, workdir):
    (workdir / "config.json").unlink()
    other = replace(config, train=replace(config.train, seed=7))
    for _ in range(2):
        with pytest.raises(RunError, match=r"train\.seed was 0, is now 7"):
            run(other, workdir, console=QUIET)
        (workdir / "result.json").unlink(missing_ok=True)


RESULT_VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=2) | st.lists(st.none(), max_size=1)


@settings(max_examples=200)
@given(st.data())
def test_a_result_with_a_value_of_another_type_is_refused_by_its_file_or_all_its_figures_are_numbers(finished, data):
    """Any value inside `result.json` is exchanged."""
    values = json.loads((finished.workdir / "result.json").read_text())
    inner, key = values, data.draw(st.sampled_from(sorted(values)))
    while isinstance(inner[key], dict) and inner[key] and data.draw(st.integers(0, 3)):
        inner = inner[key]
        key = data.draw(st.sampled_from(sorted(inner)))
    inner[key] = data.draw(RESULT_VALUES)
    path = finished.workdir.parent / "other" / "result.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(values))
    try:
        result, refusal = read_result(path.parent), ""
    except RunError as error:
        result, refusal = None, str(error)
    assert refusal.startswith(f"{path} cannot be read (") or result is not None
    assert len(refusal.splitlines()) <= 1
    if result is not None:
        thresholds = [figures["threshold"] for figures in result.per_label.values()]
        figures = [result.figure("macro_auroc"), *(f["auroc"]["value"] for f in result.per_label.values()), *thresholds]
        assert all(figure is None or isinstance(figure, float | int) for figure in figures)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not enough values to unpack"),
        ("record_id,p_a,y_a\n", "its rows are not as long as its header"),
        ("record_id,p_a,y_a\nr1,0.5\n", "its rows are not as long as its header"),
        ("record_id,p_a,y_a\nr1,0.5,1\nr2,0.5\n", "inhomogeneous"),
        ("record_id,p_a,y_a\nr1,x,1\n", "could not convert string to float"),
        ("record_id,p_a,y_a\nr1,nan,1\n", "a probability is not between 0 and 1"),
        ("record_id,p_a,y_a\nr1,1.5,1\n", "a probability is not between 0 and 1"),
        ("record_id,p_a,y_a\nr1,0.5,256\n", "a label is neither 0 nor 1"),
    ],
)
def test_damaged_predictions_are_refused_by_their_file(tmp_path, text, reason):
    path = tmp_path / "predictions_test.csv"
    path.write_text(text)
    with pytest.raises(RunError, match=rf"^{path} cannot be read \(.*{reason}.*\); delete it"):
        read_predictions(path)


def test_predictions_that_are_not_utf_8_are_refused_by_their_file(tmp_path):
    path = tmp_path / "predictions_test.csv"
    path.write_bytes(b"record_id,p_\xff,y_\xff\nr1,0.5,1\n")
    with pytest.raises(RunError, match=rf"^{path} cannot be read"):
        read_predictions(path)


def test_a_second_training_in_a_workdir_says_who_is_in_it(config, tmp_path):
    with RunWriter(tmp_path / "run").alone(QUIET):
        says = rf"^\S+/run is in use by process {os.getpid()} on {platform.node()}; wait"
        with pytest.raises(InUseError, match=says):
            run(config, tmp_path / "run", console=QUIET)
    assert not (tmp_path / "run").exists()


def test_a_finished_run_in_a_read_only_folder_is_read(finished, config, workdir, monkeypatch):
    @contextmanager
    def refuse(self, console):
        raise PermissionError("read-only")
        yield

    monkeypatch.setattr(RunWriter, "alone", refuse)
    assert run(config, workdir, console=QUIET).metrics == finished.metrics
    assert load(workdir).config == config


def test_a_full_disk_is_one_error_and_the_run_goes_on_afterwards(finished, config, tmp_path):
    workdir = tmp_path / "run"
    for size in (300, 20_000):  # too small for the config, and for a checkpoint
        with no_file_larger_than(size), pytest.raises(OSError, match="File too large") as failure:
            run(config, workdir, console=QUIET)
        assert failure.value.filename.startswith(str(workdir))
        assert not [path for path in workdir.rglob("*") if "tmp" in path.name]
    run(config, workdir, console=QUIET)
    assert content(workdir) == content(finished.workdir)
