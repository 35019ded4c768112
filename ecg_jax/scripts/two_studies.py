"""Shared by the scripts that ask whether the best scale of one study is the best in another one, too.

Heavy imports are inside the functions, so that `--help` is fast.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecg_jax.scripts.experiment import output, write_json
from ecg_jax.terminal import say

if TYPE_CHECKING:
    from ecg_jax.analysis.axes import Scale
    from ecg_jax.analysis.predictions import StudyPredictions


def compare_studies(
    parts: "Mapping[str, StudyPredictions]",
    chosen: "Scale",
    file: Path,
    *,
    by: str,
    rate_hz: float,
    margin: float,
    about: Mapping[str, Any],
) -> None:
    """Compares a scale with all others in each of some studies on the same records; writes and prints what is found.

    Args:
        parts: name -> study; over the same axes.
        chosen: the scale, chosen before these records were looked at.
        file: the JSON file that is written.
        by: what the parts differ in, for the tables.
        rate_hz: of the signal.
        margin: the scale is as good as the others if no other one is certain to be better by that much.
        about: what else the file says.

    Raises:
        RunError: the studies do not fit together, or lack the scale.
    """
    from ecg_jax.analysis.axes import Axis, Scale
    from ecg_jax.analysis.comparisons import as_good_as_any, compare_with, cross
    from ecg_jax.analysis.summary import analyse_by_level
    from ecg_jax.formatting import scale_text
    from ecg_jax.report.tables import best_table, comparison_table

    crossed = cross(parts, Axis(by, kind="categorical"))
    analyses, changes = analyse_by_level(crossed, by)
    axes = [axis for axis in crossed.axes if axis.name != by]
    reference, found = Scale.of(chosen.to_dict(), axes), []
    for name, analysis in analyses.items():
        compared = compare_with(crossed.at_level(by, name), reference, margin=margin)
        verdict = as_good_as_any(compared, margin=margin)
        found.append({by: name, "verdict": verdict, "scales": compared, "best": analysis.best})
        found[-1] |= {"claims": analysis.claims, "seeds": analysis.seeds}
        title = f"{by}: {name}. As good as any other scale, within {margin:g}: {verdict}"
        output().print(comparison_table(compared, rate_hz, title=title))
    output().print(best_table(analyses, rate_hz, first_column=by, differences=changes))
    sizes = {"records": crossed.n_records, "patients": crossed.n_patients, "labels": crossed.label_names}
    write_json(file, {"chosen": reference, **about, "margin": margin, **sizes, "parts": found, "changes": changes})
    say(f"chosen: {scale_text(reference.to_dict(), rate_hz)}; all numbers: {file}")
