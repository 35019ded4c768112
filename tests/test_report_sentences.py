"""The sentences of a report say what was found, and what would decide what is not."""

from dataclasses import replace

import pytest

from ecg_jax.analysis import analyse
from ecg_jax.analysis.axes import READY_MADE, Axis
from ecg_jax.analysis.findings import AxisClaim, Contrast, CorrectedEffect, CostRange, Effect, PowerLaw, Step
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.report import sentences

DEPTH, CHANNELS, KERNEL = (axis.with_levels((1, 2, 4)) for axis in READY_MADE)
DROPOUT = Axis("model.dropout", (0.0, 0.1, 0.3), "linear")
HEAD = Axis("model.head", ("gap", "attention", "flatten"), "categorical")


CONTAINS = "a set that contains the best one in at least 95 % of studies"
NO_EFFECT = Effect(None, None, None)


def claim(verdict, effect, low, high, seeds=None, records=None, **dependence):
    curvature = CorrectedEffect(None, None, None, None, None, differs=False)
    dependence = {"depends_on": (), "steps": (), "at_best": NO_EFFECT, "curvature": curvature, **dependence}
    p = None if low is None else 0.013
    return AxisClaim(effect, low, high, verdict, p, p, seeds, records, **dependence)


def sentence_on(axis, found, tests=1, look=1):
    return sentences.claim_sentence(axis, found, 100, margin=0.002, tests=tests, look=look)


@pytest.mark.parametrize(
    ("axis", "found", "text"),
    [
        (
            DEPTH,
            claim("holds", -0.01, -0.02, -0.005),
            "Shallower is better: holds. Each doubling of depth changes macro AUROC by −0.0100 "
            "(95 % −0.0200 to −0.0050); p .013.",
        ),
        (DEPTH, claim("does not hold", 0.01, 0.005, 0.02), "The effect is the opposite."),
        (CHANNELS, claim("does not hold", -0.01, -0.02, -0.005), "The effect is the opposite."),
        (
            KERNEL,
            claim("does not hold", 0.02, -0.0015, 0.0415),
            "On the side of the claim it is below 0.002; on the other side it may reach +0.0415.",
        ),
        (
            CHANNELS,
            claim("does not hold", 0.0, -0.001, 0.001),
            "On the side of the claim it is below 0.002; on the other side it may reach −0.0010.",
        ),
        (
            KERNEL,
            claim("not decided", -0.01, -0.1, 0.1, 9, 1200),
            "To find an effect of 0.002 with a power of 80 %, the study needs 9 seeds with these records or 1,200 test "
            "records with these seeds.",
        ),
        (KERNEL, claim("not decided", 0.0, -0.1, 0.1), "Neither more seeds nor more test records alone would find an"),
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
    assert text in sentence_on(axis, found)


def test_the_number_of_effects_for_which_p_is_corrected_is_named():
    found = claim("holds", -0.01, -0.02, -0.005)
    assert sentence_on(DEPTH, found, tests=3).endswith("; p .013, corrected for 3 effects.")
    assert sentence_on(DEPTH, found, tests=1).endswith("; p .013.")
    assert sentence_on(DEPTH, found, tests=3, look=2).endswith("; p .013, corrected for 3 effects and 2 looks.")
    assert sentence_on(DEPTH, found, tests=1, look=2).endswith("; p .013, corrected for 2 looks.")


def test_an_effect_that_depends_on_something_is_introduced_by_that():
    steps = (Step(0.0095, 0.005, 0.014, 1, 2), Step(-0.0061, -0.01, -0.002, 2, 4))
    dependence = {"depends_on": ("curvature", "depth"), "steps": steps, "at_best": Effect(0.004, -0.002, 0.01)}
    text = sentence_on(KERNEL, claim("does not hold", 0.0016, -0.0014, 0.0045, **dependence))
    assert text.startswith(
        "The effect of kernel depends on its level and depth, so one number does not describe it: "
        "from 1 (10 ms) to 2 (20 ms) +0.0095 (95 % +0.0050 to +0.0140); "
        "from 2 (20 ms) to 4 (40 ms) −0.0061 (95 % −0.0100 to −0.0020). "
        "Among the scales that differ from the best one in kernel alone, each doubling of kernel changes macro AUROC "
        "by +0.0040 (95 % −0.0020 to +0.0100). On average over all scales: Smaller kernels are better: does not hold."
    )


@pytest.mark.parametrize(("p", "text"), [(None, "not known"), (0.0004, "< .001"), (0.0131, ".013"), (1.0, "1.000")])
def test_a_p_value_has_three_digits(p, text):
    assert sentences.p_text(p) == text


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


def test_the_answer_says_what_selected_the_best_scale_and_where_it_was_measured(analysis):
    def text(**changes):
        return " ".join(sentences.best_sentences(replace(analysis, **changes), 100))

    assert "measured on test records and seeds that took no part in the selection" in text(seeds=2)
    assert "measured on test records that took no part in the selection" in text(seeds=1)
    validated = text(seeds=2, selected_on="validation")
    assert "selected on validation and measured on the test records, by seeds that took no part in the" in validated
    assert "seeds that took no part" not in text(seeds=1, selected_on="validation")


def text_of(analysis, macs, **changes):
    costs = [CostRange(value, value, value) for value in macs]
    scales = [
        replace(found, **{"indistinguishable": True, "costs": {"macs": cost}, **changes})
        for found, cost in zip(analysis.scales, costs, strict=True)
    ]
    best = replace(analysis.best, scale=scales[1].scale)
    return " ".join(sentences.best_sentences(replace(analysis, scales=tuple(scales), best=best), 100))


def test_the_cheapest_scale_is_named_that_may_be_the_best(analysis):
    cheapest = "the cheapest of these is depth 1, channels 4, kernel 3 (30 ms), at 50 % of its MACs."
    may_be = "All 3 other scales may be the best, too (a set that contains the best one in at least 95 % of studies); "
    assert text_of(analysis, (100, 200, 300, 400)).endswith(may_be + cheapest)
    assert text_of(analysis, (100, 1, 300, 400)).endswith("; none of these is cheaper.")
    alone = text_of(analysis, (100, 200, 300, 400), indistinguishable=False)
    assert alone.endswith(f"No other scale may be the best ({CONTAINS} has this one only).")


def test_guarantee_and_judgement_are_named_as_what_they_are(analysis):
    numbers = {"may_lose": 0.0123, "best_probability": 0.62, "expected_loss": 0.0008}
    text = text_of(analysis, (100, 200, 300, 400), **numbers)
    assert (
        "Guarantee (95 %, all scales at once): it loses at most 0.0123 against the scale that is truly the best."
        in text
    )
    assert "Judgement (if similar scales are similarly good): it is the best with a probability of 62 %, and is" in text
    assert (
        "expected to lose 0.0008; the cheapest scale that is expected to lose at most 0.005 is depth 1, channels 4, "
        "kernel 3 (30 ms), at 50 % of its MACs (expected 0.0008, at most 0.0123)." in text
    )
    assert (
        "the cheapest scale" not in text_of(analysis, (300, 200, 300, 400), **numbers).partition("may be the best")[0]
    )
    assert "Guarantee" not in text_of(analysis, (100, 200, 300, 400), may_lose=None)


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
