"""How exported files differ from their runs, and what they cost: one row for each run and format.

    python tools/export_table.py runs/export/* --json export.json

Exports each finished run as ONNX, TFLite, TFLite in 8 bits and StableHLO, and prints the figures of each proof as a
table in Markdown; a file that is refused has a row with the reason. Nothing else should run meanwhile.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro

FILES = ((".onnx", False), (".tflite", False), (".tflite", True), (".stablehlo", False))  # suffix, in 8 bits
HEAD = "| run | MACs | format | largest difference | AUROC before | after | kB | ms a window | peak MiB |"


@dataclass(frozen=True)
class Args:
    """Exports finished runs, and prints how the files differ from them and what they cost."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of finished runs."""
    json: Path
    """File of the figures."""


def main(args: Args) -> None:
    """Writes and prints one row for each run and format."""
    from ecg_jax.errors import UserError
    from ecg_jax.export.exporting import export
    from ecg_jax.files import temporary_folder, write_text
    from ecg_jax.inference import predict_split
    from ecg_jax.study.latency import machine
    from ecg_jax.terminal import say

    say(HEAD, "|" + "---|" * HEAD.count(" | ") + "---|")
    rows: list[dict[str, Any]] = []
    for run in args.runs:
        model, predictions = predict_split(run, "validation")
        parts = (model.config, model.contract, model.variables, model.thresholds, predictions)
        for suffix, in_8_bits in FILES:
            precision = "int8" if in_8_bits else "float32"
            row: dict[str, Any] = {"run": run.name, "macs": model.result.cost.macs, "format": suffix}
            try:
                with temporary_folder() as folder:
                    row |= asdict(export(folder / f"model{suffix}", *parts, precision=precision))
            except UserError as error:
                row |= {"precision": precision, "refused": str(error)}
            rows.append(row)
            say(_line(row))
            write_text(args.json, json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
    say(f"Measured on {machine()}, with one thread (StableHLO: as many as JAX takes).")


def _line(row: dict[str, Any]) -> str:
    kind = row["format"][1:] + (f" {row['precision']}" if row["precision"] != "float32" else "")
    start = f"| {row['run']} | {row['macs'] / 1e6:.0f} M | {kind} |"
    if "refused" in row:
        return f"{start} {row['refused']} |"
    before, after = ("-" if x is None else f"{x:.4f}" for x in (row["auroc_before"], row["auroc_after"]))
    memory = "-" if row["memory_bytes"] is None else f"{row['memory_bytes'] / 2**20:.1f}"
    cost = f"{row['bytes'] / 1000:,.0f} | {row['latency_ms']:.2f} | {memory} |"
    return f"{start} {row['difference']:.1e} | {before} | {after} | {cost}"


if __name__ == "__main__":
    main(tyro.cli(Args))
