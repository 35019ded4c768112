"""The sentences of a report say what was found, and what would decide what is not."""

from dataclasses import replace

import pytest

from ecg_jax.analysis import analyse
from ecg_jax.analysis.axes import READY_MADE, Axis
from ecg_jax.analysis.findings import Claim, Contrast, CostRange, PowerLaw
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.report import sentences

DEPTH, CHANNELS, KERNEL = (axis.with_levels((1, 2, 4)) for axis in READY_MADE)
DROPOUT = Axis("model.dropout", (0.0, 0.1, 0.3), "linear")
HEAD = Axis("model.head", ("gap", "attention", "flatten"), "categorical")


def claim(verdict, effect, low, high, seeds=None, records=None):
    numbers = {"seeds_needed": seeds, "records_needed": records}
    return Claim(verdict=verdict, effect=effect, low=low, high=high, **numbers)


@pytest.mark.parametrize(
    ("axis", "found", "text"),
    [
        (
            DEPTH,
            claim("holds", -0.01, -0.02, -0.005),
            "Shallower is better: holds. Each doubling of depth changes macro AUROC by −0.0100 "
            "(95 % −0.0200 to −0.0050).",
        ),
        (DEPTH, claim("does not hold", 0.01, 0.005, 0.02), "The effect is the opposite."),
        (CHANNELS, claim("does not hold", -0.01, -0.02, -0.005), "The effect is the opposite."),
        (KERNEL, claim("does not hold", 0.0, -0.001, 0.001), "An effect, if any, is too small to matter."),
        (
            KERNEL,
            claim("not decided", -0.01, -0.1, 0.1, 9, 1200),
            "9 seeds with these records or 1,200 test records with these seeds would decide it.",
        ),
        (KERNEL, claim("not decided", 0.0, -0.1, 0.1), "Neither more seeds nor more test records alone"),
        (DEPTH, claim("not decided", None, None, None), "one level of depth"),
        (DEPTH, claim("not decided", 0.1, None, None), "its uncertainty is not known"),
        (replace(DEPTH, claim=1), claim("holds", 0.1, 0.05, 0.2), "A larger depth is better: holds."),
        (replace(DROPOUT, claim=-1), claim("holds", -0.1, -0.2, -0.05), "A smaller model.dropout is better: holds."),
        (
            DROPOUT,
            claim("no effect", 0.0001, -0.001, 0.001),
            "model.dropout: no effect. A change of model.dropout from 0 to 0.3 changes macro AUROC by +0.0001",
        ),
    ],
)
def test_a_verdict_is_given_with_its_numbers_and_with_what_would_decide_it(axis, found, text):
    assert text in sentences.claim_sentence(axis, found)


def pair(level, reference, effect, differs):
    ends = (None, None) if effect is None else (effect - 0.01, effect + 0.01)
    numbers = {"effect": effect, "low": ends[0], "high": ends[1], "p": 0.01, "p_holm": 0.01 if differs else 0.5}
    return Contrast(level=level, reference=reference, **numbers, differs=differs)


def test_of_pairs_that_differ_the_better_level_is_named_first_with_a_positive_difference():
    pairs = [pair("attention", "gap", -0.02, True), pair("flatten", "gap", 0.03, True)]
    pairs.append(pair("flatten", "attention", 0.0, False))
    text = sentences.contrast_sentence(HEAD, pairs, 100)
    assert text == (
        "model.head: significant differences in macro AUROC, corrected for 3 pairs: flatten is better than gap by "
        "+0.0300 (95 % +0.0200 to +0.0400); gap is better than attention by +0.0200 (95 % +0.0100 to +0.0300)."
    )


def test_where_no_pair_differs_all_levels_are_named():
    text = sentences.contrast_sentence(HEAD, [pair("attention", "gap", 0.01, False)], 100)
    assert text == "model.head: no significant difference between its levels gap, attention, flatten."
    text = sentences.contrast_sentence(HEAD, [pair("attention", "gap", None, False)], 100)
    assert "no two trials that differ in it alone" in text


@pytest.fixture(scope="module")
def analysis():
    setting = Setting(effects=(0.0, 0.0, 0.0), seeds=2, records=300, levels=((1, 2), (4, 8), (3,)))
    return analyse(simulate(setting, seed=0))


def test_where_a_single_seed_selects_the_answer_does_not_claim_that_another_one_measures(analysis):
    two, one = (" ".join(sentences.best_sentences(replace(analysis, seeds=seeds), 100)) for seeds in (2, 1))
    assert "measured on records and seeds that were not used for the selection" in two
    assert "measured on records that were not used for the selection" in one


def test_the_cheapest_scale_is_named_that_cannot_be_distinguished_from_the_best(analysis):
    def text_of(macs):
        costs = [CostRange(value, value, value) for value in macs]
        scales = [
            replace(found, indistinguishable=True, costs={"macs": cost})
            for found, cost in zip(analysis.scales, costs, strict=True)
        ]
        best = replace(analysis.best, scale=scales[1].scale)
        return " ".join(sentences.best_sentences(replace(analysis, scales=tuple(scales), best=best), 100))

    cheapest = "the cheapest of these is depth 1, channels 4, kernel 3 (30 ms), at 50 % of its MACs."
    assert text_of((100, 200, 300, 400)).endswith(f"3 of the 3 others cannot be distinguished from it; {cheapest}")
    assert text_of((100, 1, 300, 400)).endswith("from it; none of these is cheaper.")


def test_labels_are_named_for_which_another_scale_is_better_or_that_cannot_be_assessed(analysis):
    none = sentences.label_sentence(analysis, 100)
    assert none == "For none of the 3 labels is another scale significantly better."
    first, second, third = analysis.per_label
    better = replace(analysis.per_label[first], differs=True, advantage=0.02, low=0.01, high=0.03)
    changed = replace(analysis, per_label={first: better, second: None, third: analysis.per_label[third]})
    text = sentences.label_sentence(changed, 100)
    assert text.startswith(f"Another scale is significantly better (corrected for 2 labels): for {first} depth ")
    assert "(+0.0200, 95 % +0.0100 to +0.0300)" in text
    assert text.endswith(f"Too few records have or lack these labels to assess them: {second}.")


def test_a_power_law_that_does_not_fit_is_given_with_the_reason():
    law = PowerLaw(exponent=-0.1, low=-0.2, high=-0.05, factor=1.0, r_squared=0.9, fits=True, why=None)
    assert sentences.power_law_sentence("MACs", law).endswith("to the power of −0.100 (95 % −0.200 to −0.050).")
    refused = replace(law, fits=False, why="the scatter is large")
    assert sentences.power_law_sentence("MACs", refused).startswith("MACs: no power law (the scatter is large; error")
    assert sentences.power_law_sentence("MACs", None) == "MACs: not known."
