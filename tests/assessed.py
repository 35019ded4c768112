"""Runs that are evaluated, and sets that they do not know: fixtures of the tests of `evaluate` and of the card."""

import contextlib
import csv
import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from ecg_jax.assessment.external import evaluate_external
from ecg_jax.assessment.flags import AssessmentFlags
from ecg_jax.assessment.split import evaluate
from ecg_jax.cli import main
from ecg_jax.config import DataConfig, EvaluateConfig, ModelConfig, RunConfig, TrainConfig
from ecg_jax.dataset.prepare import prepare
from ecg_jax.dataset.prepare_config import PrepareConfig
from ecg_jax.sources import WfdbFolder
from ecg_jax.synthetic import write
from ecg_jax.training import run

QUIET = Console(quiet=True)


def called(*words) -> tuple[int, str]:
    """Exit status and standard error of a command."""
    output, error = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with output, error as lines, pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0), lines.getvalue()


@pytest.fixture(scope="module")
def evaluated(finished, tmp_path_factory) -> Path:
    """A copy of the finished run, evaluated on its test fold with all flags."""
    folder = shutil.copytree(finished.workdir, tmp_path_factory.mktemp("assessment") / "run")
    evaluate(folder, flags=AssessmentFlags(at_sensitivity=0.9, at_specificity=0.8, calibrate="platt"))
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    """Other recordings with the same labels, and a table with ages and sexes."""
    folder = tmp_path_factory.mktemp("recordings") / "others"
    write(folder, records=80, seed=7)
    rows = list(csv.DictReader((folder / "labels.csv").open()))
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, [*rows[0], "age", "sex"])
        table.writeheader()
        for n, row in enumerate(rows):
            table.writerow(row | {"age": 20 + n, "sex": ("female", "male")[n % 2]})
    return folder


@pytest.fixture(scope="module")
def elsewhere(recordings, tmp_path_factory) -> Path:
    """They as a prepared set."""
    to = tmp_path_factory.mktemp("prepared") / "elsewhere"
    prepare(PrepareConfig(WfdbFolder(recordings, recordings / "labels.csv"), to, workers=1), QUIET)
    return to


@pytest.fixture(scope="module")
def external(evaluated, elsewhere):
    """The result on that set."""
    return evaluate_external(evaluated, elsewhere, flags=AssessmentFlags(age_bins=(50,)))


@pytest.fixture(scope="module")
def exclusive(tmp_path_factory) -> Path:
    """A run on recordings of which each has one of three labels."""
    home = tmp_path_factory.mktemp("exclusive")
    write(home / "files", records=120, seed=3)
    rows = list(csv.DictReader((home / "files" / "labels.csv").open()))
    kept = [row for row in rows if row["labels"] in ("NORM", "CLBBB", "STACH")]
    with (home / "files" / "labels.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(kept)
    source = WfdbFolder(home / "files", home / "files" / "labels.csv", exclusive=True)
    prepare(PrepareConfig(source, home / "set", folds=3, workers=1), QUIET)
    small = RunConfig(
        data=DataConfig(path=home / "set", window_seconds=2.0),
        model=ModelConfig(depth=1, channels=4, kernel=3, strides=(1, 2)),
        train=TrainConfig(epochs=2, batch_size=16),
        evaluate=EvaluateConfig(resamples=50),
    )
    run(small, home / "run", console=QUIET)
    return home / "run"
