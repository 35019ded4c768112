"""The Python blocks of the README and of docs/ run as they stand there, and their links lead somewhere."""

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ecg_jax.cli import main as ecg_jax

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = re.findall(r"```sh\n(.*?)```", "".join(page.read_text() for page in PAGES), re.DOTALL)
LINES = "".join(BLOCKS).replace("\\\n", " ").splitlines()
COMMANDS = sorted(
    {line for line in LINES if re.match(r"(PYTHONPATH=\. )?(ecg-jax|python) ", line) and "..." not in line}
)
PRESETS = {"--preset", "--model.preset"}  # of all commands that train; they are read before the other flags


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Path:
    """The Python blocks of all pages as the files that their first lines name."""
    folder = tmp_path_factory.mktemp("readme")
    for page in PAGES:
        for name, code in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page.read_text(), re.DOTALL):
            assert not (folder / name).exists(), f"two blocks are called {name}"
            (folder / name).write_text(code)
    return folder


@pytest.fixture(scope="module")
def recordings(shown, tmp_path_factory) -> Path:
    """`my_records` beside the blocks: synthetic recordings in folders that are the names of two labels."""
    from ecg_jax.synthetic import write

    made = tmp_path_factory.mktemp("made")
    write(made, records=60, seed=0)
    folder = shown / "my_records"
    for number, header in enumerate(sorted(made.rglob("*.hea"))):
        for file in (header, header.with_suffix(".dat")):
            place = folder / ("even" if number % 2 == 0 else "odd") / file.name
            place.parent.mkdir(parents=True, exist_ok=True)
            file.rename(place)
    return folder


def in_folder(folder: Path, *command: str) -> str:
    """What the command writes to its standard output; it must succeed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def prepare(folder: Path) -> None:
    flags = ["--from", "my_records", "--to", "prepared/mine", "--workers", "1"]
    in_folder(folder, "-m", "ecg_jax", "prepare", "my_source:by_folder", *flags)  # a second time it changes nothing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_of_a_command_is_in_its_help(command, monkeypatch, capsys):
    words = shlex.split(command, comments=True)
    words = words[words[0].startswith("PYTHONPATH") :]
    script, arguments = ("", words[1:]) if words[0] == "ecg-jax" else (words[1], words[2:])
    first_flag = next((i for i, word in enumerate(arguments) if word.startswith("--")), len(arguments))
    help_line = [script or "ecg-jax", *arguments[:first_flag], "--help"]
    monkeypatch.setattr(sys, "argv", help_line)
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / script), run_name="__main__") if script else ecg_jax(help_line[1:])
    assert not ended.value.code
    flags = {word for word in arguments if word.startswith("--")} - PRESETS
    assert flags <= set(re.findall(r"--[\w.-]+", capsys.readouterr().out))


def test_the_network_of_ribeiro_has_its_published_number_of_parameters(shown):
    code = """
import jax, jax.numpy as jnp
from ecg_jax.config import ModelConfig
from ribeiro import ribeiro
window = jnp.zeros((1, 4096, 12))
variables = jax.eval_shape(lambda: ribeiro(ModelConfig(), 6).init(jax.random.key(0), window, train=False))
print(sum(leaf.size for leaf in jax.tree.leaves(variables["params"])))
"""
    assert in_folder(shown, "-c", code).strip() == "6421910"


def test_network_loss_augmentation_and_source_of_ones_own_work_together(shown, recordings):
    prepare(shown)
    in_folder(shown, "my_run.py")
    in_folder(shown, "-m", "ecg_jax", "evaluate", "--workdir", "runs/ribeiro", "--allow-code")
    config = (shown / "runs" / "ribeiro" / "config.json").read_text()
    assert '"network": "ribeiro:ribeiro"' in config
    record = str(next((recordings / "odd").glob("*.hea")))
    assert '"even"' in in_folder(shown, "-m", "ecg_jax", "predict", "--allow-code", "--workdir", "runs/ribeiro", record)


def test_training_and_prediction_from_python_work(shown, recordings):
    prepare(shown)
    header = next((recordings / "odd").glob("*.hea"))
    record = recordings / "2023" / "r0001"
    record.parent.mkdir()
    record.with_suffix(".hea").write_text(header.read_text().replace(header.stem, record.name))
    record.with_suffix(".dat").write_bytes(header.with_suffix(".dat").read_bytes())
    printed = in_folder(shown, "my_training.py").splitlines()
    assert 0 <= float(printed[-2]) <= 1
    assert "'probabilities'" in printed[-1]
    assert in_folder(shown, "my_start.py").splitlines() == ["my_records/2023/r0001 (128,)"] * 2


def test_the_statistics_work_without_a_study(shown):
    verdict, best = in_folder(shown, "my_statistics.py").splitlines()
    assert verdict in ("holds", "does not hold", "not decided")
    assert "'indistinguishable'" in best
