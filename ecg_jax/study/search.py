"""The narrowed search on the files of studies: replayed from finished trials, or run for real with Optuna's TPE."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from rich.console import Console

from ecg_jax.dataset.prepared import PreparedSet, open_prepared
from ecg_jax.dataset.splits import split_records
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.files import write_bytes, write_text
from ecg_jax.study.collect import collect
from ecg_jax.study.effects import claims
from ecg_jax.study.folder import read_founded, read_plan, trial_folder, write_trial
from ecg_jax.study.measures import aurocs, mean_of
from ecg_jax.study.outcomes import AXES, Outcomes
from ecg_jax.study.replay import Levels, Replay, replay
from ecg_jax.study.space import Scale, Study, Trial, cost_of
from ecg_jax.study.words import signed
from ecg_jax.training.result import read_predictions

PASSES = 3  # forward, and backward through activations and through parameters
Ranges = dict[str, tuple[int, int]]


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
    from ecg_jax.plots import study_charts as charts

    folder.mkdir(parents=True, exist_ok=True)
    figure = charts.together(charts.search_curves(found.curves, title=title), columns=2)
    write_text(folder / "search.svg", charts.svg(figure))
    write_bytes(folder / "search.png", charts.png(figure))
    write_text(folder / "search.json", json.dumps(asdict(found), indent=1) + "\n")
    return folder / "search.json"


@dataclass(frozen=True)
class Found:
    """The best of a real search: its trial, its figures on validation and on test, and the training MACs spent."""

    trial: Trial
    validation: float
    test: float | None
    trials: int
    spent: float


def wider(levels: Levels, dropped: Levels) -> Ranges:
    """One doubling more on both ends of each axis, but not on an end where levels were dropped."""
    ranges = {}
    for axis, kept in levels.items():
        low, high = max(1, min(kept) // 2), 2 * max(kept)
        if axis == "kernel" and all(kernel % 2 for kernel in kept):
            low |= 1  # odd lengths have a middle; the search keeps to them
        if dropped[axis]:
            low, high = (low, max(kept)) if min(dropped[axis]) > max(kept) else (min(kept), high)
        ranges[axis] = (low, high)
    return ranges


def search(
    workdir: Path,
    of: Path,
    ranges: Ranges,
    *,
    budget: float,
    seed: int = 0,
    console: Console | None = None,
    run: Callable[..., Any] | None = None,
    predict: Callable[[Path, Path], None] | None = None,
) -> Found:
    """Searches scale and learning rate with Optuna's TPE, on validation, until the budget is spent.

    Started again it goes on where it stopped: a trial that a stop cut off is taken up from its checkpoint.

    Args:
        workdir: of the search; its trials lie there as those of a study.
        of: the study whose data, folds and base network are searched.
        ranges: the lowest and highest depth, number of channels and kernel.
        budget: training MACs.
        seed: of every training.
        console: where progress is shown; by default standard error.
        run, predict: in place of `training.run` and `predict_test`, for tests.

    Raises:
        DataError: the prepared set cannot be read.
        RunError: no trial worked.
    """
    from jax.errors import JaxRuntimeError  # a scale that does not fit the memory
    from optuna.trial import TrialState

    from ecg_jax.study.workers import predict_test

    if run is None:
        from ecg_jax.training.loop import run as trained

        run = trained
    console = console or Console(stderr=True)
    study, plan = read_founded(of).study, read_plan(of)
    prepared = open_prepared(study.base.data.path)
    rates = [rate for offered in plan.rates.values() for rate in offered]
    told = _begun(workdir)
    while (spent := _spent(told)) < budget:
        asked = told.ask()
        trial = _suggested(asked, ranges, (min(rates) / 3, 3 * max(rates)), seed)
        console.print(f"\n{trial.name}: {100 * spent / budget:.0f} % of the budget is spent", highlight=False)
        value, failure = None, None
        try:
            write_trial(workdir, study, trial)
            value = _validated(workdir, study, trial, run, console)
        except (ConfigError, RunError, JaxRuntimeError) as error:  # a DataError is no fault of the trial
            failure = str(error).strip().partition("\n")[0]
            console.print(f"{trial.name} failed: {failure}", highlight=False, soft_wrap=True)
            write_trial(workdir, study, trial, failure=failure)
        price = training_macs(study, prepared, trial.scale)  # that of a failure too, so that the budget ends
        known = any(t.user_attrs.get("trial") == trial.name for t in told.get_trials(deepcopy=False))
        asked.set_user_attr("spent", 0.0 if known and failure is None else price)
        asked.set_user_attr("trial", trial.name)
        told.tell(asked, value, state=TrialState.FAIL if value is None else TrialState.COMPLETE)
    worked = told.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not worked:
        raise RunError(f"{workdir}: no trial of the search worked")
    best = max(worked, key=lambda t: (t.value or 0.0, -t.number))
    trial = _of_params(best.params, seed)
    on_test = _on_test(workdir, study, trial, prepared, predict or predict_test)
    return Found(trial, float(best.value or 0.0), on_test, len(worked), spent)


def _begun(workdir: Path) -> Any:
    """The Optuna study of a search; what a stop cut off is asked for again."""
    import optuna
    from optuna.trial import TrialState

    from ecg_jax.study.desk import open_storage

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    workdir.mkdir(parents=True, exist_ok=True)
    storage = open_storage(workdir, "search.log")
    told = optuna.create_study(study_name="search", storage=storage, direction="maximize", load_if_exists=True)
    for cut in told.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        told.enqueue_trial(cut.params)
        told.tell(cut.number, state=TrialState.FAIL)
    told.sampler = optuna.samplers.TPESampler(seed=len(told.trials), n_startup_trials=5)
    return told


def _spent(told: Any) -> float:
    return sum(t.user_attrs.get("spent", 0.0) for t in told.get_trials(deepcopy=False))


def _suggested(asked: Any, ranges: Ranges, rates: tuple[float, float], seed: int) -> Trial:
    for axis, (low, high) in ranges.items():
        if axis == "kernel" and low % 2:  # odd lengths have a middle
            asked.suggest_int(axis, low, high - (high - low) % 2, step=2)
        else:
            asked.suggest_int(axis, low, high, log=True)
    asked.suggest_float("learning_rate", *rates, log=True)
    return _of_params(asked.params, seed)


def _of_params(params: dict[str, Any], seed: int) -> Trial:
    return Trial(Scale(*(params[axis] for axis in AXES)), float(f"{params['learning_rate']:.3g}"), seed)


def _validated(workdir: Path, study: Study, trial: Trial, run: Callable[..., Any], console: Console) -> float:
    runs = trial.runs(study).items()
    results = [run(c, trial_folder(workdir, trial) / below, console=console, plots=False) for below, c in runs]
    values = [v for result in results if (v := result.metrics["macro_auroc"]["value"]) is not None]
    if not values:
        raise RunError("macro AUROC is not defined: no label has both classes in the validation folds")
    return mean(values)


def _on_test(
    workdir: Path, study: Study, trial: Trial, prepared: PreparedSet, predict: Callable[[Path, Path], None]
) -> float | None:
    """Test macro AUROC of the one trial that validation chose."""
    read = []
    for number, below in enumerate(trial.runs(study)):
        folder = trial_folder(workdir, trial) / below
        if not (folder / "predictions_test.csv").is_file():
            predict(folder, prepared.path)
        _, probability, label = read_predictions(folder / "predictions_test.csv")
        read.append((probability, label, np.full(len(label), number)))
    probability, label, folds = (np.concatenate(column) for column in zip(*read, strict=True))
    one = {
        "depth": trial.scale.depth,
        "channels": trial.scale.channels,
        "kernel": trial.scale.kernel,
        "seed": trial.seed,
    }
    measure = mean_of(aurocs(Outcomes([one], label, probability[None], folds=folds)))
    return None if measure is None else float(measure.value[0])
