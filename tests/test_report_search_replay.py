"""A random search replayed from the files of finished studies."""

import pytest
from study_fakes import Fakes, begun, worked

from ecg_jax.errors import RunError
from ecg_jax.report.search_replay import replay_study, write_replay
from ecg_jax.study.design import Grid


@pytest.fixture(scope="module")
def studies(synthetic_set, tmp_path_factory):
    """Two studies on other folds of one set, and a third on the folds of the first."""
    grid = Grid(depths=(1, 2), channels=(4, 8), kernels=(3,), seeds=2, learning_rates=(3e-3,))
    folders = []
    for name, folds in (("a", (1, 2)), ("b", (5, 6)), ("c", (2, 3))):
        folders.append(tmp_path_factory.mktemp(name))
        worked(folders[-1], begun(folders[-1], synthetic_set, grid, folds=folds, epochs=2), Fakes())
    return folders


def test_studies_on_other_folds_of_a_set_are_replayed_and_on_the_same_are_refused(studies, tmp_path):
    found, notes = replay_study(studies[0], studies[1])
    assert notes == ()
    assert all(point["low"] <= point["difference"] <= point["high"] for point in found.curves)
    assert write_replay(tmp_path / "out", found, "title").is_file()
    assert (tmp_path / "out" / "search.svg").read_text().startswith("<svg")
    with pytest.raises(RunError, match="test the same"):
        replay_study(studies[0], studies[2])
