"""A recording on ECG paper: 25 mm/s, 10 mm/mV, true to scale when printed. May import numpy and matplotlib.

All coordinates are millimetres on one page: rows of 250 mm, each after a calibration pulse of 1 mV and 0.2 s. The
twelve standard leads of 10 s are drawn in the usual three rows of four leads, 2.5 s each, above a rhythm strip of lead
II, which continues in further rows to the end of the recording. Any other set of leads gets one or more rows for each
lead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from ecg_jax.plots.curves import BLUE, VERMILION
from ecg_jax.plots.lettering import literal

MM_PER_SECOND = 25.0
MM_PER_MV = 10.0
ROW_SECONDS = 10.0
STANDARD_ROWS = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"), ("II",))
MOST_ROWS = 15  # further rows are left out, with a note on the page

_PULSE_MM = 12.0  # the calibration pulse and the space after it
_MARGIN_MM = 7.0
_TITLE_MM = 9.0
_FOOT_MM = 7.0
_REACH_MM = (9.0, 9.0, 32.0)  # smallest space below and above the baseline of a row, and the largest
_TRACE, FINE, COARSE = "black", "#f7d9d5", "#e8a9a2"  # they differ in black and white, too
_MARK_POINTS = 7.0  # width of a mark behind the trace
_LEAST_MARK = 0.08  # weaker ones are not drawn


@dataclass(frozen=True)
class _Strip:
    """A part of one lead in a row: its start in the recording, its length and its start in the row, in seconds."""

    lead: int
    start_seconds: float
    seconds: float
    at_seconds: float


def _layout(leads: Sequence[str], seconds: float) -> list[list[_Strip]]:
    """Rows of strips, in order from the top."""
    place = {name.upper(): k for k, name in enumerate(leads)}
    standard = {name.upper() for row in STANDARD_ROWS for name in row}
    if set(place) == standard and len(leads) == len(standard) and seconds > ROW_SECONDS - 0.5:
        rows = []
        for row in STANDARD_ROWS:
            part = ROW_SECONDS / len(row)
            rows.append([_Strip(place[name.upper()], part * i, part, part * i) for i, name in enumerate(row)])
        starts = np.arange(ROW_SECONDS, seconds - 0.5, ROW_SECONDS)
        return rows + [[_Strip(place["II"], start, ROW_SECONDS, 0)] for start in starts]
    if seconds > ROW_SECONDS:  # all leads continue in the rows below
        starts = np.arange(0, seconds, ROW_SECONDS)
        return [[_Strip(lead, start, ROW_SECONDS, 0)] for start in starts for lead in range(len(leads))]
    columns = int(np.clip(ROW_SECONDS // seconds, 1, 4))
    n_rows, width = -(-len(leads) // columns), ROW_SECONDS / columns  # leads in order down the columns, as on paper
    of_rows = (range(first, len(leads), n_rows) for first in range(n_rows))
    return [[_Strip(lead, 0.0, seconds, width * i) for i, lead in enumerate(of_row)] for of_row in of_rows]


def _page(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty page of ECG paper: a line every millimetre, and a stronger one every five."""
    figure = Figure(figsize=(width / 25.4, height / 25.4))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    for step, colour, line in ((1, FINE, 0.25), (5, COARSE, 0.5)):
        across = [((x, 0), (x, height)) for x in np.arange(0, width + 0.5, step)]
        along = [((0, y), (width, y)) for y in np.arange(0, height + 0.5, step)]
        axes.add_collection(LineCollection(across + along, colors=colour, linewidths=line, zorder=0))
    return figure, axes


def draw(
    signal_mv: np.ndarray, rate_hz: float, leads: Sequence[str], title: str = "", *, marks: np.ndarray | None = None
) -> Figure:
    """Draws a recording on a page of ECG paper of true size.

    Each lead is centred on its median, as by a paper recorder; missing samples are gaps.

    Args:
        signal_mv: [T, L] in mV with NaN where it is missing.
        rate_hz: sampling rate.
        leads: the names of the L leads.
        title: text above the rows.
        marks: [T, L], -1 to 1: the trace is marked behind in orange where they are above 0, in blue where they are
            below, the stronger the larger they are.

    Raises:
        ValueError: a shape is not [T, L], or T or L is 0.
    """
    signal_mv = np.asarray(signal_mv, dtype=np.float64)
    if signal_mv.ndim != 2 or signal_mv.shape[1] != len(leads) or not signal_mv.size:
        raise ValueError(f"a page needs [T, {len(leads)}], one column for each lead; got {list(signal_mv.shape)}")
    if marks is not None and marks.shape != signal_mv.shape:
        raise ValueError(f"marks need the shape of the signal, {list(signal_mv.shape)}; got {list(marks.shape)}")
    with literal(title, *leads) as (title, *leads):
        return _draw_page(signal_mv, rate_hz, leads, title, marks)


