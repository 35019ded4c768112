"""The only training loop there is: `run(config, workdir) -> RunResult`. Files, clock and progress are touched here."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from ecg_jax.config import RunConfig, to_dict
from ecg_jax.dataset.batch import InputContract
from ecg_jax.dataset.prepared import PreparedSet, open_prepared
from ecg_jax.dataset.splits import Splits, split_records
from ecg_jax.dataset.statistics import mean_and_std_mv
from ecg_jax.errors import RunError
from ecg_jax.evaluation.scores import SCORES
from ecg_jax.evaluation.summary import point_values
from ecg_jax.evaluation.thresholds import fit_thresholds
from ecg_jax.import_path import name_of
from ecg_jax.training.augment import Augment
from ecg_jax.training.checkpoint import Checkpoints, read_meta
from ecg_jax.training.losses import Loss
from ecg_jax.training.network import Network, cost_of
from ecg_jax.training.progress import EpochProgress, Events, check_tensorboard
from ecg_jax.training.result import RunResult, conclude, read_result
from ecg_jax.training.setup import TrainingSetup
from ecg_jax.training.workdir import append_metrics, check_config, check_fingerprint, claim, cut_metrics, read_metrics


@dataclasses.dataclass
class _Course:
    """Where a run stands, beside its arrays: what a checkpoint's meta holds."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    best_epoch: int = 0
    best_value: float | None = None


def run(
    config: RunConfig,
    workdir: Path,
    *,
    network: Network | None = None,
    loss: Loss | None = None,
    augment: Augment | None = None,
    console: Console | None = None,
    plots: bool = True,
) -> RunResult:
    """Trains on the training folds, chooses the epoch on the validation folds, and writes all about it to `workdir`.

    Started again in the same workdir it goes on from the last checkpoint, to the same end; a finished run is read, not
    run again. The test folds are not read.

    Args:
        config: all that decides the run.
        workdir: a folder of its own.
        network: `network(config, n_classes, axis_name) -> nn.Module` in place of `ResNet1D`.
        loss: `loss(logits [B, K], label [B, K]) -> [B]` in place of the config's.
        augment: `augment(key, signal [T, L]) -> [T, L]` in place of the config's (its mixup stays).
        console: where progress is shown; by default standard error.
        plots: draw the curves.

    Raises:
        DataError, ConfigError: the set or its folds cannot be used.
        RunError: the workdir holds another run, or the loss is not finite.
    """
    console = console or Console(stderr=True)
    config = _with_functions(config, network=network, loss=loss, augment=augment)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, path=config.data.path.resolve()))
    prepared = open_prepared(config.data.path)
    splits = split_records(prepared, config.data)
    check_config(workdir, config)
    finished, meta = read_result(workdir), read_meta(workdir / "checkpoints")
    before = finished.data_fingerprint if finished else meta["fingerprint"] if meta else prepared.fingerprint
    check_fingerprint(workdir, before, prepared.fingerprint)
    if finished is not None:
        console.print(f"{workdir} is finished: nothing to do")
        return finished
    _check_choosable(prepared, splits, config)
    check_tensorboard(config.train.tensorboard)
    console.print(splits.describe(), highlight=False, soft_wrap=True)

    fitting = TrainingSetup(config, prepared, splits, make_contract(config, prepared, splits))
    claim(workdir, config)  # only now: what cannot be built must not take the folder
    checkpoints = Checkpoints(workdir / "checkpoints")
    try:
        course, best = _train(fitting, checkpoints, workdir, console)
    finally:
        checkpoints.close()
    return _finish(fitting, course, best, workdir, plots=plots)


def make_contract(config: RunConfig, prepared: PreparedSet, splits: Splits) -> InputContract:
    """What a network trained by this run expects; the normalisation is that of its own training records."""
    mean_mv, std_mv = mean_and_std_mv(prepared, splits.training)
    return InputContract(
        rate_hz=prepared.rate_hz,
        leads=prepared.leads,
        target=prepared.target,
        window_samples=max(1, round(config.data.window_seconds * prepared.rate_hz)),
        mean_mv=tuple(mean_mv.tolist()),
        std_mv=tuple(std_mv.tolist()),
    )


def _with_functions(config: RunConfig, **given: Any) -> RunConfig:
    names = {what: name_of(function, what) for what, function in given.items() if function is not None}
    return dataclasses.replace(config, functions=dataclasses.replace(config.functions, **names)) if names else config


def _check_choosable(prepared: PreparedSet, splits: Splits, config: RunConfig) -> None:
    label = prepared.label[splits.validation]
    if config.train.best_metric != "loss" and not (label.min(axis=0) < label.max(axis=0)).any():
        raise RunError(
            f"validation folds {list(splits.folds['validation'])} have no label with both classes, so "
            f"{config.train.best_metric} is not defined; "
            "choose other --data.validation-folds or --train.best-metric loss"
        )
    if config.train.best_metric in SCORES:
        score, everything = SCORES[config.train.best_metric], np.ones((1, len(label)))
        if prepared.score != config.train.best_metric:
            raise RunError(f"--train.best-metric {config.train.best_metric} is not the score of this set; choose loss")
        if np.isnan(score(label.astype(float), label > 0, everything)).any():
            raise RunError(
                f"--train.best-metric {config.train.best_metric} is not defined on the validation folds, which lack a "
                "label that it needs; choose other --data.validation-folds or --train.best-metric loss"
            )


