"""The clips as extraction needs them."""

import csv
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from timbre.problems import InputError, unusable

COLUMNS = ("clip_id", "path", "sha256")
HEADER = ("clip_id", "n_samples", "sample_rate")


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


class Header(NamedTuple):
    """What a clip's file says of it."""

    seconds: float
    sample_rate: int  # Hz


def read_headers(clips: Path) -> dict[str, Header]:
    """Return what clips.csv has of each clip's header, by its id. Raises InputError."""
    try:
        return {
            clip_id: Header(int(n_samples) / int(sample_rate), int(sample_rate))
            for clip_id, n_samples, sample_rate in read_columns(clips, HEADER)
        }
    except (ValueError, ArithmeticError) as error:
        raise InputError(unusable(clips, error)) from None


def read_columns(table: Path, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Iterate over the cells of two columns or more of a table between stages, in its order.

    Without pandas, whose import alone takes longer than to extract a hundred clips. Raises
    InputError if it is missing or not such a table.
    """
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows)
            chosen = itemgetter(*(header.index(name) for name in names))
            yield from map(chosen, rows)
    except (OSError, ValueError, LookupError, StopIteration, csv.Error) as error:
        raise InputError(unusable(table, error)) from None
