"""What each operation of JAX becomes in an ONNX graph. May import numpy, onnx and `onnx_graph`.

Each function of `OPERATIONS` takes the graph, the equation of JAX and its inputs, and returns its output. Three things
are recognised and written as ONNX has them: multiplication and addition by channel after a convolution, which become
part of it; ReLU in the form in which `models.conv` computes it; and the maximum or sum of neighbouring strided slices,
which is pooling.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from ecg_jax.export.onnx_graph import Graph, Tensor, Value, is_one, layout, place_of


class Unwritable(Exception):
    """An operation that is not written; the message names it."""


def _result(graph: Graph, name: str, *values: Value) -> Tensor:
    """A tensor that has the lengths of all values together."""
    rank = max(len(value.shape) for value in values)
    shapes = [value.shape for value in values if len(value.shape) == rank]
    lengths = zip(*shapes, strict=True)
    return Tensor(name, tuple(next((x for x in there if not is_one(x)), 1) for there in lengths))


def _elementwise(operation: str, graph: Graph, equation: Any, *values: Value) -> Tensor:
    return _result(graph, graph.node(operation, *map(graph.name, values)), *values)


def _constant(value: Value, number: float) -> bool:
    return isinstance(value, np.ndarray) and bool((value == number).all())


def _is_bool(equation: Any) -> bool:
    return equation.invars[0].aval.dtype == np.bool_


def _by_channel(value: Value) -> np.ndarray | None:
    """A constant as numbers of channels [C] or [1]; None if it is not that."""
    if isinstance(value, np.ndarray) and value.dtype == np.float32 and value.size == (value.shape or (1,))[-1]:
        return value.reshape(-1).astype(np.float64)
    return None


def _into_convolution(graph: Graph, values: tuple[Value, ...], *, factor: bool) -> Tensor | None:
    """The convolution among two values with the other one as a factor or summand of its channels."""
    for value, other in (values, values[::-1]):
        numbers, node = _by_channel(other), graph.made(value)
        if numbers is None or node is None or node.op_type != "Conv" or not isinstance(value, Tensor):
            continue
        kernel = graph.constants[node.input[1]].astype(np.float64)  # [C, C_in, K]
        bias = graph.constants[node.input[2]].astype(np.float64) if len(node.input) > 2 else np.zeros(len(kernel))
        if factor:
            kernel, bias = kernel * numbers[:, None, None], bias * numbers
        else:
            bias = bias + numbers
        inputs = (node.input[0], graph.constant(kernel, np.float32), graph.constant(bias, np.float32))
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        return Tensor(graph.node("Conv", *inputs, **attributes), value.shape)
    return None


def _mul(graph: Graph, equation: Any, *values: Value) -> Value:
    for value, other in (values, values[::-1]):
        if _constant(other, 1):
            return value
    return _into_convolution(graph, values, factor=True) or _elementwise("Mul", graph, equation, *values)


def _add(graph: Graph, equation: Any, *values: Value) -> Value:
    for value, other in (values, values[::-1]):
        if _constant(other, 0):
            return value
    found = _into_convolution(graph, values, factor=False) or _pooled(graph, "AveragePool", equation, *values)
    return found or _elementwise("Add", graph, equation, *values)


def _max(graph: Graph, equation: Any, *values: Value) -> Value:
    for value, other in (values, values[::-1]):
        if _constant(other, 0) and equation.outvars[0].aval.dtype == np.float32:
            return _elementwise("Relu", graph, equation, value)
    return _pooled(graph, "MaxPool", equation, *values) or _elementwise("Max", graph, equation, *values)


def _taps(graph: Graph, value: Value, pool: str) -> tuple[str, int, int, int, int] | None:
    """The source of a tensor that is a strided slice along time, or such slices pooled; start, end, stride, number."""
    node = graph.made(value)
    if node is not None and node.op_type == "Mul" and pool == "AveragePool":  # of a mean with its number of samples
        node = graph.nodes.get(node.input[0])
    if node is None or not isinstance(value, Tensor) or len(value.shape) != 3:
        return None
    number = 1
    if node.op_type == pool:
        fields = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        number, node = fields["kernel_shape"][0], graph.nodes.get(node.input[0])
        stride = fields["strides"][0]
        if node is None or node.op_type != "Slice":
            return None
        starts, ends, axes, steps = (graph.constants[name] for name in node.input[1:])
        return (node.input[0], int(starts[0]), int(ends[0]), stride, number) if steps.tolist() == [1] else None
    if node.op_type != "Slice":
        return None
    starts, ends, axes, steps = (graph.constants[name] for name in node.input[1:])
    return (node.input[0], int(starts[0]), int(ends[0]), int(steps[0]), number) if axes.tolist() == [2] else None


def _pooled(graph: Graph, pool: str, equation: Any, first: Value, last: Value) -> Tensor | None:
    """The pooling that takes the samples of the first value and, right after them, those of the second."""
    some, more = _taps(graph, first, pool), _taps(graph, last, pool)
    if some is None or more is None or not isinstance(first, Tensor) or equation.outvars[0].aval.dtype != np.float32:
        return None
    (source, start, _, stride, number), (other, second, _, step, single) = some, more
    if other != source or step != stride or single != 1 or second != start + number or first.shape != last.shape:
        return None
    number += 1
    end = start + (first.shape[1] - 1) * stride + number
    part = _sliced(graph, source, start, end, 1)
    name = graph.node(pool, part, kernel_shape=[number], strides=[stride])
    if pool == "AveragePool":
        name = graph.node("Mul", name, graph.constant(number, np.float32))
    return Tensor(name, first.shape)


def _sliced(graph: Graph, name: str, start: int, end: int, step: int) -> str:
    """A part of a tensor of three axes along time."""
    numbers = ([start], [end], [2], [step])
    return graph.node("Slice", name, *(graph.constant(number, np.int64) for number in numbers))


def _select(graph: Graph, equation: Any, *values: Value) -> Tensor:
    """`where(chosen, yes, no)`, whose inputs JAX has in another order; ReLU, and ReLU with a mask."""
    if len(values) != 3 or not _is_bool(equation):
        raise Unwritable("select_n of more than two cases")
    chosen, no, yes = values
    node = graph.made(chosen)
    whole = equation.outvars[0].aval.shape
    if node is not None and isinstance(no, Tensor) and no.shape == whole and _constant(yes, 0):
        if _is_not_positive(graph, node.output[0], no):
            return Tensor(graph.node("Relu", no.name), no.shape)
        for mask, other in (node.input, node.input[::-1]) if node.op_type == "Or" else ():
            if _is_not_positive(graph, mask, no):
                kept = graph.node("Cast", graph.node("Not", other), to=TensorProto.FLOAT)
                return Tensor(graph.node("Mul", graph.node("Relu", no.name), kept), no.shape)
    return _result(graph, graph.node("Where", *map(graph.name, (chosen, yes, no))), *values)


def _is_not_positive(graph: Graph, name: str, of: Tensor) -> bool:
    node = graph.nodes.get(name)
    if node is None or node.op_type != "LessOrEqual" or node.input[0] != of.name:
        return False
    limit = graph.constants.get(node.input[1])
    return limit is not None and limit.dtype == np.float32 and not limit.any()


def _not_equal(graph: Graph, equation: Any, *values: Value) -> Tensor:
    first, second = map(graph.name, values)
    if first == second and equation.invars[0].aval.dtype == np.float32:
        return _result(graph, graph.node("IsNaN", first), *values)
    return _result(graph, graph.node("Not", graph.node("Equal", first, second)), *values)


def _logical(operation: str, graph: Graph, equation: Any, *values: Value) -> Tensor:
    if not _is_bool(equation):
        raise Unwritable(f"{equation.primitive.name} of integers")
    return _elementwise(operation, graph, equation, *values)


def _cast(graph: Graph, equation: Any, value: Value) -> Value:
    kind = np.dtype(equation.params["new_dtype"])
    if isinstance(value, np.ndarray):
        return value.astype(kind)
    if equation.invars[0].aval.dtype == kind:
        return value
    return Tensor(graph.node("Cast", value.name, to=helper.np_dtype_to_tensor_dtype(kind)), value.shape)


def _convolution(graph: Graph, equation: Any, value: Value, kernel: Value) -> Tensor:
    params, numbers = equation.params, equation.params["dimension_numbers"]
    if len(numbers.lhs_spec) != 3 or (numbers.lhs_spec, numbers.out_spec) != ((0, 2, 1), (0, 2, 1)):
        raise Unwritable("a convolution that is not along the second of three axes")
    if not isinstance(kernel, np.ndarray) or params["batch_group_count"] != 1:
        raise Unwritable("a convolution whose kernel is computed")
    if tuple(params["lhs_dilation"]) != (1,):
        raise Unwritable("a transposed convolution")
    name = graph.node(
        "Conv",
        graph.whole(value, equation.invars[0].aval.shape),
        graph.constant(kernel.transpose(numbers.rhs_spec)),  # [C, C_in, K]
        kernel_shape=[kernel.shape[numbers.rhs_spec[2]]],
        strides=list(params["window_strides"]),
        pads=[side for sides in zip(*params["padding"], strict=True) for side in sides],
        dilations=list(params["rhs_dilation"]),
        group=params["feature_group_count"],
    )
    return Tensor(name, equation.outvars[0].aval.shape)


def _dot(graph: Graph, equation: Any, value: Value, other: Value) -> Tensor:
    (lhs, rhs), (lhs_batch, rhs_batch) = equation.params["dimension_numbers"]
    shape, rank = equation.outvars[0].aval.shape, len(value.shape)
    if isinstance(other, np.ndarray) and other.ndim == 2 and tuple(lhs) == (rank - 1,) and not lhs_batch:
        matrix = other if tuple(rhs) == (0,) else other.T  # [C, K]
        name = graph.whole(value, equation.invars[0].aval.shape)
        if rank == 3:
            return Tensor(graph.node("Conv", name, graph.constant(matrix.T[:, :, None]), kernel_shape=[1]), shape)
        if rank == 2:
            return Tensor(graph.node("MatMul", name, graph.constant(matrix)), shape)
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    of_lhs = [next(letters) for _ in value.shape]
    paired = dict(zip((*rhs, *rhs_batch), (*lhs, *lhs_batch), strict=True))
    of_rhs = [of_lhs[paired[axis]] if axis in paired else next(letters) for axis in range(len(other.shape))]
    free_lhs = [letter for axis, letter in enumerate(of_lhs) if axis not in (*lhs, *lhs_batch)]
    free_rhs = [letter for axis, letter in enumerate(of_rhs) if axis not in paired]
    of_out = [*(of_lhs[axis] for axis in lhs_batch), *free_lhs, *free_rhs]
    held = ["".join(of[axis] for axis in layout(len(of))) for of in (of_lhs, of_rhs, of_out)]
    names = [graph.whole(v, var.aval.shape) for v, var in zip((value, other), equation.invars, strict=True)]
    return Tensor(graph.node("Einsum", *names, equation=f"{held[0]},{held[1]}->{held[2]}"), shape)


def _broadcast(graph: Graph, equation: Any, value: Value, *_: Value) -> Value:
    """New axes have length 1, and are repeated where that is needed."""
    axes, rank = equation.params["broadcast_dimensions"], len(equation.params["shape"])
    shape = [1] * rank
    for place, axis in enumerate(axes):
        shape[axis] = value.shape[place]
    if isinstance(value, np.ndarray):
        return value.reshape(shape)
    if rank == len(value.shape):
        return Tensor(value.name, tuple(shape))
    now = [axes[axis] for axis in layout(len(value.shape))]
    wanted = [axis for axis in layout(rank) if axis in axes]
    name = value.name
    if now != wanted:
        name = graph.node("Transpose", name, perm=[now.index(axis) for axis in wanted])
    new = [place for place, axis in enumerate(layout(rank)) if axis not in axes]
    return Tensor(graph.node("Unsqueeze", name, graph.constant(new, np.int64)), tuple(shape))


def _reshape(graph: Graph, equation: Any, value: Value, *_: Value) -> Tensor:
    before, after = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    name = graph.whole(value, before)
    if len(before) == 3:
        name = graph.node("Transpose", name, perm=[0, 2, 1])
    lengths = [length if isinstance(length, int) else -1 for length in after]
    if lengths.count(-1) > 1:
        raise Unwritable("reshape with several axes of unknown length")
    name = graph.node("Reshape", name, graph.constant(lengths, np.int64))
    return Tensor(graph.held(name, range(len(after))), after)


def _transpose(graph: Graph, equation: Any, value: Value) -> Tensor:
    order = equation.params["permutation"]  # axis i of the output is axis order[i] of the input
    held = [order.index(axis) for axis in layout(len(value.shape))]
    return Tensor(graph.held(graph.name(value), held), tuple(value.shape[axis] for axis in order))


def _concatenate(graph: Graph, equation: Any, *values: Value) -> Tensor:
    axis, shape = equation.params["dimension"], equation.outvars[0].aval.shape
    names = [graph.whole(value, var.aval.shape) for value, var in zip(values, equation.invars, strict=True)]
    return Tensor(graph.node("Concat", *names, axis=place_of(axis, len(shape))), shape)


def _slice(graph: Graph, equation: Any, value: Value) -> Tensor:
    params, shape = equation.params, equation.invars[0].aval.shape
    steps = params["strides"] or (1,) * len(shape)
    parts = zip(params["start_indices"], params["limit_indices"], steps, strict=True)
    changed = [(axis, *part) for axis, part in enumerate(parts) if part != (0, shape[axis], 1)]
    if not changed:
        return Tensor(graph.whole(value, shape), shape)
    axes, starts, ends, steps = zip(*changed, strict=True)
    numbers = (starts, ends, [place_of(axis, len(shape)) for axis in axes], steps)
    names = (graph.constant(number, np.int64) for number in numbers)
    return Tensor(graph.node("Slice", graph.whole(value, shape), *names), equation.outvars[0].aval.shape)


def _pad(graph: Graph, equation: Any, value: Value, filler: Value) -> Value:
    sides = [equation.params["padding_config"][axis] for axis in layout(len(value.shape))]
    if any(between for _, _, between in sides):
        raise Unwritable("padding between samples")
    if not any(low or high for low, high, _ in sides):
        return value
    pads = graph.constant([side[0] for side in sides] + [side[1] for side in sides], np.int64)
    name = graph.node("Pad", graph.whole(value, equation.invars[0].aval.shape), pads, graph.name(filler))
    return Tensor(name, equation.outvars[0].aval.shape)


def _reduced(operation: str, graph: Graph, equation: Any, value: Value) -> Tensor:
    shape, axes = equation.invars[0].aval.shape, equation.params["axes"]
    name, places = graph.whole(value, shape), [place_of(axis, len(shape)) for axis in axes]
    if _is_bool(equation):
        name = graph.node("Cast", name, to=TensorProto.INT32)
    if operation == "ReduceSum":
        name = graph.node(operation, name, graph.constant(places, np.int64), keepdims=0)
    else:
        name = graph.node(operation, name, axes=places, keepdims=0)
    if _is_bool(equation):
        name = graph.node("Cast", name, to=TensorProto.BOOL)
    left = [axis for axis in range(len(shape)) if axis not in axes]
    order = [left.index(axis) for axis in layout(len(shape)) if axis in left]
    return Tensor(graph.held(name, order), equation.outvars[0].aval.shape)


def _window(operation: str, graph: Graph, equation: Any, value: Value) -> Tensor:
    params = equation.params
    sizes, strides, padding = params["window_dimensions"], params["window_strides"], params["padding"]
    plain = {*params["base_dilation"], *params["window_dilation"]} == {1}
    if len(sizes) != 3 or not plain or (sizes[0], sizes[2], strides[0], strides[2]) != (1, 1, 1, 1):
        raise Unwritable(f"{equation.primitive.name} that is not along the second of three axes")
    more = {"count_include_pad": 1} if operation == "AveragePool" else {}
    name = graph.whole(value, equation.invars[0].aval.shape)
    pads = list(padding[1])
    name = graph.node(operation, name, kernel_shape=[sizes[1]], strides=[strides[1]], pads=pads, **more)
    if operation == "AveragePool":
        name = graph.node("Mul", name, graph.constant(sizes[1], np.float32))
    return Tensor(name, equation.outvars[0].aval.shape)


def _integer_power(graph: Graph, equation: Any, value: Value) -> Tensor:
    exponent = np.asarray(equation.params["y"], equation.outvars[0].aval.dtype)
    return _elementwise("Pow", graph, equation, value, exponent)


def _square(graph: Graph, equation: Any, value: Value) -> Tensor:
    return _elementwise("Mul", graph, equation, value, value)


def _inverse_root(graph: Graph, equation: Any, value: Value) -> Tensor:
    return Tensor(graph.node("Reciprocal", graph.node("Sqrt", graph.name(value))), value.shape)


def _same(graph: Graph, equation: Any, value: Value) -> Value:
    return value


_PLAIN = {"sub": "Sub", "div": "Div", "min": "Min", "neg": "Neg", "abs": "Abs", "sign": "Sign", "floor": "Floor"}
_PLAIN |= {"ceil": "Ceil", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "tanh": "Tanh", "logistic": "Sigmoid"}
_PLAIN |= {"erf": "Erf", "sin": "Sin", "cos": "Cos", "pow": "Pow", "eq": "Equal", "lt": "Less", "gt": "Greater"}
_PLAIN |= {"le": "LessOrEqual", "ge": "GreaterOrEqual"}
_LOGICAL = {"and": "And", "or": "Or", "not": "Not", "xor": "Xor"}
_REDUCED = {"reduce_sum": "ReduceSum", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin"}
_REDUCED |= {"reduce_or": "ReduceMax", "reduce_and": "ReduceMin", "reduce_prod": "ReduceProd"}

OPERATIONS: dict[str, Callable[..., Value]] = {
    **{name: partial(_elementwise, operation) for name, operation in _PLAIN.items()},
    **{name: partial(_logical, operation) for name, operation in _LOGICAL.items()},
    **{name: partial(_reduced, operation) for name, operation in _REDUCED.items()},
    "mul": _mul,
    "add": _add,
    "add_any": _add,
    "max": _max,
    "ne": _not_equal,
    "select_n": _select,
    "convert_element_type": _cast,
    "integer_pow": _integer_power,
    "square": _square,
    "rsqrt": _inverse_root,
    "conv_general_dilated": _convolution,
    "dot_general": _dot,
    "reduce_window_max": partial(_window, "MaxPool"),
    "reduce_window_sum": partial(_window, "AveragePool"),
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "squeeze": _reshape,
    "expand_dims": _reshape,
    "transpose": _transpose,
    "concatenate": _concatenate,
    "slice": _slice,
    "pad": _pad,
    "copy": _same,
    "stop_gradient": _same,
    "optimization_barrier": _same,
}
