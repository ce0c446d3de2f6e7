"""A trained model as one ONNX file, from waveform to answer, that needs neither torch nor Timbre.

    from timbre.export import export_model

    print(export_model(Path("models/timbre.safetensors"), Path("timbre.onnx")))

Imports onnx only when it is called: a program that never exports need not have it.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from timbre.atomic import replacing
from timbre.layers import Network
from timbre.model_file import load_model
from timbre.predict import Classifier
from timbre.problems import InputError

if TYPE_CHECKING:
    from onnx import ModelProto

    from timbre.onnx_check import Differences

NEEDED = ("onnx", "onnxscript")
MOST_DIFFERENT = 1e-4  # a probability in onnxruntime, from the same in torch
MOST_DIFFERENT_SCORE = 1e-3  # and a score, as a share of it
SUFFIX = ".onnx"
LARGEST_FILE = 2_000_000_000  # bytes: protobuf has no larger messages


@dataclass(frozen=True)
class Exported:
    """What was written, and what a check of it found."""

    path: Path
    n_classes: int
    n_bytes: int
    checked: "Differences | None"  # None: onnxruntime is not installed
    rounded: "Differences | None"  # what weights in 8 bits change

    def __str__(self) -> str:
        """Return it as a line."""
        line = f"{self.path}: {self.n_classes} classes, {self.n_bytes / 1e6:.1f} MB; "
        if self.checked is None:
            return line + "not checked, since onnxruntime is not installed"
        found = self.checked
        line += f"checked in onnxruntime on {found.n_lengths} lengths: "
        line += f"largest difference {found.prob:.0e}"
        if self.rounded is None:
            return line
        return line + f"; weights in 8 bits move a probability by up to {self.rounded.prob:.1g}"


def export_model(model: Path, output: Path, *, quantise: bool = False) -> Exported:
    """Write the model file `model` as ONNX to `output`; with `quantise`, its weights in 8 bits.

    Where onnxruntime is installed, what was written must agree with torch. Raises InputError for a
    model that cannot be exported, a place that cannot be written to, or an answer that differs:
    nothing is written then.
    """
    _check_packages()
    if output.suffix != SUFFIX:
        raise InputError(f"{output}: an exported model's name ends with {SUFFIX}")
    classifier = Classifier.load(model)
    try:
        whole, small = _models(model, classifier, quantise)
    except InputError as error:
        raise InputError(f"{model}: {problem}" for problem in error.problems) from None
    try:
        with replacing(output) as temporary:
            checked = _checked(_write(whole, temporary), output, classifier)
            rounded = (
                _differences(_write(small, temporary), classifier) if small is not None else None
            )
            n_bytes = temporary.stat().st_size
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})") from None
    return Exported(output, len(classifier.classes), n_bytes, checked, rounded)


def _models(
    model: Path, classifier: Classifier, quantise: bool
) -> "tuple[ModelProto, ModelProto | None]":
    """Return the ONNX model of a model file, and the one in 8 bits if it is asked for."""
    from timbre.onnx_model import build_model
    from timbre.onnx_network import network_graph
    from timbre.onnx_weights import in_eight_bits

    network, card = load_model(model)
    _check_size(network)
    graph = network_graph(network, classifier.features.shape())
    whole = build_model(card, classifier.features, graph)
    if not quantise:
        return whole, None
    return whole, build_model(card, classifier.features, in_eight_bits(graph))


def _write(model: "ModelProto", path: Path) -> Path:
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def _checked(written: Path, output: Path, classifier: Classifier) -> "Differences | None":
    found = _differences(written, classifier)
    if found is None or (found.prob <= MOST_DIFFERENT and found.score <= MOST_DIFFERENT_SCORE):
        return found
    raise InputError(
        f"{output}: not written, since onnxruntime does not say what torch says: probabilities "
        f"differ by up to {found.prob:.1g} ({MOST_DIFFERENT:g} is allowed), scores by "
        f"{found.score:.1g} ({MOST_DIFFERENT_SCORE:g}): try other versions of onnxruntime and torch"
    )


def _differences(written: Path, classifier: Classifier) -> "Differences | None":
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    from timbre.onnx_check import measure_differences

    return measure_differences(written, classifier)


def _check_size(network: Network) -> None:
    n_bytes = sum(value.nbytes for value in network.state_dict().values())
    if n_bytes > LARGEST_FILE:
        raise InputError(f"its weights take {n_bytes / 1e9:.1f} GB, and an ONNX file holds 2 GB")


def _check_packages() -> None:
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"an export needs {' and '.join(missing)}, which this environment lacks: "
            'run `pip install "timbre[export]"`, or in a clone `pip install -e ".[export]"`'
        )
