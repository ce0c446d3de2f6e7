"""copies.csv, the pairs of clips that hold the same recording, and what follows for groups."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from timbre.atomic import replacing
from timbre.clips import COPY, SPLITS
from timbre.problems import InputError

JOINED_FROM = 0.5  # share of a group's clips; below, one sound is common to two recordings

COPY_COLUMNS = {
    "one": "str",  # clip_id, before `other` in order
    "other": "str",  # clip_id
    "offset": "float64",  # s; what is heard at t in one is heard at t + offset in other
    "overlap": "float64",  # s in which both are heard
    "error_rate": "float64",  # share of their fingerprints' bits that differ; about 0.5 by chance
}


def write_copies(copies: pd.DataFrame, path: Path) -> None:
    """Write the columns of COPY_COLUMNS."""
    with replacing(path) as temporary:
        copies[list(COPY_COLUMNS)].to_csv(temporary, index=False, lineterminator="\n")


def read_copies(path: Path) -> pd.DataFrame:
    """Read copies.csv. Raises InputError if it is missing or not such a table."""
    try:
        return pd.read_csv(path, dtype=COPY_COLUMNS, keep_default_na=False)[list(COPY_COLUMNS)]
    except (OSError, ValueError, KeyError, OverflowError) as error:
        raise InputError(f"{path}: cannot be read ({error}): run dvc repro find_copies") from None


def merged_groups(clips: pd.DataFrame, copies: pd.DataFrame) -> "pd.Series[str]":
    """Return the group of each row of `clips`; groups that are copies of one another are one.

    They are if at least half of the clips of one of them have a copy in the other. A merged group
    has the name that comes first. Pairs with a clip that is not there are ignored.
    """
    codes, names = pd.factorize(clips["group"], sort=True)
    sizes = np.bincount(codes)
    parent = np.arange(len(names))
    for (own, other), rows in _copied_rows(codes, _rows_of(clips["clip_id"], copies)).items():
        if len(rows) >= JOINED_FROM * sizes[own]:
            low, high = sorted((_root(parent, own), _root(parent, other)))
            parent[high] = low
    roots = np.array([_root(parent, code) for code in range(len(names))], np.int64)
    return pd.Series(names.to_numpy()[roots[codes]], index=clips.index, name="group")


def _copied_rows(
    codes: npt.NDArray[np.int64], pairs: list[tuple[int, int]]
) -> dict[tuple[int, int], set[int]]:
    """For each two groups, which rows of the first have a copy in the second."""
    found: dict[tuple[int, int], set[int]] = {}
    for one, other in pairs:
        for row, copy in ((one, other), (other, one)):
            if codes[row] != codes[copy]:
                found.setdefault((int(codes[row]), int(codes[copy])), set()).add(row)
    return found


def leave_copies_out(
    clips: pd.DataFrame, splits: npt.NDArray[np.str_], copies: pd.DataFrame
) -> npt.NDArray[np.str_]:
    """Move to "copy" the train clips with a copy in val or test, and val clips with one in test.

    `splits` is `(n_clips,)`: train, val or test. The test split stays whole, so that a score is
    over the same clips whatever is found.
    """
    rank = [SPLITS.index(name) for name in splits]
    left = splits.copy()
    for one, other in _rows_of(clips["clip_id"], copies):
        if rank[one] != rank[other]:
            left[min(one, other, key=lambda row: rank[row])] = COPY
    return left


def n_torn(clips: pd.DataFrame, splits: npt.NDArray[np.str_], copies: pd.DataFrame) -> int:
    """Count the pairs that stand in different splits; `splits` is `(n_clips,)`."""
    return sum(splits[one] != splits[other] for one, other in _rows_of(clips["clip_id"], copies))


def _rows_of(clip_ids: "pd.Series[str]", copies: pd.DataFrame) -> list[tuple[int, int]]:
    row = {clip_id: number for number, clip_id in enumerate(clip_ids)}
    pairs = zip(copies["one"], copies["other"], strict=True)
    return [(row[one], row[other]) for one, other in pairs if one in row and other in row]


def _root(parent: npt.NDArray[np.int64], code: int) -> int:
    while parent[code] != code:
        parent[code] = parent[parent[code]]  # halves the way of the next one
        code = parent[code]
    return int(code)
