"""Functions that a study applies to a run: train, predict, measure. JAX is imported where it is used."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ecg_jax.analysis.axes import Scale
from ecg_jax.config import RunConfig, with_fields
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.dataset.splits import split_records
from ecg_jax.errors import UserError
from ecg_jax.files import temporary_folder
from ecg_jax.study.cost import window_samples
from ecg_jax.study.design import Study
from ecg_jax.terminal import PlainConsole
from ecg_jax.training.compiled import keep_compiled
from ecg_jax.training.result import RunResult

SHORT_EPOCHS = (1, 5)  # of the runs that are trained to measure what is neither step nor validation


def train(
    runs: Mapping[Path, RunConfig], *, console: Console, plots: bool, until: int | None = None
) -> dict[Path, RunResult | UserError]:
    """Trains runs as one program, or reads their results if they are finished; those that pause have none yet."""
    from ecg_jax.training.loop import run_together

    return run_together(runs, console=console, plots=plots, until=until)


def predict_test(workdir: Path, data: Path) -> None:
    """Writes the test predictions of a run that `train` has finished; no metric of them is computed."""
    from ecg_jax.inference import predict_split
    from ecg_jax.training.writer import RunWriter

    _, predictions = predict_split(workdir, "test", data=data, allow_code=True)  # `train` compared them with the config
    RunWriter(workdir).write_predictions(predictions)


def measure_latency(study: Study, scale: Scale) -> float:
    """Milliseconds that the network of a scale takes for one window on this machine."""
    from ecg_jax.training.timing import latency_ms

    shape = {"window_samples": window_samples(study, scale), "leads": study.leads, "labels": study.labels}
    return latency_ms(study.config(scale), **shape)


def measure_file(study: Study, scale: Scale, runtime: str) -> tuple[float, int]:
    """Milliseconds that the exported network of a scale takes for one window on this machine, and the file's bytes."""
    from ecg_jax.export.exporting import cost_of_file

    shape = {"window_samples": window_samples(study, scale), "leads": study.leads, "labels": study.labels}
    return cost_of_file(study.config(scale), runtime, **shape, rate_hz=study.rate_hz)


def measure_run(config: RunConfig) -> tuple[float, float]:
    """Seconds that a run will take, and seconds before its first step is done."""
    from ecg_jax.training.timing import run_seconds

    return run_seconds(config)


def measure_rest(config: RunConfig) -> tuple[float, float]:
    """Seconds of a run besides its steps and validations, once and in each epoch.

    They are measured with short runs on few records, in a temporary folder, up to the predictions of the test folds.
    """
    n_records = len(split_records(open_prepared(config.data.path), config.data).training)
    share = config.data.training_share * min(1.0, 2 * config.train.batch_size / n_records)
    with temporary_folder() as folder:

        def rest(epochs: int, name: str) -> float:
            short = with_fields(config, {"data.training_share": share, "train.epochs": epochs, "train.restarts": ()})
            start = time.perf_counter()
            successful(Runner().finish({folder / name: short}, predict=True, console=PlainConsole(quiet=True)))
            return time.perf_counter() - start - measure_run(short)[0]

        few, many = SHORT_EPOCHS
        for epochs in SHORT_EPOCHS:  # compiles: a learning rate of each step is an argument of the steps
            rest(epochs, f"first_{epochs}")
        of_few, of_many = rest(few, "few"), rest(many, "many")
    of_epoch = max((of_many - of_few) / (many - few), 0.0)
    return max(of_few - few * of_epoch, 0.0), of_epoch


def measure_together(configs: Sequence[RunConfig]) -> int:
    """How many of these runs should be trained as one program on this machine; 1 on CPU."""
    from ecg_jax.training.timing import fastest_together

    return fastest_together(configs)


def successful(results: Mapping[Path, RunResult | UserError]) -> list[RunResult]:
    """The results of runs.

    Raises:
        UserError: the first failure, if a run failed.
    """
    for result in results.values():
        if isinstance(result, UserError):
            raise result
    return [result for result in results.values() if isinstance(result, RunResult)]


@dataclass(frozen=True)
class Runner:
    """The functions above as one value; tests use another one, which does not train."""

    train: Callable[..., dict[Path, RunResult | UserError]] = train
    predict: Callable[[Path, Path], None] = predict_test
    measure_latency: Callable[[Study, Scale], float] = measure_latency
    measure_run: Callable[[RunConfig], tuple[float, float]] = measure_run
    keep_compiled: Callable[[Path], None] = keep_compiled
    measure_together: Callable[[Sequence[RunConfig]], int] = measure_together
    measure_rest: Callable[[RunConfig], tuple[float, float]] = measure_rest
    measure_file: Callable[[Study, Scale, str], tuple[float, int]] = measure_file

    def finish(
        self,
        runs: Mapping[Path, RunConfig],
        *,
        predict: bool,
        console: Console,
        plots: bool = False,
        together: int = 1,
        until: int | None = None,
    ) -> dict[Path, RunResult | UserError]:
        """Trains runs and, with `predict`, predicts their test folds; finished parts are not repeated.

        Args:
            runs: workdir -> config.
            predict: whether test predictions are needed.
            console: where the progress is shown.
            plots: whether the curves of the runs are drawn.
            together: the number of runs that are trained as one program.
            until: the epoch after which all pause; then there are no predictions.

        Returns:
            The result of each run that has ended, or why it failed.
        """
        results: dict[Path, RunResult | UserError] = {}
        paths = list(runs)
        for first in range(0, len(paths), together):
            part = paths[first : first + together]
            some = {workdir: runs[workdir] for workdir in part}
            results |= self.train(some, console=console, plots=plots, until=until)
            for workdir in part if until is None else ():
                failed = isinstance(results[workdir], UserError)
                if predict and not failed and not (workdir / "predictions_test.csv").is_file():
                    self.predict(workdir, runs[workdir].data.path)
        return results
