"""Exported files give the probabilities of `predict`, say what they need, and are kept only if both are true."""

import json
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ecg_jax.cli import main
from ecg_jax.config import ModelConfig, RunConfig, with_fields
from ecg_jax.dataset.batch import InputContract
from ecg_jax.errors import ConfigError, RunError
from ecg_jax.export import measure
from ecg_jax.export.exporting import RUNTIMES, cost_of_file, export, usual
from ecg_jax.export.formats import FORMATS
from ecg_jax.export.function import window_function
from ecg_jax.inference import load, predict_split
from ecg_jax.models.resnet import build_network
from ecg_jax.target import Target

onnx = pytest.importorskip("onnx", reason="the extra [export] is not installed")
pytest.importorskip("onnxruntime", reason="the extra [export] is not installed")
pytest.importorskip("ai_edge_litert", reason="the extra [export] is not installed")

SAMPLES, LEADS = 67, 3
TINY = ModelConfig(depth=1, channels=4, kernel=3, strides=(1, 2))
SETTINGS = {
    "gap": TINY,
    "even kernel, dilation, odd stride": replace(TINY, kernel=4, dilation=2, strides=(1, 3), stem_stride=3),
    "bottleneck, three stem convolutions": replace(TINY, block="bottleneck", stem_channels=(3, 3, 4), kernel=5),
    "pooled shortcut, concat": replace(TINY, shortcut="pool", head="concat", head_hidden=5, strides=(1, 2, 3)),
    "attention": replace(TINY, head="attention", growth=1.0),
    "flatten, no pooling": replace(TINY, head="flatten", stem_pool=False),
}


def contract(normalise="set", kind="multilabel", samples=SAMPLES):
    names = ("one", "two", "three")
    mean_mv, std_mv = (0.1, -0.2, 0.3), (0.5, 1.5, 0.8)
    return InputContract(100.0, ("I", "II", "V1"), Target(kind, names), samples, mean_mv, std_mv, normalise)


def drawn(model, expects=None, config=None):
    """The function of a network whose variables, running statistics too, are random."""
    expects, config = expects or contract(), config or RunConfig(model=model)
    network = build_network(config, 3)
    shapes = jax.eval_shape(
        lambda x: network.init(jax.random.key(0), x, train=False), jnp.zeros((1, expects.window_samples, LEADS))
    )
    random = np.random.default_rng(0)

    def of(leaf):
        return (random.normal(0.2, 1, leaf.shape) / np.sqrt(leaf.size / leaf.shape[-1])).astype(np.float32)

    variables = jax.tree.map(of, shapes)
    if "batch_stats" in variables:
        variables["batch_stats"] = jax.tree.map(lambda leaf: 0.5 + np.abs(leaf), variables["batch_stats"])
    return window_function(config, expects, variables, {"labels": ["one", "two", "three"]})


def windows():
    """Windows with all values, a short record, a lead that is absent, gaps in some leads and in all, and nothing."""
    signal_mv = np.random.default_rng(1).normal(0.2, 1.0, (6, SAMPLES, LEADS)).astype(np.float32)
    signal_mv[1, 31:] = np.nan
    signal_mv[2, :, 1] = np.nan
    signal_mv[3, 5:9, 0] = np.nan
    signal_mv[4, 20:40] = np.nan
    signal_mv[5] = np.nan
    return signal_mv


def answers(function, suffix, folder, precision="float32", signal_mv=None):
    file = folder / f"model{suffix}"
    file.write_bytes(FORMATS[suffix].write(function, precision, windows() if signal_mv is None else signal_mv))
    return measure.RUNTIMES[suffix]()(file)(windows())


@pytest.mark.parametrize("model", SETTINGS.values(), ids=SETTINGS)
def test_every_setting_of_the_model_is_written(model, tmp_path):
    function = drawn(model)
    expected = jax.jit(function.__call__)(windows())
    assert np.std(expected) > 0.01
    for suffix in (".onnx", ".tflite"):
        np.testing.assert_allclose(answers(function, suffix, tmp_path), expected, atol=1e-5, err_msg=suffix)


@pytest.mark.parametrize(("normalise", "kind"), [("record", "multilabel"), ("set", "exclusive")])
def test_normalisation_and_softmax_are_in_the_file(normalise, kind, tmp_path):
    function = drawn(TINY, contract(normalise, kind))
    expected = jax.jit(function.__call__)(windows())
    for suffix in FORMATS:
        np.testing.assert_allclose(answers(function, suffix, tmp_path), expected, atol=1e-5, err_msg=suffix)


