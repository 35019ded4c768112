"""Chapman-Shaoxing-Ningbo (Zheng et al. 2022, https://physionet.org/content/ecg-arrhythmia/1.0.0/)."""

from dataclasses import dataclass
from pathlib import Path

from ecg_jax.sources.header_comments import described_records
from ecg_jax.sources.listing import FolderSource, Listing
from ecg_jax.sources.snomed import Classes, by_codes

REMEDY = "download it from https://physionet.org/content/ecg-arrhythmia/1.0.0/ and give its folder with --from"


@dataclass(frozen=True)
class Chapman(FolderSource):
    """Chapman-Shaoxing-Ningbo 1.0.0: 12 leads, 10 s, one record a patient; prepared at 100 Hz; ten folds are made."""

    classes: Classes = "all"
    """Every code that occurs; or the 26 classes of the CinC Challenge 2021, with its score."""
    name = "chapman"

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The records in any folder below, in the order of their ids.

        Raises:
            DataError: there is no header.
        """
        records, left_out = described_records(self.root, REMEDY)
        return by_codes(records, self.classes, left_out=left_out)
