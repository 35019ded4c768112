"""The folder of a study, which all its workers share.

study.json          what all trials have in common; it is written once, by the first worker
grids/*.json        the grids of all commands, one file for each; the plan is their union, so it only grows
journal.log         the trial queue, unless that is on PostgreSQL
trials/<name>/      the runs of a trial, and trial.json with its key and, if it failed, the reason
trials.csv          the finished trials, with test metrics once a seed is finished at every scale
pilot.csv           the trainings that chose the learning rates; they are no trials, and no result counts them
analysis.json       all findings of the study; report.html and figures/ show them
latency.json        latency of one window at each scale, by machine
replicates/         the study of the corner scales on halves of the training patients, if there is one
"""

import hashlib
import json
import re
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

from ecg_jax.config import same_run, to_dict
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.files import parse_json, write_new, write_text
from ecg_jax.import_path import check_allowed
from ecg_jax.study.axis_flag import check_axis
from ecg_jax.study.design import Grid, Plan, Study, Trial, merge_grids, read_grid
from ecg_jax.study.storage import JOURNAL, database_of, stored, without_password
from ecg_jax.study.tasks import Progress, ProgressOf, Stage
from ecg_jax.training.result import RunResult, read_result
from ecg_jax.training.workdir import differences, read_metrics

STUDY, TRIAL, REPLICATES = "study.json", "trial.json", "replicates"
UNREADABLE = (ValueError, ConfigError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What a file of JSON raises that is not UTF-8, not JSON, or of other values than were written."""


@dataclass(frozen=True)
class StudyFolder:
    """A study with its folder, and its trial queue: the name there, and a URL without password or a file name."""

    path: Path
    name: str
    storage: str
    study: Study
    begun: bool = field(default=True, compare=False)
    """Whether an earlier command began the study."""

    def trial_folder(self, trial: Trial) -> Path:
        """The folder of a trial, which contains its runs."""
        return self.path / "trials" / trial.name

    def run_folders(self, trial: Trial) -> list[Path]:
        """The workdir of each run of a trial."""
        return [self.trial_folder(trial) / name for name in self.study.run_names]

    def add_grid(self, grid: Grid) -> None:
        """Adds the trials of a grid to the study."""
        text = json.dumps(grid.to_dict()) + "\n"
        (self.path / "grids").mkdir(exist_ok=True)
        write_text(self.path / "grids" / f"{hashlib.sha256(text.encode()).hexdigest()[:8]}.json", text)

    def grids(self) -> list[Grid]:
        """All grids of the study.

        Raises:
            RunError: a file cannot be read.
        """
        found = []
        for path in sorted((self.path / "grids").glob("*.json")):
            try:
                grid = read_grid(self.study.axes, **read_object(path))
                for axis in grid.axes:
                    check_axis(axis)
            except UNREADABLE as error:
                raise RunError(f"{path} cannot be read ({error}); delete it, and give its grid again") from error
            found.append(grid)
        return found

    def plan(self, *more: Grid) -> Plan:
        """All trials of the study, and those of further grids."""
        in_order = (read_grid(self.study.axes, **grid.to_dict()) for grid in more)  # of the study's axes
        return replace(merge_grids([*self.grids(), *in_order]), rate_seed=self.study.rate_seed)

    def results(self, trial: Trial) -> list[RunResult | None]:
        """The validation result of each run of a trial; None if it is not finished, or all if it is foreign.

        Raises:
            RunError: a file cannot be read.
        """
        return self._read(trial)[0]

    def foreign(self, trial: Trial) -> str | None:
        """Why what is in the folder of a trial was not trained by this study; None if it was.

        Raises:
            RunError: a file cannot be read.
        """
        return self._read(trial)[1]

    def _read(self, trial: Trial) -> tuple[list[RunResult | None], str | None]:
        results = [read_result(folder) for folder in self.run_folders(trial)]
        sets = {result.data_fingerprint for result in results if result} - {self.study.fingerprint}
        about, why = self._trial_file(trial), None
        if sets:
            why = f"{trial.name} was trained on the set {min(sets)}, this study is of {self.study.fingerprint}"
        elif about and about["key"] not in {s.trial_key(trial) for s in (self.study, *self.study.beginnings())}:
            why = f"{trial.name} was begun by a study of other settings"
        return [None] * len(results) if why else results, why

    def set_aside(self, trial: Trial) -> Path:
        """Renames the folder of a trial, so that the trial can be trained again, and returns the new path."""
        folder = self.trial_folder(trial)
        return folder.rename(folder.with_name(f"{folder.name}.set_aside_{secrets.token_hex(4)}"))

    def failure(self, trial: Trial) -> str | None:
        """Why the last attempt at a trial failed; None if it did not, or there was none.

        Raises:
            RunError: the file cannot be read.
        """
        return self._trial_file(trial).get("failure")

    def seconds(self, trial: Trial) -> float | None:
        """Seconds of the last attempt at a trial, with all that is not training; None if there was none."""
        return self._trial_file(trial).get("seconds")

    def _trial_file(self, trial: Trial) -> dict[str, Any]:
        path = self.trial_folder(trial) / TRIAL
        try:
            values = read_object(path)
            if not all(isinstance(values[name], kind) for name, kind in (("key", str), ("failure", str | None))):
                raise ValueError("its key or failure is not text")
            if not isinstance(values.get("seconds"), int | float | None):
                raise ValueError("its seconds are not a number")
        except FileNotFoundError:
            return {}
        except UNREADABLE as error:
            raise RunError(
                f"{path} cannot be read ({error}); delete it, and start the study's command again"
            ) from error
        return values

    def write_trial(self, trial: Trial, failure: str | None = None, *, seconds: float | None = None) -> None:
        """Writes `trial.json`, the description of a trial and, after an attempt, its seconds and why it failed."""
        folder = self.trial_folder(trial)
        folder.mkdir(parents=True, exist_ok=True)
        about = {"scale": trial.scale.to_dict(), "learning_rate": trial.learning_rate, "seed": trial.seed}
        values = {"key": self.study.trial_key(trial), **about, "failure": failure, "seconds": seconds}
        write_text(folder / TRIAL, json.dumps(values, indent=2) + "\n")

    def progress(self, trial: Trial, stage: Stage) -> Progress:
        """What the files say about one stage of a trial.

        A stage is done if its runs have results, and with `whole` those of all epochs and test predictions, and a
        validation macro AUROC is defined; a failure that was written before counts only until then. Files of a foreign
        trial say nothing.
        """
        every, foreign = self._read(trial)
        if foreign:
            return Progress()
        runs = 1 if stage == "rate" else len(every)
        studies = [self.study, *(self.study.beginnings() if stage == "rate" else ())]
        ended = {study.config(trial.scale, trial.learning_rate, trial.seed).train.epochs for study in studies}
        results = [result for result in every[:runs] if result and result.config["train"]["epochs"] in ended]
        folders = self.run_folders(trial) if stage == "whole" else []
        if len(results) == runs and all((folder / "predictions_test.csv").is_file() for folder in folders):
            value = mean_macro_auroc(results)
            if value is not None:
                seconds = sum(result.train.seconds for result in results)
                return Progress(True, value, seconds, **self._course(trial, stage))
        failure = self.failure(trial)
        if failure is None:
            return Progress(**self._course(trial, stage))
        return Progress(failure=failure, failed_at=(self.trial_folder(trial) / TRIAL).stat().st_mtime_ns)

    def _course(self, trial: Trial, stage: Stage) -> dict[str, Any]:
        """The course of a rate, and the number of its epochs."""
        if stage == "whole":
            return {}
        lines = read_metrics(self.run_folders(trial)[0])
        course = tuple(line.get("validation_macro_auroc") or 0.0 for line in lines)
        epochs = self.study.config(trial.scale, trial.learning_rate, trial.seed).train.epochs
        return {"course": course, "epochs": epochs}


def cached_progress(folder: StudyFolder) -> ProgressOf:
    """`folder.progress`, which reads the files of a trial that is done only once."""
    done: dict[tuple[str, Stage], Progress] = {}

    def progress_of(trial: Trial, stage: Stage) -> Progress:
        key = trial.name, stage
        progress = done.get(key) or folder.progress(trial, stage)
        if progress.done:
            done[key] = progress
        return progress

    return progress_of


def create_or_open(path: Path, study: Study, storage: str = "") -> StudyFolder:
    """Opens the study of a folder, or creates it; `storage` "" is that of the existing study, or a journal file.

    A study whose epochs end where the schedule of this one begins again becomes this one.

    Raises:
        RunError: the folder has another study; the message shows both sides of each difference.
    """
    path.mkdir(parents=True, exist_ok=True)
    begun = True
    if not (path / STUDY).exists():
        name = f"{re.sub(r'[^A-Za-z0-9_.-]', '_', path.resolve().name)}-{secrets.token_hex(4)}"
        values = {"name": name, "storage": without_password(storage) or JOURNAL, "study": study.to_dict()}
        begun = not write_new(path / STUDY, json.dumps(values, indent=2) + "\n")
    before = open_study(path, allow_code=True)  # its functions are only compared with those of this worker
    if is_extended(before, study, storage):
        now = replace(before.study, base=study.base)
        values = {"name": before.name, "storage": before.storage, "study": now.to_dict()}
        write_text(path / STUDY, json.dumps(values, indent=2) + "\n")
        before = replace(before, study=now)
    check_compatible(before, study, storage)
    study = replace(before.study, base=study.base, starts=study.starts)  # this worker's paths, feed and parallel mode
    return replace(before, study=study, begun=begun)


def is_extended(folder: StudyFolder, study: Study, storage: str = "") -> bool:
    """Whether the study of the folder goes on as this one, because only its epochs end earlier."""
    return any(not _differing(folder, earlier, storage) for earlier in study.beginnings())


def check_compatible(folder: StudyFolder, study: Study, storage: str = "") -> None:
    """Refuses another study in the same folder.

    Raises:
        RunError: data, base, axes or storage differ; the message shows both sides of each difference.
    """
    if found := [f"{key} was {old!r}, is now {new!r}" for key, old, new in _differing(folder, study, storage)]:
        raise RunError(f"{folder.path} has another study ({'; '.join(found)}); give another --workdir")


def _differing(folder: StudyFolder, study: Study, storage: str) -> list[tuple[str, Any, Any]]:
    now = replace(folder, study=study, storage=without_password(storage) or folder.storage)
    return differences(_compared(folder), _compared(now))


def open_study(path: Path, *, allow_code: bool = False) -> StudyFolder:
    """The study of a folder; with `allow_code` the functions that it names may be imported later.

    Raises:
        RunError: there is none, it cannot be read, or it names functions that are not allowed.
    """
    file = path / STUDY
    try:
        values = read_object(file)
        study = Study.from_dict(values["study"])
        for axis in study.axes:
            check_axis(axis)
        if not (isinstance(values["name"], str) and values["name"].isprintable()):
            raise ConfigError(f"its name {values['name']!r} is not plain text")
        folder = StudyFolder(path, values["name"], stored(values["storage"]), study)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunError(
            f"{path} is not the folder of a study: it has no study.json; experiments/scale.py starts one"
        ) from error
    except UNREADABLE as error:
        raise RunError(
            f"{file} cannot be read ({error}); put back a copy of it, or stop all workers, delete it and start the "
            "study's command again, which keeps all finished trials"
        ) from error
    check_allowed(study.base.functions.named, file, allow_code=allow_code)
    return folder


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it is not UTF-8, not JSON, or another value.
    """
    if path.exists() and not path.is_file():  # to read a pipe is to wait for ever
        raise ValueError("it is not a file")
    values = parse_json(path.read_bytes())
    if not isinstance(values, dict):
        raise ValueError("it is not a JSON object")
    return values


def _compared(folder: StudyFolder) -> dict[str, Any]:
    study = folder.study
    values = to_dict(replace(study, base=same_run(study.base)))
    del values["rate_seed"]  # a study keeps the way in which it began
    values["starts"] = [[start.scale, start.sha256] for start in study.starts]  # wherever the runs are
    axes = {axis.name: axis.kind for axis in study.axes}
    return {"storage": database_of(folder.storage), **values, "axes": axes}


def mean_macro_auroc(results: list[RunResult]) -> float | None:
    """The validation macro AUROC, averaged over the runs in which it is defined."""
    values = [result.figure("macro_auroc") for result in results]
    known = [value for value in values if value is not None]
    return mean(known) if known else None
