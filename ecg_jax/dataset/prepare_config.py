"""The configuration of `ecg-jax prepare`. Nothing heavy may be imported here: the command line is made from it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

import tyro

from ecg_jax.errors import ConfigError
from ecg_jax.sources import Source


@dataclass(frozen=True)
class PrepareConfig:
    """Which data set is prepared, how, and where it is written."""

    source: tyro.conf.OmitArgPrefixes[tyro.conf.OmitSubcommandPrefixes[Source]]
    """The data set."""
    to: Path
    """Folder that is created for the prepared set."""
    rate_hz: float | None = None
    """Sampling rate of the prepared set; by default that of the source."""
    leads: tuple[str, ...] = ()
    """Leads in the order in which they are stored; by default those of the source."""
    folds: int | None = None
    """Number of folds to make; by default the source decides."""
    limit: int | None = None
    """Take the first records only, so many, for a look."""
    at_least: int | None = None
    """Drop the labels that fewer records have."""
    workers: int | None = None
    """Processes that read records; by default one for each processor core."""
    strict: bool = False
    """Fail if any record is rejected."""
    seed: int = 0
    """Seed of the folds that are made, and of synthetic recordings."""

    def __post_init__(self) -> None:
        spellings = {lead.strip().lower() for lead in self.leads}
        rules = (
            (10 <= self.stored_rate_hz <= 10_000, f"--rate-hz is {self.stored_rate_hz:g}; give 10 to 10000"),
            (self.workers is None or self.workers >= 1, f"--workers is {self.workers}; give 1 or more"),
            (self.folds is None or self.folds >= 2, f"--folds is {self.folds}; give 2 or more"),
            (self.limit is None or self.limit >= 1, f"--limit is {self.limit}; give 1 or more"),
            (self.at_least is None or self.at_least >= 1, f"--at-least is {self.at_least}; give 1 or more"),
            (0 <= self.seed < 2**32, f"--seed is {self.seed}; give a whole number from 0 up to 2**32 - 1"),
            (len(spellings) == len(self.leads), f"--leads {' '.join(self.leads)} names a lead twice; name each once"),
        )
        for holds, message in rules:
            if not holds:
                raise ConfigError(message)

    @property
    def stored_rate_hz(self) -> float:
        """The sampling rate of the prepared set."""
        return float(self.source.default_rate_hz if self.rate_hz is None else self.rate_hz)

    def identity(self) -> dict[str, Any]:
        """All settings that decide the content of the set, as JSON values."""
        source = {key: value for key, value in asdict(self.source).items() if key != "name"}
        values = {"source": self.source.name} | source
        values |= {"rate_hz": self.stored_rate_hz, "leads": self.leads, "folds": self.folds, "seed": self.seed}
        values |= {"limit": self.limit, "at_least": self.at_least}
        return json.loads(json.dumps(values, default=lambda path: str(path.resolve())))


def prepare_words(request: Mapping[str, Any], to: Path, *, rate_hz: float, leads: Sequence[str]) -> list[str | Path]:
    """The command that prepares the same records at another rate or with other leads.

    Args:
        request: of a prepared set, which is the `identity` of its configuration.
        to: folder for the new set.
        rate_hz: its rate.
        leads: its leads; empty: those of the source.
    """
    named = {source.name: source for source in (get_args(member)[0] for member in get_args(Source)[:-1])}
    source = named.get(request["source"])
    words: list[str | Path] = ["ecg-jax", "prepare", request["source"]]
    flags = {key: value for key, value in request.items() if key not in ("source", "rate_hz", "leads")}
    flags |= flags.pop("files", {})  # the layout of files, whose flags have no prefix
    for name, value in flags.items():
        default = {"folds": None, "seed": 0, "limit": None, "at_least": None}.get(name)
        if source is not None:
            default = next((knob.default for knob in fields(source) if knob.name == name), default)
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if value in (default, None, "", [], False) or values == list(default if isinstance(default, tuple) else []):
            continue
        flag = "--from" if name == "root" else f"--{name.replace('_', '-')}"
        words += [flag] if value is True else [flag, *map(_word, values)]
    words += ["--to", to, "--rate-hz", f"{rate_hz:g}"]
    return [*words, "--leads", *leads] if leads else words


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
