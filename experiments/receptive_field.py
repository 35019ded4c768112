"""Is it the kernel, the depth, or the receptive field? Equal parameters, different receptive fields, three heads.

    python experiments/receptive_field.py --data prepared/ptb_xl --workdir runs/receptive_field --seeds 3

The plain network has the smallest depth, kernel and dilation. Each other network changes one of them, and has as nearly
the same number of parameters as whole channels allow; dilation costs no parameters.
"""

from dataclasses import dataclass
from typing import Literal

from ecg_jax.scripts.experiment import GridArgs, finished_predictions, output, run_script, train_study, write_json


@dataclass(frozen=True)
class Args(GridArgs):
    """The flags of a study, with those of `ecg-jax train`."""

    channels: tuple[int, ...] = (32,)
    kernels: tuple[int, ...] = (3, 7, 15)
    dilations: tuple[int, ...] = (1, 2, 4)
    """Distances between the samples that a block convolution reads."""
    heads: tuple[str, ...] = ("gap", "attention", "flatten")
    """Heads of all networks; the plain network with the first one is the reference."""
    base: Literal["resnet", "local"] = "local"

    def axes(self):
        """Those of the grid, dilation and head."""
        from ecg_jax.study.axis_flag import read_axis

        dilation = read_axis(["model.dilation:log2", *map(str, self.dilations)])
        return (*super().axes(), dilation, read_axis(["model.head", *self.heads]))

    def grids(self, study):
        """A grid for each head and each change of its plain network."""
        from ecg_jax.study.cost import grids_of_equal_parameters

        return grids_of_equal_parameters(study, *super().grids(study), within="model.head")


def main(args: Args, runner=None) -> None:
    """Trains what is missing, then writes and prints the comparison with the plain network."""
    from ecg_jax.analysis.comparisons import compare_with
    from ecg_jax.report.tables import comparison_table
    from ecg_jax.report.write import conclude_study
    from ecg_jax.study.cost import window_samples

    if (folder := train_study(args, conclude=conclude_study, runner=runner)) is None:
        return
    predictions, plain = finished_predictions(folder), args.grids(folder.study)[0].scales()[0]
    rows = compare_with(predictions, plain)
    about = {"reference": plain, "window_samples": window_samples(folder.study, plain)}
    about |= {"seeds": predictions.n_seeds, "records": predictions.n_records}
    write_json(args.workdir / "receptive_field.json", {**about, "scales": rows})
    rows.sort(key=lambda row: (row.scale["model.head"], row.receptive_field_ms))
    output().print(comparison_table(rows, folder.study.rate_hz, window_samples=about["window_samples"]))


if __name__ == "__main__":
    run_script(Args, main, __doc__)
