"""The rules of the house that can be run: which room may import which, and what each room must not load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ecg_jax"
FLOORS = {
    "scripts": 9,
    "__main__": 9,
    "cli": 8,
    "commands": 7,
    "report": 6,
    "study": 5,
    "answers": 5,
    "explain": 5,
    "assessment": 5,
    "inference": 4,
    "export": 4,
    "features": 5,
    "doctor": 4,
    "training": 3,
    "analysis": 2,
    "evaluation": 1,
    "dataset": 2,
    "plots": 2,
    "sources": 1,
    "models": 1,
    "synthetic": 0,
    "records": -1,
    "presets": 0,
    "files": -2,
    "interrupts": -1,
    "config": -1,
    "import_path": -1,
    "formatting": -2,
    "terminal": -1,
    "mistakes": 0,
    "target": -2,
    "file_layout": -2,
    "errors": -3,
}


def imports_of(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ecg_jax."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.ImportFrom) and node.module == "ecg_jax":
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_a_room_imports_only_from_lower_floors(file):
    room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":
        assert not list(imports_of(file))
        return
    for other in imports_of(file):
        assert other == room or FLOORS[other] < FLOORS[room], f"{room} imports {other}"


@pytest.mark.parametrize("file", sorted({*PACKAGE.rglob("*.py"), *PACKAGE.parent.glob("experiments/*.py")}))
def test_text_reaches_a_terminal_through_one_module(file):
    """Which makes text of it, whatever a user has written: no markup, no control characters."""
    calls = [node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    named = {call.id for call in calls if isinstance(call, ast.Name)}
    assert file.name == "terminal.py" or not named & {"print", "Console"}


def lines_of(file):
    return len(file.read_text().splitlines())


def test_no_room_holds_more_than_a_fifth_of_all_lines_and_no_file_more_than_400():
    source = [file for top in ("ecg_jax", "experiments", "tools") for file in (PACKAGE.parent / top).rglob("*.py")]
    whole = sum(map(lines_of, source))
    for room in (folder for folder in PACKAGE.iterdir() if folder.is_dir()):
        assert sum(map(lines_of, room.rglob("*.py"))) <= whole / 5, room.name
    assert not [file.name for file in source if lines_of(file) > 400]


@pytest.mark.parametrize(
    ("modules", "kept_out"),
    [
        ("ecg_jax.models", {"tensorflow", "wfdb", "pandas", "h5py", "orbax", "tensorflow_datasets"}),
        ("ecg_jax.training.step, ecg_jax.training.optimizer", {"tensorflow", "wfdb", "pandas"}),
        ("ecg_jax.training.losses, ecg_jax.training.augment", {"tensorflow", "wfdb", "pandas", "tensorflow_datasets"}),
        ("ecg_jax.records, ecg_jax.sources, ecg_jax.synthetic", {"jax", "tensorflow", "flax"}),
        ("ecg_jax.dataset.prepare, ecg_jax.dataset.prepared", {"jax", "tensorflow", "flax"}),
        ("ecg_jax.dataset.feeds", {"tensorflow"}),
        ("ecg_jax.dataset.sampler", {"jax", "flax", "tensorflow", "tensorflow_datasets"}),
        ("ecg_jax.training.loop", {"tensorflow", "wfdb"}),
        ("ecg_jax.cli, ecg_jax.presets, ecg_jax.config", {"jax", "numpy", "tensorflow", "wfdb", "matplotlib"}),
        ("ecg_jax.sources, ecg_jax.dataset.prepare_config", {"numpy", "wfdb", "scipy", "tensorflow_datasets"}),
        ("ecg_jax.study.worker, ecg_jax.study.results, ecg_jax.study.status", {"matplotlib", "altair", "vl_convert"}),
        ("ecg_jax.analysis", {"jax", "tensorflow", "optuna", "tyro", "matplotlib", "pandas"}),
        ("ecg_jax.evaluation.summary, ecg_jax.evaluation.thresholds", {"jax", "tensorflow", "wfdb"}),
        ("ecg_jax.evaluation.drop, ecg_jax.evaluation.calibration", {"jax", "scipy", "pandas", "sklearn"}),
    ],
)
def test_a_room_does_not_load_what_it_must_not_know(modules, kept_out):
    code = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not kept_out & set(loaded)
