"""Writes ONNX with the `onnx` package, one node for one operation of JAX: opset 17, for any batch size.

The network is traced and its operations are translated (`onnx_operations.py`), so a network of the user's own is
written too, unless it has an operation that is not translated.
"""

import json
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from ecg_jax.errors import ConfigError
from ecg_jax.export.function import INPUT, OUTPUT, Precision, WindowFunction
from ecg_jax.export.onnx_graph import OPSET, Graph, Tensor, Value, stored
from ecg_jax.export.onnx_operations import OPERATIONS, Unwritable
from ecg_jax.export.stablehlo import batch_of_windows

CALLS = {"jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint"}
IR_VERSION = 8  # that of opset 17: older runtimes read it too


def write(function: WindowFunction, precision: Precision) -> bytes:
    """The function as ONNX; in `float16` its kernels are stored in 16 bits, and computed with in float32.

    Raises:
        ConfigError: the network has an operation that is not written.
    """
    nodes, constants, output = graph_of(function)
    tensors, casts = stored(constants, half=precision == "float16")
    labels = len(function.contract["labels"])
    model = helper.make_model(
        helper.make_graph(
            [*casts, *nodes, helper.make_node("Identity", [output], [OUTPUT], OUTPUT)],
            "ecg_jax",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", function.samples, function.leads])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", labels])],
            tensors,
        ),
        producer_name="ecg_jax",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    helper.set_model_props(model, {"contract": json.dumps(function.contract)})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def graph_of(function: WindowFunction) -> tuple[list[NodeProto], dict[str, np.ndarray], str]:
    """The nodes and constants of the function from the input `INPUT`, and the name of its output.

    Raises:
        ConfigError: the network has an operation that is not written.
    """
    windows, graph = batch_of_windows(function), Graph(INPUT)
    traced: Any = jax.jit(function.__call__).trace(windows).jaxpr
    (output,) = _walk(graph, traced, [Tensor(graph.held(INPUT, range(3)), windows.shape)])
    if not isinstance(output, Tensor):
        raise ConfigError("the network's output does not depend on its input; nothing is left to be exported")
    return *graph.needed(output.name), output.name


def _walk(graph: Graph, closed: Any, inputs: Sequence[Value]) -> list[Value]:
    """The outputs of a computation of JAX, whose equations become nodes, or are evaluated where all is constant."""
    jaxpr = getattr(closed, "jaxpr", closed)
    known: dict[Any, Value] = dict(zip(jaxpr.invars, inputs, strict=True))
    known |= {var: np.asarray(value) for var, value in zip(jaxpr.constvars, getattr(closed, "consts", ()), strict=True)}

    def value_of(var: Any) -> Value:
        return np.asarray(var.val, var.aval.dtype) if hasattr(var, "val") else known[var]

    for equation in jaxpr.eqns:
        values = [value_of(var) for var in equation.invars]
        known |= zip(equation.outvars, _outputs(graph, equation, values), strict=True)
    return [value_of(var) for var in jaxpr.outvars]


def _outputs(graph: Graph, equation: Any, values: Sequence[Value]) -> list[Value]:
    name, params = equation.primitive.name, equation.params
    if name in CALLS:
        return _walk(graph, params["call_jaxpr"] if "call_jaxpr" in params else params["jaxpr"], values)
    constants = [value for value in values if isinstance(value, np.ndarray)]
    if len(constants) == len(values) and _is_known(equation, constants):
        results = equation.primitive.bind(*constants, **params)
        return [np.asarray(x) for x in (results if equation.primitive.multiple_results else [results])]
    try:
        if name not in OPERATIONS:
            raise Unwritable(name)
        return [OPERATIONS[name](graph, equation, *values)]
    except Unwritable as error:
        raise refused(error) from error


def refused(operation: object) -> ConfigError:
    """The error about an operation that is not written."""
    return ConfigError(
        f"the network has an operation that cannot be written: {operation}; export it as .stablehlo, or change the "
        "network"
    )


def _is_known(equation: Any, constants: Sequence[np.ndarray]) -> bool:
    """Whether an equation can be evaluated: no constant is to be repeated, and the number of windows is not used."""
    fits = all(value.shape == var.aval.shape for value, var in zip(constants, equation.invars, strict=True))
    return fits and all(isinstance(length, int) for var in equation.outvars for length in var.aval.shape)
