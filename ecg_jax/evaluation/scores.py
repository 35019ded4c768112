"""Scores that data sets define for themselves: name -> function. NumPy and one table of the package."""

from functools import cache
from importlib.resources import files

import numpy as np

from ecg_jax.evaluation.metrics import Metric, f1, sensitivity_within

SINUS_RHYTHM = 14  # its column in the table of weights


def cinc2017(label: np.ndarray, decision: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean F1 [R] of the first three labels, A, N and O (Clifford et al. 2017)."""
    return f1(label, decision, weight)[:, :3].mean(axis=1)


def cpsc2018(label: np.ndarray, decision: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean F1 [R] of all labels, of which the set has nine (Liu et al. 2018)."""
    return f1(label, decision, weight).mean(axis=1)


def cinc2021(labels: np.ndarray, outputs: np.ndarray) -> float:
    """Computes the metric of the Challenge of 2021: 1 if all is right, 0 if the answer is always sinus rhythm.

    A record with several outputs counts each as 1 over the number of classes that are among its labels or outputs,
    weighted by how alike the classes are treated (Reyna et al. 2021). 0 where to answer sinus rhythm is right.

    Args:
        labels: [N, 26] of 0 and 1; the classes are those of `ecg-jax prepare cinc2021`, in their order.
        outputs: [N, 26] of 0 and 1.
    """
    return float(np.nan_to_num(_normalised_reward(labels, outputs, np.ones((1, len(labels)))))[0])


def cinc2025(label: np.ndarray, probability: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Sensitivity [R] for the first label where the 5 % with its highest probabilities are positive."""
    return sensitivity_within(label[:, 0], probability[:, 0], weight, share=0.05)


def aami(label: np.ndarray, decision: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean [R] of sensitivity and positive predictive value of S and V, a quarter of the j index of Mar et al. 2011."""
    return np.mean([*aami_figures(label, decision, weight).values()], axis=0)


def aami_figures(label: np.ndarray, decision: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
    """Sensitivity and positive predictive value [R] of S and of V, the last two of the labels F, N, Q, S and V.

    NaN if no record of the resample has the label; 0 if none is decided to have it. Every decision counts, while de
    Chazal et al. 2004, after ANSI/AAMI EC57, do not count F and Q decided as V, nor Q decided as S, which is kinder.
    """
    figures = {}
    for column, name in ((3, "S"), (4, "V")):
        y, decided_so = label[:, column].astype(float), decision[:, column].astype(float)
        hits, decided, present = weight @ (y * decided_so), weight @ decided_so, weight @ y
        for figure, whole in (("sensitivity", present), ("ppv", decided)):
            share = np.divide(hits, whole, out=np.zeros(len(weight)), where=whole > 0)
            figures[f"{figure}_{name}"] = np.where(present > 0, share, np.nan)
    return figures


def _normalised_reward(label: np.ndarray, decision: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The metric of `cinc2021` [R] under weights [R, N]; NaN where it is not defined."""
    answers = np.asarray(decision, float), np.asarray(label, float), np.zeros(np.shape(label))
    answers[2][:, SINUS_RHYTHM] = 1
    reached, best, least = (weight @ _reward(answers[1], answer) for answer in answers)
    return np.divide(reached - least, best - least, out=np.full(len(weight), np.nan), where=best != least)


def _reward(label: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """The reward [N] for answers [N, K] of each record."""
    named = np.maximum(label, answer).sum(axis=1)
    return ((label @ _class_weights()) * answer).sum(axis=1) / np.maximum(named, 1)


@cache
def _class_weights() -> np.ndarray:
    """The weights [26, 26], as published in `physionetchallenges/evaluation-2021` (BSD 2-Clause)."""
    table = files("ecg_jax.evaluation").joinpath("cinc2021_weights.csv").read_text(encoding="utf-8").splitlines()
    return np.array([row.split(",")[1:] for row in table[1:]], float)


SCORES: dict[str, Metric] = {
    "aami": aami,
    "cinc2017": cinc2017,
    "cinc2021": _normalised_reward,
    "cinc2025": cinc2025,
    "cpsc2018": cpsc2018,
}
"""From labels [N, K], decisions [N, K] and weights [R, N] to values [R], under the name in `prepared.json`."""
OF_PROBABILITIES = frozenset({"cinc2025"})
"""The scores that have probabilities [N, K] in place of decisions."""
FIGURES = {"aami": aami_figures}
"""By the name of a score, a function to the figures by name that it is made of; they stand beside it in results."""
