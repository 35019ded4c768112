"""What two equal runs must have in common, byte for byte."""

import json
from pathlib import Path

import jax
import numpy as np

from ecg_jax.training.workdir import read_metrics


def content(workdir: Path) -> dict[str, bytes]:
    """All that two equal runs must have in common: wall-clock figures are taken out."""
    result = json.loads((workdir / "result.json").read_text())
    result["train"] = {key: result["train"][key] for key in ("steps", "best_epoch")}
    result["config"]["data"].pop("path")
    lines = [{**line, "seconds": 0} for line in read_metrics(workdir)]
    kept = {"result": json.dumps(result).encode(), "metrics": json.dumps(lines).encode()}
    kept["predictions"] = (workdir / "predictions_validation.csv").read_bytes()
    newest = max((int(step.name) for step in (workdir / "checkpoints").iterdir()), default=0)
    kept["step"] = str(newest).encode()
    kept["variables"] = variables_of(workdir)
    return kept


def variables_of(workdir: Path) -> bytes:
    from ecg_jax.inference import load

    return b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(load(workdir).variables))
