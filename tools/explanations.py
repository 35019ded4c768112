"""Are explanations right? On synthetic recordings, whose labels have their sign in known segments of a beat.

    python tools/explanations.py --workdir runs/synthetic --json explanations.json

For each label, over the test records that have it: in how many the segment with the largest share is one with the
sign, by integrated gradients and by occlusion; how much the shares change when the values of the network's parameters
are shuffled (total variation distance, 0 to 1); and by how much the integrated gradients miss the change of the
log-odds.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro

from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.dataset.splits import split_records
from ecg_jax.explain import Explainer, Explanation
from ecg_jax.explain.attribution import shuffled
from ecg_jax.inference import load
from ecg_jax.records import Quantised
from ecg_jax.synthetic.cohort import SEGMENTS_OF


@dataclass(frozen=True)
class Row:
    """One label."""

    records: int
    gradients_right: float
    occlusion_right: float
    changed_by_shuffling: float
    largest_error: float


def distance(one: Explanation, other: Explanation) -> float:
    """Total variation distance between the shares of segments and leads, by integrated gradients."""
    apart = []
    for which in ("by_segment", "by_lead"):
        ours, theirs = (getattr(found.gradients.shares(), which) for found in (one, other))
        apart.append(sum(abs(ours[name] - theirs[name]) for name in ours) / 2)
    return float(np.mean(apart))


def largest(parts: dict[str, float]) -> str:
    """The name of the largest part."""
    return max(parts, key=parts.__getitem__)


def main(
    workdir: Path,
    data: Path | None = None,
    most: int = 40,
    json_path: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Explains test records of a run on synthetic recordings.

    Args:
        workdir: A finished run on synthetic recordings.
        data: Their prepared set, if it has been moved since.
        most: Records of each label, at most.
        json_path: Output file for the results.
    """
    model = load(workdir)
    prepared = open_prepared(data or model.config.data.path)
    test = split_records(prepared, model.config.data).test
    explainer, destroyed = Explainer(model), load(workdir)
    destroyed.variables = shuffled(model.variables, jax.random.key(0))
    without = Explainer(destroyed)
    rows: dict[str, Row] = {}
    for label, segments in SEGMENTS_OF.items():
        having = test[prepared.label[test, prepared.labels.index(label)] > 0][:most]
        records = [Quantised(signal, scale_mv, ()) for signal, scale_mv in prepared.read(having)]
        found = [explainer.explain(record, label) for record in records]
        others = [without.explain(record, label) for record in records[:3]]
        rows[label] = Row(
            records=len(found),
            gradients_right=float(np.mean([largest(one.gradients.by_segment) in segments for one in found])),
            occlusion_right=float(np.mean([largest(one.occlusion.by_segment) in segments for one in found])),
            changed_by_shuffling=float(np.mean([distance(*pair) for pair in zip(found, others, strict=False)])),
            largest_error=max(float(one.completeness_error) for one in found),
        )
        print(label, segments, rows[label], flush=True)
    results: dict[str, Any] = {label: vars(row) for label, row in rows.items()}
    if json_path:
        json_path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
