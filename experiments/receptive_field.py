"""Is it the kernel, the depth, or what the network sees? Equal parameters, unlike receptive fields, three heads.

    python experiments/receptive_field.py --data prepared/ptb_xl --workdir runs/receptive_field --seeds 3

Depth and kernel both lengthen the receptive field and add parameters. Here each variant has as nearly the parameters of
depth 1, kernel 3 as whole channels allow: longer kernels and deeper stages with fewer channels, and dilation, which
costs none. Each with global average pooling, attention and flattening, on three stages without a stem pool (`local` in
scale.py). Started again, it goes on where it stopped. All flags of `ecg-jax train` can be given.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from ecg_jax.cli import FLAT, base_run, fail_in_one_line
from ecg_jax.config import ModelConfig, RunConfig
from ecg_jax.files import write_bytes, write_text


@dataclass(frozen=True)
class Args:
    """What the script takes, beside the flags of `ecg-jax train`."""

    workdir: Path
    """Folder of the variants' studies, of `receptive_field.json` and the figure."""
    channels: int = 32
    """Channels at depth 1, kernel 3: all variants get as many parameters as that has."""
    depths: tuple[int, ...] = (2, 4)
    """Depths beside 1, at kernel 3."""
    kernels: tuple[int, ...] = (7, 15)
    """Kernels beside 3, at depth 1."""
    dilations: tuple[int, ...] = (2, 4)
    """Dilations beside 1, at depth 1, kernel 3."""
    heads: tuple[str, ...] = ("gap", "attention", "flatten")
    """From the last stage to the labels."""
    seeds: int = 3
    """Seeds 0, 1, ... up to this number, one after the other."""
    folds: tuple[int, ...] = ()
    """Cross-fit: each of these folds tests once, the fold before it chooses the epoch."""
    learning_rates: tuple[float, ...] = ()
    """Rates to choose from for each variant, as in scale.py; by default the run's own."""
    run: Annotated[RunConfig, FLAT] = field(default_factory=RunConfig)


def main(args: Args) -> None:
    """Trains what is missing, then writes and prints the table."""
    from rich.console import Console

    from ecg_jax.dataset.prepared import open_prepared
    from ecg_jax.report import charts
    from ecg_jax.study.design import local
    from ecg_jax.study.variants import compared, joined, train
    from ecg_jax.study.worker import work

    prepared = open_prepared(args.run.data.path)
    window = max(1, round(args.run.data.window_seconds * prepared.rate_hz))
    shape = {"leads": len(prepared.leads), "labels": len(prepared.labels), "window_samples": window}
    run = replace(args.run, model=local(args.run.model))
    variants = list(variants_of(args, run, {**shape, "rate_hz": prepared.rate_hz}))
    train(args.workdir, variants, folds=args.folds, work=partial(work, conclude=lambda *_: None))
    outcomes = joined(args.workdir, [variant.name for variant in variants])
    plain = f"{args.heads[0]}_plain"
    rows = compared(outcomes, against=lambda scale: scale["variant"] == plain)
    by_name = {variant.name: variant.run.model for variant in variants}
    for row in rows:
        model = by_name[row["variant"]]
        row["changed"] = row["variant"].partition("_")[2].replace("_", " ")
        row |= {"head": model.head, "dilation": model.dilation, "kernel_ms": 1000 * row["kernel"] / prepared.rate_hz}
    figure = charts.together(charts.heads(rows, window_ms=1000 * window / prepared.rate_hz))
    write_text(args.workdir / "receptive_field.svg", charts.svg(figure))
    write_bytes(args.workdir / "receptive_field.png", charts.png(figure))
    written = {
        "against": plain,
        "window_samples": window,
        "seeds": outcomes.n_seeds,
        "records": outcomes.n_records,
        "variants": rows,
    }
    write_text(args.workdir / "receptive_field.json", json.dumps(written, indent=1) + "\n")
    console = Console() if sys.stdout.isatty() else Console(width=140)
    console.print(table(rows, plain, window))


def variants_of(args: Args, run: RunConfig, shape: dict[str, Any]) -> Iterator[Any]:
    """Every head with the plain network, then each other depth, kernel and dilation at its number of parameters."""
    from ecg_jax.study.design import Grid
    from ecg_jax.study.variants import Variant

    for head in args.heads:
        plain = replace(run.model, depth=1, channels=args.channels, kernel=3, dilation=1, head=head)
        models = {"plain": plain}
        models |= {f"depth_{d}": equal(replace(plain, depth=d), plain, shape) for d in args.depths}
        models |= {f"kernel_{k}": equal(replace(plain, kernel=k), plain, shape) for k in args.kernels}
        models |= {f"dilation_{d}": replace(plain, dilation=d) for d in args.dilations}
        for name, model in models.items():
            assert isinstance(model.depth, int)
            assert isinstance(model.kernel, int)
            rates = args.learning_rates or (run.train.learning_rate,)
            grid = Grid((model.depth,), (model.channels,), (model.kernel,), args.seeds, rates)
            yield Variant(f"{head}_{name}", replace(run, model=model), grid)


def equal(model: ModelConfig, plain: ModelConfig, shape: dict[str, Any]) -> ModelConfig:
    """The model with the number of channels whose parameters come nearest to those of the plain one."""
    from ecg_jax.models import cost

    wanted = cost(plain, **shape).parameters
    known = {c: cost(replace(model, channels=c), **shape).parameters for c in range(1, plain.channels + 1)}
    return replace(model, channels=min(known, key=lambda c: abs(known[c] - wanted)))


def table(rows: list[dict[str, Any]], plain: str, window: int) -> Any:
    """The variants as a rich table; intervals of the differences are for all at once."""
    from rich.table import Table

    network = ("head", "depth", "channels", "kernel, ms", "dilation", "parameters", "sees, ms")
    shown = Table(*network, "macro AUROC", "difference")
    shown.title = f"differences from {plain}, with 95 % intervals for all at once"
    for row in sorted(rows, key=lambda row: (row["head"], row["receptive_field_samples"])):
        beyond = " *" if row["receptive_field_samples"] > window else ""
        interval = "" if row["low"] is None else f" ({row['low']:+.4f} to {row['high']:+.4f})"
        shown.add_row(
            row["head"],
            str(row["depth"]),
            str(row["channels"]),
            f"{row['kernel']} ({row['kernel_ms']:.3g})",
            str(row["dilation"]),
            f"{row['parameters']:,}",
            f"{row['receptive_field_ms']:g}{beyond}",
            f"{row['mean']:.4f}",
            f"{row['difference']:+.4f}{interval}" if row["variant"] != plain else "",
        )
    if any(row["receptive_field_samples"] > window for row in rows):
        shown.caption = f"* beyond the window of {window} samples"
    return shown


if __name__ == "__main__":
    with fail_in_one_line("receptive_field.py"):
        base, arguments = base_run(sys.argv[1:])
        main(tyro.cli(Args, description=__doc__, args=arguments, default=Args(workdir=tyro.MISSING, run=base)))
