"""The whole procedure on data with a known answer: recordings, training, study, analysis. Smaller than tools/."""

import runpy
from pathlib import Path

import pytest

CONTROLS = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "controls.py"))


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    args = CONTROLS["Args"]("context", tmp_path_factory.mktemp("controls"), records=240, seeds=2, epochs=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return CONTROLS["context"](args)


def test_a_label_in_every_pulse_is_content_with_a_short_receptive_field(analysis):
    assert CONTROLS["short_suffices"](analysis)


def test_a_label_in_the_gaps_of_seconds_needs_a_long_one(analysis):
    assert CONTROLS["length_is_needed"](analysis)
