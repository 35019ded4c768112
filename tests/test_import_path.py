"""Functions of the user's own: named on the command line they run, named in a file only if they are allowed."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from study_fakes import Fakes, begun, worked

from ecg_jax.cli import main
from ecg_jax.config import DataConfig, Functions, ModelConfig, RunConfig, TrainConfig, flags
from ecg_jax.errors import RunError
from ecg_jax.import_path import check_allowed, function_at, name_of
from ecg_jax.scripts.experiment import GridArgs, read_arguments, train_study
from ecg_jax.scripts.timed_study import TimedArgs
from ecg_jax.study.status import show
from ecg_jax.training import run

MODULE = """
from pathlib import Path
Path(__file__).with_suffix(".ran").touch()
from ecg_jax.models.resnet import ResNet1D
def network(config, n_classes, axis_name=None):
    return ResNet1D(config, n_classes, axis_name)
number = 3
"""


@pytest.fixture
def mark(tmp_path, monkeypatch) -> Iterator[Path]:
    """The file that the module `own_code` leaves when it is imported."""
    (tmp_path / "own_code.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "own_code.ran"
    sys.modules.pop("own_code", None)


@pytest.fixture(scope="module")
def finished(synthetic_set, tmp_path_factory) -> Path:
    """A finished run of the package's own network, to be copied."""
    config = RunConfig(
        data=DataConfig(path=synthetic_set, window_seconds=1.0),
        model=ModelConfig(depth=1, channels=2, kernel=3, strides=(1, 2)),
        train=TrainConfig(epochs=1),
    )
    workdir = tmp_path_factory.mktemp("finished") / "run"
    run(config, workdir, console=Console(quiet=True), plots=False)
    return workdir


@pytest.fixture
def foreign(finished, tmp_path) -> Path:
    """A finished run whose config names `own_code:network`."""
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    config = json.loads((workdir / "config.json").read_text())
    (workdir / "config.json").write_text(json.dumps(config | {"functions": {"network": "own_code:network"}}))
    return workdir


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not isinstance(end.value.code, str)
    return end.value.code or 0


@pytest.mark.parametrize("command", [["evaluate"], ["predict", "record"], ["train"]])
def test_a_run_that_names_code_is_refused_with_name_and_flag(command, foreign, mark, synthetic_set, capsys):
    given = ["--data", str(synthetic_set)] if command == ["train"] else []
    assert ended(*command, "--workdir", str(foreign), *given) == 1
    (line,) = capsys.readouterr().err.splitlines()
    for part in ("config.json", "'own_code:network'", "--allow-code"):
        assert part in line
    assert not mark.exists(), "nothing is imported"


def test_with_the_flag_the_run_is_used(foreign, mark, capsys):
    assert ended("evaluate", "--workdir", str(foreign), "--allow-code") == 0
    assert "macro_auroc" in capsys.readouterr().out
    assert mark.exists()


def test_a_run_without_code_needs_no_flag(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    assert ended("evaluate", "--workdir", str(tmp_path / "run")) == 0


def test_functions_named_on_the_command_line_run_and_a_restart_needs_them_or_the_flag(
    mark, synthetic_set, tmp_path, capsys
):
    command = ["train", "--workdir", str(tmp_path / "run"), "--data", str(synthetic_set), "--data.window-seconds", "1"]
    command += ["--model.depth", "1", "--model.channels", "2", "--model.strides", "2", "--train.epochs", "1"]
    own = [*command, "--functions.network", "own_code:network"]
    assert ended(*own) == 0
    assert mark.exists()
    assert ended(*own) == 0
    assert ended(*command, "--allow-code") == 0
    capsys.readouterr()
    assert ended(*command) == 1
    assert "add --allow-code" in capsys.readouterr().err


def test_the_flags_of_a_config_name_its_functions():
    config = RunConfig(functions=Functions(network="a:b", loss="c.d:e"))
    args = read_arguments(GridArgs, ["--workdir", "w", *flags(config)])
    assert args.run == config


@pytest.fixture
def study(synthetic_set, tmp_path) -> Path:
    """A finished study whose study.json names `own_code:network`."""
    folder = begun(tmp_path / "study", synthetic_set)
    worked(folder, Fakes())
    file = folder.path / "study.json"
    values = json.loads(file.read_text())
    values["study"]["base"]["functions"] = {"network": "own_code:network"}
    file.write_text(json.dumps(values))
    return folder.path


@pytest.mark.parametrize("command", ["study", "report", "recommend"])
def test_a_study_that_names_code_is_refused_with_name_and_flag(command, study, mark, capsys):
    assert ended(command, str(study)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    for part in ("study.json", "'own_code:network'", "--allow-code"):
        assert part in line
    assert not mark.exists(), "nothing is imported"


def test_a_worker_runs_the_code_of_the_studys_file_only_with_the_flag(study, mark, synthetic_set):
    given = ["--workdir", str(study), "--data", str(synthetic_set), "--data.window-seconds", "2", "--seeds", "2"]
    given += ["--depths", "1", "--channels", "4", "8", "--kernels", "3", "--learning-rates", "0.003"]
    with pytest.raises(RunError, match=r"study\.json names code of its own \('own_code:network'\)"):
        train_study(read_arguments(GridArgs, given))
    assert not mark.exists()
    fakes = Fakes()
    with pytest.raises(RunError, match=r"names code of its own"):
        train_study(read_arguments(TimedArgs, [*given, "--hours", "24"]), runner=fakes.runner)
    train_study(read_arguments(GridArgs, [*given, "--allow-code"]), runner=fakes.runner)
    assert len(fakes.trained) == 4, "these trials were trained without the function"
    named = [*given, "--functions.network", "own_code:network"]
    train_study(read_arguments(GridArgs, named), runner=fakes.runner)
    assert len(fakes.trained) == 4
    show(study, allow_code=True, console=Console(quiet=True))
    assert mark.exists(), "its costs are counted"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "give MODULE:FUNCTION"),
        ("json", "give MODULE:FUNCTION"),
        (".a:b", "give MODULE:FUNCTION"),
        ("a:b.c", "give MODULE:FUNCTION"),
        ("a;b:c", "give MODULE:FUNCTION"),
        ("a\x1b:b", "give MODULE:FUNCTION"),
        ("no_such_module:f", "put the folder of no_such_module on PYTHONPATH"),
        ("json:no_such_function", "cannot be imported"),
        ("own_code:number", "is not a function"),
        ("broken_code:f", "broken_code ends in ZeroDivisionError"),
    ],
)
def test_a_name_that_gives_no_function_is_one_line(name, message, mark, tmp_path):
    (tmp_path / "broken_code.py").write_text("1 / 0")
    with pytest.raises(RunError, match=message) as refused:
        function_at(name, "network")
    assert refused.value.args[0].isprintable()


def test_a_name_is_that_of_the_function_it_gives():
    assert function_at(name_of(shutil.copytree, "network"), "network") is shutil.copytree


def test_without_names_there_is_nothing_to_allow():
    check_allowed(["", ""], Path("config.json"), allow_code=False)
