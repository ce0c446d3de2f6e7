"""The state of an unfinished training, so that a killed run goes on after its last whole epoch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from timbre.tensor_file import save_tensors

KEY = "checkpoint"
Tensors = dict[str, torch.Tensor]


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
    text = json.dumps({"fingerprint": fingerprint, "progress": checkpoint.progress})
    save_tensors(path, tensors, {KEY: text})


def load_checkpoint(
    path: Path, fingerprint: str, network: nn.Module, optimizer: torch.optim.Optimizer
) -> Checkpoint | None:
    """Bring network and optimizer to the state in `path`.

    Returns None, and changes nothing, if there is none, it is damaged or belongs to other inputs.
    """
    try:
        with safe_open(path, framework="pt") as file:
            document = json.loads((file.metadata() or {})[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
        if document["fingerprint"] != fingerprint:
            return None
        progress = document["progress"]
    except (FileNotFoundError, SafetensorError, OSError, KeyError, ValueError):
        return None
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    slots: dict[int, Tensors] = {}
    for name, value in _below("optimizer", tensors).items():
        number, slot = name.split(".", 1)
        slots.setdefault(int(number), {})[slot] = _laid_out_as(parameters[int(number)], value)
    network.load_state_dict(_below("network", tensors))
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    return Checkpoint(progress, _below("best", tensors))


def _laid_out_as(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    # A fused step walks through memory: moments must lie there in the order of their weights.
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value


def _below(prefix: str, tensors: Tensors) -> Tensors:
    start = prefix + "."
    return {n.removeprefix(start): value for n, value in tensors.items() if n.startswith(start)}
