"""Every case of the folder beside the checkout is answered as expected; see `tools/cases.py`."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_every_case_is_answered_as_expected():
    folder = ROOT.parent / "shared" / "cases"
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}")
    answers = runpy.run_path(str(ROOT / "tools" / "cases.py"))["answers"]
    assert [line for line, right in answers(folder) if not right] == []
