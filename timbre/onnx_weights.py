"""Weights in 8 bits: a third of the file, and the same arithmetic.

Only weights are rounded. Activations in 8 bits need clips to find their ranges with, and gain
nothing here (docs/export.md).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

# Where the output channels of an operator's second input lie.
CHANNEL_AXES = {"Conv": 0, "Gemm": 0, "MatMul": 1}
LEAST_VALUES = 1024  # of a smaller matrix nothing is gained
LARGEST = 127  # of a signed byte; -128 is not used, so that both signs are alike


@dataclass(frozen=True)
class Packed:
    """A graph without its large weights, and what makes them anew."""

    graph: onnx.GraphProto
    bytes_and_scales: list[onnx.TensorProto]
    unpacking: list[onnx.NodeProto]


def in_eight_bits(graph: onnx.GraphProto) -> Packed:
    """Take the weights out of a copy of the graph; each output channel has its own scale."""
    rest = onnx.GraphProto()
    rest.CopyFrom(graph)
    weights = {own.name: own for own in rest.initializer}
    packed = Packed(rest, [], [])
    for node in rest.node:
        own = weights.get(node.input[1]) if node.op_type in CHANNEL_AXES else None
        if own is None or np.prod(own.dims) < LEAST_VALUES:
            continue
        axis = _channel_axis(node)
        rounded, scales = _rounded(numpy_helper.to_array(own), axis)
        parts = [f"{own.name}.int8", f"{own.name}.scale"]
        packed.bytes_and_scales.append(numpy_helper.from_array(rounded, parts[0]))
        packed.bytes_and_scales.append(numpy_helper.from_array(scales, parts[1]))
        packed.unpacking.append(helper.make_node("DequantizeLinear", parts, [own.name], axis=axis))
        rest.initializer.remove(weights.pop(own.name))  # what two operators share is packed once
    return packed


def _channel_axis(node: onnx.NodeProto) -> int:
    as_stored = {own.name: own.i for own in node.attribute}.get("transB", 0) == 0
    return 1 if node.op_type == "Gemm" and as_stored else CHANNEL_AXES[node.op_type]


def _rounded(
    weights: npt.NDArray[np.float32], axis: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    others = tuple(n for n in range(weights.ndim) if n != axis)
    largest = np.abs(weights).max(axis=others, keepdims=True)
    scales = np.where(largest > 0, largest / LARGEST, 1).astype(np.float32)
    return np.rint(weights / scales).astype(np.int8), scales.ravel()
