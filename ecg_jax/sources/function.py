"""A source of the user's own: a function from a folder to a `Listing`."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from ecg_jax.import_path import function_at
from ecg_jax.sources.listing import FolderSource, Listing


@dataclass(frozen=True)
class FunctionSource(FolderSource):
    """A function of your own, named by its module: it takes the folder and returns an `ecg_jax.sources.Listing`."""

    name: tyro.conf.Positional[str]
    """The function as MODULE:FUNCTION; its module must be on PYTHONPATH."""

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The listing that the function returns.

        Raises:
            RunError: the function cannot be imported.
        """
        return function_at(self.name, "source")(self.root)
