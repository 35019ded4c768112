"""The files of a run beside its checkpoints: whose workdir it is, and the lines of its epochs."""

import json
from pathlib import Path
from typing import Any

from ecg_jax.config import RunConfig, from_dict, same_run, to_dict
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.files import write_text


def check_config(workdir: Path, config: RunConfig) -> None:
    """Refuses a workdir that is another config's; writes nothing.

    Raises:
        RunError: another config has it; the message shows both sides of what differs.
    """
    before = read_config(workdir) if (workdir / "config.json").is_file() else config
    found = [
        f"{key} was {old!r}, is now {new!r}"
        for key, old, new in differences(to_dict(same_run(before)), to_dict(same_run(config)))
    ]
    if found:
        raise RunError(f"{workdir} holds a run of another config ({'; '.join(found)}); use another --workdir")


def claim(workdir: Path, config: RunConfig) -> None:
    """Makes the workdir this config's own; what a killed write left behind is cleared."""
    workdir.mkdir(parents=True, exist_ok=True)
    for left_over in workdir.glob(".*.tmp"):
        left_over.unlink(missing_ok=True)
    write_text(workdir / "config.json", json.dumps(to_dict(config), indent=2) + "\n")


def read_config(workdir: Path) -> RunConfig:
    """The config of a run.

    Raises:
        RunError: there is none, or it cannot be read.
    """
    path = workdir / "config.json"
    try:
        return from_dict(RunConfig, json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise RunError(f"{workdir} is not a workdir of `ecg-jax train`: it has no config.json") from error
    except (json.JSONDecodeError, ConfigError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def check_fingerprint(workdir: Path, before: str, now: str) -> None:
    """Refuses to go on with other data.

    Raises:
        RunError: the prepared set is not the one that the run began with.
    """
    if before != now:
        raise RunError(f"{workdir} was trained on the set {before}, --data is now {now}; use another --workdir")


def read_metrics(workdir: Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`; a last line that was cut off by a kill is left out."""
    path = workdir / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return found


def cut_metrics(workdir: Path, *, epoch: int) -> None:
    """Drops the lines after this epoch, which the checkpoint does not know."""
    kept = [line for line in read_metrics(workdir) if line["epoch"] <= epoch]
    write_text(workdir / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept))


def append_metrics(workdir: Path, line: dict[str, Any]) -> None:
    """Adds the line of an epoch."""
    with (workdir / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def differences(old: Any, new: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """Where two trees of JSON values differ: dotted key, old value, new value."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [d for key in old | new for d in differences(old.get(key), new.get(key), f"{name}.{key}".lstrip("."))]
    return [] if old == new else [(name, old, new)]
