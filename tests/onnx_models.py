"""Graphs and files of ONNX, run by onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from timbre.onnx_model import model_of_graph

Array = npt.NDArray[Any]


def run(model: Path | onnx.ModelProto, **inputs: Array) -> dict[str, Array]:
    """Return all outputs of a model by name."""
    source = model if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def run_graph(graph: onnx.GraphProto, **inputs: Array) -> dict[str, Array]:
    """Return all outputs of a graph by name."""
    model = model_of_graph(graph)
    onnx.checker.check_model(model, full_check=True)
    return run(model, **inputs)


def value_in(graph: onnx.GraphProto, name: str, **inputs: Array) -> Array:
    """Return a value that is no output of the graph."""
    seen = onnx.GraphProto()
    seen.CopyFrom(graph)
    del seen.output[:]
    seen.output.add().name = name
    inferred = onnx.shape_inference.infer_shapes(model_of_graph(seen))
    return run(inferred, **inputs)[name]


def noise(n_samples: int, seed: int = 0, level: float = 0.1) -> npt.NDArray[np.float32]:
    """Return seeded noise with a tone in it."""
    tone = np.sin(np.arange(n_samples) * (0.1 + 0.2 * seed))
    samples = np.random.default_rng(seed).normal(0, level, n_samples) + level * tone
    return np.asarray(samples, np.float32)
