"""docs/data_sets.md is what the sources say of themselves."""

import runpy
from pathlib import Path
from typing import get_args

from ecg_jax.sources import Source

TOOL = runpy.run_path(str(Path(__file__).parents[1] / "tools" / "data_sets.py"))


def test_the_page_is_that_of_the_sources_as_they_are():
    assert TOOL["PAGE"].read_text(encoding="utf-8") == TOOL["page"](), "run python tools/data_sets.py"


def test_every_named_set_is_on_the_page():
    names = {getattr(get_args(source)[0], "name", "") for source in get_args(Source)}
    assert names - {"wfdb", "folder", "synthetic", ""} <= TOOL["FACTS"].keys()
