"""Commands on what a run is worth: `evaluate` and `card`."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from ecg_jax.assessment.flags import AssessmentFlags
from ecg_jax.config import FLAT
from ecg_jax.errors import ConfigError
from ecg_jax.import_path import allow_code_flag
from ecg_jax.terminal import next_step, say

NOTHING_MORE = AssessmentFlags()


def evaluate(
    workdir: Path,
    split: Literal["test", "validation"] = "test",
    data: Path | None = None,
    map_of_labels: Annotated[Path | None, tyro.conf.arg(name="map")] = None,
    folds: tuple[int, ...] = (),
    flags: Annotated[AssessmentFlags, FLAT] = NOTHING_MORE,
    allow_code: bool = False,
) -> None:
    """Evaluates a finished run on its test folds, or on another prepared set.

    Args:
        workdir: Folder of a finished run.
        split: Which split of the run.
        data: Another prepared set, all of whose records are predicted; or the run's own, if it has been moved since.
        map_of_labels: CSV with the columns run and data: a label of the run, and one of the other set that means it. By
            default labels are paired by the label maps of the two data sets, or by name where one has no map.
        folds: Folds of another set; by default all.
        flags: What is computed beside the metrics.
        allow_code: Import the functions that the run's config.json names, if you trust them.
    """
    from ecg_jax.assessment import external
    from ecg_jax.assessment.split import evaluate as evaluate_split
    from ecg_jax.assessment.split import summary_of

    if data is not None and external.is_external(workdir, data):
        if split != "test":
            raise ConfigError(f"--split is of the run's own set, {data} is another one; give --folds, or neither")
        result = external.evaluate_external(
            workdir, data, map_path=map_of_labels, folds=folds, flags=flags, allow_code=allow_code
        )
        say(*external.external_lines(result))
    else:
        if map_of_labels is not None or folds:
            flag = "--map" if map_of_labels is not None else "--folds"
            raise ConfigError(f"{flag} is for another set than the run's own; give that set with --data")
        result = evaluate_split(workdir, split, data=data, flags=flags, allow_code=allow_code)
    say(*summary_of(result), f"results: {result.workdir / result.file_name}")
    next_step("ecg-jax", "card", "--workdir", workdir, *allow_code_flag(allow_code))


def card(workdir: Path, data: Path | None = None, explained: int = 0, allow_code: bool = False) -> None:
    """Writes one page on an evaluated run: training, input, figures, groups, calibration, other sets, and limits.

    Args:
        workdir: Folder of an evaluated run.
        data: The prepared set of the run, if it has been moved since.
        explained: Records of each label, at most, whose explanations are averaged, which takes about a second for
            each; needs the extra [explain].
        allow_code: Import the functions that the run's config.json names, if you trust them.
    """
    if not 0 <= explained <= 100_000:
        raise ConfigError(f"--explained is {explained}; give a whole number from 0 to 100000")
    from ecg_jax.commands.runs import next_is_predict
    from ecg_jax.report.card import write_card
    from ecg_jax.training.workdir import read_config

    say(f"card: {write_card(workdir, data=data, explained=explained, allow_code=allow_code)}")
    next_is_predict(workdir, data or read_config(workdir).data.path, allow_code=allow_code)
