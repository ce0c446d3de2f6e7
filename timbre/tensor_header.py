"""The JSON document in a safetensors file, read without torch and without its tensors."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

# Of the header, in bytes; ours take some thousand. Parsed, JSON takes up to fifty times its length.
MOST_HEADER = 8 << 20
Document = dict[str, Any]


class TensorFileError(Exception):
    """Why a file is none of these; its catcher names the file."""


def read_document(path: Path, key: str) -> Document:
    """Return the document as it stands in the file; whether the file is sound is not looked at.

    Raises FileNotFoundError, TensorFileError.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if length > MOST_HEADER:
            raise TensorFileError(f"a header of {length} bytes")
        with safe_open(path, framework="np") as opened:
            document = json.loads((opened.metadata() or {})[key])
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TensorFileError(" ".join(str(error).split())[:200]) from None
    if not isinstance(document, dict):
        raise TensorFileError(f"its {key} is no JSON object")
    return document
