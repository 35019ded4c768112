"""PhysioNet/CinC Challenges 2020 and 2021 (Reyna et al. 2021, https://physionet.org/content/challenge-2021/1.0.3/)."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ecg_jax.errors import DataError
from ecg_jax.sources.header_comments import Described, described_records
from ecg_jax.sources.listing import FolderSource, Listing
from ecg_jax.sources.snomed import Classes, by_codes

Part = Literal[
    "cpsc_2018", "cpsc_2018_extra", "st_petersburg_incart", "ptb", "ptb-xl", "georgia", "chapman_shaoxing", "ningbo"
]
PART_OF: dict[str, Part] = {
    "A": "cpsc_2018",
    "Q": "cpsc_2018_extra",
    "I": "st_petersburg_incart",
    "S": "ptb",
    "HR": "ptb-xl",
    "E": "georgia",
    "JS": "ningbo",
}
"""By the letters with which a record is named."""
REMEDY = "download it from https://physionet.org/content/challenge-2021/1.0.3/ and give its folder with --from"
LAST_OF_CHAPMAN = 10_646  # records of Chapman-Shaoxing and Ningbo are named JS and counted through


@dataclass(frozen=True)
class Cinc2021(FolderSource):
    """CinC 2020 and 2021: 12 leads, 5 s to 30 min; prepared at 100 Hz; ten folds, even in each source.

    The headers name no patients, of whom some have several records. PTB-XL is among the sources: never join the two.
    """

    classes: Classes = "scored"
    """The 26 classes of the score, with equivalent codes joined; or every code that occurs."""
    sources: tuple[Part, ...] = ()
    """Sources to take; by default all that are found."""
    name = "cinc2021"

    def listing(self, *, rate_hz: float, seed: int, folder: Path) -> Listing:
        """The records in any folder below, in the order of their ids; a source is known by its folder or from the id.

        Raises:
            DataError: there is no record of the sources.
        """
        records, left_out = described_records(self.root, REMEDY)
        kept = [record for record in records if not self.sources or _part(record) in self.sources]
        if not kept:
            found = ", ".join(sorted({_part(record) or "others" for record in records})) or "none"
            raise DataError(f"{self.root} has no record of {', '.join(self.sources)}; found: {found}")
        return by_codes(kept, self.classes, _part, left_out)


def _part(record: Described) -> str:
    """The source of a record by the folders that it is in, or else by its name; "" if neither says it."""
    named = [folder for folder in record.folders if folder in get_args(Part)]
    match = re.fullmatch(r"([A-Z]+)(\d+)", record.record_id)
    if named or match is None:
        return named[-1] if named else ""
    part = PART_OF.get(match[1], "")
    return "chapman_shaoxing" if part == "ningbo" and int(match[2]) <= LAST_OF_CHAPMAN else part
