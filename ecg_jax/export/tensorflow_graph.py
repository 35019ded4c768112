"""An ONNX graph of ours as a function of TensorFlow for one window, in the form that TFLite is fastest with.

TFLite convolves images only: what ONNX holds as [B, C, T] is an image of height 1 here, [B, 1, T, C]. All other tensors
are as in ONNX. May import numpy, onnx and TensorFlow.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from onnx import NodeProto, helper

from ecg_jax.export.onnx_operations import Unwritable

IMAGE_AXIS = (0, 3, 2)  # of the axes of [B, C, T]
ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "Mul": tf.multiply,
    "Add": tf.add,
    "Sub": tf.subtract,
    "Div": tf.divide,
    "Max": tf.maximum,
    "Min": tf.minimum,
    "Pow": tf.pow,
    "Neg": tf.negative,
    "Abs": tf.abs,
    "Exp": tf.exp,
    "Log": tf.math.log,
    "Sqrt": tf.sqrt,
    "Reciprocal": lambda x: 1.0 / x,
    "Tanh": tf.tanh,
    "Sigmoid": tf.sigmoid,
    "Relu": tf.nn.relu,
    "Not": tf.logical_not,
    "And": tf.logical_and,
    "Or": tf.logical_or,
    "Equal": tf.equal,
    "Less": tf.less,
    "Greater": tf.greater,
    "LessOrEqual": tf.less_equal,
    "GreaterOrEqual": tf.greater_equal,
    "Where": tf.where,
    "IsNaN": lambda x: tf.not_equal(x, x),
    "MatMul": tf.matmul,
}
REDUCED = {"ReduceSum": tf.reduce_sum, "ReduceMax": tf.reduce_max, "ReduceMin": tf.reduce_min}


def as_image(array: Any) -> Any:
    """[B, C, T] as [B, 1, T, C]."""
    return array.transpose(0, 2, 1)[:, None] if array.ndim == 3 else array


def _as_onnx(value: Any) -> Any:
    """An image as ONNX holds it."""
    return tf.transpose(value[:, 0], [0, 2, 1]) if value.shape.rank == 4 else value


def _from_onnx(value: Any) -> Any:
    """A tensor of ONNX, as an image if it has three axes."""
    return tf.transpose(value, [0, 2, 1])[:, None] if value.shape.rank == 3 else value


class Interpreter:
    """Computes the nodes of a graph in TensorFlow, one by one."""

    def __init__(self, nodes: Sequence[NodeProto], constants: Mapping[str, np.ndarray]):
        self._nodes, self._constants = nodes, constants

    def run(self, name: str, signal_mv: Any, output: str) -> Any:
        """The output of the graph for an input of this name, [1, T, L].

        Raises:
            Unwritable: a node cannot be computed.
        """
        known: dict[str, Any] = {}
        for node in self._nodes:
            fields = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
            if node.op_type == "Transpose" and node.input[0] == name:
                known[node.output[0]] = signal_mv[:, None]  # [1, 1, T, L]: nothing needs to be moved
            elif node.op_type == "Shape":
                known[node.output[0]] = tf.constant([1])
            else:
                known[node.output[0]] = self._result(node, fields, known)
        return known[output]

    def _result(self, node: NodeProto, fields: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
        operation = node.op_type

        def value(place: int) -> Any:
            name = node.input[place]
            return known[name] if name in known else tf.constant(as_image(self._constants[name]))

        def numbers(place: int) -> list[int]:
            return self._constants[node.input[place]].tolist()

        if operation in ELEMENTWISE:
            return ELEMENTWISE[operation](*map(value, range(len(node.input))))
        if operation == "Conv":
            return self._convolution(node, fields, value(0))
        if operation in ("MaxPool", "AveragePool"):
            return _pooled(operation, fields, value(0))
        if operation in REDUCED:
            axes = numbers(1) if operation == "ReduceSum" else fields["axes"]
            return _reduced(operation, value(0), axes)
        if operation == "Cast":
            return tf.cast(value(0), tf.as_dtype(helper.tensor_dtype_to_np_dtype(fields["to"])))
        if operation == "Slice":
            return _sliced(value(0), *map(numbers, range(1, 5)))
        if operation == "Pad":
            sides = np.reshape(numbers(1), (2, -1)).T.tolist()  # low and high of each axis
            if value(0).shape.rank == 4:
                sides = [sides[0], [0, 0], sides[2], sides[1]]
            return tf.pad(value(0), sides, constant_values=self._constants[node.input[2]].item())
        if operation == "Concat":
            values = [value(place) for place in range(len(node.input))]
            return tf.concat(values, IMAGE_AXIS[fields["axis"]] if values[0].shape.rank == 4 else fields["axis"])
        if operation == "Unsqueeze":
            inserted, axes = _as_onnx(value(0)), sorted(numbers(1))
            for axis in axes:
                inserted = tf.expand_dims(inserted, axis)
            return _from_onnx(inserted)
        if operation == "Reshape":
            return _from_onnx(tf.reshape(_as_onnx(value(0)), numbers(1)))
        if operation == "Transpose":
            return _from_onnx(tf.transpose(_as_onnx(value(0)), fields["perm"]))
        raise Unwritable(operation)

    def _convolution(self, node: NodeProto, fields: Mapping[str, Any], value: Any) -> Any:
        kernel = self._constants[node.input[1]]  # [C, C_in, K]
        stride, dilation = fields.get("strides", [1])[0], fields.get("dilations", [1])[0]
        if fields.get("group", 1) != 1:
            raise Unwritable("a convolution in groups")
        low, high = fields.get("pads", [0, 0])
        length, reach = value.shape[2], dilation * (kernel.shape[2] - 1)
        needed = max((-(-length // stride) - 1) * stride + reach + 1 - length, 0)
        same = -(-length // stride) == (length + low + high - reach - 1) // stride + 1 and needed // 2 == low
        if not same and (low or high):
            value = tf.pad(value, [[0, 0], [0, 0], [low, high], [0, 0]])
        result = tf.nn.conv2d(
            value,
            tf.constant(kernel.transpose(2, 1, 0)[None]),  # [1, K, C_in, C]
            strides=[1, 1, stride, 1],
            padding="SAME" if same else "VALID",
            dilations=[1, 1, dilation, 1],
        )
        if len(node.input) > 2:
            result = tf.nn.bias_add(result, tf.constant(self._constants[node.input[2]]))
        return result


def _pooled(operation: str, fields: Mapping[str, Any], value: Any) -> Any:
    low, high = fields.get("pads", [0, 0])
    if low or high:
        filler = value.dtype.min if operation == "MaxPool" else 0
        value = tf.pad(value, [[0, 0], [0, 0], [low, high], [0, 0]], constant_values=filler)
    pool = tf.nn.max_pool2d if operation == "MaxPool" else tf.nn.avg_pool2d
    return pool(value, [1, 1, fields["kernel_shape"][0], 1], [1, 1, fields["strides"][0], 1], "VALID")


def _reduced(operation: str, value: Any, axes: Sequence[int]) -> Any:
    if value.shape.rank == 4:
        return _from_onnx(REDUCED[operation](value, [1, *(IMAGE_AXIS[axis] for axis in axes)]))
    return _from_onnx(REDUCED[operation](value, axes))


def _sliced(value: Any, starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> Any:
    parts = [slice(None)] * value.shape.rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        parts[IMAGE_AXIS[axis] if value.shape.rank == 4 else axis] = slice(start, end, step)
    return value[tuple(parts)]
