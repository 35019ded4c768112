"""Replays a random search from the finished trials of a study, in its whole space and in a narrowed one."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ecg_jax.analysis import claims
from ecg_jax.analysis.axes import Level, Scale
from ecg_jax.analysis.search_replay import Replay, replay
from ecg_jax.dataset.prepared import PreparedSet, open_prepared
from ecg_jax.dataset.splits import split_records
from ecg_jax.errors import RunError
from ecg_jax.files import write_text
from ecg_jax.formatting import change_text, level_text
from ecg_jax.report.charts import search_curves
from ecg_jax.report.write import commands, write_figure
from ecg_jax.study.cost import training_macs
from ecg_jax.study.design import Study
from ecg_jax.study.results import load_results
from ecg_jax.study.workdir import open_study


def replay_study(
    path: Path, other_path: Path, *, seed: int = 0, allow_code: bool = False
) -> tuple[Replay, tuple[str, ...]]:
    """Replays a study in its own space and in the space narrowed by another study; see `analysis.search_replay`.

    Returns:
        The result, and the notes on both studies that a reader must see.

    Raises:
        RunError: no seed of a study is finished, or both are tested on the same records, so that the narrowed space
            would be better by construction; or a study names code that is not allowed.
    """
    folders = [open_study(folder, allow_code=allow_code) for folder in (path, other_path)]
    results = [load_results(folder) for folder in folders]
    study, other = (folder.study for folder in folders)
    both = zip(results, folders, strict=True)
    predictions, others = (found.finished(folder.path, commands(folder)[0]) for found, folder in both)
    prepared = open_prepared(study.base.data.path)
    both = tested(study, prepared) & tested(other, prepared) if study.fingerprint == other.fingerprint else ()
    if both:
        raise RunError(f"{path} and {other_path} test the same {len(both)} records; use other data or other folds")
    scales = [Scale.of(trial, study.axes) for trial in predictions.trials]
    macs = np.array([training_macs(study, prepared, scale) for scale in scales])
    first = np.array([training_macs(study, prepared, scale, runs=1) for scale in scales])
    tried = (*results[0].rows, *results[0].pilot)
    not_chosen = [Scale.of(row, study.axes) for row in tried if not row["chosen"]]
    rate_macs = first * [not_chosen.count(scale) for scale in scales]
    found = replay(predictions, claims(others), macs=macs, rate_macs=rate_macs, seed=seed)
    parts = zip((path, other_path), results, strict=True)
    return found, tuple(f"{folder}: {note}" for folder, result in parts for note in result.notes)


def tested(study: Study, prepared: PreparedSet) -> set[int]:
    """The records on which the trials of a study are tested."""
    configs = study.fold_configs(study.base).values()
    return {int(i) for config in configs for i in split_records(prepared, config.data).test}


def sentences(found: Replay, rate_hz: float) -> list[str]:
    """The result of a replay in sentences."""

    def text(axis: str, levels: list[Level]) -> str:
        return ", ".join(level_text(axis, level, rate_hz) for level in levels)

    without = {axis: f" without {text(axis, levels)}" if levels else "" for axis, levels in found.dropped.items()}
    space = "; ".join(f"{axis} {text(axis, levels)}{without[axis]}" for axis, levels in found.kept.items())
    lines = [f"The narrowed space: {space}."]
    if not any(found.dropped.values()):
        lines.append("In the other study no interval of an effect excludes 0, so both spaces are equal.")
    at, first, last = found.average, found.curves[0].budget, found.curves[-1].budget
    lines.append(
        f"Averaged over budgets from {first:.2g} to {last:.2g} training MACs, random search reaches a test macro AUROC "
        f"of {at.whole:.4f} in the whole space and {at.narrowed:.4f} in the narrowed one: "
        f"{change_text(at.difference, at.low, at.high)}."
    )
    return [*lines, f"The claim that the narrowed space is better at equal cost: {found.verdict}."]


def write_replay(folder: Path, found: Replay, title: str) -> Path:
    """Writes `search.json` and the curves as SVG and PNG into a folder; returns the path of the JSON file."""
    write_figure(folder / "search", search_curves(found.curves, title=title), columns=2)
    write_text(folder / "search.json", json.dumps(asdict(found), indent=1) + "\n")
    return folder / "search.json"
