"""Weights in 8 bits are the weights, to half a step of their channel."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx_models import Array, noise, value_in

from timbre.onnx_weights import LEAST_VALUES, Packed, in_eight_bits


def graph(op_type: str, weights: Array, shape: list[int], **attributes: int) -> onnx.GraphProto:
    """Return a graph of one operator with `weights` named w."""
    return helper.make_graph(
        [helper.make_node(op_type, ["x", "w"], ["y"], None, None, None, None, **attributes)],
        "one",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights, "w")],
    )


def unpacked(packed: Packed) -> onnx.GraphProto:
    """Return the graph with its weights made anew inside."""
    whole = onnx.GraphProto()
    whole.CopyFrom(packed.graph)
    del whole.node[:]
    whole.node.extend([*packed.unpacking, *packed.graph.node])
    whole.initializer.extend(packed.bytes_and_scales)
    return whole


KINDS: dict[str, tuple[str, tuple[int, ...], list[int], dict[str, int], int]] = {
    "conv": ("Conv", (16, 8, 3, 3), [1, 8, 5, 5], {}, 0),
    "linear": ("Gemm", (32, 48), [2, 48], {"transB": 1}, 0),
    "gemm": ("Gemm", (48, 32), [2, 48], {}, 1),
    "product": ("MatMul", (48, 32), [2, 48], {}, 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_output_channel_is_rounded_to_half_a_step_of_its_own(kind: str) -> None:
    op_type, size, shape, attributes, axis = KINDS[kind]
    channels = np.moveaxis(noise(int(np.prod(size))).reshape(size), axis, 0).copy()
    loudness = np.geomspace(1e-4, 10, len(channels), dtype=np.float32)
    channels *= loudness.reshape(-1, *[1] * (channels.ndim - 1))
    channels[0] = 0
    weights = np.ascontiguousarray(np.moveaxis(channels, 0, axis))
    small = unpacked(in_eight_bits(graph(op_type, weights, shape, **attributes)))
    x = noise(int(np.prod(shape))).reshape(shape)
    found = np.moveaxis(value_in(small, "w", x=x), axis, 0)
    steps = np.abs(channels).reshape(len(channels), -1).max(axis=1) / 127
    wrong = np.abs(found - channels).reshape(len(channels), -1).max(axis=1)
    assert (wrong <= steps * 0.5001).all()
    assert (found[0] == 0).all()
    assert np.isfinite(value_in(small, "y", x=x)).all()


def test_a_small_matrix_stays_as_it_is() -> None:
    whole = graph("MatMul", noise(64).reshape(4, 16), [2, 4])
    assert in_eight_bits(whole) == Packed(whole, [], [])


def test_what_is_packed_is_a_quarter_and_the_original_is_not_touched() -> None:
    whole = graph("MatMul", noise(64 * LEAST_VALUES).reshape(-1, 64), [2, LEAST_VALUES])
    before = whole.SerializeToString()
    small = unpacked(in_eight_bits(whole)).SerializeToString()
    assert len(small) < len(before) / 3.9
    assert whole.SerializeToString() == before
