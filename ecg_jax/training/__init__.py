"""Training of a network: `run` is the only training loop."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Imports `run` on first use, so that `step`, `losses` and `augment` load nothing that reads files."""
    if name == "run":
        from ecg_jax.training.loop import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
