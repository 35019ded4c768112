"""What `ecg-jax prepare` can be asked for. May import nothing heavy: the command line is made from it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ecg_jax.errors import ConfigError

SOURCES = ("ptb_xl", "cinc2017", "wfdb", "synthetic")


@dataclass(frozen=True)
class PrepareConfig:
    """What to prepare, from where, to where."""

    source: tyro.conf.Positional[str]
    """`ptb_xl` or `cinc2017` (public data sets), `wfdb` (any folder of WFDB records), `synthetic` (made-up recordings),
    or `module:function`: a function of your own from the folder to a `Listing`."""
    to: Path
    """Folder to be made for the prepared set."""
    root: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """Folder that holds the source's files."""
    task: Literal["all", "diagnostic", "subdiagnostic", "superdiagnostic", "form", "rhythm"] = "superdiagnostic"
    """Which labels of PTB-XL."""
    rate_hz: float = 100.0
    """Sampling rate of the prepared set."""
    leads: tuple[str, ...] = ()
    """Leads and their order; by default the 12 standard ones, for cinc2017 its one lead."""
    folds: int | None = None
    """Number of folds to make; by default the source's own, else ten (cinc2017: five)."""
    workers: int | None = None
    """Processes that read; by default one for each core."""
    strict: bool = False
    """Fail if any record is rejected."""
    keep_unlabelled: bool = False
    """Keep records of PTB-XL that have no label of the task."""
    labels: Path | None = None
    """For wfdb: CSV with the columns record, labels (separated by ;) and, if known, patient and fold."""
    exclusive: bool = False
    """For wfdb: each record has exactly one label."""
    records: int = 400
    """For synthetic: number of recordings."""
    seed: int = 0
    """Decides the folds that are made, and the synthetic recordings."""

    def __post_init__(self) -> None:
        spellings = {lead.strip().lower() for lead in self.leads}
        known = self.source in SOURCES or all(self.source.partition(":"))
        rules = (
            (known, f"source {self.source} is unknown; give {', '.join(SOURCES)} or module:function"),
            (10 <= self.rate_hz <= 10_000, f"--rate-hz is {self.rate_hz:g}; give 10 to 10000"),
            (self.workers is None or self.workers >= 1, f"--workers is {self.workers}; give 1 or more"),
            (self.folds is None or self.folds >= 2, f"--folds is {self.folds}; give 2 or more"),
            (self.records >= 1, f"--records is {self.records}; give 1 or more"),
            (0 <= self.seed < 2**32, f"--seed is {self.seed}; give a whole number from 0 up to 2**32 - 1"),
            (len(spellings) == len(self.leads), f"--leads {' '.join(self.leads)} names a lead twice; name each once"),
            (self.source == "synthetic" or self.root, f"--from is missing; give the folder with {self.source}'s files"),
            (self.source != "synthetic" or not self.root, "--from is given; leave it out, synthetic makes its files"),
            (self.source != "wfdb" or self.labels, "--labels is missing; give the CSV with the records' labels"),
            (self.source == "wfdb" or not self.labels, f"--labels is given; leave it out, {self.source} has its own"),
        )
        for holds, message in rules:
            if not holds:
                raise ConfigError(message)

    def identity(self) -> dict[str, Any]:
        """All that decides the set, as JSON values: where it lies and how it is read do not."""
        values = {key: value for key, value in asdict(self).items() if key not in ("to", "workers", "strict")}
        paths = {key: str(values[key].resolve()) for key in ("root", "labels") if values[key] is not None}
        return values | paths | {"leads": list(self.leads)}
