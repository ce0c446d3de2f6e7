"""The trained model as one file that describes itself: weights and JSON, nothing that executes."""

import math
import warnings
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from timbre.layers import Network
from timbre.networks import build_network
from timbre.problems import InputError
from timbre.rejection import Landmarks, Rejection
from timbre.tensor_file import Tensors, check_digest, read_tensors, write_tensors
from timbre.tensor_header import Document, TensorFileError

FORMAT = 4  # 4: a digest over all of it; 3: temperature, rejection, an output layer of its own
LANDMARK = "landmark."  # begins the name of a tensor that is not the network's
KEY = "timbre"
OUTPUT = "output.weight"  # (n_classes, n_features) in every network


@dataclass(frozen=True)
class ModelCard:
    """What a model file says about its weights."""

    classes: list[str]  # labels in the order of the logits
    network: str
    sizes: dict[str, Any]  # the network's constructor values
    features: dict[str, str | int | float]  # all that made the spectrograms it was trained on
    trained: dict[str, Any]  # the training settings, the best epoch and its scores
    fingerprint: str  # SHA-256 over all inputs of the training, independent of git
    temperature: float  # divides the logits, so that probabilities are true; from validation clips
    rejection: Rejection  # tells clips of other classes apart


def save_model(path: Path, network: Network, card: ModelCard) -> None:
    """Write weights, normalisation, landmarks and card; the same content gives the same bytes."""
    landmarks = vars(card.rejection.landmarks)
    marks = {LANDMARK + name: torch.from_numpy(array) for name, array in landmarks.items()}
    own = {"score": card.rejection.score, "threshold": card.rejection.threshold}
    document = {"format": FORMAT, **vars(card), "rejection": own}
    write_tensors(path, KEY, document, {**network.state_dict(), **marks})


def load_model(path: Path) -> tuple[Network, ModelCard]:
    """Read a model file; the network is in evaluation mode, on the CPU.

    Raises InputError for a file that is no Timbre model, is damaged, or is of another format.
    """
    try:
        document, tensors = read_tensors(path, KEY)
        found = document.get("format")
        if found != FORMAT:
            raise InputError(f"{path}: model format {found}, this version reads {FORMAT}: retrain")
        check_digest(document, tensors)
        card = _card(document, tensors)
        network = _network(card, tensors)
    except FileNotFoundError:
        raise InputError(f"{path}: no such model: run `dvc repro train_cnn`") from None
    except (
        *(TensorFileError, KeyError, TypeError, ValueError, AttributeError),
        *(ArithmeticError, RuntimeError),  # torch, for sizes that no network has
    ) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a usable Timbre model ({reason}): retrain") from None
    return network.eval(), card


def _card(document: Document, tensors: Tensors) -> ModelCard:
    """Take the landmarks out of `tensors`. Raises for a document that does not fit the tensors."""
    del document["format"]
    own = document.pop("rejection")
    marks = {
        mark.name: tensors.pop(LANDMARK + mark.name).clone().numpy() for mark in fields(Landmarks)
    }
    rejection = Rejection(str(own["score"]), float(own["threshold"]), Landmarks(**marks))
    card = ModelCard(**document, rejection=rejection)
    n_classes, n_features = tensors[OUTPUT].shape
    whole, square = (n_classes, n_features), (n_features, n_features)
    wanted = {"means": whole, "within": square, "centre": (n_features,), "overall": square}
    if {name: mark.shape for name, mark in marks.items()} != wanted:
        raise ValueError("its landmarks are not of its network's embeddings")
    names = card.classes if isinstance(card.classes, list) else [card.classes]
    if not all(isinstance(name, str) for name in names) or len({*names}) != len(card.classes):
        raise ValueError("its classes are no list of different names")
    if len(card.classes) != n_classes:
        raise ValueError(f"its network tells {n_classes} classes apart, not {len(card.classes)}")
    if not all(isinstance(part, dict) for part in (card.features, card.trained, card.sizes)):
        raise ValueError("its features, sizes or training are not there")
    if not math.isfinite(card.temperature) or card.temperature <= 0:
        raise ValueError(f"its temperature is {card.temperature}")
    return card


def _network(card: ModelCard, tensors: Tensors) -> Network:
    """Build the network, in memory only once it is known to be as large as its weights in the file.

    Raises ValueError, or whatever torch says of sizes that no network has.
    """
    n_layers = sum(len(size) for size in card.sizes.values() if isinstance(size, list))
    if n_layers > len(tensors):
        raise ValueError(f"{n_layers} layers, but only {len(tensors)} tensors")
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers without weights; refused below
        network = build_network(card.network, **card.sizes)
    wanted = {name: (value.shape, value.dtype) for name, value in network.state_dict().items()}
    found = {name: (value.shape, value.dtype) for name, value in tensors.items()}
    if other := sorted(n for n in {*wanted, *found} if wanted.get(n) != found.get(n)):
        raise ValueError(f"its weights are not those of its sizes: {', '.join(other)}")
    network.to_empty(device="cpu").load_state_dict(tensors)
    return network
