"""The results of `bench.py device` as Markdown."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats


def tables(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    rates = {
        rate.get("matrix product", "copy"): rate.get("tflops", rate.get("copy_gb_per_second"))
        for rate in results["card"]
    }
    eager = {tuple(row["cell"]): row["examples_per_second"] for row in results.get("PyTorch", ())}
    compiled = {tuple(row["cell"]): row["examples_per_second"] for row in results.get("compiled PyTorch", ())}
    ours = {(tuple(row["cell"]), row["precision"]): row for row in results.get("steps", ())}
    lines = [
        f"{results['device']}, jax {results['jax']}; matrix products {rates['bfloat16']:g} TFLOP/s in bfloat16 and "
        f"{rates['float32']:g} in float32, copy {rates['copy']:g} GB/s",
        "",
        "| depth, channels, kernel | float32 | of limit | eager PyTorch | ratio | compiled | ratio | bfloat16 "
        "| compiling, s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (cell, precision), row in ours.items():
        if precision != "float32":
            continue
        speed, half = row["examples_per_second"], ours.get((cell, "bfloat16"), {}).get("examples_per_second")
        limit_ms = 1e3 * max(row["flops"] / rates["float32"] / 1e12, row["bytes"] / rates["copy"] / 1e9)
        texts = [f"{', '.join(map(str, cell))}", f"{speed:,}", f"{limit_ms / row['ms']:.0%}"]
        for theirs in (eager.get(cell), compiled.get(cell)):
            texts += [f"{theirs:,}", f"{speed / theirs:.2f}"] if theirs else ["", ""]
        texts += [f"{half:,}" if half else "", f"{row['compile_seconds']:.0f}"]
        lines.append(f"| {' | '.join(texts)} |")
    for name, theirs in (("eager", eager), ("compiled", compiled)):
        ratios = [
            ours[cell, "float32"]["examples_per_second"] / theirs[cell] for cell in theirs if (cell, "float32") in ours
        ]
        if ratios:
            mean = statistics.geometric_mean(ratios)
            lines += ["", f"Geometric mean of the {len(ratios)} ratios to {name} PyTorch: {mean:.2f}."]
    lines += ["", "| runs together | examples/s of all | against one |", "|---|---|---|"]
    together = results.get("together", ())
    for row in together:
        against = row["examples_per_second"] / together[0]["examples_per_second"]
        lines.append(f"| {row['runs']} | {row['examples_per_second']:,} | {against:.2f} |")
    lines += [text for text in (_study_table(results.get("study", ())), _quality(results.get("quality", ()))) if text]
    for row in results.get("accuracy", ()):
        lines += ["", f"Largest difference of a probability to that on CPU: {row['largest_difference']:.1e}."]
    return "\n".join(lines) + "\n"


def _study_table(rows: Sequence[dict[str, Any]]) -> str:
    """Seconds of each scale, one run after the other and together, with compilation and without."""
    if not rows:
        return ""
    lines = [
        "",
        f"| scale, {rows[0]['seeds']} seeds | one after the other, s | together, s | ratio "
        "| with compilation: one after the other | together |",
        "|---|---|---|---|---|---|",
    ]
    kinds = ("alone_seconds", "together_seconds", "alone_first_seconds", "together_first_seconds")
    sums = {kind: sum(row[kind] for row in rows) for kind in kinds}
    for name, row in [(", ".join(map(str, row["cell"])), row) for row in rows] + [(f"all {len(rows)}", sums)]:
        alone, together, alone_first, together_first = (row[kind] for kind in kinds)
        lines.append(
            f"| {name} | {alone:.1f} | {together:.1f} | {alone / together:.2f} | {alone_first:.1f} | "
            f"{together_first:.1f} |"
        )
    return "\n".join(lines)


def _quality(rows: Sequence[dict[str, Any]]) -> str:
    """The difference between the precisions with its interval (Student's t over pairs of equal seeds)."""
    if len(rows) < 2:
        return ""
    differences = np.subtract(rows[1]["macro_auroc"], rows[0]["macro_auroc"])
    half = stats.t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / len(differences) ** 0.5
    return (
        f"\nValidation macro AUROC, bfloat16 minus float32, {len(differences)} seeds: {differences.mean():+.4f}, "
        f"95 % interval {differences.mean() - half:+.4f} to {differences.mean() + half:+.4f}."
    )
