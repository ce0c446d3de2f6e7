"""copies.csv, the pairs of clips that hold the same recording, and what follows for groups."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from timbre.atomic import replacing
from timbre.coded import Clips, Coded, Columns, coded
from timbre.columns import COPY, SPLITS
from timbre.problems import InputError

if TYPE_CHECKING:
    import pandas as pd  # a third of a second for the stages that need no more of it than a type

JOINED_FROM = 0.5  # share of a group's clips; below, one sound is common to two recordings

Pairs = dict[str, list[str]]  # the columns one and other

COPY_COLUMNS = {
    "one": "str",  # clip_id, before `other` in order
    "other": "str",  # clip_id
    "offset": "float64",  # s; what is heard at t in one is heard at t + offset in other
    "overlap": "float64",  # s in which both are heard
    "error_rate": "float64",  # share of their fingerprints' bits that differ; about 0.5 by chance
}


def write_copies(copies: "pd.DataFrame", path: Path) -> None:
    """Write the columns of COPY_COLUMNS."""
    with replacing(path) as temporary:
        copies[list(COPY_COLUMNS)].to_csv(temporary, index=False, lineterminator="\n")


def read_copies(path: Path) -> Pairs:
    """Read the clips of each pair in copies.csv. Raises InputError if it is no such table."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, strict=True)
            if header != list(COPY_COLUMNS) or any(len(row) != len(header) for row in rows):
                raise ValueError("its columns are others")
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}): run dvc repro find_copies") from None
    return {"one": [row[0] for row in rows], "other": [row[1] for row in rows]}


def merged_groups(clips: Clips, copies: Columns) -> Coded:
    """Return the group of each row of `clips`; groups that are copies of one another are one.

    They are if at least half of the clips of one of them have a copy in the other. A merged group
    has the name that comes first. Pairs with a clip that is not there are ignored.
    """
    groups = coded(clips["group"])
    codes, names = groups.codes, groups.names
    sizes = np.bincount(codes)
    parent = np.arange(len(names))
    for (own, other), rows in _copied_rows(codes, _rows_of(clips["clip_id"], copies)).items():
        if len(rows) >= JOINED_FROM * sizes[own]:
            low, high = sorted((_root(parent, own), _root(parent, other)))
            parent[high] = low
    while not np.array_equal(parent, parent[parent]):
        parent = parent[parent]
    return Coded(parent[codes].astype(np.int32), names)


def _copied_rows(
    codes: npt.NDArray[np.int32], pairs: list[tuple[int, int]]
) -> dict[tuple[int, int], set[int]]:
    """For each two groups, which rows of the first have a copy in the second."""
    found: dict[tuple[int, int], set[int]] = {}
    for one, other in pairs:
        for row, copy in ((one, other), (other, one)):
            if codes[row] != codes[copy]:
                found.setdefault((int(codes[row]), int(codes[copy])), set()).add(row)
    return found


def leave_copies_out(
    clips: Clips, splits: npt.NDArray[np.str_], copies: Columns
) -> npt.NDArray[np.str_]:
    """Move to "copy" the train clips with a copy in val or test, and val clips with one in test.

    `splits` is `(n_clips,)`: train, val or test. The test split stays whole, so that a score is
    over the same clips whatever is found.
    """
    left = splits.copy()
    for pair in _rows_of(clips["clip_id"], copies):
        rank = {row: SPLITS.index(splits[row]) for row in pair}
        if len(set(rank.values())) == 2:
            left[min(pair, key=rank.__getitem__)] = COPY
    return left


def n_torn(clips: Clips, splits: npt.NDArray[np.str_], copies: Columns) -> int:
    """Count the pairs that stand in different splits; `splits` is `(n_clips,)`."""
    return sum(splits[one] != splits[other] for one, other in _rows_of(clips["clip_id"], copies))


def _rows_of(clip_ids: Iterable[str], copies: Columns) -> list[tuple[int, int]]:
    pairs = list(zip(copies["one"], copies["other"], strict=True))
    asked = {clip_id for pair in pairs for clip_id in pair}
    row = {clip_id: number for number, clip_id in enumerate(clip_ids) if clip_id in asked}
    return [(row[one], row[other]) for one, other in pairs if one in row and other in row]


def _root(parent: npt.NDArray[np.int64], code: int) -> int:
    while parent[code] != code:
        parent[code] = parent[parent[code]]  # halves the way of the next one
        code = parent[code]
    return int(code)
