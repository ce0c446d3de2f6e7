"""The clips as extraction needs them."""

import csv
from pathlib import Path
from typing import NamedTuple

from timbre.problems import InputError

COLUMNS = ("clip_id", "path", "sha256")


class Source(NamedTuple):
    """A clip to extract."""

    clip_id: str
    file: str  # below the corpus' folder
    sha256: str  # that the file had when it was listed


def read_sources(clips: Path) -> list[Source]:
    """Read id, file and SHA-256 of each clip in clips.csv, in its order.

    Without pandas, whose import alone takes longer than to extract a hundred clips. Raises
    InputError if it is missing or not such a table.
    """
    try:
        with clips.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows)
            clip_id, path, sha256 = (header.index(name) for name in COLUMNS)
            return [Source(row[clip_id], row[path], row[sha256]) for row in rows]
    except (OSError, ValueError, LookupError, StopIteration, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error) or "it is empty"
        raise InputError(
            f"{clips}: cannot be used ({reason}): run `dvc repro`, which makes it anew"
        ) from None
