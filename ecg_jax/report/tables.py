"""Tables that experiments print. May import rich; no file."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from ecg_jax.analysis.axes import numeric_axes
from ecg_jax.analysis.comparisons import ScaleComparison
from ecg_jax.analysis.findings import Analysis, Effect
from ecg_jax.analysis.one_rate import OneRate
from ecg_jax.formatting import change_text, level_text, scale_text, span
from ecg_jax.report.sentences import step_text


def comparison_table(
    rows: Sequence[ScaleComparison],
    rate_hz: float,
    *,
    window_samples: int | None = None,
    title: str | None = None,
    caption: str = "",
) -> Table:
    """Scales with their costs and macro AUROC, and their differences from the reference; a dash if not known.

    Args:
        rows: of the comparison, with the same axes.
        rate_hz: of the signal.
        window_samples: a longer receptive field is marked with a star.
        title: above the table, such as the name of the reference.
        caption: below the table.
    """
    names = [*rows[0].scale.names, "parameters", "MACs", "receptive field, ms", "training, s"]
    table = Table(*names, "macro AUROC", "difference", "outcome", title=title)
    beyond = [window_samples is not None and (row.receptive_field_samples or 0) > window_samples for row in rows]
    for row, star in zip(rows, beyond, strict=True):
        table.add_row(
            *(level_text(name, level, rate_hz) for name, level in row.scale.to_dict().items()),
            *("–" if value is None else f"{value:,}" for value in (row.parameters, row.macs)),
            "–" if row.receptive_field_ms is None else f"{row.receptive_field_ms:g}{' *' if star else ''}",
            "–" if row.seconds is None else f"{row.seconds:.0f}",
            f"{row.mean:.4f} {span(row.mean_low, row.mean_high, 4)}",
            change_text(row.difference, row.low, row.high) if row.outcome else "",
            row.outcome or "",
        )
    star_text = f"* beyond the window of {window_samples} samples" if any(beyond) else ""
    table.caption = "; ".join(filter(None, (caption, star_text))) or None
    return table


def best_table(
    analyses: Mapping[str, Analysis], rate_hz: float, *, first_column: str, differences: Mapping[str, Effect]
) -> Table:
    """One row for each analysis: its best scale and the effect of each axis; then by how much the effects differ.

    Args:
        analyses: text of the first column -> analysis, all over the same axes.
        rate_hz: of the signal.
        first_column: its head.
        differences: axis -> difference of its effect between the last and the first row.
    """
    axes = numeric_axes(next(iter(analyses.values())).axes)

    def effect_texts(effects: Mapping[str, Effect]) -> list[str]:
        found = (effects[axis.name] for axis in axes)
        return ["not known" if one.effect is None else change_text(one.effect, one.low, one.high) for one in found]

    steps = (f"{axis.name}, {step_text(axis)}" for axis in axes)
    table = Table(first_column, "best scale", "macro AUROC when choosing so", *steps)
    for name, analysis in analyses.items():
        scale, value = "not defined", "not known"
        if best := analysis.best:
            scale = scale_text(best.scale.to_dict(), rate_hz)
            value = value if best.value is None else f"{best.value:.4f} {span(best.low, best.high, 4)}"
        table.add_row(name, scale, value, *effect_texts(analysis.claims))
    table.add_section()
    table.add_row("difference", "between the last row and the first", "", *effect_texts(differences))
    return table


def one_rate_table(found: Mapping[str, OneRate]) -> Table:
    """One row for each parametrisation: its best common rate, and what the best rate of each scale gains.

    Args:
        found: `model.base_channels` as text -> comparison.
    """
    names = "one rate for all", "scales with this best rate", "mean gain of own rates", "largest", "time of the choice"
    table = Table("base channels", *names)
    for base, one in found.items():
        own = sum(rate == one.rate for rate in one.own_rates)
        gain = "not known" if one.effect is None else change_text(one.effect, one.low, one.high)
        gains = gain, f"{one.largest:+.4f}", f"{one.choice_share:.0%}"
        table.add_row(base, f"{one.rate:g}", f"{own} of {len(one.own_rates)}", *gains)
    return table
