"""How often the 95 % intervals of `ecg-jax evaluate` contain the truth, in simulated test sets whose truth is known.

A patient has one to four records. Records of a patient are alike in the label and in the score; the probabilities are
too extreme and too high. The truth of each figure is its value on a million records.

    python tools/coverage_of_intervals.py --sets 1000 --json docs/results/external/coverage.json
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from ecg_jax.evaluation.calibration import calibration, sigmoid
from ecg_jax.evaluation.drop import drop
from ecg_jax.evaluation.groups import by_group
from ecg_jax.evaluation.operating import RATES, operating_points
from ecg_jax.evaluation.predicted import Predicted, predicted
from ecg_jax.evaluation.summary import patient_resamples, with_intervals
from ecg_jax.files import write_text
from ecg_jax.target import Target
from ecg_jax.terminal import say

TARGET, THRESHOLDS = Target("multilabel", ("common", "rare")), np.array([0.6, 0.4])
TRUTH_PATIENTS = 400_000
Figures = dict[str, dict[str, float | None]]


@dataclass
class Args:
    """The flags of this script."""

    sets: int = 1000
    """Simulated test sets of each size."""
    patients: tuple[int, ...] = (100, 300)
    """Numbers of patients of a test set."""
    resamples: int = 400
    """Bootstrap resamples of each interval."""
    json: Path | None = None
    """File for the numbers."""


def simulated(random: np.random.Generator, n_patients: int, *, separation: float) -> tuple[Predicted, np.ndarray]:
    """Records of so many patients, and whether each is of a woman."""
    of_patient = np.repeat(np.arange(n_patients), random.integers(1, 5, n_patients))
    tendency, level = random.normal(size=(2, n_patients, 2))
    latent = 0.7 * tendency[of_patient] + 0.7 * random.normal(size=(len(of_patient), 2))
    label = (latent > [0.2, 0.9]).astype(float)
    noise = 0.5 * level[of_patient] + random.normal(size=label.shape)
    probability = sigmoid(1.5 * (separation * label + noise - [0.6, 1.4]))
    is_woman = random.random(n_patients)[of_patient] < 0.5
    names = of_patient.astype(str)
    return predicted(label, probability, THRESHOLDS, names, TARGET), is_woman


def figures(
    own: Predicted, is_woman: np.ndarray, other: Predicted, resamples: int, *, only_values: bool = False
) -> Figures:
    """Every kind of figure, with its interval."""
    weight = np.ones((1, len(own.label))) if only_values else patient_resamples(own.patients, resamples=resamples)
    resamples = 1 if only_values else resamples
    found: Figures = {}
    overall, by_label = with_intervals([own], weight)
    found |= overall
    for k, name in enumerate(TARGET.names):
        found |= {f"{name}: {metric}": value for metric, value in by_label[k].items()}
        (point,) = operating_points(own, weight)["per_label"][name]
        found |= {f"{name}: {rate}": point[rate] for rate in RATES}
    per_label = calibration(own, weight)["per_label"]
    for name in TARGET.names:
        found |= {f"{name}: calibration {key}": per_label[name][key] for key in ("slope", "intercept")}
    women = by_group([own], {"sex": {"female": is_woman}}, resamples=resamples)["sex"]["groups"]["female"]["per_label"]
    found["women, common: auroc"] = women["common"]["auroc"]
    lost = drop(own, other, resamples=resamples)["metrics"]
    found |= {f"drop of {name}": lost[name] for name in ("macro_auroc", "macro_f1")}
    return found


def covered(args: Args, n_patients: int, truth: Figures) -> dict[str, dict[str, float]]:
    """Of each figure the share of intervals that contain the truth, and the shares below and above it."""
    below, above, known = (dict.fromkeys(truth, 0) for _ in range(3))
    for number in range(args.sets):
        random = np.random.default_rng((n_patients, number))
        own, is_woman = simulated(random, n_patients, separation=1.2)
        other, _ = simulated(random, n_patients, separation=0.9)
        for name, found in figures(own, is_woman, other, args.resamples).items():
            low, high, true = found["low"], found["high"], truth[name]["value"]
            if low is None or high is None or true is None:  # a calibration error has no interval
                continue
            known[name] += 1
            below[name] += high < true
            above[name] += low > true
    return {
        name: {
            "intervals": known[name],
            "covered": 1 - (below[name] + above[name]) / known[name],
            "too_low": below[name] / known[name],
            "too_high": above[name] / known[name],
        }
        for name in truth
        if known[name]
    }


def main(args: Args) -> None:
    """Simulates, counts and prints."""
    random = np.random.default_rng(1)
    own, is_woman = simulated(random, TRUTH_PATIENTS, separation=1.2)
    other, _ = simulated(random, TRUTH_PATIENTS, separation=0.9)
    truth = figures(own, is_woman, other, 1, only_values=True)
    by_size = {n: covered(args, n, truth) for n in args.patients}
    for name, value in truth.items():
        shares = "  ".join(f"{n}: {by_size[n][name]['covered']:.3f}" for n in by_size if name in by_size[n])
        say(f"{name:28}{value['value']:8.3f}  {shares}")
    if args.json is not None:
        values = {name: value["value"] for name, value in truth.items()}
        content = {"sets": args.sets, "resamples": args.resamples, "truth": values, "patients": by_size}
        write_text(args.json, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