def test_a_value_that_is_missing_has_no_influence_and_a_short_record_is_as_in_a_short_window(tmp_path):
    function = drawn(TINY)
    answer = answers(function, ".onnx", tmp_path)
    short = drawn(TINY, contract(samples=31))
    np.testing.assert_allclose(answer[1], jax.jit(short.__call__)(windows()[1:2, :31])[0], atol=1e-5)


def test_onnx_is_convolutions_and_pooling_without_a_transposition_after_the_first(tmp_path):
    content = FORMATS[".onnx"].write(drawn(replace(TINY, block="bottleneck")), "float32", windows())
    nodes = [node.op_type for node in onnx.load_from_string(content).graph.node]
    assert nodes.count("Conv") == 1 + 2 * (3 + 1)  # stem, and two blocks with a projected shortcut each
    assert nodes.count("Transpose") == 1
    assert nodes.count("Relu") == 1 + 2 * 3
    assert not {"Where", "BatchNormalization", "Sqrt"} & set(nodes[nodes.index("Conv") :])
    assert nodes.count("MaxPool") == 1 + 3  # of the samples, and of what is valid at three strides


def test_stablehlo_is_for_three_platforms_and_any_number_of_windows():
    function = drawn(TINY)
    exported = jax.export.deserialize(bytearray(FORMATS[".stablehlo"].write(function, "float32", windows())))
    assert set(exported.platforms) == {"cpu", "cuda", "tpu"}
    expected = jax.jit(function.__call__)(windows())
    for number in (1, 4):
        np.testing.assert_allclose(exported.call(windows()[:number]), expected[:number], atol=1e-6)


@pytest.mark.parametrize("suffix", FORMATS)
def test_float16_halves_the_file_and_changes_the_probabilities_little(suffix, tmp_path):
    function = drawn(replace(TINY, channels=96))
    answer = answers(function, suffix, tmp_path, "float16")
    whole = len(FORMATS[suffix].write(function, "float32", windows()))
    assert (tmp_path / f"model{suffix}").stat().st_size < 0.6 * whole
    np.testing.assert_allclose(answer, jax.jit(function.__call__)(windows()), atol=0.01)


