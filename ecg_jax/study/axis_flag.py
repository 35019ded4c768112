"""Reads `--axis FIELD LEVEL ...` into an axis: which fields a study may vary, and the type of their levels."""

import types
from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ecg_jax.analysis.axes import Axis, Kind, Level, default_kind
from ecg_jax.config import RunConfig
from ecg_jax.errors import ConfigError
from ecg_jax.models import PRESETS
from ecg_jax.study.design import MODEL_PRESET, SHORT_FLAGS

OWN_FLAGS = {**SHORT_FLAGS, "train.seed": "seeds", "train.learning_rate": "learning-rates"}
WITHOUT_EFFECT = ("data.path", "data.feed", "train.parallel", "train.tensorboard")
NUMBERS = {int: "a whole number", float: "a number"}


def read_axis(words: Sequence[str]) -> Axis:
    """The axis that the words `FIELD LEVEL ...` or `FIELD:KIND LEVEL ...` give.

    Raises:
        ConfigError: the field cannot be an axis, or a level is not a value of it.
    """
    if len(words) < 2:
        raise ConfigError(f"--axis {' '.join(words)}: give a field and its levels, such as model.head gap attention")
    field, _, kind = words[0].partition(":")
    if kind not in ("", *get_args(Kind)):
        raise ConfigError(f"--axis {words[0]}: the kind {kind} is not known; choose from {', '.join(get_args(Kind))}")
    of_type = _type_of(field)
    levels = tuple(_level(field, text, of_type) for text in words[1:])
    return Axis(field, levels, kind or default_kind(levels))  # pyright: ignore[reportArgumentType]: checked above


def check_axis(axis: Axis) -> None:
    """Refuses an axis from a file that `--axis` would not have given: a field that names code or a path, or a level.

    Raises:
        ConfigError: the field cannot be an axis, or a level is not a value of it.
    """
    if axis.field in SHORT_FLAGS:
        return
    of_type = _type_of(axis.field)
    kinds = {int: (int,), float: (int, float)}
    for level in axis.levels:
        fits = level in of_type.values() if isinstance(of_type, dict) else isinstance(level, kinds[of_type])
        if not fits or (isinstance(level, bool) and not isinstance(of_type, dict)):
            raise ConfigError(f"axis {axis.field}: {level!r} is not a level of it")


def _type_of(field: str) -> Any:
    """int or float, or the levels of a field that is not a number, by their texts.

    Raises:
        ConfigError: it cannot be an axis.
    """
    if field == MODEL_PRESET:
        return {name: name for name in PRESETS}
    if field in OWN_FLAGS:
        raise ConfigError(f"--axis {field}: give --{OWN_FLAGS[field]} instead")
    if field in WITHOUT_EFFECT:
        raise ConfigError(f"--axis {field}: it does not change what a network learns, so it cannot be an axis")
    part, _, knob = field.partition(".")
    parts = get_type_hints(RunConfig)
    hint = get_type_hints(parts[part]).get(knob) if part in parts and part != "functions" else None
    if hint is None:
        raise ConfigError(f"--axis {field}: a run has no such field; ecg-jax train --help lists them")
    for kind in get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,):
        if get_origin(kind) is Literal:
            return {text: text for text in get_args(kind)}
        if kind in (int, float, bool):
            return {"true": True, "false": False} if kind is bool else kind
    raise ConfigError(f"--axis {field}: one value of it is several numbers or a path, so it cannot be an axis")


def _level(field: str, text: str, of_type: Any) -> Level:
    try:
        return of_type[text.lower()] if isinstance(of_type, dict) else of_type(text)
    except (KeyError, ValueError) as error:
        give = f"choose from {', '.join(of_type)}" if isinstance(of_type, dict) else f"give {NUMBERS[of_type]}"
        raise ConfigError(f"--axis {field}: {text} is not a level; {give}") from error
