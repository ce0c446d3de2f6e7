"""ONNX graphs that are written as text, with their numbers beside it."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper, parser

Constants = Mapping[str, npt.ArrayLike]


def graph_of_text(text: str, constants: Constants) -> onnx.GraphProto:
    """Return the graph of `text`, whose free names are `constants`."""
    graph = parser.parse_graph(text)
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, order="C"), name)
        for name, value in constants.items()
    )
    return graph
