"""Columns of text as numbers: each distinct text is kept once, so ten million rows fit in memory.

The functions that split take any `Clips`: columns by name, such as a DataFrame's.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import le
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

PART = 1 << 13  # rows whose codes are Python's integers at a time

Integers = NDArray[np.int64]
Rows = NDArray[np.int64] | NDArray[np.bool_]  # which ones, in what order; or a flag for each


class Columns(Protocol):
    """Columns by their names."""

    def __getitem__(self, column: str, /) -> Iterable[Any]:
        """Return a column's cells in the order of the rows."""


class Clips(Columns, Protocol):
    """The columns of clips.csv, or those of them that a function needs."""

    def __len__(self) -> int:
        """Return the number of clips."""


@dataclass(frozen=True)
class Coded:
    """A column of text; iterating gives the text of each row."""

    codes: NDArray[np.int32]  # (n_rows,), places in `names`
    names: Sequence[str]  # sorted; more than are used, if rows were left out

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    def __iter__(self) -> Iterator[str]:
        """Return the text of each row."""
        parts = (self.codes[start : start + PART] for start in range(0, len(self), PART))
        return (self.names[code] for part in parts for code in part.tolist())

    def tolist(self) -> list[str]:
        """Return the text of each row."""
        return list(self)

    def used(self) -> Integers:
        """Return the codes that stand in some row, sorted."""
        return np.flatnonzero(np.bincount(self.codes, minlength=len(self.names)))

    def used_names(self) -> list[str]:
        """Return the texts that stand in some row, sorted."""
        return [self.names[code] for code in self.used().tolist()]

    def where(self, test: Callable[[str], bool]) -> NDArray[np.bool_]:
        """Tell for which rows `test` holds; it is asked once for each text."""
        flags = np.fromiter(map(test, self.names), bool, len(self.names))
        return np.asarray(flags[self.codes])


class Coder:
    """Codes a column a part at a time."""

    def __init__(self) -> None:
        """Begin without rows."""
        self._numbers: dict[str, int] = {}
        self._codes = array("i")  # grows in place: many small arrays would leave holes behind

    def add(self, cells: Iterable[str]) -> None:
        """Take in the cells of more rows."""
        numbers, number = self._numbers, self._numbers.setdefault
        self._codes.extend([number(cell, len(numbers)) for cell in cells])

    def coded(self) -> Coded:
        """Return all rows. Texts are numbered in their order, so the rows' order changes none."""
        names, codes = list(self._numbers), np.asarray(self._codes, np.int32)
        if all(map(le, names, islice(names, 1, None))):
            return Coded(codes, names)
        order = np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)
        rank = np.empty(len(names), np.int32)
        rank[order] = np.arange(len(names))
        return Coded(rank[codes], [names[number] for number in order.tolist()])


def coded(column: Iterable[str]) -> Coded:
    """Code a column, unless it is coded."""
    if isinstance(column, Coded):
        return column
    coder = Coder()
    coder.add(column)
    return coder.coded()


@dataclass(frozen=True)
class Picked:
    """Some rows of `clips`, or all in another order; columns are made when they are asked for."""

    clips: Clips
    rows: Rows

    def __len__(self) -> int:
        """Return the number of clips."""
        is_flags = self.rows.dtype == np.bool_
        return int(np.count_nonzero(self.rows)) if is_flags else len(self.rows)

    def __getitem__(self, column: str) -> Iterable[Any]:
        """Return the rows of a column."""
        cells = self.clips[column]
        if isinstance(cells, Coded):
            return Coded(cells.codes[self.rows], cells.names)
        whole = cells if isinstance(cells, np.ndarray) else np.array(list(cells), object)
        return np.asarray(whole[self.rows])
