"""A whole model in ONNX, put together: windows, front end, network, verdict, and what they mean."""

import json

import onnx
from onnx import GraphProto, ModelProto, helper

from timbre.features import Features
from timbre.model_file import ModelCard
from timbre.onnx_front_end import front_end_graph
from timbre.onnx_network import OPSET
from timbre.onnx_verdict import verdict_graph
from timbre.onnx_weights import Packed
from timbre.onnx_windows import windows_graph
from timbre.rejection import UNKNOWN

IR_VERSION = 8  # of the file format; that of the opset


def build_model(card: ModelCard, features: Features, network: GraphProto | Packed) -> ModelProto:
    """Return the model from `waveform` to `probs`, `score` and `known`, checked by onnx.

    It hears one window after the other: an hour takes no more memory than a minute, beside the
    waveform. Raises InputError for features or a rejection that cannot be exported.
    """
    packed = network if isinstance(network, Packed) else Packed(network, [], [])
    windows, tells = windows_graph(features), verdict_graph(card)
    asking = helper.make_node(
        "Scan",
        ["starts"],
        ["logits", "embedding"],
        num_scan_inputs=1,
        body=_of_one_window(front_end_graph(features), packed.graph),
    )
    graph = helper.make_graph(
        [*packed.unpacking, *windows.node, asking, *tells.node],
        "timbre",
        windows.input,
        tells.output,
        [*packed.bytes_and_scales, *windows.initializer, *tells.initializer],
    )
    model = model_of_graph(graph)
    model.producer_name = "timbre"
    model.doc_string = describe(card)
    helper.set_model_props(model, metadata(card))
    onnx.checker.check_model(model, full_check=True)
    return model


def model_of_graph(graph: GraphProto) -> ModelProto:
    """Return a model of the graph alone."""
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)


def _of_one_window(hears: GraphProto, knows: GraphProto) -> GraphProto:
    """Return the graph from a window's start to what the network says; it sees `padded`."""
    start = helper.make_tensor_value_info("start", onnx.TensorProto.INT64, [])
    cut = onnx.parser.parse_graph("""
        cut (int64 start) => (float[window] heard)
        <int64[1] axis_0 = {0}>
        {
            end = Add (start, window)
            from_sample = Unsqueeze (start, axis_0)
            to_sample = Unsqueeze (end, axis_0)
            heard = Slice (padded, from_sample, to_sample)
        }
    """)
    return helper.make_graph(
        [*cut.node, *hears.node, *knows.node],
        "window",
        [start],
        knows.output,
        [*cut.initializer, *hears.initializer, *knows.initializer],
    )


def metadata(card: ModelCard) -> dict[str, str]:
    """Return what a program must know of a model; what is no plain text is JSON."""
    return {
        "description": describe(card),
        "classes": json.dumps(card.classes, ensure_ascii=False),
        "sample_rate": json.dumps(card.features["sample_rate"]),
        "windows": str(card.features["windows"]),
        "window_seconds": json.dumps(card.features["window_seconds"]),
        "temperature": json.dumps(card.temperature),
        "threshold": json.dumps(card.rejection.threshold),
        "score": card.rejection.score,
        "unknown": UNKNOWN,
        "features": json.dumps(card.features),
        "network": card.network,
        "fingerprint": card.fingerprint,
    }


def describe(card: ModelCard) -> str:
    """Return what goes in and what comes out."""
    return (
        f"Tells {len(card.classes)} classes of audio clips apart. waveform: mono, float32, full "
        f"scale 1, {card.features['sample_rate']} Hz, any length. probs: calibrated, in the order "
        "of classes. known: whether score reaches the threshold; if not, the clip looks like none "
        "of the classes."
    )
