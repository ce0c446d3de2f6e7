"""What can be wrong with a finished split: leaks between its parts, classes absent from one."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MOST_NAMED = 5  # in one line; there may be a hundred folds


def leaks(clips: pd.DataFrame, splits: NDArray[np.str_]) -> tuple[int, int]:
    """Count the distinct audio files (by SHA-256) and the groups that stand in several splits.

    clips has the columns of clips.csv, splits is `(n_clips,)` in the order of its rows.
    """
    placed = clips.assign(split=splits)
    n_audio, n_group = (
        int((placed.groupby(column, sort=False)["split"].nunique() > 1).sum())
        for column in ("sha256", "group")
    )
    return n_audio, n_group


def absent_classes(
    clips: pd.DataFrame, parts: NDArray[np.int64], names: Sequence[str], way_out: str
) -> list[str]:
    """One problem for each class that lacks a clip in one of the parts; [] if there is none.

    parts is `(n_clips,)`, numbers below len(names); way_out ends each line.
    """
    counts = pd.crosstab(
        clips["label"].to_numpy(), pd.Categorical(parts, range(len(names))), dropna=False
    )
    groups = clips.groupby("label")["group"].nunique()
    lines = []
    for label in counts.index[(counts == 0).any(axis=1)]:
        missing = [name for name, n in zip(names, counts.loc[label], strict=True) if n == 0]
        size = f"{_count(counts.loc[label].sum(), 'clip')} in {_count(groups[label], 'group')}"
        lines.append(f"class {label!r} ({size}) has no clip in {listed(missing)}: {way_out}")
    return lines


def listed(names: Sequence[str]) -> str:
    """Join names as in a sentence: "a", "a and b", "a, b and c"; the first five of many."""
    more = len(names) - MOST_NAMED
    shown = [*names[:MOST_NAMED], f"{more} more"] if more > 0 else list(names)
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if shown[1:] else shown[0]


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
