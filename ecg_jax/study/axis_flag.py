"""Reads `--axis FIELD LEVEL ...` into an axis: which fields a study may vary, and the type of their levels."""

import types
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ecg_jax.analysis.axes import Axis, Kind, Level, default_kind
from ecg_jax.config import RunConfig
from ecg_jax.errors import ConfigError
from ecg_jax.models import PRESETS
from ecg_jax.study.design import MODEL_PRESET, SHORT_FLAGS

OWN_FLAGS = {**SHORT_FLAGS, "train.seed": "seeds", "train.learning_rate": "learning-rates"}
WITHOUT_EFFECT = ("data.path", "data.feed", "train.parallel", "train.tensorboard")
KINDS = get_args(Kind)


def read_axis(words: Sequence[str]) -> Axis:
    """The axis that the words `FIELD LEVEL ...` or `FIELD:KIND LEVEL ...` give.

    Raises:
        ConfigError: the field cannot be an axis, or a level is not a value of it.
    """
    if len(words) < 2:
        raise ConfigError(f"--axis {' '.join(words)}: give a field and its levels, such as model.head gap attention")
    field, _, kind = words[0].partition(":")
    if kind and kind not in KINDS:
        raise ConfigError(f"--axis {words[0]}: the kind {kind} is not known; choose from {', '.join(KINDS)}")
    of_type = _type_of(field)
    levels = tuple(_level(field, text, of_type) for text in words[1:])
    return Axis(field, levels, kind or default_kind(levels))  # pyright: ignore[reportArgumentType]: checked above


def _type_of(field: str) -> Any:
    """int, float, bool or a Literal of texts.

    Raises:
        ConfigError: it cannot be an axis.
    """
    if field == MODEL_PRESET:
        return Literal[PRESETS]  # pyright: ignore[reportInvalidTypeForm]: made at run time
    if field in OWN_FLAGS:
        raise ConfigError(f"--axis {field}: give --{OWN_FLAGS[field]} instead")
    if field in WITHOUT_EFFECT:
        raise ConfigError(f"--axis {field}: it does not change what a network learns, so it cannot be an axis")
    part, _, knob = field.partition(".")
    parts = get_type_hints(RunConfig)
    knobs = get_type_hints(parts[part]) if part in parts and part != "functions" else {}
    if knob not in knobs or is_dataclass(knobs[knob]):
        raise ConfigError(f"--axis {field}: a run has no such field; ecg-jax train --help lists them")
    kinds = get_args(knobs[knob]) if get_origin(knobs[knob]) in (Union, types.UnionType) else (knobs[knob],)
    single = [kind for kind in kinds if kind in (int, float, bool) or get_origin(kind) is Literal]
    if not single:
        raise ConfigError(f"--axis {field}: one value of it is several numbers, so it cannot be an axis")
    return single[0]


def _level(field: str, text: str, of_type: Any) -> Level:
    if get_origin(of_type) is Literal:
        if text not in get_args(of_type):
            raise ConfigError(f"--axis {field}: {text} is not a level; choose from {', '.join(get_args(of_type))}")
        return text
    if of_type is bool:
        if text.lower() not in ("true", "false"):
            raise ConfigError(f"--axis {field}: {text} is not a level; give true or false")
        return text.lower() == "true"
    try:
        return of_type(text)
    except ValueError as error:
        number = "a whole number" if of_type is int else "a number"
        raise ConfigError(f"--axis {field}: {text} is not a level; give {number}") from error
