"""Settings: numbers out of their range, or none at all, are refused by their flag."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_jax.config import ModelConfig, RunConfig, TrainConfig, from_dict, get_field, to_dict, with_fields
from ecg_jax.errors import ConfigError

DEFAULT = RunConfig()
FIELDS = [
    f"{part}.{field.name}"
    for part in ("data", "model", "train", "augment", "evaluate")
    for field in dataclasses.fields(getattr(DEFAULT, part))
]


def numbers(value):
    return value if isinstance(value, tuple) else (value,)


NUMBERS = [
    name
    for name in FIELDS
    if not name.endswith(("_folds", "freeze"))
    and all(type(number) in (int, float) for number in numbers(get_field(DEFAULT, name)))
]


def test_most_settings_are_numbers():
    assert {"model.depth", "model.stem_channels", "train.weight_decay", "evaluate.overlap"} < set(NUMBERS)
    assert len(NUMBERS) > 25


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_no_run_can_have_is_refused_by_its_flag_with_the_range(name):
    flag = f"--{name.replace('_', '-')}"
    for number in (math.nan, math.inf, -math.inf, 2**64, -1, 1e300):
        value = (number,) if isinstance(get_field(DEFAULT, name), tuple) else number
        with pytest.raises(ConfigError, match=rf"^{flag} is \(?-?[\w.+]+,?\)?; give .*\d") as refusal:
            with_fields(DEFAULT, {name: value})
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["train.epochs", "model.channels", "model.depth", "model.strides"])
def test_a_part_of_a_whole_is_refused(name):
    value = (1.5,) if name == "model.strides" else 1.5
    with pytest.raises(ConfigError, match="give a whole number from 1 to"):
        with_fields(DEFAULT, {name: value})


def test_channels_that_grow_beyond_every_limit_are_refused_by_their_flag():
    with pytest.raises(ConfigError, match=r"--model.growth 16.0 gives stage 8 \d+ channels; the most are 65536"):
        ModelConfig(channels=32, growth=16.0, strides=(1,) * 8)
    with pytest.raises(ConfigError, match=r"--model.strides gives 400 stages"):
        ModelConfig(strides=(1,) * 400)


@pytest.mark.parametrize("rate", [1e-300, 1000.0])
def test_the_ends_of_a_range_belong_to_it_where_the_message_says_so(rate):
    assert TrainConfig(learning_rate=rate, weight_decay=0.0).learning_rate == rate


VALUES = st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.integers() | st.just([]) | st.just({"a": 1})


@given(st.sampled_from([name for name in FIELDS if name != "data.path"]), VALUES | st.lists(VALUES, max_size=3))
def test_a_json_with_any_value_is_read_as_it_stands_or_refused_in_one_line(name, value):
    part, field = name.split(".")
    values = to_dict(DEFAULT)
    values[part][field] = value
    try:
        config = from_dict(RunConfig, values)
    except ConfigError as error:
        config, refusal = None, str(error)
    if config is None:
        assert len(refusal.splitlines()) == 1
        return
    assert to_dict(config)[part][field] == value
    found = numbers(get_field(config, name)) if name in NUMBERS else ()
    assert all(type(number) in (int, float) and math.isfinite(number) for number in found)
