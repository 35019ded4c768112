"""Text that users chose is shown as it is: on terminals, in tables, figures and pages; no part of it is an order."""

import io
import re
import subprocess
import unicodedata
import warnings
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import rc_context
from rich.console import Console
from rich.table import Table
from study_fakes import Fakes, begun, worked

from ecg_jax.analysis import analyse
from ecg_jax.analysis.axes import Axis, Scale
from ecg_jax.analysis.findings import ScaleFindings
from ecg_jax.analysis.simulation import Setting, simulate
from ecg_jax.config import DataConfig, RunConfig
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.dataset.summary import summary
from ecg_jax.errors import RunError
from ecg_jax.formatting import visible
from ecg_jax.plots.curves import roc
from ecg_jax.plots.ecg_paper import draw
from ecg_jax.report.charts import images
from ecg_jax.report.heat_maps import heat_maps
from ecg_jax.report.html_page import About, figures, page
from ecg_jax.study.design import Study
from ecg_jax.study.results import StudyResults
from ecg_jax.study.status import show
from ecg_jax.target import Target
from ecg_jax.terminal import PlainConsole, command, say, tell

NAMES = ("_AVB", "[af]", "[/af]", ":heart:", r"$\frac$", "ST$elev$", "a\x1b[31mb", "<b>&amp;", "{{ 7 * 7 }}", "心房")


@given(st.text(st.characters()))
def test_a_line_stays_one_line_without_control_characters_and_other_text_stays_as_it_is(text):
    lines = io.StringIO()
    say(text, file=lines)
    line = lines.getvalue().removesuffix("\n")
    orders = {"Cc", "Cs", "Zl", "Zp"}  # control characters, halves of letters, ends of lines
    directions = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}

    def is_harmless(letter):
        return unicodedata.category(letter) not in orders and unicodedata.bidirectional(letter) not in directions

    assert all(map(is_harmless, line))
    assert (line == text) == all(map(is_harmless, text))


@pytest.mark.parametrize("name", NAMES)
def test_rich_reads_no_markup_in_a_line_or_a_table(name):
    shown = io.StringIO()
    tell(Console(file=shown, width=200, force_terminal=False), name)  # a console that does read it
    assert shown.getvalue() == f"{visible(name)}\n"
    table = Table(name, title=name, caption=name)
    table.add_row(name)
    console = PlainConsole(file=shown, width=200)
    console.print(table)
    assert shown.getvalue().count(visible(name)) == 5


