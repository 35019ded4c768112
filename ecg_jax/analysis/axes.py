"""What a study varies: axes with their levels, and scales, which are one level of each axis. NumPy only."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from ecg_jax.errors import ConfigError

Level = int | float | str | bool
Kind = Literal["log2", "linear", "categorical"]

SHORT_NAMES = {"model.depth": "depth", "model.channels": "channels", "model.kernel": "kernel"}


@dataclass(frozen=True)
class Axis:
    """One field of a run that a study varies.

    Raises:
        ConfigError: there is no such kind, the levels do not fit it, or the claim is not -1, 0 or +1.
    """

    field: str
    """Dotted name of a field of `RunConfig`, or `model.preset`, which replaces the whole model."""
    levels: tuple[Level, ...] = ()
    """Different values of the field; of a categorical axis the first one is the reference. Empty: those that occur."""
    kind: Kind = "log2"
    """`log2`: the effect is that of doubling the value; `linear`: that of the whole range, from the lowest to the
    highest level; `categorical`: the contrasts between the levels."""
    claim: int = 0
    """The sign of the effect that a publication claims; 0: no claim."""
    unit: str = ""
    """Unit of the values, where there is one."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(f"axis {self.field} is {self.kind}: give one of {', '.join(get_args(Kind))}")
        if self.claim not in (-1, 0, 1) or (self.claim and self.kind == "categorical"):
            raise ConfigError(f"axis {self.field}: a claim is -1, 0 or +1, and 0 for a categorical axis")
        for value in self.levels:
            self.level(value, "axis ")

    def level(self, value: Any, where: str) -> Level:
        """The value as a plain number or text.

        Raises:
            ConfigError: it is no level of this axis; the message begins with `where`.
        """
        value = value.item() if hasattr(value, "item") else value  # of NumPy
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if self.kind == "categorical":
            required, fits = "a text or a number", isinstance(value, (str, int, float))
        elif self.field in SHORT_NAMES:  # blocks, channels and samples
            required, fits = "a whole number from 1 up", number and value >= 1 and float(value).is_integer()
            value = int(value) if fits else value
        elif self.kind == "log2":
            required, fits = "a number above 0", number and value > 0
        else:
            required, fits = "a number", number
        if not fits:
            raise ConfigError(f"{where}{self.name} must be {required}; got {value!r}")
        return value

    @property
    def name(self) -> str:
        """Its name in files and tables: `depth`, `channels`, `kernel`, else the dotted field."""
        return SHORT_NAMES.get(self.field, self.field)

    def coordinates(self, values: Sequence[Any]) -> np.ndarray:
        """The places of levels [R] on the axis: log2, or 0 to 1 over the range of a linear axis; not of categories."""
        levels = np.array(values, float)
        if self.kind == "log2":
            return np.log2(levels)
        return (levels - levels.min()) / max(np.ptp(levels), np.finfo(float).tiny)

    def with_levels(self, levels: Iterable[Level]) -> "Axis":
        """The same axis with these levels, each once: numbers in ascending order, categories in the order given."""
        different = list(dict.fromkeys(levels))
        return replace(self, levels=tuple(different if self.kind == "categorical" else sorted(different)))


def default_kind(levels: Sequence[Level]) -> Kind:
    """The kind of an axis of which only the levels are given: text is categorical, positive numbers are log2."""
    if any(isinstance(level, (str, bool)) for level in levels):
        return "categorical"
    return "log2" if all(level > 0 for level in levels) else "linear"  # pyright: ignore[reportOperatorIssue]


def numeric_axes(axes: Iterable[Axis]) -> list[Axis]:
    """The axes that have effects; the others have contrasts."""
    return [axis for axis in axes if axis.kind != "categorical"]


READY_MADE = (
    Axis("model.depth", claim=-1),
    Axis("model.channels", claim=1),
    Axis("model.kernel", claim=-1, unit="samples"),
)
"""Depth, channels and kernel, with the claims of Lee, Jo and Kwon 2023: shallower, wider, smaller kernels."""


@dataclass(frozen=True, order=True)
class Scale:
    """One level of each axis of a study, in the order of the axes."""

    names: tuple[str, ...]
    levels: tuple[Level, ...]

    @classmethod
    def of(cls, values: Mapping[str, Any], axes: Sequence[Axis]) -> "Scale":
        """The scale of a trial, a row of a table or an entry of `analysis.json`."""
        return cls(tuple(axis.name for axis in axes), tuple(values[axis.name] for axis in axes))

    def __getitem__(self, name: str) -> Level:
        return self.levels[self.names.index(name)]

    def to_dict(self) -> dict[str, Level]:
        """Axis name -> level."""
        return dict(zip(self.names, self.levels, strict=True))

    @property
    def name(self) -> str:
        """As in folder names, such as `d1_c16_k3_model.head=gap`."""
        letters = {"depth": "d", "channels": "c", "kernel": "k"}
        parts = (
            f"{letters[name]}{level}" if name in letters else f"{name}={level}"
            for name, level in self.to_dict().items()
        )
        return "_".join(parts)
