"""Pages from their templates: with their charts and all that draws them, so that a page needs no network.

Every page has the style of `style.html`; one with charts also macros of `parts.html` and, at its end, `script.html`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from ecg_jax.formatting import duration, plural, signed, signed_range
from ecg_jax.report import charts
from ecg_jax.report.charts import Panels


@dataclass(frozen=True)
class Figure:
    """Panels that belong together."""

    panels: Panels
    columns: int = 3
    """Number of columns in the figure for a paper."""
    least_rem: int = 18
    """Smallest width of a panel in the page, in rem."""
    choices: tuple[Mapping[str, str], ...] = ()
    """For each panel, axis -> level. The page has a selector for each axis with several levels."""
    selected: Mapping[str, str] = field(default_factory=dict)
    """Axis -> level, for the panels in the figure for a paper, which the page shows first."""

    @property
    def for_paper(self) -> Panels:
        """The panels with the selected levels."""
        pairs = zip(self.panels, self.choices or [{}] * len(self.panels), strict=True)
        return [panel for panel, choice in pairs if choice.items() >= self.selected.items()]

    @property
    def selectors(self) -> dict[str, list[str]]:
        """Axis -> levels, for the axes in which the panels differ."""
        axes = self.choices[0] if self.choices else {}
        levels = {axis: list(dict.fromkeys(choice[axis] for choice in self.choices)) for axis in axes}
        return {axis: texts for axis, texts in levels.items() if len(texts) > 1}


def page_template(name: str) -> Template:
    """The template of a page by the name of its file."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_spaced,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def render(template: str, drawn: Mapping[str, Figure], **values: Any) -> str:
    """A page with its figures by name; `values` are what its template reads."""
    for_script = {
        name: {"panels": charts.for_page(figure.panels), "choices": figure.choices} for name, figure in drawn.items()
    }
    return page_template(template).render(
        drawn=drawn,
        **{text.__name__: text for text in (duration, plural, signed, signed_range)},
        charts={"config": charts.config("currentColor"), "figures": for_script},
        library=vl_convert.javascript_bundle(),  # pyright: ignore[reportCallIssue]  # its stub lacks the default
        **values,
    )


def _spaced(value: Any) -> Any:
    """A dash for None; keeps a number on the line of its percent sign or unit, and of its "p". HTML is not changed."""
    if hasattr(value, "__html__"):
        return value
    return "–" if value is None else re.sub(r"(?<=\d) (?=%|ms\))|(?<=\bp) (?=[<.])|(?<=<) (?=\.)", "\u00a0", str(value))
