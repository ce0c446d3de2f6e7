"""The clips as extraction needs them."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from timbre.problems import InputError

COLUMNS = ("clip_id", "path", "sha256")
LENGTH = ("clip_id", "n_samples", "sample_rate")


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
    return [Source(*row) for row in _read(clips, COLUMNS)]


def read_seconds(clips: Path) -> dict[str, float]:
    """Return how long each clip in clips.csv is by its header, by its id. Raises InputError."""
    return {
        clip_id: int(n_samples) / int(sample_rate)
        for clip_id, n_samples, sample_rate in _read(clips, LENGTH)
    }


def _read(clips: Path, columns: tuple[str, str, str]) -> Iterator[tuple[str, str, str]]:
    try:
        with clips.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows)
            first, second, third = (header.index(name) for name in columns)
            for row in rows:
                yield row[first], row[second], row[third]
    except (OSError, ValueError, LookupError, StopIteration, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error) or "it is empty"
        raise InputError(
            f"{clips}: cannot be used ({reason}): run `dvc repro`, which makes it anew"
        ) from None
