"""The config of a run and the lines of its epochs, read from its workdir. Loads no JAX."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ecg_jax.config import RunConfig, from_dict, same_run, to_dict
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.import_path import check_allowed

CONFIG, METRICS, CHECKPOINTS = "config.json", "metrics.jsonl", "checkpoints"


def read_config(workdir: Path) -> RunConfig:
    """Reads the config of a run.

    Raises:
        RunError: there is none, or it cannot be read.
    """
    path = workdir / CONFIG
    try:
        return from_dict(RunConfig, json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise RunError(f"{workdir} is not a workdir of `ecg-jax train`: it has no config.json") from error
    except (json.JSONDecodeError, ConfigError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


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
    """Reads the lines of `metrics.jsonl`, without a last line that a kill cut off."""
    path = workdir / METRICS
    metrics = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            metrics.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return metrics


def check_config(workdir: Path, config: RunConfig) -> None:
    """Refuses a workdir that holds a run of another config.

    Raises:
        RunError: with the old and the new value of each field that differs.
    """
    if not (workdir / CONFIG).is_file():
        return
    before, now = (to_dict(same_run(each)) for each in (read_config(workdir), config))
    changes = [f"{key} was {old!r}, is now {new!r}" for key, old, new in differences(before, now)]
    if changes:
        raise RunError(f"{workdir} holds a run of another config ({'; '.join(changes)}); use another --workdir")


def differences(old: Any, new: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """Compares two trees of JSON values: dotted key, old value and new value wherever they differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [d for key in old | new for d in differences(old.get(key), new.get(key), f"{name}.{key}".lstrip("."))]
    return [] if old == new else [(name, old, new)]
