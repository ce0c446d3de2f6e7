"""The trained model as one file that describes itself: weights and JSON, nothing that executes."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from timbre.layers import Network
from timbre.networks import build_network
from timbre.problems import InputError
from timbre.rejection import Landmarks, Rejection
from timbre.tensor_file import save_tensors

FORMAT = 3  # 3: temperature, rejection, and an output layer of its own
LANDMARK = "landmark."  # begins the name of a tensor that is not the network's
KEY = "timbre"  # one key: safetensors keeps several in no fixed order, and bytes would differ


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
    tensors = dict(network.state_dict())
    landmarks = vars(card.rejection.landmarks)
    tensors |= {LANDMARK + name: torch.from_numpy(array) for name, array in landmarks.items()}
    own = {"score": card.rejection.score, "threshold": card.rejection.threshold}
    document = {"format": FORMAT, **vars(card), "rejection": own}
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    save_tensors(path, tensors, {KEY: text})


def load_model(path: Path) -> tuple[Network, ModelCard]:
    """Read a model file; the network is in evaluation mode, on the CPU.

    Raises InputError for a file that is no Timbre model, is damaged, or is of another format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            document = json.loads((file.metadata() or {})[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
        found = document.pop("format")
        if found != FORMAT:
            raise InputError(f"{path}: model format {found}, this version reads {FORMAT}: retrain")
        own = document.pop("rejection")
        marks = {mark.name: tensors.pop(LANDMARK + mark.name).numpy() for mark in fields(Landmarks)}
        rejection = Rejection(own["score"], float(own["threshold"]), Landmarks(**marks))
        card = ModelCard(**document, rejection=rejection)
        network = build_network(card.network, **card.sizes)
        network.load_state_dict(tensors)
    except FileNotFoundError:
        raise InputError(f"{path}: no such model: run `dvc repro train_cnn`") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a usable Timbre model ({reason}): retrain") from None
    return network.eval(), card
