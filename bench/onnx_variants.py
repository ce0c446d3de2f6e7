"""One trained model in several forms, and two ways to a spectrum."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnxruntime import quantization

from timbre.audio import Waveform
from timbre.features import Features
from timbre.model_file import load_model
from timbre.onnx_front_end import front_end_graph
from timbre.onnx_model import build_model, model_of_graph
from timbre.onnx_network import network_graph
from timbre.onnx_text import Constants, graph_of_text
from timbre.onnx_weights import in_eight_bits
from timbre.predict import Classifier

Half = npt.NDArray[np.float16]

STFT = """
stft (float[window] heard) => (float[1, n_frames, n_bins, 2] spectrum)
{
    centred = Pad (heard, around)
    signal = Reshape (centred, shape_signal)
    spectrum = STFT <onesided = 1> (signal, hop_length, taper)
}
"""


def write_forms(model: Path, folder: Path, calibration: Sequence[Waveform]) -> dict[str, Path]:
    """Write the exported forms of a model; return their files by name."""
    features = Classifier.load(model).features
    network, card = load_model(model)
    graph = network_graph(network, features.shape())
    log_mels = [next(features.log_mels(clip))[:1] for clip in calibration]
    forms: dict[str, Any] = {
        "onnxruntime": graph,
        "the same with `--quantise`": in_eight_bits(graph),
        "activations in 8 bits too": in_integers(graph, folder, log_mels),
    }
    return {
        name: write(build_model(card, features, form), folder / f"form-{number}.onnx")
        for number, (name, form) in enumerate(forms.items())
    }


def write(model: onnx.ModelProto, path: Path) -> Path:
    """Write a model; return its path."""
    path.write_bytes(model.SerializeToString())
    return path


def one_thread(path: Path) -> onnxruntime.InferenceSession:
    """Open a model that computes on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Calibration(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Log-mels, one after the other."""

    def __init__(self, log_mels: Sequence[Half]) -> None:
        """Take `(1, 1, n_mels, n_frames)` each."""
        self._left: Iterator[Half] = iter(log_mels)

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        """Return the next input of the network, None after the last."""
        log_mel = next(self._left, None)
        return None if log_mel is None else {"log_mel": log_mel.astype(np.float32)}


def in_integers(
    network: onnx.GraphProto, folder: Path, log_mels: Sequence[Half]
) -> onnx.GraphProto:
    """Return the network with weights and activations in 8 bits, by onnxruntime's own tool.

    The ranges of the activations are those that `log_mels` give.
    """
    whole, ready, small = (folder / f"{name}.onnx" for name in ("whole", "ready", "small"))
    write(model_of_graph(network), whole)
    quantization.quant_pre_process(whole, ready)
    quantization.quantize_static(
        ready, small, Calibration(log_mels), op_types_to_quantize=["Conv", "Gemm"], per_channel=True
    )
    return onnx.load(small).graph


def write_spectra(features: Features, folder: Path) -> dict[str, Path]:
    """Write models of `heard (window,)`: ONNX's operator, and what is exported in its stead."""
    n_fft, hop_length = features.front_end.n_fft, features.front_end.hop_length
    left = n_fft // 2
    constants: Constants = {
        "around": np.array([left, n_fft - left]),
        "shape_signal": np.array([1, -1, 1]),
        "hop_length": np.int64(hop_length),
        "taper": np.hanning(n_fft + 1)[:-1].astype(np.float32),
    }
    products = front_end_graph(features)
    del products.output[:]
    products.output.add().name = "power"
    graphs = {
        "ONNX's operator STFT": graph_of_text(STFT, constants),
        "two products, as exported": products,
    }
    return {
        name: write(
            onnx.shape_inference.infer_shapes(model_of_graph(graph)),
            folder / f"spectrum-{n_fft}-{number}.onnx",
        )
        for number, (name, graph) in enumerate(graphs.items())
    }
