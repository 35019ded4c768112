"""The files of a study's workdir, which all its workers share.

study.json          what all trials have in common; who writes it first, founds the study
grids/*.json        what was asked for, one file a command line: the plan is all of them, so it only grows
journal.log         the Optuna study, unless it is on PostgreSQL
trials/<name>/      a trial's runs, and trial.json with its key and, if it failed, why
compiled/<host>/    JAX's compilation cache
trials.csv          the finished trials, with test figures once a seed is finished at every scale
analysis.json       all that the study found; report.html, figures/: the same for a reader
latency.json        how long a window takes each scale, by machine
"""

import hashlib
import json
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ecg_jax.config import from_dict, same_run, to_dict
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.files import write_new, write_text
from ecg_jax.study.design import VARIED, Grid, Plan, Study, Trial, merged
from ecg_jax.training.workdir import differences

JOURNAL = "journal.log"


@dataclass(frozen=True)
class StudyFolder:
    """A study that has a workdir: its name in the storage, and where that is (a URL without password, or a file)."""

    name: str
    storage: str
    study: Study


def found(workdir: Path, study: Study, storage: str) -> StudyFolder:
    """Makes the workdir this study's own, or finds that it is; `storage` may be "" where it is the study's already.

    Raises:
        RunError: the workdir holds another study; the message shows both sides of what differs.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    new = StudyFolder(f"{workdir.resolve().name}-{secrets.token_hex(4)}", without_password(storage) or JOURNAL, study)
    if not (workdir / "study.json").exists():
        write_new(workdir / "study.json", json.dumps(_described(new), indent=2) + "\n")
    before = read_founded(workdir)
    check_same(workdir, before, study, storage)
    return replace(before, study=study)  # path, feed and parallel mode are this worker's


def check_same(workdir: Path, before: StudyFolder, study: Study, storage: str = "") -> None:
    """Refuses another study in the same workdir; writes nothing.

    Raises:
        RunError: data, base or storage differ; the message shows both sides.
    """
    now = StudyFolder(before.name, without_password(storage) or before.storage, study)
    found = [f"{key} was {old!r}, is now {new!r}" for key, old, new in differences(_compared(before), _compared(now))]
    if found:
        raise RunError(f"{workdir} holds another study ({'; '.join(found)}); use another --workdir")


def read_founded(workdir: Path) -> StudyFolder:
    """The study of a workdir.

    Raises:
        RunError: there is none, or it cannot be read.
    """
    path = workdir / "study.json"
    try:
        return from_dict(StudyFolder, json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise RunError(f"{workdir} holds no study: it has no study.json; experiments/scale.py begins one") from error
    except (json.JSONDecodeError, ConfigError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def add_grid(workdir: Path, grid: Grid) -> None:
    """Asks for these trials too."""
    text = json.dumps(to_dict(grid)) + "\n"
    (workdir / "grids").mkdir(exist_ok=True)
    write_text(workdir / "grids" / f"{hashlib.sha256(text.encode()).hexdigest()[:8]}.json", text)


def read_plan(workdir: Path, *more: Grid) -> Plan:
    """All trials that were asked for in this workdir, and those of `more`."""
    return merged([*(grid for _, grid in read_grids(workdir)), *more])


def read_grids(workdir: Path) -> list[tuple[Path, Grid]]:
    """What each command line asked for, and the file that holds it.

    Raises:
        RunError: a file cannot be read.
    """
    found = []
    for path in sorted((workdir / "grids").glob("*.json")):
        try:
            found.append((path, from_dict(Grid, json.loads(path.read_text()))))
        except (json.JSONDecodeError, ConfigError) as error:
            raise RunError(f"{path} cannot be read ({error}); delete it, and give its grid again") from error
    return found


def trial_folder(workdir: Path, trial: Trial) -> Path:
    """Where a trial's runs lie."""
    return workdir / "trials" / trial.name


def write_trial(workdir: Path, study: Study, trial: Trial, failure: str | None = None) -> None:
    """Leaves in a trial's folder what it is, and why it failed."""
    folder = trial_folder(workdir, trial)
    folder.mkdir(parents=True, exist_ok=True)
    values = {"key": trial.key(study), **to_dict(trial), "failure": failure}
    write_text(folder / "trial.json", json.dumps(values, indent=2) + "\n")


def read_failure(workdir: Path, trial: Trial) -> str | None:
    """Why a trial failed; None where it did not, or was not begun.

    Raises:
        RunError: the file cannot be read.
    """
    path = trial_folder(workdir, trial) / "trial.json"
    try:
        return json.loads(path.read_text())["failure"] if path.is_file() else None
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read ({error}); delete it") from error


def check_storage(storage: str) -> None:
    """Refuses storages that do not give a trial to one worker alone; "" is a journal file.

    Raises:
        ConfigError: it is not PostgreSQL, or cannot be read.
    """
    without_password(storage)
    if storage and storage.partition("://")[0] not in ("postgresql", "postgresql+psycopg"):
        raise ConfigError(
            f"--storage {storage.partition('://')[0]}: give postgresql://USER@HOST/DATABASE, or leave it out for a "
            "journal file in the workdir (SQLite hands one trial to two workers)"
        )


def without_password(storage: str) -> str:
    """A storage as it may be written down: a URL without password and driver, or a file.

    Raises:
        ConfigError: it is no URL that can be read.
    """
    if "://" not in storage:
        return storage
    url = _read_url(storage).difference_update_query(["password"])
    return str(url.create("postgresql", url.username, None, url.host, url.port, url.database, url.query))


def _read_url(storage: str) -> Any:
    from sqlalchemy.engine import make_url  # comes with optuna
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(storage)
    except (ArgumentError, ValueError) as error:  # the message would hold the password
        raise ConfigError("--storage cannot be read; give postgresql://USER:PASSWORD@HOST:PORT/DATABASE") from error


def _described(founded: StudyFolder) -> dict[str, Any]:
    """As JSON values, without what the trials set themselves."""
    values = to_dict(founded)
    for part, knobs in VARIED.items():
        for knob in knobs:
            del values["study"]["base"][part][knob]
    return values


def _compared(founded: StudyFolder) -> dict[str, Any]:
    study, where = founded.study, founded.storage
    if "://" in where:  # a server has other names on other machines
        where = f"postgresql, {_read_url(where).database}"
    return {"storage": where, **to_dict(replace(study, base=same_run(study.base)))}
