"""The command line: output, exit status, files, the next command after each, and one line for each mistake."""

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecg_jax.cli import COMMANDS, main
from ecg_jax.config import ModelConfig, RunConfig, from_dict, to_dict
from ecg_jax.config import flags as flags_of
from ecg_jax.errors import ConfigError
from ecg_jax.models import PRESETS, preset
from ecg_jax.presets import RUN_PRESETS

SCALE = Path(__file__).parents[1] / "experiments" / "scale.py"


def called(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Made-up WFDB records: folder `records` and `labels.csv`, with a label that looks like markup."""
    from ecg_jax.synthetic import write

    folder = tmp_path_factory.mktemp("wfdb") / "my $records"
    write(folder, records=80, seed=2)
    table = folder / "labels.csv"
    table.write_text(table.read_text().replace("AFIB", "[/af] $x$"))
    return folder


def next_after(line: list[str]) -> list[str]:
    """Runs a command, which must succeed, and returns the one that it prints as the next, as a shell reads it."""
    program, *arguments = line
    assert program == "ecg-jax"
    with contextlib.redirect_stderr(io.StringIO()) as error:
        assert called(*arguments) == 0, error.getvalue()
    (printed,) = [line for line in error.getvalue().splitlines() if line.startswith("next: ")]
    return shlex.split(printed.removeprefix("next: "))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """The folder in which the user works."""
    folder = tmp_path_factory.mktemp("home") / "of [v2] $x\\y"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def steps(made, home) -> list[list[str]]:
    """The whole way by command line, from files to predictions: each command but the first is printed by another.

    Some flags are added, so that the run is small.
    """
    more = {"cost": ["--model.depth", "1", "--model.channels", "4", "--model.kernel", "3", "--window-seconds", "2.5"]}
    more["train"] = ["--train.epochs", "2", "--evaluate.resamples", "50"]
    from_files = ["--from", str(made), "--labels", str(made / "labels.csv"), "--to", "prepared/it's", "--workers", "1"]
    taken = [["ecg-jax", "prepare", "wfdb", *from_files]]
    with contextlib.chdir(home):
        while taken[-1][0] == "ecg-jax":
            command = next_after(taken[-1])
            taken.append([*command, *more.get(command[1], [])])
    return taken


@pytest.fixture(scope="module")
def workdir(steps, home) -> Path:
    """An evaluated run."""
    return home / "runs" / "it's"


@pytest.fixture(scope="module")
def prepared(steps, home) -> Path:
    return home / "prepared" / "it's"


def records(made):
    return sorted(str(path.with_suffix("")) for path in made.rglob("*.hea"))


def test_each_command_prints_the_next_one_with_its_real_arguments(steps, made):
    names = [command[1] for command in steps]
    assert names == ["prepare", "show", "show", "cost", "train", "evaluate", "card", "predict", str(SCALE)]
    of = dict(zip(names, steps, strict=True))
    assert of["show"] == ["ecg-jax", "show", "prepared/it's", "--record", "records/s00000"]
    assert of["train"][:6] == ["ecg-jax", "train", "--data", "prepared/it's", "--workdir", "runs/it's"]
    assert of["train"][6:14:2] == ["--data.window-seconds", "--model.depth", "--model.channels", "--model.kernel"]
    assert of["predict"] == ["ecg-jax", "predict", "--workdir", "runs/it's", str(made / "records" / "s00000")]
    assert of[str(SCALE)][2:] == ["--data", "prepared/it's", "--workdir", "runs/study", "--dry-run"]


def test_from_files_to_figures_by_the_commands_that_are_printed(workdir):
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


def test_predict_gives_the_warnings_of_each_record(workdir, made, tmp_path, capsys):
    whole = made / "records" / "s00000"
    header = whole.with_suffix(".hea").read_text().splitlines()
    words = [line.split() for line in header[:3]]  # the record line, and two of the twelve leads
    words[0][1] = "2"
    words[1][6] = str((int(words[1][6]) + 1) % 65536)  # the checksum of lead I
    samples = np.fromfile(whole.with_suffix(".dat"), "<i2").reshape(-1, 12)
    (tmp_path / "s00000.hea").write_text("".join(" ".join(line) + "\n" for line in words))
    (tmp_path / "s00000.dat").write_bytes(samples[:, :2].tobytes())
    assert called("predict", "--workdir", str(workdir), str(tmp_path / "s00000")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {f"lead V{n} missing" for n in range(1, 7)} < set(answer["warnings"])
    assert any("checksum" in warning for warning in answer["warnings"])
    assert answer["probabilities"].keys() == answer["thresholds"].keys()


def test_predict_reads_other_files_with_what_they_do_not_say(workdir, made, tmp_path, capsys):
    whole = wfdb.rdrecord(str(made / "records" / "s00000"))
    np.save(tmp_path / "a.npy", whole.p_signal.T * 1000)
    table = "\n".join(",".join(map(str, row)) for row in whole.p_signal * 1000)
    (tmp_path / "b.csv").write_text(f"{','.join(whole.sig_name)}\n{table}\n")
    (tmp_path / "c.h5").write_bytes(b"")
    files = [str(tmp_path / name) for name in ("a.npy", "b.csv", "c.h5")]
    flags = ["--rate-hz-of-files", "500", "--unit", "uV", "--lead-names", *whole.sig_name]
    assert called("predict", "--workdir", str(workdir), str(made / "records" / "s00000"), *files, *flags) == 1
    first, *others, damaged = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert damaged["error"].startswith("file unreadable")
    for other in others:
        assert other["probabilities"] == pytest.approx(first["probabilities"], abs=1e-4)


def test_predict_prints_no_nan(workdir, made, capsys, monkeypatch):
    monkeypatch.setattr("ecg_jax.inference.pool_windows", lambda p, *_, **__: p * np.nan)
    assert called("predict", "--workdir", str(workdir), records(made)[0]) == 1

    def refuse(constant):
        pytest.fail(f"{constant} is no JSON")

    answer = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert "train it again" in answer["error"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("x.edf", "no file: x.edf; check the name"),
        ("notes.txt", "empty: it has no samples"),
        ("notes.pdf", "this format is not read; convert it"),
        ("folder", "it is a folder; name records in it, such as NAME.hea"),
        ("with_record", "header unreadable: no WFDB record line, it is empty"),
        ("", "it is a folder; name records in it"),
        ("absent", "absent.hea"),
    ],
)
def test_what_is_no_record_is_named_with_what_to_do(path, says, workdir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("with_record").mkdir()
    Path("with_record/r1.hea").touch()
    Path("notes.txt").touch()
    Path("notes.pdf").touch()
    assert called("predict", "--workdir", str(workdir), path) == 1
    assert says in json.loads(capsys.readouterr().out)["error"]


def test_an_unfinished_run_says_how_it_is_continued(workdir, prepared, capsys, tmp_path, monkeypatch):
    unfinished = tmp_path / "my run"
    unfinished.mkdir()
    config = (workdir / "config.json").read_text()
    (unfinished / "config.json").write_text(config)
    assert called("evaluate", "--workdir", str(unfinished)) == 1
    command = capsys.readouterr().err.strip().partition("to continue: ")[2]
    seen = []
    monkeypatch.setattr(
        "ecg_jax.training.loop.run", lambda config, workdir: seen.append((config, workdir)) or sys.exit()
    )
    assert called(*shlex.split(command)[1:]) == 0
    assert seen == [(from_dict(RunConfig, json.loads(config)), unfinished)]


def test_a_pipe_that_is_closed_is_no_error(workdir, made):
    program = [sys.executable, "-m", "ecg_jax", "cost"]
    done = subprocess.run(["bash", "-c", f"{shlex.join(program)} | true"], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    assert "Broken pipe" not in done.stderr


def test_the_version_is_that_of_the_package():
    command = [sys.executable, "-m", "ecg_jax", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"ecg-jax {version('ecg-jax')}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["trian"], "there is no command trian; choose from prepare, show"),
        (["train", "--workdir", "w", "--train.epoch", "3"], "--train.epoch, 3; perhaps --train.epochs"),
        (["train", "--workdir", "w", "--train.epochs", "x"], "--train.epochs: 'x' is not a whole number"),
        (["train", "--workdir", "w", "--train.ema", "x"], "--train.ema: 'x' is not a number"),
        (["train", "--workdir"], "Missing value for argument '--workdir'"),
        (["train", "--epochs", "3"], "Missing from ecg-jax train: --workdir"),
        (["evaluate", "--workdir", "w", "--split", "tst"], "Expected one of ('test', 'validation')"),
        (["show"], "Folder of a prepared set"),
        (["prepare", "wfdb", "--from", "."], "--labels"),
        (["prepare", "synthetic", "--to", "s", "--record", "4"], "--record 4; perhaps --records"),
        (["--versoin"], "--versoin; Available subcommands: prepare, show"),
    ],
)
def test_wrong_arguments_are_one_line_that_names_the_help(arguments, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert called(*arguments) == 2
    printed = capsys.readouterr()
    error = printed.err.removesuffix("\n")
    assert says in error
    assert "--help shows more" in error or arguments == ["trian"]
    assert "\n" not in error
    assert not printed.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_wrong_arguments_are_one_line_in_every_encoding(encoding):
    command = [sys.executable, "-m", "ecg_jax", "train", "--workdir", "w", "--train.epoch", "3"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    said = "Unrecognized options: --train.epoch, 3; perhaps --train.epochs; ecg-jax train --help shows more"
    assert done.stderr == f"ecg-jax train: {said}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--record", "records/s0"], "has no record records/s0; its first is records/s00000"),
        (["--record", "records/s00000", "--out", "x.xyz"], "x.xyz is not the name of a picture; end it in one of .eps"),
        (["--record", "records/s00000", "--out", "no/x.png"], "no/x.png is not there; check the path"),
        (["--record", "records/s00000", "--out", "file/x.png"], "a part of this path is a file; give a folder"),
        (["--record", "records/s00000", "--out", "folder.png"], "folder.png is a folder; give a file"),
    ],
)
def test_a_picture_that_cannot_be_written_is_one_line(arguments, says, prepared, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("folder.png").mkdir()
    assert called("show", str(prepared), *arguments) == 1
    error = capsys.readouterr().err.removesuffix("\n")
    assert says in error
    assert "\n" not in error


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "--data", "nowhere", "--workdir", "w"], "nowhere is not a prepared set"),
        (["train", "--workdir", "w"], "--data is missing"),
        (["train", "--preset", "none", "--workdir", "w"], "choose from ptb_xl, cinc2017"),
        (["train", "--model.preset", "vgg", "--workdir", "w"], "vgg"),
        (["evaluate", "--workdir", "nowhere"], "no config.json"),
        (["show", "nowhere"], "nowhere is not a prepared set"),
        (["train", "--workdir", "w", "--model.depth", "0"], "--model.depth is 0; give a whole number from 1 to 1000"),
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


def test_flags_beside_a_preset_win(prepared, tmp_path):
    flags = [
        "--data",
        str(prepared),
        "--workdir",
        str(tmp_path / "run"),
        "--train.epochs",
        "1",
        "--model.channels",
        "4",
    ]
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


def test_show_names_every_label_as_it_is_and_draws_a_record(prepared, tmp_path, capsys):
    assert called("show", str(prepared)) == 0
    assert "[/af] $x$" in capsys.readouterr().out
    out = tmp_path / "ecg.png"
    assert called("show", str(prepared), "--record", "records/s00000", "--out", str(out)) == 0
    assert out.stat().st_size > 50_000


def test_prepare_twice_says_so_and_does_nothing(made, tmp_path, capsys):
    command = ["prepare", "synthetic", "--records", "40", "--to", str(tmp_path / "set"), "--workers", "1"]
    assert called(*command) == 0
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "set").iterdir()}
    assert called(*command) == 0
    assert before == {file.name: file.stat().st_mtime_ns for file in (tmp_path / "set").iterdir()}
