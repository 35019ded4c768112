"""TrainingSetup a network: `run` is the only loop."""

from typing import Any


def __getattr__(name: str) -> Any:
    """`run` is handed on lazily, so that the pure rooms beside it load nothing that reads files."""
    if name == "run":
        from ecg_jax.training.loop import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
