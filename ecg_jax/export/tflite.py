"""Writes TFLite with TensorFlow, from the graph of `onnx_format`: for one window, with builtin operators alone.

With `int8`, everything from the first convolution to the last is computed in 8 bits, in ranges that are measured on
windows; before them normalisation, and after them the head, are computed in float32.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ecg_jax.errors import ConfigError, reason_of
from ecg_jax.export.function import INPUT, OUTPUT, Precision, WindowFunction
from ecg_jax.export.onnx_format import graph_of, refused
from ecg_jax.export.onnx_operations import Unwritable
from ecg_jax.files import temporary_folder

LAYERS = {"CONV_2D", "DEPTHWISE_CONV_2D"}


def write(function: WindowFunction, precision: Precision, windows: np.ndarray) -> bytes:
    """The function as TFLite; in `float16` its kernels are stored in 16 bits, and computed with in float32.

    Args:
        function: of a network.
        precision: of the numbers.
        windows: in mV [M, T, L], by which the ranges of `int8` are measured.

    Raises:
        ConfigError: the network has an operation that is not written.
    """
    nodes, constants, output = graph_of(function)
    with _quiet():
        import tensorflow as tf

        from ecg_jax.export.tensorflow_graph import Interpreter

        graph, module = Interpreter(nodes, constants), tf.Module()
        spec = tf.TensorSpec((1, function.samples, function.leads), tf.float32, name=INPUT)
        call: Any = tf.function(
            lambda signal_mv: {OUTPUT: graph.run(INPUT, signal_mv, output)}, input_signature=[spec], autograph=False
        )
        try:
            with temporary_folder() as folder:  # a saved model has the names of input and output, which the file keeps
                tf.saved_model.save(module, str(folder), signatures=call.get_concrete_function())
                converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
                if precision == "int8":
                    return _in_8_bits(converter, windows)
                if precision == "float16":
                    converter.optimizations = [tf.lite.Optimize.DEFAULT]
                    converter.target_spec.supported_types = [tf.float16]
                return bytes(converter.convert())
        except Unwritable as error:
            raise refused(error) from error
        except Exception as error:  # TensorFlow and MLIR raise many kinds
            raise ConfigError(f"the network cannot be written as TFLite: {reason_of(error)}") from error


def _in_8_bits(converter: Any, windows: np.ndarray) -> bytes:
    """The convolutions in 8 bits. Input and head are not: 8 bits would be too few for mV with an offset and for sums
    over a window, and NaN, which is a missing value, does not exist in 8 bits.
    """
    import tensorflow as tf

    def examples() -> Iterator[list[np.ndarray]]:
        for window in windows:
            yield [window[None]]

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples
    debugger = tf.lite.experimental.QuantizationDebugger(converter=converter, debug_dataset=examples)
    interpreter = tf.lite.Interpreter(model_content=debugger.calibrated_model)
    names = {tensor["index"]: tensor["name"] for tensor in interpreter.get_tensor_details()}
    operations = interpreter._get_ops_details()
    layers = [place for place, operation in enumerate(operations) if operation["op_name"] in LAYERS]
    if not layers:
        raise ValueError("it has no convolution, which is what is computed in 8 bits")
    outside = operations[: layers[0]] + operations[layers[-1] + 1 :]
    kept = [names[output] for operation in outside for output in operation["outputs"] if output in names]
    debugger.options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=kept)
    return debugger.get_nondebug_quantized_model()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what TensorFlow and its compiler say from the terminal: they write to the process's own output."""
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings(), Path(os.devnull).open("w") as nowhere, ExitStack() as back:
        warnings.simplefilter("ignore")
        for number in (1, 2):
            kept = os.dup(number)
            back.callback(os.close, kept)
            back.callback(os.dup2, kept, number)
            os.dup2(nowhere.fileno(), number)
        yield
