"""The way through a study: each command prints the next one, which works when it is pasted. Nothing is trained."""

import runpy
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from study_fakes import Fakes

from ecg_jax.cli import main
from ecg_jax.report import recommend, write
from ecg_jax.study import runner

GRID = ["--depths", "1", "--channels", "4", "8", "--kernels", "3", "--seeds", "1", "--data.window-seconds", "2"]
GRID += ["--learning-rates", "0.003"]


@pytest.fixture
def paste(larger_set, tmp_path, monkeypatch, capsys):
    """Runs a line as a shell would, in a folder with a copy of the set, and returns its output, lines and status."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(larger_set, "my $set [v2]")
    Path("experiments").symlink_to(Path(__file__).parents[1] / "experiments")
    for module in (runner, write, recommend):
        monkeypatch.setattr(module, "Runner", lambda: Fakes().runner)

    def run(line: str, *more: str, status: int = 0):
        program, *arguments = [*shlex.split(line), *more]
        ended = 0
        try:
            if program == "ecg-jax":
                main(arguments)
            assert program == "python"
            monkeypatch.setattr(sys, "argv", arguments)
            runpy.run_path(arguments[0], run_name="__main__")
        except SystemExit as end:
            ended = end.code or 0
        printed = capsys.readouterr()
        assert ended == status, printed.err
        return printed.out + printed.err

    return run


def following(printed: str) -> str:
    (line,) = [line for line in printed.splitlines() if line.startswith("next: ")]
    return line.removeprefix("next: ")


def test_from_the_dry_run_to_the_training_of_the_recommended_scale(paste, monkeypatch):
    start = "python experiments/scale.py --data 'my $set [v2]' --workdir 'runs/my study' --dry-run"
    first = following(paste(start, *GRID))
    assert "--dry-run" not in first
    printed = paste(first)
    assert "ecg-jax study 'runs/my study'" in printed  # in another terminal, while it trains
    recommended = paste(following(printed))
    (command,) = [line.removeprefix("train it") for line in recommended.splitlines() if line.startswith("train it")]
    seen = []
    monkeypatch.setattr("ecg_jax.training.loop.run", lambda config, workdir: seen.append(config) or sys.exit(0))
    paste(command)
    assert (seen[0].data.path, seen[0].data.window_seconds) == (Path("my $set [v2]"), 2.0)

    assert following(paste("ecg-jax study 'runs/my study'")) == "ecg-jax report 'runs/my study'"
    assert following(paste("ecg-jax report 'runs/my study'")) == "ecg-jax recommend 'runs/my study'"


def test_a_study_without_a_finished_seed_says_how_it_is_continued(paste):
    paste("python experiments/scale.py --data 'my $set [v2]' --workdir study", *GRID)
    (unfinished,) = Path("study/trials").glob("*c8*")
    shutil.rmtree(unfinished)
    printed = paste("ecg-jax recommend study", status=1)
    assert printed.count("\n") == 1
    _, _, command = printed.strip().partition("to continue: ")
    assert following(paste("ecg-jax report study")) == command
    paste(command)
    assert unfinished.is_dir()
    paste("ecg-jax recommend study")


@pytest.mark.parametrize("name", ["scale", "search"])
def test_wrong_arguments_of_a_script_are_one_line(name, paste):
    printed = paste(f"python experiments/{name}.py --workdr w", status=2)
    assert f"python experiments/{name}.py --help shows more" in printed
    assert printed.count("\n") == 1


def test_a_mistyped_label_is_one_line_with_those_that_there_are(paste):
    paste("python experiments/scale.py --data 'my $set [v2]' --workdir study", *GRID)
    printed = paste("ecg-jax recommend study --label AFBI", status=1)
    assert "--label AFBI" in printed
    assert "AFIB" in printed
    assert printed.count("\n") == 1
