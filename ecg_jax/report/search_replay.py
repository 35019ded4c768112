"""Replays a random search from the finished trials of a study, in its whole space and in a narrowed one."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ecg_jax.analysis.effects import claims
from ecg_jax.analysis.predictions import AXES
from ecg_jax.analysis.search_replay import Replay, replay
from ecg_jax.dataset.prepared import PreparedSet, open_prepared
from ecg_jax.dataset.splits import split_records
from ecg_jax.errors import RunError
from ecg_jax.files import write_bytes, write_text
from ecg_jax.report.sentences import signed
from ecg_jax.study.design import Scale, Study, Trial, cost_of
from ecg_jax.study.results import collect
from ecg_jax.study.workdir import read_founded

PASSES = 3  # forward, and backward through activations and through parameters


def replay_study(workdir: Path, other: Path, *, seed: int = 0) -> tuple[Replay, tuple[str, ...]]:
    """Replays a study over its own space and over the one that another study narrows; see `replay.replay`.

    Returns:
        What it came to, and what a reader must be told of both studies.

    Raises:
        RunError: a study is not far enough, or both are judged on the same records: a space that is narrowed on the
            data that score it wins by construction.
    """
    founded, narrowing = read_founded(workdir), read_founded(other)
    one, two = (collect(folder, study) for folder, study in ((workdir, founded), (other, narrowing)))
    for folder, collected in ((workdir, one), (other, two)):
        if collected.outcomes is None:
            raise RunError(f"{folder}: no seed is finished at every scale yet")
    assert one.outcomes is not None
    assert two.outcomes is not None
    prepared = open_prepared(founded.study.base.data.path)
    if founded.study.fingerprint == narrowing.study.fingerprint:
        both = tested(founded.study, prepared) & tested(narrowing.study, prepared)
        if both:
            raise RunError(f"{workdir} and {other} test the same {len(both)} records; narrow by other data or folds")
    macs = np.array([training_macs(founded.study, prepared, Scale.of(trial)) for trial in one.outcomes.trials])
    tried = [
        sum(Scale.of(row) == Scale.of(trial) and not row["chosen"] for row in one.rows) for trial in one.outcomes.trials
    ]
    first = [training_macs(founded.study, prepared, Scale.of(trial), runs=1) for trial in one.outcomes.trials]
    found = replay(one.outcomes, claims(two.outcomes), macs=macs, rate_macs=np.multiply(tried, first), seed=seed)
    parts = ((workdir, one), (other, two))
    return found, tuple(f"{folder}: {note}" for folder, collected in parts for note in collected.notes)


def tested(study: Study, prepared: PreparedSet) -> set[int]:
    """The records that a study's trials are read on."""
    configs = Trial(Scale(1, 1, 1), 1e-3, 0).runs(study).values()
    return {int(i) for config in configs for i in split_records(prepared, config.data).test}


def training_macs(study: Study, prepared: PreparedSet, scale: Scale, *, runs: int | None = None) -> float:
    """Multiply-accumulates of a trial's whole training, or of its first `runs` runs."""
    configs = list(Trial(scale, 1e-3, 0).runs(study).values())[:runs]
    windows = sum(c.train.epochs * len(split_records(prepared, c.data).training) for c in configs)
    return float(PASSES * cost_of(study, scale).macs * windows)


def sentences(found: Replay, rate_hz: float) -> list[str]:
    """What a replay came to; kernels in ms too."""

    def told(axis: str, levels: list[int]) -> str:
        in_ms = f" ({' '.join(f'{1000 * level / rate_hz:.3g}' for level in levels)} ms)" if axis == "kernel" else ""
        return " ".join(map(str, levels)) + in_ms

    space = ", ".join(
        f"{axis} {told(axis, found.kept[axis])}"
        + (f" without {told(axis, found.dropped[axis])}" if found.dropped[axis] else "")
        for axis in AXES
    )
    said = [f"The narrowed space: {space}."]
    if not any(found.dropped.values()):
        said.append("The other study shows no effect whose interval is off 0, so both spaces are equal.")
    at, first, last = found.average, found.curves[0]["budget"], found.curves[-1]["budget"]
    interval = "" if at["low"] is None else f" (95 % {signed(at['low'])} to {signed(at['high'])})"
    said.append(
        f"Over budgets from {first:.2g} to {last:.2g} training MACs random search holds a test macro AUROC of "
        f"{at['whole']:.4f} in the whole space and {at['narrowed']:.4f} in the narrowed one: "
        f"{signed(at['difference'])}{interval}."
    )
    return [*said, f"A narrowed space does better for less: {found.verdict}."]


def write_replay(folder: Path, found: Replay, title: str) -> Path:
    """Leaves `search.json` and the curves as SVG and PNG in a folder, and returns the JSON's path."""
    from ecg_jax.report import charts

    folder.mkdir(parents=True, exist_ok=True)
    figure = charts.together(charts.search_curves(found.curves, title=title), columns=2)
    write_text(folder / "search.svg", charts.svg(figure))
    write_bytes(folder / "search.png", charts.png(figure))
    write_text(folder / "search.json", json.dumps(asdict(found), indent=1) + "\n")
    return folder / "search.json"