def test_int8_computes_convolutions_in_8_bits_and_still_takes_what_is_missing(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    function = drawn(replace(TINY, channels=16), contract("record"))
    signal_mv = np.concatenate([windows()[:5]] * 10)
    answer = answers(function, ".tflite", tmp_path, "int8", signal_mv)
    np.testing.assert_allclose(answer[:5], jax.jit(function.__call__)(windows())[:5], atol=0.05)
    interpreter = Interpreter(str(tmp_path / "model.tflite"))
    kinds = {tensor["index"]: tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    operations = interpreter._get_ops_details()
    layers = [x for x in operations if x["op_name"] == "CONV_2D"]
    assert len(layers) == 1 + 2 * 2 + 1  # stem, two blocks, one projected shortcut
    assert not {"LESS_EQUAL", "TRANSPOSE"} & {x["op_name"] for x in operations}
    assert all(kinds[output] == np.int8 for layer in layers for output in layer["outputs"])
    assert kinds[operations[0]["outputs"][0]] == np.float32


class Sorting(nn.Module):
    """A network with an operation that neither ONNX nor TFLite gets."""

    @nn.compact
    def __call__(self, x, valid=None, *, train):
        return nn.Dense(3)(jnp.sort(x, axis=1).mean(axis=1))


def sorting(config, n_classes, axis_name=None):
    return Sorting()


@pytest.mark.parametrize(("suffix", "operation"), [(".onnx", "sort"), (".tflite", "sort")])
def test_an_operation_that_cannot_be_written_is_named(suffix, operation):
    config = with_fields(RunConfig(), {"functions.network": f"{__name__}:sorting"})
    function = drawn(TINY, config=config)
    with pytest.raises(ConfigError, match=operation) as error:
        FORMATS[suffix].write(function, "float32", windows())
    assert "\n" not in str(error.value)
    assert FORMATS[".stablehlo"].write(function, "float32", windows())


def test_windows_with_a_spike_do_not_set_the_ranges_of_8_bits():
    signal_mv = np.concatenate([windows()] * 4)
    signal_mv[1, 3, 2] = 40.0
    chosen = usual(signal_mv)
    assert np.nanmax(chosen) < 5
    assert 0 < len(chosen) < len(signal_mv)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_file_of_a_network_that_is_not_trained_is_measured(runtime):
    milliseconds, size = cost_of_file(
        RunConfig(model=TINY), runtime, window_samples=SAMPLES, leads=LEADS, labels=3, rate_hz=100.0
    )
    assert 0 < milliseconds < 1000
    assert size > 1000


def run_export(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(["export", *map(str, arguments)])
    return ended.value.code or 0


@pytest.fixture(scope="module")
def files(finished, tmp_path_factory):
    """A finished run as a file of each format."""
    folder = tmp_path_factory.mktemp("exported")
    for suffix in FORMATS:
        assert run_export("--workdir", finished.workdir, "--to", folder / f"model{suffix}") == 0
    return folder


@pytest.fixture(scope="module")
def programs(files):
    """The programs of the page, beside the files."""
    page = Path(__file__).parents[1] / "docs" / "deploy.md"
    for name, code in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page.read_text(), re.DOTALL):
        (files / name).write_text(code)
    return files


@pytest.mark.parametrize("length", [90, 1000])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_program_that_knows_nothing_of_us_says_what_predict_says(suffix, length, programs, finished, tmp_path):
    model = load(finished.workdir)
    signal_mv = np.random.default_rng(2).normal(0, 0.5, (length, 12)).round(3)
    signal_mv[10:20, 3] = np.nan
    np.save(tmp_path / "record.npy", signal_mv.astype(np.float32))
    np.savetxt(tmp_path / "record.csv", signal_mv, delimiter=",")
    from ecg_jax.file_layout import FileLayout

    layout = FileLayout(rate_hz=100.0, mv_per_unit=1.0, leads=model.contract.leads)
    expected = model.predict(str(tmp_path / "record.npy"), layout)["probabilities"]
    program = [f"run_{suffix[1:]}.py", f"model{suffix}", tmp_path / "record.csv"]
    code = f"import sys, runpy; sys.path.insert(0, '.'); sys.argv = {list(map(str, program))!r}; "
    code += "runpy.run_path(sys.argv[0]); assert 'ecg_jax' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=programs, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = dict(line.split(",") for line in done.stdout.splitlines())
    assert said.keys() == expected.keys()
    np.testing.assert_allclose([float(x) for x in said.values()], list(expected.values()), atol=1e-4)  # 16 bits


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_contract_in_the_file_is_that_of_the_run(suffix, files, finished):
    file, model = files / f"model{suffix}", load(finished.workdir)
    if suffix == ".onnx":
        (entry,) = onnx.load(file).metadata_props
        found = json.loads(entry.value)
    else:
        found = json.loads(zipfile.ZipFile(file).read("contract.json"))
    names = model.contract.target.names
    assert found["labels"] == list(names)
    assert found["leads"] == list(model.contract.leads)
    assert (found["rate_hz"], found["window_seconds"], found["kind"]) == (100, 2, "multilabel")
    assert list(found["thresholds"].values()) == model.thresholds.tolist()
    assert found["training_set"] == finished.data_fingerprint
    assert found["input"]["shape"] == ["batch", 200, 12]


def test_a_file_whose_probabilities_are_others_is_refused_with_the_figures_and_not_kept(finished, tmp_path):
    model, predictions = predict_split(finished.workdir, "validation")
    others = replace(predictions, probability=predictions.probability + 0.001)
    parts = (model.config, model.contract, model.variables, model.thresholds)
    with pytest.raises(RunError, match=r"largest difference of a probability is 0\.001, .*allowed is 1e-05"):
        export(tmp_path / "model.stablehlo", *parts, others)
    perfect = replace(predictions, probability=0.1 + 0.8 * predictions.label)
    with pytest.raises(RunError, match=r"macro AUROC is .* instead of .*allowed for float16 is 0\.002"):
        export(tmp_path / "model.stablehlo", *parts, perfect, precision="float16")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--to", "model.h5"], ".onnx, .tflite, .stablehlo"),
        (["--to", "model.onnx", "--int8"], "--int8 is not possible for .onnx"),
        (["--to", "model.tflite", "--int8", "--float16"], "exclude each other"),
        (["--to", "no/such/model.stablehlo"], "there is no folder no/such"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(flags, said, finished, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_export("--workdir", finished.workdir, *flags) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(finished, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run_export("--workdir", finished.workdir, "--to", "model.onnx") == 1
    assert "pip install 'ecg-jax[export]'" in capsys.readouterr().err
