"""The answer for one recording, and why, as one page that needs no network; and the marked tracing as a figure."""

import io
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from ecg_jax.explain.explanation import Explanation
from ecg_jax.plots.curves import BLUE, VERMILION
from ecg_jax.plots.ecg_paper import COARSE, FINE, draw
from ecg_jax.report.templates import page_template

SMOOTHED_SECONDS = 0.05  # the parts of single samples are too thin to be seen
MOST_EXPLAINED = 3  # labels of one page
COLOURS = {"#000000": "trace", FINE: "fine", COARSE: "coarse", VERMILION: "raises", BLUE: "lowers", "#ffffff": "ecg"}
"""By each colour of a figure, the property of the page that replaces it, so that it follows the colour scheme."""


def marked(explanation: Explanation, signal_mv: np.ndarray, rate_hz: float, leads: Sequence[str], title: str) -> Figure:
    """The recording [T, L] on ECG paper with its parts in the log-odds of a label marked."""
    width = max(1, round(SMOOTHED_SECONDS * rate_hz))
    kernel = np.ones(width) / width
    smooth = np.stack([np.convolve(part, kernel, mode="same") for part in explanation.samples.T], axis=1)
    largest = np.quantile(np.abs(smooth), 0.995)
    return draw(signal_mv, rate_hz, leads, title, marks=smooth / largest if largest else smooth)


def page(
    answer: dict[str, Any],
    explanations: Sequence[Explanation],
    signal_mv: np.ndarray,
    rate_hz: float,
    leads: Sequence[str],
    about: str,
) -> str:
    """The page of a recording.

    Args:
        answer: of `inference.Model.predict`, without an error.
        explanations: of its labels, in the order of the page.
        signal_mv: [T, L], the recording as it was predicted.
        rate_hz: its rate.
        leads: its leads.
        about: one line on the run.
    """
    sections = [
        asdict(found) | {"tracing": _svg(marked(found, signal_mv, rate_hz, leads, ""), f"label{place}-")}
        for place, found in enumerate(explanations)
    ]
    decided = answer["decisions"]
    labels = sorted(answer["probabilities"].items(), key=lambda item: (item[0] not in decided, -item[1]))
    return page_template("recording.html").render(
        answer=answer,
        name=Path(answer["record"]).name,
        about=about,
        labels=labels,
        tracing=_svg(draw(signal_mv, rate_hz, leads), "recording-"),
        explanations=sections,
    )


def explained_labels(answer: dict[str, Any]) -> list[str]:
    """The labels of an answer that a page explains: those that are decided, or the most probable one."""
    probabilities = answer["probabilities"]
    ranked = sorted(answer["decisions"], key=lambda name: -probabilities[name])
    return ranked[:MOST_EXPLAINED] or [max(probabilities, key=probabilities.__getitem__)]


def _svg(figure: Figure, prefix: str) -> Markup:
    """The figure as an element of the page: its text is text, its colours are those of the page."""
    content = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "page"}):
        figure.savefig(content, format="svg", metadata={"Date": None})
    svg = content.getvalue()
    svg = svg[svg.index("<svg") :]
    used = set(re.findall(r"(?:href=\"#|url\(#)([^\")]+)", svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: f' id="{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{prefix}", svg)  # several figures in one page
    for colour, role in COLOURS.items():
        svg = re.sub(rf"(fill|stroke): {colour}\b", rf"\1: var(--{role})", svg)
    return Markup(svg)
