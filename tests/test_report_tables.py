"""The tables that experiments print have all numbers of a comparison, and dashes for those that are not known."""

from dataclasses import replace

from rich.console import Console

from ecg_jax.analysis import analyse
from ecg_jax.analysis.axes import Scale
from ecg_jax.analysis.comparisons import ScaleComparison
from ecg_jax.analysis.findings import Effect
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.report.tables import best_table, comparison_table


def text_of(table):
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_a_comparison_shows_costs_and_differences_and_marks_what_exceeds_the_window():
    names = ("kernel", "model.head")
    reference = ScaleComparison(Scale(names, (3, "gap")), 0.8, 0.75, 0.85, 0.0, 0.0, 0.0, None, parameters=8000)
    known = {"parameters": 9000, "macs": 12345, "receptive_field_samples": 300, "receptive_field_ms": 3000.0}
    other = ScaleComparison(
        Scale(names, (7, "flatten")), 0.81, 0.76, 0.86, 0.01, -0.02, 0.04, "not decided", **known, seconds=5.4
    )
    lines = text_of(comparison_table([reference, other], 100, window_samples=250, title="title")).splitlines()
    first, second = (next(line for line in lines if head in line) for head in ("gap", "flatten"))
    assert first.count("–") == 3  # MACs, receptive field and time are not known
    assert [cell.strip() for cell in second.strip("│").split("│")] == [
        *("7 (70 ms)", "flatten", "9,000", "12,345", "3000 *", "5", "0.8100 (95 % 0.7600 to 0.8600)"),
        *("+0.0100 (95 % −0.0200 to +0.0400)", "not decided"),
    ]
    assert "* beyond the window of 250 samples" in lines[-1]


def test_the_best_scale_and_the_effects_of_several_analyses_are_compared():
    setting = Setting(effects=(-0.05, 0.0, 0.0), seeds=2, records=300, levels=((1, 2), (4, 8), (3,)))
    one = analyse(simulate(setting, seed=0))
    unknown = Effect(None, None, None)
    differences = {"depth": Effect(0.01, -0.01, 0.03), "channels": unknown, "kernel": unknown}
    analyses = {"0.5": one, "1": replace(one, best=None)}
    text = text_of(best_table(analyses, 100, first_column="share", differences=differences))
    assert "depth 1" in text
    assert "not defined" in text
    assert "+0.0100" in text