def test_the_summary_of_a_set_shows_its_labels_and_folder_as_they_are(synthetic_set, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x[v2]").mkdir()
    Path("x[v2]/rejected.csv").touch()
    prepared = open_prepared(synthetic_set)
    label = np.ones((len(prepared), len(NAMES)), np.uint8)
    counts = prepared.about["counts"] | {"rejected": {"[bold]": 1}}
    about = prepared.about | {"counts": counts}
    odd = replace(prepared, target=Target("multilabel", NAMES), label=label, path=Path("x[v2]"), about=about)
    shown = io.StringIO()
    PlainConsole(file=shown, width=250).print(summary(odd))
    assert all(visible(name) in shown.getvalue() for name in (*NAMES, "x[v2]/rejected.csv", "[bold] 1"))


def test_a_failure_whose_reason_looks_like_markup_is_written_and_shown(synthetic_set, tmp_path):
    def fail(config):
        raise RunError("[/old] pip install 'ecg-jax[tensorboard]'")

    worker, status = io.StringIO(), io.StringIO()
    folder = begun(tmp_path, synthetic_set)
    worked(folder, Fakes(before=fail), console=Console(file=worker, width=200))
    assert worker.getvalue().count("failed: [/old] pip install 'ecg-jax[tensorboard]'") == 4
    show(tmp_path, console=PlainConsole(file=status, width=200))
    assert status.getvalue().count("[/old] pip install 'ecg-jax[tensorboard]'") == 4


def shown_in(figure, file):
    """All texts of a figure; saving it must not warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(file)
    axes = figure.axes
    legend = [text for one in axes if one.get_legend() for text in one.get_legend().get_texts()]
    ticks = [tick for one in axes for tick in one.get_yticklabels()]
    return [(text.get_text(), text.get_parse_math()) for text in [*legend, *ticks, *axes[0].texts, *figure.texts]]


def test_a_figure_names_every_label_as_it_is(tmp_path):
    names = NAMES[:7]
    random = np.random.default_rng(0)
    label = np.repeat([[0], [1]], 10, axis=0) * np.ones((1, len(names)), int)
    figure = roc(label, random.random(label.shape), names, "$title$")
    texts = shown_in(figure, tmp_path / "roc.png")
    legend = [text.get_text().rpartition("  ")[0] for text in figure.axes[0].get_legend().get_texts()]
    assert sorted(legend) == sorted([*map(visible, names), "macro mean"])
    assert not any(is_formula for text, is_formula in texts if "$" in text)
    page = draw(np.zeros((1000, 2)), 100, ("_I", r"$\frac$"), "$title$")
    assert {("_I", False), (r"$\frac$", False), ("$title$", False)} <= set(shown_in(page, tmp_path / "page.png"))


def test_a_letter_that_the_usual_font_lacks_comes_from_another_one_or_is_an_escape(tmp_path):
    with rc_context({"font.family": ["cmtt10"]}):  # it has no Cyrillic letters; DejaVu Sans, which is always there, has
        texts = shown_in(draw(np.zeros((1000, 1)), 100, ("I",), "Фибрилляция \U0010fffd"), tmp_path / "page.png")
    assert ("Фибрилляция \\U0010fffd", False) in texts


class Tags(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words.append(data.strip())


def made_page(names, folder):
    setting = Setting(effects=(-0.05, 0.0, 0.0), seeds=2, records=300, levels=((1, 2), (4, 8), (3,)))
    predictions = simulate(setting, seed=0)
    names = names[: len(predictions.label_names)]
    analysis = analyse(predictions.replace(label_names=names))
    study = Study(RunConfig(DataConfig(folder)), analysis.axes, (), "abc", 100.0, leads=12, labels=len(names))
    about = About(folder, folder, study, StudyResults([], None, notes=(folder,)))
    return names, page(analysis, figures(analysis, analysis.scales, [], about), about)


def test_a_page_shows_names_as_text_and_nothing_in_them_is_a_tag_or_a_part_of_its_template():
    hostile = ("</script><script>alert(1)</script>", "{{ 7 * 7 }}", "{% raw %}", '"><img src=x onerror=alert(1)>')
    _, plain = made_page(("a", "b", "c", "d"), "name")
    for start in range(4):
        order = hostile[start:] + hostile[:start]
        names, text = made_page(order, order[0])
        found = Tags(text)
        assert found.tags == Tags(plain).tags
        assert set(names) <= set(found.words)
        assert f"Scaling study: {order[0]}" in found.words


@pytest.mark.parametrize("folder", ["a b", "$(touch x)", "it's", "[v2]", "-rf", "~", "心房", "a;b&c|d"])
def test_a_printed_command_reaches_its_program_as_it_was(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = (tmp_path / folder).resolve()
    path.mkdir()
    script = f'set -- {command(path, "a *")}; cd "$1" && pwd && printf %s "$2"'
    printed = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed == f"{path}\na *"


@pytest.mark.parametrize("name", ["model.head", "a[0]", "it's", 'say "x"', "a:b", "datum['x']"])
def test_a_chart_finds_the_levels_of_an_axis_of_any_name(name):
    axes = (Axis(name, ("gap", "att'n"), "categorical"), Axis("model.depth", (1, 2)))
    unknown = dict.fromkeys(("difference", "low", "high", "learning_rate", "mean_low", "mean_high"))
    unknown |= dict.fromkeys(("receptive_field_ms", "receptive_field_samples"))
    unknown |= dict.fromkeys(("may_lose", "best_probability", "expected_loss"))
    unknown |= {"values": {}, "indistinguishable": False, "costs": {}}
    means = {("gap", 1): 0.71, ("gap", 2): 0.72, ("att'n", 1): 0.73, ("att'n", 2): 0.74}
    scales = [ScaleFindings(Scale((name, "depth"), levels), mean=mean, **unknown) for levels, mean in means.items()]
    maps = heat_maps(scales, axes, axes, rate_hz=100, best=None)
    svg, _ = images([chart for _, chart in maps])
    places = re.findall(r'<text aria-label="[^>]*translate\(([\d.,]+)\)"[^>]*>0\.7\d0', svg)
    assert len(set(places)) == len(scales)  # else the cells lie on each other
