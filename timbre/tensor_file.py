"""Tensors and a JSON document in one safetensors file that finds its own damage.

The document holds, as `sha256`, a digest over itself and all tensors. safetensors alone would take
a flipped bit for a weight. Nothing in such a file is ever executed.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from timbre.atomic import replacing
from timbre.tensor_header import Document, TensorFileError, read_document

DIGEST = "sha256"
Tensors = dict[str, torch.Tensor]


def write_tensors(path: Path, key: str, document: Document, tensors: Mapping[str, Any]) -> None:
    """Write both under `path`, whole or not at all. The same content gives the same bytes.

    `key` names the document: one alone, as safetensors keeps several in no fixed order. Raises
    OSError.
    """
    laid_out = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    sealed = {**document, DIGEST: _digest(document, laid_out)}
    # safetensors itself writes to a file of such a name and renames it; killed, it leaves the file,
    # as large as the model.
    for left in path.parent.glob(".tmp??????"):
        left.unlink(missing_ok=True)
    with replacing(path) as temporary:
        safetensors.torch.save_file(laid_out, temporary, metadata={key: _text(sealed)})


def read_tensors(path: Path, key: str) -> tuple[Document, Tensors]:
    """Return document and tensors as they stand in the file; see `check_digest`.

    The tensors may be views of the file. Raises FileNotFoundError, TensorFileError.
    """
    document = read_document(path, key)
    try:
        with safe_open(path, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TensorFileError(" ".join(str(error).split())[:200]) from None
    return document, tensors


def check_digest(document: Document, tensors: Tensors) -> None:
    """Take the digest out of `document`. Raises TensorFileError if the content has another."""
    if document.pop(DIGEST, None) != _digest(document, tensors):
        raise TensorFileError("its content does not have the SHA-256 that was written with it")


def _digest(document: Document, tensors: Tensors) -> str:
    digest = hashlib.sha256(_text(document).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        # A line of JSON before each: no tensor's bytes can pass for another one's name or shape.
        digest.update(_text([name, str(tensor.dtype), list(tensor.shape)]).encode() + b"\n")
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _text(document: object) -> str:
    return json.dumps(document, sort_keys=True, ensure_ascii=False)
