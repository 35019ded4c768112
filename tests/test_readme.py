"""What the README shows runs as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Path:
    """The README's Python blocks as the files that their first lines name."""
    folder = tmp_path_factory.mktemp("readme")
    for name, code in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", README.read_text(), re.DOTALL):
        (folder / name).write_text(code)
    return folder


def in_folder(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_network_of_ribeiro_has_its_published_number_of_parameters(shown):
    code = """
import jax, jax.numpy as jnp
from ecg_jax.config import ModelConfig
from ribeiro import ribeiro
window = jnp.zeros((1, 4096, 12))
variables = jax.eval_shape(lambda: ribeiro(ModelConfig(), 6).init(jax.random.key(0), window, train=False))
print(sum(leaf.size for leaf in jax.tree.leaves(variables["params"])))
"""
    done = in_folder(shown, "-c", code)
    assert done.stdout.strip() == "6421910", done.stderr


def test_network_loss_augmentation_and_source_of_the_readme_work_together(shown, tmp_path_factory):
    from ecg_jax.synthetic import write

    made = tmp_path_factory.mktemp("made")
    write(made, records=60, seed=0)
    headers = sorted(made.rglob("*.hea"))
    for number, header in enumerate(headers):
        for file in (header, header.with_suffix(".dat")):
            place = shown / "my_records" / ("even" if number % 2 == 0 else "odd") / file.name
            place.parent.mkdir(parents=True, exist_ok=True)
            file.rename(place)
    prepare = ["prepare", "my_source:by_folder", "--from", "my_records", "--to", "prepared/mine", "--workers", "1"]
    steps = [["-m", "ecg_jax", *prepare], ["my_run.py"], ["-m", "ecg_jax", "evaluate", "--workdir", "runs/ribeiro"]]
    for step in steps:
        done = in_folder(shown, *step)
        assert done.returncode == 0, done.stderr
    config = (shown / "runs" / "ribeiro" / "config.json").read_text()
    assert '"network": "ribeiro:ribeiro"' in config
    record = str(next((shown / "my_records" / "odd").glob("*.hea")))
    done = in_folder(shown, "-m", "ecg_jax", "predict", "--workdir", "runs/ribeiro", record)
    assert done.returncode == 0, done.stderr
    assert '"even"' in done.stdout
