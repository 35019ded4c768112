"""The synthetic recordings of `ecg_jax.synthetic` as a source."""

from dataclasses import dataclass
from pathlib import Path

from ecg_jax.sources.listing import Listing
from ecg_jax.sources.wfdb_folder import WfdbFolder


@dataclass(frozen=True)
class Synthetic:
    """Synthetic recordings with known labels: 12 leads, 10 s, at 500 Hz; ten folds are made."""

    records: int = 400
    """Number of recordings."""
    name = "synthetic"

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """Writes the recordings into `folder` and lists them.

        Raises:
            ConfigError: the number of records or the seed is out of range.
        """
        from ecg_jax.synthetic import write  # imports numpy

        write(folder, records=self.records, seed=seed)
        return WfdbFolder(folder, folder / "labels.csv").listing(rate_hz=rate_hz, seed=seed, folder=folder)
