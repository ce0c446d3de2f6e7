"""What can be wrong with a finished split: leaks between its parts, classes absent from one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from timbre.coded import Clips, Coded, Integers, coded

MOST_NAMED = 5  # in one line; there may be a hundred folds


def leaks(clips: Clips, splits: NDArray[np.str_]) -> tuple[int, int]:
    """Count the distinct audio files (by SHA-256) and the groups that stand in several splits.

    clips has the columns of clips.csv, splits is `(n_clips,)` in the order of its rows.
    """
    n_audio, n_group = (
        len(torn_codes(coded(clips[column]), splits)) for column in ("sha256", "group")
    )
    return n_audio, n_group


def torn_codes(column: Coded, parts: NDArray[Any]) -> Integers:
    """Return the codes that stand in several of the `parts` `(n_rows,)`, sorted."""
    one_of_its = np.empty(len(column.names), parts.dtype)
    one_of_its[column.codes] = parts
    return np.unique(column.codes[one_of_its[column.codes] != parts]).astype(np.int64)


def absent_classes(
    clips: Clips, parts: NDArray[np.int64], names: Sequence[str], way_out: str
) -> list[str]:
    """One problem for each class that lacks a clip in one of the parts; [] if there is none.

    parts is `(n_clips,)`, numbers below len(names); way_out ends each line.
    """
    labels, groups = coded(clips["label"]), coded(clips["group"])
    n_labels, n_parts = len(labels.names), len(names)
    cells = labels.codes * np.int64(n_parts) + parts
    counts = np.bincount(cells, minlength=n_labels * n_parts).reshape(n_labels, n_parts)
    lines = []
    for code in np.flatnonzero(counts.any(1) & (counts == 0).any(1)).tolist():
        missing = [name for name, n in zip(names, counts[code], strict=True) if n == 0]
        n_groups = len(np.unique(groups.codes[labels.codes == code]))
        size = f"{_count(int(counts[code].sum()), 'clip')} in {_count(n_groups, 'group')}"
        told = f"class {labels.names[code]!r} ({size}) has no clip in {listed(missing)}"
        lines.append(f"{told}: {way_out}")
    return lines


def listed(names: Sequence[str]) -> str:
    """Join names as in a sentence: "a", "a and b", "a, b and c"; the first five of many."""
    more = len(names) - MOST_NAMED
    shown = [*names[:MOST_NAMED], f"{more} more"] if more > 0 else list(names)
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if shown[1:] else shown[0]


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
