"""Numbers, intervals, scales and durations as text, and text of users on one line. Standard library only."""

import re
from collections.abc import Mapping
from typing import Any

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that change a terminal or the order of letters, end a line, or cannot be encoded."""


def visible(text: object) -> str:
    """The text on one line: each control character is an escape such as `\\x1b`, so that it has no effect."""
    return CONTROLS.sub(lambda found: escape(found[0]), str(text))


def escape(letter: str) -> str:
    """A character as its escape, such as `\\x1b` or `\\u5fc3`."""
    return letter.encode("unicode_escape").decode()


def signed(value: float | None, digits: int = 4) -> str:
    """A number with its sign; a dash if it is None."""
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", "−")


def signed_range(low: float | None, high: float | None, digits: int = 4) -> str | None:
    """The ends of an interval with their signs, such as `−0.0200 to +0.0050`; None if there is no interval."""
    return None if low is None or high is None else f"{signed(low, digits)} to {signed(high, digits)}"


def change_text(change: float, low: float | None = None, high: float | None = None, *, digits: int = 4) -> str:
    """A change and its 95 % interval, if there is one: `+0.0100 (95 % −0.0020 to +0.0220)`."""
    interval = signed_range(low, high, digits)
    return f"{signed(change, digits)} (95 % {interval})" if interval else signed(change, digits)


def span(low: float | None, high: float | None, digits: int = 3) -> str:
    """A 95 % interval in brackets, or that there is none."""
    return "(no interval)" if low is None or high is None else f"(95 % {low:.{digits}f} to {high:.{digits}f})"


def plural(count: int, noun: str) -> str:
    """A count with its noun, such as `1 seed` or `2,000 records`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def level_text(axis: str, level: Any, rate_hz: float | None) -> str:
    """A level of an axis; of a kernel in samples and ms, such as `3 (30 ms)`, if the rate is known."""
    if axis in ("kernel", "model.stem_kernel") and rate_hz is not None:
        return f"{level:g} ({1000 * level / rate_hz:.3g} ms)"
    return f"{level:g}" if isinstance(level, float) else str(level)


def scale_text(scale: Mapping[str, Any], rate_hz: float | None) -> str:
    """A scale (axis -> level), such as `depth 1, channels 16, kernel 3 (30 ms), model.head gap`."""
    return ", ".join(f"{axis} {level_text(axis, level, rate_hz)}" for axis, level in scale.items())


def receptive_field_text(samples: int | None, ms: float | None) -> str:
    """A receptive field in samples and in ms, such as `51 (510 ms)`."""
    return "unknown" if samples is None or ms is None else f"{samples} ({ms:g} ms)"


def duration(seconds: float) -> str:
    """Seconds as `12 s`, `3 min 05 s` or `2 h 10 min`."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
