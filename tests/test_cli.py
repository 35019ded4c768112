"""The command line: output, exit status, files, and one line for each mistake."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ecg_jax.cli import COMMANDS, main
from ecg_jax.config import ModelConfig, RunConfig, from_dict, to_dict
from ecg_jax.config import flags as flags_of
from ecg_jax.errors import ConfigError
from ecg_jax.models import PRESETS, preset
from ecg_jax.presets import RUN_PRESETS


def called(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Made-up WFDB records: folder `records` and `labels.csv`."""
    from ecg_jax.synthetic import write

    folder = tmp_path_factory.mktemp("wfdb")
    write(folder, records=80, seed=2)
    return folder


@pytest.fixture(scope="module")
def workdir(made, tmp_path_factory) -> Path:
    """The whole way by command line, from files to an evaluated run."""
    root = tmp_path_factory.mktemp("cli")
    prepared = str(root / "prepared")
    labels = str(made / "labels.csv")
    flags = ["--model.depth", "1", "--model.channels", "4", "--model.kernel", "3", "--train.epochs", "2"]
    flags += ["--data.window-seconds", "2.5", "--evaluate.resamples", "50"]
    commands = [
        ["prepare", "wfdb", "--from", str(made), "--labels", labels, "--to", prepared, "--workers", "1"],
        ["train", "--data", prepared, "--workdir", str(root / "run"), *flags],
        ["evaluate", "--workdir", str(root / "run")],
    ]
    for command in commands:
        assert called(*command) == 0
    return root / "run"


def records(made):
    return sorted(str(path.with_suffix("")) for path in made.rglob("*.hea"))


def test_from_files_to_figures_by_three_commands(workdir):
    for name in ("config.json", "metrics.jsonl", "result.json", "result_test.json", "predictions_test.csv"):
        assert (workdir / name).is_file()


def test_predict_prints_one_json_line_a_record_and_nothing_else(workdir, made, capsys):
    first, second = records(made)[:2]
    assert called("predict", "--workdir", str(workdir), first, second + ".hea") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["record"] for line in lines] == [first, second + ".hea"]
    for line in lines:
        assert set(line) == {"record", "warnings", "probabilities", "thresholds", "decisions"}
        assert line["warnings"] == []
        said = [name for name, p in line["probabilities"].items() if p >= line["thresholds"][name]]
        assert line["decisions"] == said


def test_predict_agrees_with_the_predictions_of_the_prepared_set(workdir, made, capsys):
    rows = (workdir / "predictions_test.csv").read_text().splitlines()
    names = [name.removeprefix("p_") for name in rows[0].split(",") if name.startswith("p_")]
    for row in rows[1:4]:
        record_id, *values = row.split(",")
        called("predict", "--workdir", str(workdir), str(made / record_id))
        found = json.loads(capsys.readouterr().out)["probabilities"]
        np.testing.assert_allclose([found[name] for name in names], [float(v) for v in values[: len(names)]], atol=2e-6)