def _draw_page(
    signal_mv: np.ndarray, rate_hz: float, leads: Sequence[str], title: str, marks: np.ndarray | None
) -> Figure:
    signal_mv = np.where(np.isfinite(signal_mv), signal_mv, np.nan)
    medians = np.nanmedian(np.where(np.isnan(signal_mv).all(axis=0), 0, signal_mv), axis=0)
    traces_mm = (signal_mv - medians) * MM_PER_MV  # [T, L]

    seconds = len(signal_mv) / rate_hz
    all_rows = _layout(leads, seconds)
    rows = all_rows[:MOST_ROWS]
    spaces = [
        _space_mm([traces_mm[_span(strip, rate_hz, len(traces_mm)), strip.lead] for strip in row]) for row in rows
    ]
    height = float(np.ceil((sum(map(sum, spaces)) + _TITLE_MM + _FOOT_MM + 4) / 5) * 5)
    figure, axes = _page(_PULSE_MM + ROW_SECONDS * MM_PER_SECOND + 2 * _MARGIN_MM, height)

    baseline = height - _TITLE_MM
    for row, (above, below) in zip(rows, spaces, strict=True):
        baseline -= above
        pulse = np.array([(0, 0), (2, 0), (2, 10), (7, 10), (7, 0), (9, 0)]) + np.array([_MARGIN_MM, baseline])
        axes.plot(*pulse.T, color=_TRACE, linewidth=0.8)
        for strip in row:
            _draw_strip(axes, strip, leads[strip.lead], traces_mm, rate_hz, baseline, above)
            if marks is not None:
                _draw_marks(axes, strip, marks, traces_mm, rate_hz, baseline)
        baseline -= below

    note = "" if len(rows) == len(all_rows) else "; the rest does not fit on this page"
    scale = f"{MM_PER_SECOND:g} mm/s   {MM_PER_MV:g} mm/mV   {rate_hz:g} Hz, {seconds:g} s{note}"
    axes.text(_MARGIN_MM, height - 6.5, title, fontsize=10)
    axes.text(_MARGIN_MM, 2.5, scale, fontsize=8)
    return figure


def _space_mm(pieces: Sequence[np.ndarray]) -> tuple[float, float]:
    """Space above and below the baseline of a row with these traces."""
    values = np.concatenate([piece[~np.isnan(piece)] for piece in pieces] + [np.zeros(1)])
    least_low, least_high, most = _REACH_MM
    return np.clip(values.max() + 5, least_high + 3, most), np.clip(1 - values.min(), least_low, most)


def _draw_strip(
    axes: Axes, strip: _Strip, lead: str, traces_mm: np.ndarray, rate_hz: float, baseline: float, above: float
) -> None:
    x = _MARGIN_MM + _PULSE_MM + strip.at_seconds * MM_PER_SECOND
    points = _points(strip, traces_mm, rate_hz, baseline)
    axes.plot(*points.T, color=_TRACE, linewidth=0.8, solid_joinstyle="round", gid="trace")
    continued = strip.start_seconds > strip.at_seconds
    name = lead + (f", from {strip.start_seconds:g} s" if continued else "")
    axes.text(x + 1, baseline + above - 4, name, fontsize=9, fontweight="normal" if continued else "bold")
    if strip.at_seconds:  # a mark between two leads
        axes.plot([x, x], [baseline - 2, baseline + 2], color=_TRACE, linewidth=0.8)
    if np.isnan(points[:, 1]).all():
        axes.text(x + 12, baseline + 1, "no signal", fontsize=8, style="italic")


def _draw_marks(
    axes: Axes, strip: _Strip, marks: np.ndarray, traces_mm: np.ndarray, rate_hz: float, baseline: float
) -> None:
    points = _points(strip, traces_mm, rate_hz, baseline)
    marks = marks[_span(strip, rate_hz, len(traces_mm)), strip.lead][:-1]
    for colour, strength in ((VERMILION, marks), (BLUE, -marks)):
        seen = strength > _LEAST_MARK
        pieces = np.stack([points[:-1], points[1:]], axis=1)[seen]  # [M, 2, 2]
        colours = [(colour, float(min(alpha, 1.0))) for alpha in strength[seen]]
        style = {"linewidths": _MARK_POINTS, "capstyle": "butt", "zorder": 1, "gid": "marks"}
        axes.add_collection(LineCollection(list(pieces), colors=colours, **style))


def _points(strip: _Strip, traces_mm: np.ndarray, rate_hz: float, baseline: float) -> np.ndarray:
    """Where the samples of a strip lie on the page in mm: [T', 2]."""
    span = _span(strip, rate_hz, len(traces_mm))
    away = (np.arange(span.start, span.stop) / rate_hz - strip.start_seconds) * MM_PER_SECOND
    x = _MARGIN_MM + _PULSE_MM + strip.at_seconds * MM_PER_SECOND + away
    return np.stack([x, baseline + traces_mm[span, strip.lead]], axis=1)


def _span(strip: _Strip, rate_hz: float, samples: int) -> slice:
    """The samples of a strip, as a slice of the recording."""
    start = round(strip.start_seconds * rate_hz)
    return slice(start, min(samples, round((strip.start_seconds + strip.seconds) * rate_hz) + 1))
