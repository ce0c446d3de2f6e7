"""Where the windows of a waveform begin, as an ONNX graph."""

import numpy as np
import onnx

from timbre.features import Features
from timbre.onnx_text import Constants, graph_of_text

# Samples, as in timbre.windows.window_starts; behind the clip lies silence.
GRAPH = """
windows (float[n_samples] waveform) => (float[n_padded] padded, int64[n_windows] starts)
{
    n_samples = Size (waveform)
    beyond = Sub (n_samples, window)
    positive = Max (beyond, zero)
    last = Min (positive, last_allowed)
    rounded_up = Add (last, hop_less_one)
    n_hops = Div (rounded_up, hop)
    n_windows = Add (n_hops, one)
    numbers = Range (zero, n_windows, one)
    wanted = Mul (numbers, hop)
    starts = Min (wanted, last)
    padded = Pad (waveform, behind)
}
"""


def windows_graph(features: Features) -> onnx.GraphProto:
    """Return the graph from `waveform (n_samples,)` to `starts (n_windows,)`.

    Each window begins at a start in `padded`, which is the waveform and a window of silence.
    """
    rate = features.front_end.sample_rate
    window, hop = features.samples(rate), round(features.hop_seconds * rate)
    constants: Constants = {
        "zero": np.int64(0),
        "one": np.int64(1),
        "window": np.int64(window),
        "hop": np.int64(hop),
        "hop_less_one": np.int64(hop - 1),
        "last_allowed": np.int64(np.iinfo(np.int64).max if features.keep_all else 0),
        "behind": np.array([0, window]),
    }
    return graph_of_text(GRAPH, constants)
