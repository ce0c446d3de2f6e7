"""A network as an ONNX graph, through PyTorch's own exporter."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import torch
from onnx import compose
from torch import nn

from timbre.layers import Network

OPSET = 18  # the lowest that has what the front end needs: the older, the more runtimes know it


class _Told(nn.Module):
    """A network that returns of one window the embedding beside the logits."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, log_mel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        embedding = self.network.embed(log_mel)
        return self.network.output(embedding)[0], embedding[0]


def network_graph(network: Network, shape: tuple[int, int]) -> onnx.GraphProto:
    """Return the graph from `log_mel (1, 1, *shape)` to `window_logits`, `window_embedding`.

    Other names begin with "network.". What the exporter notes of the source, paths of this machine
    among it, is left out.
    """
    with _quiet():
        program = torch.onnx.export(
            _Told(network).eval(),
            (torch.zeros(1, 1, *shape),),
            input_names=["log_mel"],
            output_names=["window_logits", "window_embedding"],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto.graph
    for node in graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    graph.ClearField("metadata_props")
    graph.ClearField("value_info")
    return compose.add_prefix_graph(graph, "network.", rename_inputs=False, rename_outputs=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on its own parts, and on packages that nothing here needs."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            log.setLevel(before)
