"""The config of a run and the lines of its epochs, read from its workdir. Loads no JAX."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ecg_jax.config import RunConfig, beginnings, from_dict, same_run, to_dict
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.files import parse_json
from ecg_jax.import_path import check_allowed

CONFIG, METRICS, CHECKPOINTS = "config.json", "metrics.jsonl", "checkpoints"


def read_config(workdir: Path) -> RunConfig:
    """Reads the config of a run.

    Raises:
        RunError: there is none, or it cannot be read.
    """
    path = workdir / CONFIG
    if not path.is_file():
        raise RunError(f"{workdir} is not a workdir of `ecg-jax train`: it has no config.json")
    try:
        return from_dict(RunConfig, parse_json(path.read_bytes()))
    except (ValueError, ConfigError) as error:
        raise RunError(
            f"{path} cannot be read ({error}); delete it, and start the training again with the same flags"
        ) from error


def with_functions(config: RunConfig, before: RunConfig, file: Path, *, allow_code: bool) -> RunConfig:
    """A config that names no functions of its own, with those of an earlier start; `file` holds that one's config.

    Raises:
        RunError: they are not allowed.
    """
    if config.functions.named:
        return config
    check_allowed(before.functions.named, file, allow_code=allow_code)
    return replace(config, functions=before.functions)


def read_metrics(workdir: Path) -> list[dict[str, Any]]:
    """Reads the lines of `metrics.jsonl`, without those that are damaged, such as a last one that a kill cut off.

    `epoch` and `step` of a line are whole numbers, and all other values numbers or None.
    """
    path, metrics = workdir / METRICS, []
    for content in path.read_bytes().split(b"\n") if path.is_file() else []:
        with suppress(ValueError):
            line = parse_json(content)
            if _is_line_of_metrics(line):
                metrics.append(line)
    return metrics


def _is_line_of_metrics(line: Any) -> bool:
    return (
        isinstance(line, dict)
        and all(type(line.get(name)) is int for name in ("epoch", "step"))
        and all(value is None or type(value) in (int, float) for value in line.values())
    )


def check_config(workdir: Path, before: RunConfig, now: RunConfig) -> None:
    """Refuses a workdir that holds a run of another config, except one that goes on as the new one.

    Raises:
        RunError: with the old and the new value of each field that differs.
    """
    if same_run(before) in map(same_run, beginnings(now)):
        return
    old_values, new_values = (to_dict(same_run(each)) for each in (before, now))
    changes = [f"{key} was {old!r}, is now {new!r}" for key, old, new in differences(old_values, new_values)]
    if changes:
        raise RunError(f"{workdir} holds a run of another config ({'; '.join(changes)}); use another --workdir")


def differences(old: Any, new: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """Compares two trees of JSON values: dotted key, old value and new value wherever they differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [d for key in old | new for d in differences(old.get(key), new.get(key), f"{name}.{key}".lstrip("."))]
    return [] if old == new else [(name, old, new)]
