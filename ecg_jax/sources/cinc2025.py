"""PhysioNet/CinC Challenge 2025: Chagas disease (https://moody-challenge.physionet.org/2025/)."""

from dataclasses import dataclass
from pathlib import Path

from ecg_jax.errors import Rejected
from ecg_jax.sources.header_comments import described_records
from ecg_jax.sources.listing import FolderSource, Listing
from ecg_jax.target import Target

LABEL = "Chagas"
LABELS: dict[str, tuple[str, ...]] = {"true": (LABEL,), "1": (LABEL,), "false": (), "0": ()}
REMEDY = "write the label into the headers as the instructions of the Challenge say, and give --from"


@dataclass(frozen=True)
class Cinc2025(FolderSource):
    """CinC 2025: Chagas disease, 12 leads, 7-10 s; prepared at 100 Hz; ten folds are made, even in each source.

    The labels of CODE-15 % are what patients reported; those of SaMi-Trop and PTB-XL are certain.
    """

    name = "cinc2025"

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The records in any folder below, in the order of their ids, with the label `Chagas` or none.

        Raises:
            DataError: there is no header.
        """
        records, left_out = described_records(self.root, REMEDY)
        refs = []
        for record in records:
            values = record.values
            labels = LABELS.get(values.get("chagas label", "").lower())
            if labels is None:
                left_out.append(Rejected(record.record_id, "no Chagas label: its header has none", REMEDY))
            else:
                refs.append(record.ref(labels, values.get("source", "")))
        return Listing(tuple(refs), Target("multilabel", (LABEL,)), left_out=tuple(left_out), score="cinc2025")
