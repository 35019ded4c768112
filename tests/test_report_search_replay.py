"""A random search replayed from the files of finished studies."""

from dataclasses import replace

import pytest
from study_fakes import Fakes, begun, make_scale_grid, worked

from ecg_jax.analysis.search_replay import CurvePoint, Replay, SearchDifference
from ecg_jax.errors import RunError
from ecg_jax.report.search_replay import replay_study, sentences, write_replay


@pytest.fixture(scope="module")
def studies(larger_set, tmp_path_factory):
    """Two studies on other folds of one set, and a third on the folds of the first."""
    grid = make_scale_grid((1, 2), (4, 8), (3,), 2, (3e-3,))
    paths = []
    for name, folds in (("a", (1, 2)), ("b", (5, 6)), ("c", (2, 3))):
        paths.append(tmp_path_factory.mktemp(name))
        worked(begun(paths[-1], larger_set, grid, folds=folds, epochs=2), Fakes())
    return paths


def test_studies_on_other_folds_of_a_set_are_replayed_and_on_the_same_are_refused(studies, tmp_path):
    found, notes = replay_study(studies[0], studies[1])
    assert notes == ()
    assert all(point.low <= point.difference <= point.high for point in found.curves)
    assert write_replay(tmp_path / "out", found, "title").is_file()
    assert (tmp_path / "out" / "search.svg").read_text().startswith("<svg")
    with pytest.raises(RunError, match="test the same"):
        replay_study(studies[0], studies[2])


def test_the_sentences_name_the_levels_left_out_and_what_was_gained():
    average = SearchDifference(0.8, 0.81, 0.01, 0.002, 0.018)
    curves = tuple(CurvePoint(0.8, 0.81, 0.01, 0.0, 0.02, budget=budget) for budget in (1e9, 1e12))
    levels = {"depth": [1, 2], "kernel": [3]}
    found = Replay(
        kept=levels, dropped={"depth": [], "kernel": [7, 15]}, curves=curves, average=average, verdict="holds"
    )
    assert sentences(found, 100) == [
        "The narrowed space: depth 1, 2; kernel 3 (30 ms) without 7 (70 ms), 15 (150 ms).",
        "Averaged over budgets from 1e+09 to 1e+12 training MACs, random search reaches a test macro AUROC of 0.8000 "
        "in the whole space and 0.8100 in the narrowed one: +0.0100 (95 % +0.0020 to +0.0180).",
        "The claim that the narrowed space is better at equal cost: holds.",
    ]
    equal = replace(found, dropped={"depth": [], "kernel": []})
    assert "both spaces are equal" in sentences(equal, 100)[1]
