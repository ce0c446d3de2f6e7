"""Tensors as a safetensors file that appears whole or not at all."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch

from timbre.atomic import replacing


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write named tensors, from any device, and text beside them. Raises OSError."""
    # safetensors itself writes to a file of such a name and renames it; killed, it leaves the file,
    # as large as the model.
    for left in path.parent.glob(".tmp??????"):
        left.unlink(missing_ok=True)
    contiguous = {name: value.cpu().contiguous() for name, value in tensors.items()}
    with replacing(path) as temporary:
        safetensors.torch.save_file(contiguous, temporary, metadata=metadata)
