"""Commands that write files for other programs: `export`."""

from pathlib import Path

from ecg_jax.errors import ConfigError
from ecg_jax.terminal import say


def export(
    workdir: Path,
    to: Path,
    int8: bool = False,
    float16: bool = False,
    data: Path | None = None,
    allow_code: bool = False,
) -> None:
    """Writes the network of a finished run to a file for other programs: .onnx, .tflite or .stablehlo.

    The file takes windows in millivolts and gives probabilities. It is run on validation records and compared with
    predict, and is kept if its probabilities are the same.

    Args:
        workdir: Folder of a finished run.
        to: The file; .onnx and .tflite need the extra [export].
        int8: Compute in 8 bits (.tflite), in ranges that are measured on validation records.
        float16: Store the kernels in 16 bits.
        data: The prepared set, if it has been moved since.
        allow_code: Import the functions that the run's config.json names, if you trust them.
    """
    if int8 and float16:
        raise ConfigError("--int8 and --float16 exclude each other; give one of them")
    precision = "int8" if int8 else "float16" if float16 else "float32"
    from ecg_jax.export.exporting import export as export_network
    from ecg_jax.export.formats import format_of
    from ecg_jax.inference import predict_split
    from ecg_jax.study.latency import machine
    from ecg_jax.training.result import read_result

    format_of(to, precision)  # before the records are predicted
    model, predictions = predict_split(workdir, "validation", data=data, allow_code=allow_code)
    evaluated = read_result(workdir, "test")
    scaled = (evaluated.calibration or {}).get("scaled") if evaluated else None
    parts = (model.config, model.contract, model.variables, model.thresholds, predictions)
    calibration = scaled["scaling"] if scaled else None
    proof = export_network(to, *parts, calibration=calibration, precision=precision)
    before, after = (
        "not defined" if value is None else f"{value:.4f}" for value in (proof.auroc_before, proof.auroc_after)
    )
    memory = "not known" if proof.memory_bytes is None else f"{proof.memory_bytes / 2**20:.1f} MiB"
    say(
        f"compared     with predict on {proof.records} validation records ({proof.windows} windows)",
        f"difference   {proof.difference:.1e} at most, of a probability",
        f"macro AUROC  {after} (predict: {before})",
        f"bytes        {proof.bytes:,}",
        f"latency      {proof.latency_ms:.3g} ms for one window on {machine()}",
        f"peak memory  {memory} for loading the file and one window",
        f"written: {to}",
    )
