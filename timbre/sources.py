"""The clips as extraction needs them."""

import csv
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from timbre.problems import InputError, unusable

COLUMNS = ("clip_id", "path", "sha256")


class Source(NamedTuple):
    """A clip to extract."""

    clip_id: str
    file: str  # below the corpus' folder
    sha256: str  # that the file had when it was listed


def read_sources(clips: Path) -> list[Source]:
    """Read id, file and SHA-256 of each clip in clips.csv, in its order.

    Raises InputError if it is missing or not such a table.
    """
    return [Source(*row) for row in read_columns(clips, COLUMNS)]


def read_columns(table: Path, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Read the cells of these columns of a table between stages, in its order.

    Without pandas, whose import alone takes longer than to extract a hundred clips. Raises
    InputError if it is missing or not such a table.
    """
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows)
            chosen = itemgetter(*(header.index(name) for name in names))
            return [chosen(row) for row in rows]
    except (OSError, ValueError, LookupError, StopIteration, csv.Error) as error:
        raise InputError(unusable(table, error)) from None
