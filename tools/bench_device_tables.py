"""The results of `bench.py device` as Markdown; those of several calls on one kind of card are put together.

python tools/bench_device_tables.py docs/results/h100/*.json
"""

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from ecg_jax.config import ModelConfig
from ecg_jax.models.cost import cost


def tables(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    rates = {
        rate.get("matrix product", "copy"): rate.get("tflops", rate.get("copy_gb_per_second"))
        for rate in results["card"]
    }
    eager = {tuple(row["cell"]): row["examples_per_second"] for row in results.get("PyTorch", ())}
    compiled = {tuple(row["cell"]): row["examples_per_second"] for row in results.get("compiled PyTorch", ())}
    ours = {tuple(row["cell"]): row for row in results.get("steps", ())}
    halves = {tuple(row["cell"]): f"{row['examples_per_second']:,}" for row in results.get("bfloat16", ())}
    lines = [
        f"{results['device']}, jax {results['jax']}; matrix products {rates['bfloat16']:g} TFLOP/s in bfloat16 and "
        f"{rates['float32']:g} in float32, copy {rates['copy']:g} GB/s",
        "",
        "| depth, channels, kernel | float32 | of limit | eager PyTorch | ratio | compiled | ratio | bfloat16 "
        "| compiling, s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in dict.fromkeys([*ours, *halves]):
        row, texts = ours.get(cell), [f"{', '.join(map(str, cell))}"]
        if row:
            arithmetic = operations(cell, results) / rates["float32"] / 1e12
            limit_ms = 1e3 * max(arithmetic, row["bytes"] / rates["copy"] / 1e9)
            texts += [f"{row['examples_per_second']:,}", f"{limit_ms / row['ms']:.0%}"]
        else:
            texts += ["", ""]
        for theirs in (eager.get(cell), compiled.get(cell)):
            texts.append(f"{theirs:,}" if theirs else "")
            texts.append(f"{row['examples_per_second'] / theirs:.2f}" if theirs and row else "")
        texts += [halves.get(cell, ""), f"{row['compile_seconds']:.0f}" if row else ""]
        lines.append(f"| {' | '.join(texts)} |")
    for name, theirs in (("eager", eager), ("compiled", compiled)):
        ratios = [ours[cell]["examples_per_second"] / theirs[cell] for cell in theirs if cell in ours]
        if len(ratios) > 1:
            mean = statistics.geometric_mean(ratios)
            lines += ["", f"Geometric mean of the {len(ratios)} ratios to {name} PyTorch: {mean:.2f}."]
    together = results.get("together", ())
    if together:
        lines += ["", "| runs together | examples/s of all | against one |", "|---|---|---|"]
    for row in together:
        against = row["examples_per_second"] / together[0]["examples_per_second"]
        lines.append(f"| {row['runs']} | {row['examples_per_second']:,} | {against:.2f} |")
    lines += [text for text in (_study_table(results.get("study", ())), _quality(results.get("quality", ()))) if text]
    for row in results.get("accuracy", ()):
        lines += ["", f"Largest difference of a probability to that on CPU: {row['largest_difference']:.1e}."]
    return "\n".join(lines) + "\n"


def operations(cell: Sequence[int], results: dict[str, Any]) -> int:
    """Of a training step: two for each multiply-accumulate, and the backward pass is two forward passes."""
    (batch, samples, leads), labels = results["shape"], results["labels"]
    model = ModelConfig(depth=cell[0], channels=cell[1], kernel=cell[2])
    return 6 * batch * cost(model, leads=leads, labels=labels, window_samples=samples, rate_hz=100.0).macs


def _study_table(rows: Sequence[dict[str, Any]]) -> str:
    """Seconds of each scale, one run after the other and together, with compilation and without."""
    if not rows:
        return ""
    lines = [
        "",
        f"| scale, {rows[0]['seeds']} seeds | one after the other, s | together, s | ratio "
        "| with compilation: the first run | together |",
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


if __name__ == "__main__":
    found: dict[str, Any] = {}
    for path in sys.argv[1:]:
        for part, rows in json.loads(Path(path).read_text(encoding="utf-8")).items():
            is_measured = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
            found[part] = found.get(part, []) + rows if is_measured else rows
    print(tables(found), end="")
