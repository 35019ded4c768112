"""A run taken out of its workdir: as one file, which is data whoever made it, and as features of recordings."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import called

from ecg_jax.errors import RunError
from ecg_jax.features import features
from ecg_jax.file_layout import FileLayout
from ecg_jax.inference import load, predict_split
from ecg_jax.training.pack import read_pack
from ecg_jax.training.start import read_start


@pytest.fixture(scope="module")
def recordings(finished, tmp_path_factory) -> list[Path]:
    """Files of samples in mV: one as long as a window, and a longer one."""
    folder, contract = tmp_path_factory.mktemp("recordings"), load(finished.workdir).contract
    random = np.random.default_rng(0)
    paths = []
    for name, length in (("short", contract.window_samples), ("long", 3 * contract.window_samples)):
        paths.append(folder / f"{name}.npy")
        np.save(paths[-1], random.normal(0, 0.5, (length, len(contract.leads))).cumsum(axis=0) / 10)
    return paths


@pytest.fixture(scope="module")
def flags(finished) -> list[str]:
    contract = load(finished.workdir).contract
    return ["--rate-hz-of-files", f"{contract.rate_hz:g}", "--unit", "mV", "--lead-names", *contract.leads]


@pytest.fixture(scope="module")
def packed(finished, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("packed") / "run.ecgjax"
    assert called("pack", str(finished.workdir), "--to", str(file)) == 0
    return file


def test_in_another_folder_and_process_the_file_predicts_the_same_bytes(
    finished, packed, recordings, flags, tmp_path, capsys
):
    names = [str(path) for path in recordings]
    assert called("predict", "--workdir", str(finished.workdir), *flags, "--", *names) == 0
    expected = capsys.readouterr().out
    moved = tmp_path / "elsewhere" / "model.ecgjax"
    moved.parent.mkdir()
    moved.write_bytes(packed.read_bytes())
    command = [sys.executable, "-m", "ecg_jax", "predict", "--model", "model.ecgjax", *flags, "--", *names]
    done = subprocess.run(command, cwd=moved.parent, capture_output=True, text=True, check=True)
    assert done.stdout == expected
    assert len(expected.splitlines()) == 2


def test_the_file_has_no_path_of_this_machine_and_no_pickle(finished, packed):
    with zipfile.ZipFile(packed) as archive:
        about = archive.read("run.json").decode()
        assert str(finished.workdir.parent) not in about
        assert json.loads(about)["config"]["data"]["path"] == "."
        for name in archive.namelist():
            if name != "run.json":
                np.load(io.BytesIO(archive.read(name)), allow_pickle=False)


def changed(packed: Path, tmp_path: Path, parts=None, about=None, compression=zipfile.ZIP_STORED) -> Path:
    """A copy of the file with other parts (None: left out), or another `run.json`."""
    with zipfile.ZipFile(packed) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    if about is not None:
        values = json.loads(content["run.json"])
        about(values)
        content["run.json"] = json.dumps(values).encode()
    content |= parts or {}
    file = tmp_path / "changed.ecgjax"
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, part in content.items():
            if part is not None:
                archive.writestr(name, part)
    return file


def npy(array, **settings) -> bytes:
    content = io.BytesIO()
    np.save(content, array, **settings)
    return content.getvalue()


BIAS = "params/head/logits/bias.npy"


def huge_header() -> bytes:
    """The header of an array of 4 TB, without its content."""
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
    return content.getvalue()


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({BIAS: npy(np.zeros(3, np.float32))}, "has another shape or type"),
        ({BIAS: npy(np.zeros(6))}, "has another shape or type"),
        ({BIAS: huge_header()}, "has another shape or type"),
        ({BIAS: npy(np.array([print], object), allow_pickle=True)}, "has another shape or type"),
        ({BIAS: b"not an array"}, "is not a file of `ecg-jax pack`, or is damaged"),
        ({BIAS: None}, "its parts are not those that it names"),
        ({"../../evil.npy": npy(np.zeros(3, np.float32))}, "its parts are not those that it names"),
        ({"run.json": b"[1]"}, "is not a file of"),
        ({"run.json": b"{}"}, "is not a file of"),
        ({"run.json": b"\xff"}, "it is not UTF-8"),
    ],
)
def test_a_hostile_or_damaged_part_is_refused_in_one_line(packed, tmp_path, parts, says):
    with pytest.raises(RunError, match=says) as refused:
        load(changed(packed, tmp_path, parts))
    assert "\n" not in str(refused.value)
    assert [file.name for file in tmp_path.rglob("*")] == ["changed.ecgjax"], "nothing is unpacked"


def test_a_compressed_part_is_refused_before_it_is_read(packed, tmp_path):
    bomb = changed(packed, tmp_path, {BIAS: bytes(10**7)}, compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 10**6
    with pytest.raises(RunError, match="a part of it is compressed"):
        load(bomb)


def deeper(values):
    values["config"]["model"]["depth"] = 1000


def other_leads(values):
    values["contract"]["leads"].pop()


def other_labels(values):
    values["contract"]["target"]["names"][0] = "another"


def longer_window(values):
    values["contract"]["window_samples"] = 10**9


def wider(values):
    values["config"]["model"]["channels"] = 5


@pytest.mark.parametrize("about", [deeper, other_leads, other_labels, longer_window, wider])
def test_settings_that_do_not_fit_the_arrays_are_refused(packed, tmp_path, about):
    with pytest.raises(RunError, match="has other variables, input or labels than its network needs"):
        load(changed(packed, tmp_path, about=about))


def test_a_file_that_names_code_imports_nothing_unasked(packed, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef network(*_): ...\n")
    monkeypatch.syspath_prepend(tmp_path)

    def name_code(values):
        values["config"]["functions"]["network"] = "evil:network"

    with pytest.raises(RunError, match=r"names code of its own .* add --allow-code"):
        load(changed(packed, tmp_path, about=name_code))
    assert not (tmp_path / "ran").exists()
    assert "evil" not in sys.modules


@given(data=st.data())
@settings(max_examples=60)
def test_a_file_that_was_cut_or_changed_anywhere_is_refused_or_is_the_same(packed, data, tmp_path_factory):
    content = bytearray(packed.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    file = tmp_path_factory.mktemp("damaged") / "run.ecgjax"
    file.write_bytes(bytes(content))
    try:
        found = read_pack(file)
    except RunError:
        return
    expected = read_pack(packed)
    assert (found.config, found.contract) == (expected.config, expected.contract)
    assert repr(found.variables) == repr(expected.variables)


def test_the_last_layer_makes_the_probabilities_from_the_features(finished, recordings):
    model = load(finished.workdir)
    layout = FileLayout(model.contract.rate_hz, 1.0, model.contract.leads)
    (_, vector), (_, of_long) = features(model, [str(path) for path in recordings], layout)
    assert isinstance(vector, np.ndarray)
    assert isinstance(of_long, np.ndarray)
    last = model.variables["params"]["head"]["logits"]
    by_hand = 1 / (1 + np.exp(-(vector @ last["kernel"] + last["bias"])))
    predicted = model.predict(str(recordings[0]), layout)["probabilities"]
    np.testing.assert_allclose(by_hand, list(predicted.values()), atol=1e-5)
    assert vector.shape == of_long.shape == last["kernel"].shape[:1]


def test_a_packed_run_is_not_compared_with_another_set(packed, larger_set):
    with pytest.raises(RunError, match=r"run\.ecgjax was trained on the set .* is another one"):
        predict_split(packed, "validation", data=larger_set)


def test_the_recordings_of_a_folder_have_features(packed, recordings, flags, tmp_path):
    folders = {path.parent for path in recordings}
    to = tmp_path / "found.npz"
    called("features", "--to", str(to), *flags, "--", str(packed), *map(str, folders))
    assert {Path(name).stem for name in np.load(to)["record"]} >= {path.stem for path in recordings}


def test_features_are_written_by_suffix_and_a_bad_recording_loses_no_other(packed, recordings, flags, tmp_path, capsys):
    damaged = tmp_path / "damaged.npy"
    damaged.write_bytes(b"nothing")
    names = [str(recordings[0]), str(damaged), str(recordings[1])]
    for suffix in ("npz", "parquet"):
        status = called("features", "--to", str(tmp_path / f"found.{suffix}"), *flags, "--", str(packed), *names)
        assert status == 1
        assert f"{damaged}: " in capsys.readouterr().err
    with np.load(tmp_path / "found.npz", allow_pickle=False) as found:
        records, values = found["record"], found["features"]
    assert records.tolist() == [names[0], names[2]]
    table = pd.read_parquet(tmp_path / "found.parquet")
    assert table["record"].tolist() == records.tolist()
    np.testing.assert_array_equal(table.drop(columns="record").to_numpy(), values)
    assert called("features", "--to", str(tmp_path / "found.csv"), *flags, "--", str(packed), *names) == 1
    assert "give a file that ends with .npz or .parquet" in capsys.readouterr().err


def test_another_run_begins_with_the_file_as_with_the_workdir(finished, packed):
    of_file, of_workdir = read_start(packed), read_start(finished.workdir)
    assert of_file.sha256 == of_workdir.sha256
    assert of_file.contract == of_workdir.contract


def test_a_pack_has_its_suffix(finished, tmp_path, capsys):
    assert called("pack", str(finished.workdir), "--to", str(tmp_path / "run.zip")) == 1
    assert "ends with .ecgjax" in capsys.readouterr().err
