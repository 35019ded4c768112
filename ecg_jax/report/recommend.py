"""Which scale to train within a budget: what `ecg-jax recommend` prints, with the command that trains it."""

from collections.abc import Mapping
from pathlib import Path

from ecg_jax.analysis.axes import Scale
from ecg_jax.analysis.recommendation import TOLERATED, UNITS, Recommendation, recommend
from ecg_jax.analysis.summary import SELECTION_WITH_ONE_SEED
from ecg_jax.config import flags, with_fields
from ecg_jax.formatting import scale_text, span
from ecg_jax.report.write import commands, with_latency
from ecg_jax.study.latency import FILE, machine
from ecg_jax.study.results import load_results
from ecg_jax.study.runner import Runner
from ecg_jax.study.workdir import StudyFolder, open_study
from ecg_jax.terminal import command


def advise(
    folder_path: Path,
    budget: Mapping[str, float],
    *,
    label: str | None = None,
    tolerate: float = TOLERATED,
    data: Path | None = None,
    runner: Runner | None = None,
    runtime: str | None = None,
    allow_code: bool = False,
) -> list[str]:
    """The lines that `ecg-jax recommend` prints about a study.

    Raises:
        RunError: no seed is finished at every scale yet.
        ConfigError: no scale is within the budget, there is no such label, or `tolerate` is below 0.
    """
    folder = open_study(folder_path, allow_code=allow_code)
    results = load_results(folder, data=data)
    predictions, rate_hz = results.finished(folder_path, commands(folder)[0]), folder.study.rate_hz
    if runtime or "latency_ms" in budget or (folder_path / FILE).is_file():
        predictions = with_latency(folder, predictions, runner or Runner(), runtime)
    found = recommend(predictions, budget, label=label, tolerate=tolerate)
    value = "not known: too few test records of a class to select on one half and measure on the other"
    if found.quality is not None:
        value = (
            f"{found.quality:.3f} {span(found.low, found.high)} when choosing a scale so, on data that did not choose"
        )

    def text(scale: Scale) -> str:
        return scale_text(scale.to_dict(), rate_hz)

    lines = [
        f"scale        {text(found.scale)} ({found.affordable} of {found.of} scales are within the budget)",
        f"best         {text(found.best)}: {f'AUROC of {label}' if label else 'macro AUROC'} {value}",
    ]
    if len(results.seeds) == 1 and found.affordable > 1:
        lines.append(f"             {SELECTION_WITH_ONE_SEED}")
    if found.expected_loss is not None and found.may_lose is not None:
        lines.append(
            f"judgement    it is expected to lose {found.expected_loss:.4f} against the best scale (tolerated: "
            f"{tolerate:g}), if similar scales are similarly good"
        )
        guaranteed = "no scale is known to lose so little"
        if found.guaranteed is not None:
            guaranteed = f"the cheapest scale that is known to lose at most {tolerate:g} is {text(found.guaranteed)}"
        lines.append(f"guarantee    it loses at most {found.may_lose:.4f} (95 %, all scales at once); {guaranteed}")
    return [*results.notes, *lines, *_cost_lines(found, runtime), f"train it     {_command(folder, found, data)}"]


def _cost_lines(found: Recommendation, runtime: str | None) -> list[str]:
    lines = []
    for name, cost in found.costs.items():
        if cost is not None:
            extremes = f" ({cost.low:,.4g} to {cost.high:,.4g} over its trials)" if cost.low != cost.high else ""
            on = f" on {machine(runtime)}" if name == "latency_ms" else ""
            value = f"{cost.value:,.4g}" if name in ("seconds", "latency_ms") else f"{cost.value:,.0f}"
            lines.append(f"costs        {value} {UNITS[name]}{extremes}{on}")
    return lines


def _command(folder: StudyFolder, found: Recommendation, data: Path | None) -> str:
    """The command that trains the scale on the split of the base, not on a fold of the study."""
    study = folder.study
    config = study.config(found.scale, found.learning_rate)
    config = with_fields(config, {"data.test_folds": study.base.data.test_folds, "train.seed": 0})
    start = ["ecg-jax", "train", "--data", data or study.base.data.path, "--workdir", Path("runs", found.scale.name)]
    return command(*start, *flags(config))
