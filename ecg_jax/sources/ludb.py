"""Lobachevsky University Database (Kalyakulina et al. 2020, https://physionet.org/content/ludb/1.0.1/)."""

from dataclasses import dataclass
from pathlib import Path

from ecg_jax.sources.header_comments import Described, described_records
from ecg_jax.sources.listing import FolderSource, Listing, occurring
from ecg_jax.target import Target

REMEDY = "download it from https://physionet.org/content/ludb/1.0.1/ and give its folder with --from"


@dataclass(frozen=True)
class Ludb(FolderSource):
    """LUDB 1.0.1: 12 leads, 10 s, rhythms and diagnoses; one record a patient; at 100 Hz; ten folds are made."""

    name = "ludb"

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The records in any folder below, in the order of their ids; a label is a line of the header's diagnoses.

        Raises:
            DataError: there is no header.
        """
        records, left_out = described_records(self.root, REMEDY)
        refs = tuple(record.ref(_diagnoses(record)) for record in records)
        return Listing(refs, Target("multilabel", occurring(refs)), left_out=tuple(left_out))


def _diagnoses(record: Described) -> set[str]:
    """The lines after `<diagnoses>:` without their full stop, and `Sinus rhythm` for `Rhythm: Sinus rhythm`."""
    lines = [line.strip() for line in record.comments]
    start = next((n for n, line in enumerate(lines, 1) if line.lower().startswith("<diagnoses>")), len(lines))
    return {line.removeprefix("Rhythm:").rstrip(".").strip() for line in lines[start:]} - {""}
