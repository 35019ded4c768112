"""Compiled functions are kept for later runs, but never so many that the process runs out of memory areas."""

import gc
import sys
import weakref

import numpy as np
import pytest

from ecg_jax.config import ModelConfig, RunConfig
from ecg_jax.dataset.batch import InputContract
from ecg_jax.target import Target
from ecg_jax.training import programs
from ecg_jax.training.devices import Devices

CONTRACT = InputContract(100.0, ("I",), Target("multilabel", ("A", "B")), 64, (0.0,), (1.0,))


def take(arrays, item):
    return arrays, item


def forget() -> None:
    programs._program.cache_clear()
    programs.training_steps.cache_clear()
    gc.collect()


@pytest.fixture(autouse=True)
def nothing_kept():
    forget()


def program_of(channels: int) -> programs.Program:
    config = RunConfig(model=ModelConfig(channels=channels))
    return programs.program(config, CONTRACT, take, Devices("jit"))


def test_a_program_is_kept_for_later_runs_of_its_scale():
    first = program_of(8)
    program_of(16)
    assert program_of(8) is first


def test_when_half_of_the_memory_areas_are_taken_all_kept_functions_are_forgotten(monkeypatch):
    first = program_of(8)
    programs.training_steps(first, masked=False)
    kept = weakref.ref(first)
    del first
    monkeypatch.setattr(programs, "mapped_share", lambda: 0.51)
    second = program_of(16)
    assert kept() is None
    assert program_of(16) is second, "what is in use is kept"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limit")
def test_compiling_takes_memory_areas_and_forgetting_gives_them_back():
    before = programs.mapped_share()
    program_of(8).initial(np.uint32(0))
    taken = programs.mapped_share()
    assert 0 < before < taken < 1
    forget()
    assert programs.mapped_share() < taken
