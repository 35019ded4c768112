"""Functions that a study applies to a run: train, predict, measure. JAX is imported where it is used."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ecg_jax.analysis.axes import Scale
from ecg_jax.config import RunConfig
from ecg_jax.errors import UserError
from ecg_jax.study.cost import window_samples
from ecg_jax.study.design import Study
from ecg_jax.training.compiled import keep_compiled
from ecg_jax.training.result import RunResult


def train(runs: Mapping[Path, RunConfig], *, console: Console, plots: bool) -> dict[Path, RunResult | UserError]:
    """Trains runs as one program, or reads their results if they are finished."""
    from ecg_jax.training.loop import run_together

    return run_together(runs, console=console, plots=plots)


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


def measure_run(config: RunConfig) -> tuple[float, float]:
    """Seconds that a run will take, and seconds before its first step is done."""
    from ecg_jax.training.timing import run_seconds

    return run_seconds(config)


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

    def finish(
        self, runs: Mapping[Path, RunConfig], *, predict: bool, console: Console, plots: bool = False, together: int = 1
    ) -> dict[Path, RunResult | UserError]:
        """Trains runs and, with `predict`, predicts their test folds; finished parts are not repeated.

        Args:
            runs: workdir -> config.
            predict: whether test predictions are needed.
            console: where the progress is shown.
            plots: whether the curves of the runs are drawn.
            together: the number of runs that are trained as one program.

        Returns:
            The result of each run, or why it failed.
        """
        results: dict[Path, RunResult | UserError] = {}
        paths = list(runs)
        for first in range(0, len(paths), together):
            part = paths[first : first + together]
            results |= self.train({workdir: runs[workdir] for workdir in part}, console=console, plots=plots)
            for workdir in part:
                failed = isinstance(results[workdir], UserError)
                if predict and not failed and not (workdir / "predictions_test.csv").is_file():
                    self.predict(workdir, runs[workdir].data.path)
        return results