def test_a_record_that_does_not_fit_is_an_error_in_its_place(workdir, made, capsys):
    good = records(made)[0]
    assert called("predict", "--workdir", str(workdir), "nowhere/r1", good) == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert set(first) == {"record", "warnings", "error"}
    assert second["record"] == good
    assert "probabilities" in second


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "--data", "nowhere", "--workdir", "w"], "nowhere is not a prepared set"),
        (["train", "--workdir", "w"], "--data is missing"),
        (["train", "--preset", "none", "--workdir", "w"], "choose from ptb_xl, cinc2017"),
        (["train", "--model.preset", "vgg", "--workdir", "w"], "vgg"),
        (["evaluate", "--workdir", "nowhere"], "no config.json"),
        (["show", "nowhere"], "nowhere is not a prepared set"),
        (["train", "--workdir", "w", "--model.depth", "0"], "--model.depth is 0; give whole numbers from 1 up"),
        (["prepare", "synthetic", "--to", "set", "--rate-hz", "0"], "--rate-hz is 0; give 10 to 10000"),
        (["prepare", "nothing:here", "--from", ".", "--to", "set"], "source nothing:here cannot be imported"),
    ],
)
def test_a_mistake_is_one_line_and_no_traceback(arguments, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert called(*arguments) == 1
    error = capsys.readouterr().err.strip()
    assert says in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_without_a_command_all_commands_are_listed(arguments):
    done = subprocess.run([sys.executable, "-m", "ecg_jax", *arguments], capture_output=True, text=True, check=True)
    assert all(f"• {name} " in done.stdout for name in COMMANDS)


def test_the_help_of_a_source_shows_its_own_flags_only(capsys):
    flags = {"ptb_xl": {"--task", "--keep-unlabelled", "--from"}, "wfdb": {"--labels", "--exclusive", "--from"}}
    flags |= {"synthetic": {"--records"}, "cinc2017": {"--from"}}
    for source, own in flags.items():
        assert called("prepare", source, "--help") == 0
        shown = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        assert own | {"--to", "--rate-hz", "--leads", "--folds", "--seed"} <= shown
        assert not shown & (set().union(*flags.values()) - own)


@pytest.mark.parametrize("name", PRESETS)
def test_cost_of_a_preset_is_that_of_the_flags_which_it_stands_for(name, capsys):
    outputs = []
    for model in (["--model.preset", name], flags_of(RunConfig(model=preset(name)))):
        assert called("cost", "--labels", "71", *model) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    ("flags", "test", "validation"),
    [
        (["--data.test-folds", "9", "--data.validation-folds", "8"], (9,), (8,)),
        (["--data.test-folds", "--data.validation-folds", "7", "8"], (), (7, 8)),
        ([], None, None),
    ],
)
def test_folds_are_flags(flags, test, validation, monkeypatch):
    seen = []
    monkeypatch.setattr("ecg_jax.training.loop.run", lambda config, workdir: seen.append(config) or sys.exit(0))
    called("train", "--data", "d", "--workdir", "w", *flags)
    assert (seen[0].data.test_folds, seen[0].data.validation_folds) == (test, validation)


def test_flags_beside_a_preset_win(workdir, tmp_path, capsys):
    data = str(workdir.parent / "prepared")
    flags = ["--data", data, "--workdir", str(tmp_path / "run"), "--train.epochs", "1", "--model.channels", "4"]
    called("train", "--preset", "ptb_xl", "--model.preset", "resnet1d_wang", *flags)
    config = from_dict(RunConfig, json.loads((tmp_path / "run" / "config.json").read_text()))
    assert config.train.epochs == 1
    assert config.model.channels == 4
    assert config.model.head == preset("resnet1d_wang").head
    assert config.augment == RUN_PRESETS["ptb_xl"]().augment


@pytest.mark.parametrize("config", [RunConfig(), *(make() for make in RUN_PRESETS.values())])
def test_a_config_survives_its_json(config):
    assert from_dict(RunConfig, json.loads(json.dumps(to_dict(config)))) == config


def test_an_unknown_key_in_a_json_is_an_error():
    with pytest.raises(ConfigError, match="dept"):
        from_dict(ModelConfig, {**to_dict(ModelConfig()), "dept": 3})


def test_show_draws_a_record(workdir, tmp_path):
    from ecg_jax.dataset.prepared import open_prepared

    prepared = open_prepared(workdir.parent / "prepared")
    out = tmp_path / "ecg.png"
    assert called("show", str(prepared.path), "--record", str(prepared.record_ids[0]), "--out", str(out)) == 0
    assert out.stat().st_size > 50_000


def test_prepare_twice_says_so_and_does_nothing(made, tmp_path, capsys):
    command = ["prepare", "synthetic", "--records", "40", "--to", str(tmp_path / "set"), "--workers", "1"]
    assert called(*command) == 0
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "set").iterdir()}
    assert called(*command) == 0
    assert before == {file.name: file.stat().st_mtime_ns for file in (tmp_path / "set").iterdir()}
