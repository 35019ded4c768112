"""Which labels of different data sets mean the same: a class for each label, and where that is known from.

A class is one of `snomed.csv`, the SNOMED CT codes of the CinC Challenges 2020 and 2021 with the abbreviations used
there, or `Normal`. A label that has no such class is in no map. Standard library only.
"""

import csv
from importlib.resources import files

from ecg_jax.errors import ConfigError

MAPS = ("cinc2017", "code15", "ludb", "mitdb", "ptb_xl", "snomed", "sph")


def map_rows(name: str) -> list[dict[str, str]]:
    """The rows of a map: each has `label`, `class` and `source`; those of `snomed` also `code`, `meaning`, `scored`.

    Raises:
        ConfigError: there is no such map.
    """
    if name not in MAPS:
        raise ConfigError(f"there is no label map {name}; choose from {', '.join(MAPS)}")
    text = files(__name__).joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def label_map(name: str) -> dict[str, str]:
    """The class of each label of a set; `snomed` has the labels of `cinc2021` and `chapman`.

    Raises:
        ConfigError: there is no such map.
    """
    return {row["label"]: row["class"] for row in map_rows(name)}