def _train(fitting: TrainingSetup, checkpoints: Checkpoints, workdir: Path, console: Console) -> tuple[_Course, Any]:
    """All epochs from the last checkpoint on; returns where the run ended and the best variables, as NumPy arrays."""
    config, fixed = fitting.config, _fixed_meta(fitting)
    state, best, course = fitting.initial_state(), None, _Course()
    like = _copied(fitting.one_copy(state))
    if (found := checkpoints.restore(latest=like, best=like.variables)) is not None:
        latest, best, meta = found
        state, course = fitting.place(latest), _Course(**meta["course"])
        console.print(f"going on after epoch {course.epoch} of {config.train.epochs}", highlight=False)
    cut_metrics(workdir, epoch=course.epoch)

    with EpochProgress(console, fitting.steps_until(config.train.epochs), course.step, fitting.batch_size) as progress:
        events = Events(workdir, config.train.tensorboard)
        for epoch in range(course.epoch + 1, config.train.epochs + 1):
            began, first = time.monotonic(), course.step
            stop = fitting.steps_until(epoch)
            state, losses = fitting.train(state, first, stop, progress.advance)
            _check_finite(losses, first, course.epoch, workdir)
            trained = time.monotonic()
            probability, validation_loss = fitting.validate(state)
            _check_finite(np.array([validation_loss]), stop, course.epoch, workdir)
            figures = _validation_figures(fitting, probability, validation_loss)
            value = figures[config.train.best_metric]
            if course.best_value is None or _better(value, course.best_value, config.train.best_metric):
                course.best_value, course.best_epoch = value, epoch
                best = _copied(fitting.one_copy(state.variables))
            course.epoch, course.step = epoch, stop
            course.step_seconds += trained - began
            course.seconds += time.monotonic() - began
            line = {
                "epoch": epoch,
                "step": stop,
                "train_loss": float(np.mean(losses)),
                "validation_loss": validation_loss,
                "validation_macro_auroc": _null_if_nan(figures["macro_auroc"]),
                "learning_rate": np.asarray(fitting.schedule(stop - 1)).item(),
                "seconds": round(time.monotonic() - began, 3),
            }
            append_metrics(workdir, line)
            events.write(line)
            progress.describe(line)
            meta = {**fixed, "course": dataclasses.asdict(course)}
            checkpoints.save(stop, latest=_copied(fitting.one_copy(state)), best=best, meta=meta)
    return course, best


def _fixed_meta(fitting: TrainingSetup) -> dict[str, Any]:
    return {
        "config": to_dict(fitting.config),
        "contract": to_dict(fitting.contract),
        "fingerprint": fitting.prepared.fingerprint,
        "folds": {name: list(folds) for name, folds in fitting.splits.folds.items()},
    }


def _copied(tree: Any) -> Any:
    """NumPy copies: a view of a buffer that the next step is given would change under the writer's hands."""
    return jax.tree.map(lambda x: np.array(x, copy=True), jax.device_get(tree))


def _check_finite(losses: np.ndarray, first: int, good_epoch: int, workdir: Path) -> None:
    wrong = np.flatnonzero(~np.isfinite(losses))
    if len(wrong):
        kept = f"the checkpoint after epoch {good_epoch} is kept in {workdir}" if good_epoch else "no epoch was whole"
        raise RunError(
            f"the loss is {losses[wrong[0]]} at step {first + int(wrong[0])}; {kept}; "
            "try a smaller --train.learning-rate in a new --workdir"
        )


def _validation_figures(fitting: TrainingSetup, probability: np.ndarray, loss: float) -> dict[str, float]:
    label = fitting.validation.label
    target = fitting.contract.target
    thresholds = fit_thresholds(label, probability, target)
    points = point_values(label, probability, thresholds, target=target, score=fitting.prepared.score)
    return {**points, "loss": loss}


def _better(value: float, best: float, metric: str) -> bool:
    return value < best if metric == "loss" else value > best


def _null_if_nan(value: float) -> float | None:
    return None if np.isnan(value) else value


def _finish(fitting: TrainingSetup, course: _Course, best: Any, workdir: Path, *, plots: bool) -> RunResult:
    """Predicts the validation split with the best variables and leaves all figures of the run."""
    probability, _ = fitting.validation.predict(fitting.compiled_predict, fitting.devices.put_everywhere(best))
    if plots:
        from ecg_jax.plots.curves import training_curves

        training_curves(read_metrics(workdir), best_epoch=course.best_epoch).savefig(workdir / "training_curves.png")
    return conclude(
        workdir,
        "validation",
        fitting.prepared,
        fitting.splits.validation,
        probability,
        fit_thresholds(fitting.validation.label, probability, fitting.contract.target),
        resamples=fitting.config.evaluate.resamples,
        cost=cost_of(fitting.config, fitting.contract),
        train={
            "steps": course.step,
            "seconds": round(course.seconds, 3),
            "examples_per_second": round(course.step * fitting.batch_size / course.step_seconds, 1),
            "best_epoch": course.best_epoch,
        },
        config=to_dict(fitting.config),
        plots=plots,
    )
