"""An ONNX graph that grows node by node; equal nodes are one node. May import numpy and onnx.

Arrays of three axes, [B, T, C] in JAX, are held as ONNX wants them for convolutions, [B, C, T]; all others as they are.
Broadcasting is left to the operations: a tensor may have length 1 along an axis where JAX has repeated it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

OPSET = 17


@dataclass(frozen=True)
class Tensor:
    """A result of the graph. `shape` has the axes of JAX; a length that is no int is the number of windows."""

    name: str
    shape: tuple[Any, ...]


Value = np.ndarray | Tensor
"""A constant, with the axes of JAX, or a tensor."""


def layout(rank: int) -> tuple[int, ...]:
    """The axes of JAX in the order in which ONNX holds them."""
    return (0, 2, 1) if rank == 3 else tuple(range(rank))


def place_of(axis: int, rank: int) -> int:
    """Where ONNX holds an axis of JAX."""
    return layout(rank).index(axis)


def is_one(length: Any) -> bool:
    """Whether an axis has length 1; the number of windows has not."""
    return isinstance(length, int | np.integer) and length == 1


class Graph:
    """Nodes and constants, and how each tensor was made."""

    def __init__(self, batch: str):
        """`batch` is the name of an input whose first axis is the windows."""
        self.nodes: dict[str, NodeProto] = {}
        self.constants: dict[str, np.ndarray] = {}
        self._known: dict[Any, str] = {}
        self._batch = batch

    def node(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """The output of a node, which is made unless there is an equal one."""
        key = (operation, inputs, repr(sorted(attributes.items())))
        if key not in self._known:
            name = f"{operation.lower()}_{len(self.nodes)}"
            self.nodes[name] = helper.make_node(operation, inputs, [name], name, **attributes)
            self._known[key] = name
        return self._known[key]

    def constant(self, value: Any, kind: Any = None) -> str:
        """A constant as ONNX shall see it."""
        array = np.asarray(value, kind)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"constant_{len(self.constants)}"
            self.constants[self._known[key]] = array
        return self._known[key]

    def name(self, value: Value) -> str:
        """The name of a value as ONNX holds it."""
        if isinstance(value, Tensor):
            return value.name
        return self.constant(value.transpose(layout(value.ndim)))

    def whole(self, value: Value, shape: Sequence[Any]) -> str:
        """The name of a value that is really repeated to a shape of JAX."""
        lengths = enumerate(zip(value.shape, shape, strict=True))
        repeated = [axis for axis, (has, wants) in lengths if is_one(has) and not is_one(wants)]
        if not repeated:
            return self.name(value)
        known = [shape[axis] if axis in repeated else 1 for axis in layout(len(shape))]
        if isinstance(known[0], int):
            return self.node("Expand", self.name(value), self.constant(known, np.int64))
        windows = self.node("Shape", self._batch, start=0, end=1)
        lengths_now = self.node("Concat", windows, self.constant(known[1:], np.int64), axis=0)
        return self.node("Expand", self.name(value), lengths_now)

    def held(self, name: str, order: Sequence[int]) -> str:
        """A tensor, whose axes of JAX are now in this order, in the order that its number of axes asks for."""
        wanted = layout(len(order))
        if tuple(order) == wanted:
            return name
        return self.node("Transpose", name, perm=[list(order).index(axis) for axis in wanted])

    def made(self, value: Value) -> NodeProto | None:
        """The node that made a tensor."""
        return self.nodes.get(value.name) if isinstance(value, Tensor) else None

    def needed(self, output: str) -> tuple[list[NodeProto], dict[str, np.ndarray]]:
        """The nodes and constants from which an output is computed, in order."""
        wanted = {output}
        for name, node in reversed(self.nodes.items()):
            if name in wanted:
                wanted.update(node.input)
        nodes = [node for name, node in self.nodes.items() if name in wanted]
        return nodes, {name: array for name, array in self.constants.items() if name in wanted}


def stored(constants: dict[str, np.ndarray], *, half: bool) -> tuple[list[TensorProto], list[NodeProto]]:
    """The constants as they are stored, and nodes that make float32 of those in 16 bits: with `half`, the kernels."""
    tensors, casts = [], []
    for name, array in constants.items():
        if half and array.dtype == np.float32 and array.ndim > 1:
            tensors.append(numpy_helper.from_array(array.astype(np.float16), f"{name}_16"))
            casts.append(helper.make_node("Cast", [f"{name}_16"], [name], name, to=TensorProto.FLOAT))
        else:
            tensors.append(numpy_helper.from_array(array, name))
    return tensors, casts
