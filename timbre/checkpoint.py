"""The state of an unfinished training, so that a killed run goes on after its last whole epoch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from timbre.tensor_file import Tensors, check_digest, read_tensors, write_tensors
from timbre.tensor_header import TensorFileError

KEY = "checkpoint"


@dataclass
class Checkpoint:
    """What one epoch hands to the next; `progress` is plain JSON."""

    progress: list[dict[str, Any]]
    best_weights: Tensors


def save_checkpoint(
    path: Path,
    fingerprint: str,
    checkpoint: Checkpoint,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write the state of a run; a kill while writing leaves the state before."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in checkpoint.best_weights.items()}
    for number, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in slots.items()}
    document = {"fingerprint": fingerprint, "progress": checkpoint.progress}
    write_tensors(path, KEY, document, tensors)


def load_checkpoint(
    path: Path, fingerprint: str, network: nn.Module, optimizer: torch.optim.Optimizer
) -> Checkpoint | None:
    """Bring network and optimizer to the state in `path`.

    Returns None, and changes nothing, if there is none, it is damaged or belongs to other inputs.
    """
    try:
        document, tensors = read_tensors(path, KEY)
        check_digest(document, tensors)
    except (FileNotFoundError, TensorFileError):
        return None
    if document.get("fingerprint") != fingerprint:
        return None
    weights, best = _below("network", tensors), _below("best", tensors)
    if not _shapes(weights) == _shapes(best) == _shapes(network.state_dict()):
        return None
    try:
        slots = _slots(_below("optimizer", tensors), optimizer)
    except (ValueError, LookupError):
        return None
    network.load_state_dict(weights)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    return Checkpoint(document["progress"], best)


def _slots(tensors: Tensors, optimizer: torch.optim.Optimizer) -> dict[int, Tensors]:
    """Return what the optimizer keeps of each parameter, by the parameter's number."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    slots: dict[int, Tensors] = {}
    for name, value in tensors.items():
        number, slot = name.split(".", 1)
        slots.setdefault(int(number), {})[slot] = _laid_out_as(parameters[int(number)], value)
    return slots


def _shapes(tensors: Tensors) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}


def _laid_out_as(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    # A fused step walks through memory: moments must lie there in the order of their weights.
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value


def _below(prefix: str, tensors: Tensors) -> Tensors:
    start = prefix + "."
    return {n.removeprefix(start): value for n, value in tensors.items() if n.startswith(start)}
