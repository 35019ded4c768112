"""The report of a study as one page that needs no network. Pure: from values to HTML and the figures in it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from ecg_jax.report import charts, sentences

TEMPLATE = Path(__file__).with_name("page.html")
Cell = str | int | float | None | tuple[str, Any]
"""What a table shows; as a pair, with what it is sorted by."""


@dataclass(frozen=True)
class About:
    """What a report says of the study beside its analysis."""

    name: str
    data: str
    """The prepared set: its folder."""
    rate_hz: float
    window_seconds: float
    fingerprint: str
    seeds: tuple[int, ...]
    """That every scale has finished."""
    folds: tuple[int, ...]
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""
    latency: bool = False
    """Whether latencies were measured."""


def figures(
    analysis: Mapping[str, Any] | None,
    validation: Sequence[Mapping[str, Any]],
    curves: Sequence[Mapping[str, Any]],
    about: About,
) -> dict[str, charts.Panels]:
    """All figures of the report by name; without those that have nothing to show.

    Args:
        analysis: the content of `analysis.json`; None before the first seed is finished.
        validation: each scale's mean validation macro AUROC, shown where there is no analysis.
        curves: of `charts.learning_curves`.
        about: the study.
    """
    if analysis is None:
        heat = charts.heat_maps(validation, best=None, figure="validation macro AUROC", rate_hz=about.rate_hz)
        made = {"scales": heat, "learning_curves": charts.learning_curves(curves, best=None, rate_hz=about.rate_hz)}
        return {name: panels for name, panels in made.items() if panels}
    best = analysis["best"]["scale"] if analysis["best"] else None
    margin, doubling = analysis["margin"], "change for each doubling"
    made = {
        "claims": charts.forest(
            [{"name": axis, **claim} for axis, claim in analysis["claims"].items()],
            title="",
            x_title="change of macro AUROC for each doubling",
            margin=margin,
        ),
        "scales": charts.heat_maps(analysis["scales"], best=best, rate_hz=about.rate_hz),
        "metrics": [
            panel
            for axis in sentences.AXES
            for panel in charts.forest(
                [{"name": sentences.NAMES[name], **claims[axis]} for name, claims in _by_metric(analysis).items()],
                title=f"{axis}: {sentences.CLAIMS[axis].lower()}?",
                x_title=doubling,
                margin=margin,
            )
        ],
        "interactions": [
            panel
            for pair, found in analysis["interactions"].items()
            for axis in pair.split(":")
            for panel in charts.forest(
                [
                    {**s, "name": f"{s['at']} {_level(s, about.rate_hz)}", "verdict": ""}
                    for s in found["slopes"]
                    if s["axis"] == axis
                ],
                title=f"doubling {axis}",
                x_title="change of macro AUROC",
            )
        ],
        "pareto": charts.pareto(analysis["scales"], analysis["pareto"] or {}, rate_hz=about.rate_hz),
        "receptive_field": charts.reach(
            analysis["scales"], window_ms=1000 * about.window_seconds, rate_hz=about.rate_hz
        ),
        "learning_curves": charts.learning_curves(curves, best=best, rate_hz=about.rate_hz),
    }
    return {name: panels for name, panels in made.items() if panels}


def page(
    analysis: Mapping[str, Any] | None,
    rows: Sequence[Mapping[str, Any]],
    drawn: Mapping[str, charts.Panels],
    about: About,
) -> str:
    """The page.

    Args:
        analysis: the content of `analysis.json`; None before the first seed is finished.
        rows: of `trials.csv`.
        drawn: the figures.
        about: the study.
    """
    import vl_convert

    parts = _opening(analysis, drawn, about) + (_findings(analysis, drawn, about) if analysis else _so_far(drawn))
    told = "Means over the finished seeds and folds. The thick line is the best scale; point at another for its name."
    parts += _section("curves", "Learning curves", _figure("learning_curves", drawn, told))
    parts += _section("costs", "Costs", *_costs(analysis, rows, about))
    parts += _section("again", "To do it again", *_again(about))
    filled = {
        "@TITLE@": escape(f"Scaling study: {about.name}"),
        "@BODY@": "\n".join(parts),
        "@LIBRARY@": vl_convert.javascript_bundle(),  # pyright: ignore[reportCallIssue]  # its stub lacks the default
        "@CHARTS@": json.dumps(
            {"config": charts.config("currentColor"), "panels": {k: charts.for_page(v) for k, v in drawn.items()}}
        ).replace("<", "\\u003c"),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for mark, value in filled.items():
        text = text.replace(mark, value)
    return text


def _opening(analysis: Mapping[str, Any] | None, drawn: Mapping[str, charts.Panels], about: About) -> list[str]:
    """Title, what was studied, the answer and its figure."""
    count = len(about.seeds)
    how = f"{len(about.folds)} folds, each tested once" if about.folds else "one split"
    said = [f"{about.data}: signal at {about.rate_hz:g} Hz, windows of {about.window_seconds:g} s; {how}"]
    if analysis:
        records, patients = analysis["records"], analysis["patients"]
        of = f" of {patients:,} patients" if patients < records else ""  # else the set may know none
        size = f"{records:,} test records{of}"
        said.append(f"{_plural(len(analysis['scales']), 'scale')}, {_plural(count, 'seed')}")
        said.append(f"{size}, {_plural(len(analysis['labels']), 'label')}")
    parts = [
        "<h1>Which scale do these data want?</h1>",
        f'<p class="about">{escape("; ".join(said))}.</p>',
    ]
    parts += [f'<p class="warning">{escape(note)}</p>' for note in about.notes]
    if analysis is None:
        none = "No seed is finished at every scale yet, so nothing is read on the test folds: validation figures only."
        return [*parts, f'<div class="answer"><p>{none}</p></div>']
    paragraphs = "".join(f"<p>{_said(sentence)}</p>" for sentence in sentences.answer(analysis, about.rate_hz))
    told = (
        "What each doubling does, all else equal, with 95 % intervals over seeds and test records. The claims say left "
        f"for depth and kernel, right for channels. Band: ± {analysis['margin']:g}, the smallest effect that matters."
    )
    links = "".join(f'<a href="#{to}">{name}</a>' for to, name in _CONTENTS)
    return [
        *parts,
        f'<div class="answer">{paragraphs}</div>',
        *_figure("claims", drawn, told, most="44rem"),
        f"<nav>{links}</nav>",
    ]


_CONTENTS = (
    ("scales", "all scales"),
    ("effects", "effects"),
    ("cost", "quality against cost"),
    ("reach", "receptive field"),
    ("labels", "labels"),
    ("given", "what is not decided"),
    ("curves", "learning curves"),
    ("costs", "costs"),
    ("again", "to do it again"),
)


def _so_far(drawn: Mapping[str, charts.Panels]) -> list[str]:
    told = "Mean validation macro AUROC of the finished trials at each scale's rate. Validation chose their epochs."
    return _section("scales", "Scales so far, on validation", _figure("scales", drawn, told, least="15rem"))


def _findings(analysis: Mapping[str, Any], drawn: Mapping[str, charts.Panels], about: About) -> list[str]:
    """All that is read on the test folds."""
    heat = "Means over the seeds. Framed: the best; ~: cannot be told apart from it at 95 %, all scales at once."
    front = "Point at a scale for its configuration. The line joins the scales that nothing cheaper beats."
    laws = analysis["power_laws"] or {}
    names = charts.COST_NAMES
    reach = "The dashed line is the window: what reaches beyond it sees padding."
    return [
        *_section("scales", "All scales", _figure("scales", drawn, heat, least="15rem"), _scale_table(analysis, about)),
        *_section(
            "effects",
            "Effects",
            _figure("metrics", drawn, "The three claims on every metric.", least="20rem"),
            _claim_table(analysis),
            "<h3>Interactions</h3>",
            *_interactions(analysis),
            _figure("interactions", drawn, "What doubling one axis does at each level of another.", least="20rem"),
        ),
        *_section(
            "cost",
            "Quality against cost",
            _figure("pareto", drawn, front, least="24rem", large=True),
            "<h3>Power laws of the error, 1 − macro AUROC</h3>",
            _list(sentences.power_law_sentence(names[name], law) for name, law in laws.items()),
        ),
        *_section("reach", "Receptive field", _figure("receptive_field", drawn, reach, most="48rem")),
        *_section("labels", "By label", _label_table(analysis, about)),
        *_section("given", "What is taken as given, and what is not decided", *_limits(analysis)),
    ]


def _scale_table(analysis: Mapping[str, Any], about: About) -> str:
    heads = ["depth", "channels", "kernel", "macro AUROC", "95 %", "may be best", "from the best", "95 %, all at once"]
    heads += ["parameters", "MACs", "sees, ms", "training, s", "latency, ms", "rate"]
    best = analysis["best"]["scale"] if analysis["best"] else None
    rows, marked = [], []
    for s in analysis["scales"]:
        cost = {name: value["value"] if value else None for name, value in s["costs"].items()}
        is_best = best is not None and sentences.same_scale(s, best)
        row: list[Cell] = [s["depth"], s["channels"], (charts.kernel_name(s["kernel"], about.rate_hz), s["kernel"])]
        row += [_number(s.get("mean"), ".4f"), _interval(s.get("mean_low"), s.get("mean_high"))]
        row.append("best" if is_best else "yes" if s.get("indistinguishable") else "no")
        row += [None, None] if is_best else [_signed(s.get("difference")), _between(s)]
        row += [_number(cost["parameters"], ",.0f"), _number(cost["macs"], ",.0f")]
        row += [_number(s["receptive_field_ms"], ",.0f"), _number(cost["seconds"], ",.1f")]
        row += [_number(cost["latency_ms"], ".2f"), _number(s["learning_rate"], "g")]
        rows.append(row)
        marked.append(is_best)
    return _table(heads, rows, marked, caption="Every scale; the heads of the columns sort.")


def _claim_table(analysis: Mapping[str, Any]) -> str:
    heads = ["claim", "metric", "verdict", "effect", "95 %", "seeds needed", "records needed"]
    rows: list[list[Cell]] = []
    for axis in sentences.AXES:
        for name, claims in _by_metric(analysis).items():
            claim = claims[axis]
            row: list[Cell] = [sentences.CLAIMS[axis], sentences.NAMES[name], claim["verdict"]]
            row += [_signed(claim["effect"]), _between(claim)]
            rows.append([*row, *(_number(claim[f"{what}_needed"], ",d") for what in ("seeds", "records"))])
    told = "Needed to decide, if the effect is what it seems: seeds with these records, or records with these seeds."
    return _table(heads, rows, caption=told)


def _interactions(analysis: Mapping[str, Any]) -> list[str]:
    pairs = analysis["interactions"].items()
    known = {pair.replace(":", " and "): found for pair, found in pairs if found["effect"] is not None}
    if not known:
        return ["<p>No two axes have two levels each, so there is none to see.</p>"]
    rows: list[list[Cell]] = [[pair, _signed(found["effect"]), _between(found)] for pair, found in known.items()]
    told = "How much the effect of doubling one axis grows with each doubling of the other."
    return [_table(["axes", "interaction", "95 %"], rows, caption=told)]


def _label_table(analysis: Mapping[str, Any], about: About) -> str:
    heads = ["label", "best scale", "another one, surely", "gain over the overall best", "95 %", "p, corrected"]
    rows: list[list[Cell]] = []
    for name, found in analysis["per_label"].items():
        if found is None:
            rows.append([name, "not judged", *[None] * (len(heads) + len(sentences.AXES) - 2)])
            continue
        row: list[Cell] = [
            name,
            sentences.scale_text(found["scale"], about.rate_hz),
            "yes" if found["differs"] else "no",
        ]
        row += [_signed(found["advantage"]), _between(found), _number(found["p_holm"], ".3f")]
        verdicts = [found["claims"][axis] for axis in sentences.AXES]
        rows.append([*row, *((f"{sentences.signed(v['effect'])}, {v['verdict']}", v["effect"]) for v in verdicts)])
    told = (
        f"Gains are read on {sentences.others_than_chose(analysis)}; p is corrected for the number of labels (Holm). "
        "The last three columns: what each doubling does to the label's AUROC, and the claim's verdict on it. "
        "Not judged: too few records have the label, or lack it."
    )
    return _table([*heads, *sentences.AXES], rows, caption=told)


def _limits(analysis: Mapping[str, Any]) -> list[str]:
    open_ = [axis for axis in sentences.AXES if analysis["claims"][axis]["verdict"] == "not decided"]
    said = [f"{sentences.CLAIMS[axis]}: {sentences.needed(analysis['claims'][axis])}" for axis in open_]
    none = "" if said else "<p>All three claims are decided on macro AUROC.</p>"
    given = [
        *analysis["taken_as_given"],
        "The figures hold for this training recipe, this window and this kind of network.",
    ]
    return [_list(given), "<h3>Not decided</h3>", none or _list(said)]


def _costs(analysis: Mapping[str, Any] | None, rows: Sequence[Mapping[str, Any]], about: About) -> list[str]:
    from ecg_jax.study.status import duration

    spent = sum(row["seconds"] for row in rows)
    tried = sum(not row["chosen"] for row in rows)
    rates = f", {tried} of them at learning rates that were not chosen" if tried else ""
    said = [
        f"{_plural(len(rows), 'finished trial')}{rates}: {duration(spent)} of training, as the workers' clocks took it."
    ]
    if about.latency:
        said.append(f"Latency: one window, batch 1, the median of 100 calls on {about.machine}.")
    if analysis:
        said.append("What each scale costs stands in the table of all scales.")
    return [f"<p>{escape(' '.join(said))}</p>"]


def _again(about: About) -> list[str]:
    whole = [[f"<span>{escape(word)}</span>" for word in line.split(" ")] for line in about.commands]
    lines = "\n".join(" ".join(words_) for words_ in whole)  # a flag stays in one piece
    versions = ", ".join(f"{name} {version}" for name, version in about.versions.items())
    return [
        f"<pre>{lines}</pre>",
        _list(
            [
                f"Data: {about.data}, fingerprint {about.fingerprint}",
                f"Versions: {versions}",
                f"Hardware, of the machine that wrote this report: {about.machine}",
            ]
        ),
        "<p>Beside this page: <code>analysis.json</code> (all numbers), <code>trials.csv</code> (a row a trial), and "
        "<code>figures/</code> (SVG and PNG).</p>",
    ]


def _by_metric(analysis: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {"macro_auroc": analysis["claims"], **analysis["metrics"]}


def _level(slope: Mapping[str, Any], rate_hz: float) -> str:
    return charts.kernel_name(slope["level"], rate_hz) if slope["at"] == "kernel" else str(slope["level"])


def _section(name: str, title: str, *parts: str | Sequence[str]) -> list[str]:
    flat = [text for part in parts for text in ([part] if isinstance(part, str) else part)]
    return [f'<section id="{name}"><h2>{escape(title)}</h2>', *flat, "</section>"]


def _figure(
    name: str, drawn: Mapping[str, charts.Panels], told: str, *, least="18rem", most="none", large=False
) -> list[str]:
    if name not in drawn:
        return ['<p class="note">There is nothing to draw here.</p>']
    style = f"--least: {least}; --most: {most}"
    kind = "panels large" if large else "panels"
    caption = f'<figcaption class="note">{_said(told)}</figcaption>'
    return [f'<figure><div class="{kind}" data-chart="{name}" style="{style}"></div>{caption}</figure>']


def _table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], marked: Sequence[bool] = (), *, caption: str) -> str:
    """A table that its heads sort; columns of words are set to the left."""
    pairs = [[cell if isinstance(cell, tuple) else (cell, cell) for cell in row] for row in rows]
    kinds = [' class="words"' if isinstance(cell, str) else "" for cell in rows[0]] if rows else [""] * len(heads)
    top = "".join(
        f'<th scope="col"{kind}><button type="button">{_said(head)}</button></th>'
        for head, kind in zip(heads, kinds, strict=True)
    )
    lines = []
    for row, best in zip(pairs, marked or [False] * len(pairs), strict=True):
        cells = zip(row, kinds, strict=True)
        inside = (f'<td data-v="{_said(key, "")}"{kind}>{_said(text)}</td>' for (text, key), kind in cells)
        lines.append(f"<tr{' class=best' if best else ''}>{''.join(inside)}</tr>")
    body = f"<thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody>"
    return f'<p class="note">{_said(caption)}</p><div class="scroll"><table class="sortable">{body}</table></div>'


def _said(value: Any, nothing: str = "–") -> str:
    """A value as HTML; a percent sign stays with its number."""
    return nothing if value is None else escape(str(value)).replace(" %", "&nbsp;%")


def _list(items: Any) -> str:
    return f"<ul>{''.join(f'<li>{_said(item)}</li>' for item in items)}</ul>"


def _number(value: float | None, form: str) -> Cell:
    return None if value is None else (format(value, form), value)


def _signed(value: float | None) -> Cell:
    return None if value is None else (sentences.signed(value), value)


def _interval(low: float | None, high: float | None) -> Cell:
    return None if low is None or high is None else (f"{low:.4f} to {high:.4f}", low)


def _between(found: Mapping[str, Any]) -> Cell:
    low, high = found.get("low"), found.get("high")
    return None if low is None else (f"{sentences.signed(low)} to {sentences.signed(high)}", low)


def _plural(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
