"""The best scale: read where it was not chosen, and never surer than it is."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from ecg_jax.analysis import StudyPredictions
from ecg_jax.analysis.influence import aurocs, mean_of
from ecg_jax.analysis.selection import (
    SPLITS,
    SplitSelection,
    _half_aurocs,
    _holm,
    _patient_halves,
    advantages,
    best,
    simultaneous,
)
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.analysis.variance import VarianceModel
from ecg_jax.evaluation import metrics

SMALL = Setting(seeds=2, levels=((1, 2), (16, 32), (3, 7)), records=150, base=(0.8, 0.85))


def answer(outcomes, seed=0):
    measures = aurocs(outcomes)
    readings = SplitSelection(outcomes, seed=seed)
    return best(outcomes, mean_of(measures), readings, seed=seed), advantages(outcomes, measures, readings)


def test_areas_on_halves_are_those_of_the_metrics_with_ties():
    outcomes = simulate(replace(SMALL, folds=2), seed=0)
    outcomes = replace(outcomes, probabilities=np.round(outcomes.probabilities, 1))
    halves = _patient_halves(outcomes, np.random.default_rng(0))[:5]
    found = _half_aurocs(outcomes, halves)
    for t, k, half in itertools.product((0, 9), (0, 1), range(10)):
        inside = np.vstack([halves, ~halves])[half]
        by_fold = []
        for fold in (0, 1):
            rows = inside & (outcomes.fold_of == fold)
            score, one = outcomes.probabilities[t, rows, k], np.ones((1, rows.sum()))
            by_fold.append(metrics.auroc(outcomes.labels[rows, k].astype(float), score, one)[0])
        assert found[k, t, half] == pytest.approx(np.mean(by_fold), abs=1e-12)


def test_a_label_with_too_few_of_a_class_in_a_half_is_left_out_there():
    outcomes = simulate(SMALL, seed=0)
    labels = outcomes.labels.copy()
    labels[:, 0] = np.arange(150) < 3
    halves = np.stack([np.arange(150) % 2 == 0, np.arange(150) % 3 < 2])
    found = _half_aurocs(replace(outcomes, labels=labels), halves)
    there = [(labels[h, 0].sum() >= 2) for h in (*halves, *~halves)]
    assert (~np.isnan(found[0])).tolist() == [there] * len(outcomes.trials)


def test_a_patients_records_stay_in_one_half_and_every_fold_is_halved():
    outcomes = simulate(replace(SMALL, records_of_a_patient=3, folds=5), seed=0)
    halves = _patient_halves(outcomes, np.random.default_rng(0))
    assert (halves.reshape(SPLITS, 50, 3).min(axis=2) == halves.reshape(SPLITS, 50, 3).max(axis=2)).all()
    for fold in range(5):
        assert (halves[:, outcomes.fold_of == fold].sum(axis=1) == 15).all()


def test_a_clear_winner_is_chosen_always_and_stands_alone():
    outcomes = simulate(replace(SMALL, effects=(-0.1, 0.08, -0.05), ratio=0.3), seed=0)
    found, _ = answer(outcomes)
    top = {"depth": 1, "channels": 32, "kernel": 3}
    assert found["scale"] == top
    assert found["indistinguishable"] == [top]
    assert next(entry["share"] for entry in found["chosen"] if entry["channels"] == 32 and entry["depth"] == 1) > 0.9
    assert sum(entry["share"] for entry in found["chosen"]) == pytest.approx(1)
    assert found["low"] < found["value"] < found["high"]


@pytest.mark.parametrize("ratio", [0.3, 3.0])
def test_the_value_has_no_favour_of_the_winners_luck_with_records_or_seeds(ratio):
    gaps, naive = [], []
    for number in range(40):
        outcomes = simulate(replace(SMALL, ratio=ratio), seed=number)  # all scales are equally good
        found, _ = answer(outcomes)
        gaps.append(found["value"] - 0.825)
        measure = mean_of(aurocs(outcomes))
        naive.append(max(measure.value[outcomes.scale_of == c].mean() for c in range(8)) - 0.825)
    error = np.std(gaps) / np.sqrt(len(gaps))
    assert np.mean(gaps) == pytest.approx(0, abs=3 * error)
    assert np.mean(naive) > np.mean(gaps) + 3 * error


def test_without_a_known_noise_of_seeds_no_scale_is_ruled_out():
    single = simulate(replace(SMALL, seeds=1, levels=((1,), (16, 32), (3, 7)), effects=(0, 0.1, 0)), seed=0)
    found, _ = answer(single)
    assert len(found["indistinguishable"]) == 4
    assert (found["low"], found["high"]) == (None, None)


def test_simultaneous_intervals_are_wider_than_one_alone_and_narrower_than_bonferronis():
    outcomes = simulate(SMALL, seed=0)
    chance = VarianceModel(outcomes, mean_of(aurocs(outcomes)))
    weights = np.equal.outer(np.arange(8), outcomes.scale_of) / 2
    contrasts = weights - weights[0]
    widths = simultaneous(chance, contrasts, seed=0)
    assert widths[0] == 0
    for width, contrast in zip(widths[1:], contrasts[1:], strict=True):
        spread = chance.spread(contrast)
        assert spread.half_width() < width < 1.1 * spread.half_width(1 - 0.025 / 7)


def test_a_label_with_an_optimum_of_its_own_differs_and_the_others_do_not():
    rng = np.random.default_rng(0)
    trials = [
        {"depth": d, "channels": 8, "kernel": k, "seed": s} for d, k, s in itertools.product((1, 2), (3, 15), (0, 1, 2))
    ]
    labels = np.column_stack([rng.random((600, 3)) < 0.3, np.zeros(600)])
    gain = np.array([[1.5, 1.5, 0.5, 0] if t["kernel"] == 3 else [0.8, 0.8, 1.5, 0] for t in trials])  # [T, K]
    shared = rng.normal(size=(600, 4))
    scores = gain[:, None] * labels + shared + 0.3 * rng.normal(size=(12, 600, 4))
    _, per_label = answer(StudyPredictions(trials, labels, scores))
    assert [entry and entry["differs"] for entry in per_label] == [False, False, True, None]
    assert per_label[2]["scale"]["kernel"] == 15
    assert 0 < per_label[2]["low"] < per_label[2]["advantage"] < per_label[2]["high"]


def test_equal_labels_seldom_differ():
    found = [answer(simulate(SMALL, seed=number))[1] for number in range(30)]
    assert sum(entry["differs"] for labels in found for entry in labels) <= 2  # of 60


def test_holm_multiplies_the_smallest_by_the_number_of_labels_and_never_falls():
    entries = [{"p": p, "advantage": 1.0} for p in (0.03, 0.01, 0.02, None)]
    _holm(entries)
    assert [e["p_holm"] for e in entries] == [pytest.approx(0.04), pytest.approx(0.03), pytest.approx(0.04), None]
    assert [e["differs"] for e in entries] == [True, True, True, False]


def test_the_same_seed_gives_the_same_answer():
    outcomes = simulate(SMALL, seed=0)
    assert answer(outcomes, seed=3) == answer(outcomes, seed=3)
