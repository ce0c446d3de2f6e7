"""clips.csv as codes and splits.csv from them, for `split`: without pandas, within bounded memory.

Ten million clips take 2.5 GB so (docs/scale.md). Importing pandas takes a third of a second, more
than all else that `split` needs to start.
"""

import csv
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import chain, islice
from operator import lt
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from timbre.atomic import replacing
from timbre.coded import Clips, Coded, Coder, Integers, Picked, Rows
from timbre.columns import CLIP_COLUMNS, SPLIT_COLUMNS
from timbre.problems import InputError, unusable

ROWS = 1 << 13  # read or written at a time

LEAST = {
    "target": (0, "a target is negative"),
    "sample_rate": (1, "a sample_rate is not positive"),
    "n_samples": (1, "a clip has no samples"),
}
CODED = ("label", "group", "table_group", "split")
Cells = Sequence[str]


@dataclass(frozen=True)
class ClipTable:
    """What `split` needs of clips.csv, sorted by clip_id."""

    clip_id: list[str]
    label: Coded
    target: Integers
    group: Coded
    table_group: Coded
    split: Coded
    sha256: Coded

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.target)

    def __getitem__(self, column: str) -> Iterable[Any]:
        """Return a column by its name."""
        cells: Iterable[Any] = getattr(self, column)
        return cells

    def take(self, rows: Rows) -> "ClipTable":
        """Return some rows, or all in another order."""
        picked = Picked(self, rows)
        columns: dict[str, Any] = {field.name: picked[field.name] for field in fields(self)}
        return ClipTable(**{**columns, "clip_id": columns["clip_id"].tolist()})


class Digests(Sequence[str]):
    """Hashes as text, kept as the bytes that were read: a str takes half as much again."""

    def __init__(self, digests: NDArray[np.bytes_], places: Integers) -> None:
        """Take the places in `digests` (ASCII) at which each hash is to be found."""
        self._digests, self._places = digests, places

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> "Digests": ...
    def __getitem__(self, place: int | slice) -> "str | Digests":
        """Return one, or some."""
        if isinstance(place, slice):
            return Digests(self._digests, self._places[place])
        return bytes(self._digests[self._places[place]]).decode("ascii")


class DigestCoder:
    """Codes a column of hashes; np.unique would take three times the memory."""

    def __init__(self) -> None:
        """Begin without rows."""
        self._width = 1  # bytes of the longest
        self._bytes = bytearray()

    def add(self, cells: Cells) -> None:
        """Take in the cells of more rows. Raises ValueError for what is no ASCII."""
        part = np.array(cells, "S")
        if part.itemsize > self._width:
            wider = self._whole().astype(f"S{part.itemsize}")
            self._width, self._bytes = part.itemsize, bytearray(wider.tobytes())
        self._bytes += part.astype(f"S{self._width}").tobytes()

    def coded(self) -> Coded:
        """Return all rows."""
        whole = self._whole()
        order = np.argsort(whole, kind="stable")
        is_new = np.ones(len(whole), bool)
        for start in range(1, len(whole), ROWS):
            rows = order[start - 1 : start + ROWS]
            is_new[start : start + ROWS] = whole[rows[1:]] != whole[rows[:-1]]
        codes = np.empty(len(whole), np.int32)
        codes[order] = np.cumsum(is_new, dtype=np.int32) - 1
        return Coded(codes, Digests(whole, order[is_new]))

    def _whole(self) -> NDArray[np.bytes_]:
        return np.ndarray(len(self._bytes) // self._width, f"S{self._width}", self._bytes)


class _Reader:
    """The columns while rows come in."""

    def __init__(self) -> None:
        self.clip_ids: list[str] = []
        self.coders = {name: Coder() for name in CODED}
        self.targets = array("q")
        self.digests = DigestCoder()
        self.problems: set[str] = set()

    def add(self, cells: dict[str, Cells]) -> None:
        self.clip_ids += cells["clip_id"]
        # A clip that is a group of its own has one str for both, not two.
        own = zip(cells["clip_id"], cells["group"], strict=True)
        groups = [clip_id if clip_id == group else group for clip_id, group in own]
        for name, coder in self.coders.items():
            coder.add(groups if name == "group" else cells[name])
        self.digests.add(cells["sha256"])
        self.targets.extend(map(int, cells["target"]))
        for name, (least, problem) in LEAST.items():
            if min(map(int, cells[name])) < least:
                self.problems.add(problem)

    def table(self) -> ClipTable:
        # Each coder is dropped when its column is made: its dict takes as much as the text.
        text = {name: self.coders.pop(name).coded() for name in CODED}
        target = np.asarray(self.targets, np.int64)
        return ClipTable(self.clip_ids, target=target, sha256=self.digests.coded(), **text)


def read_clip_table(path: Path) -> ClipTable:
    """Read clips.csv. Raises InputError if it is missing or not such a table."""
    try:
        reader = _Reader()
        with path.open(encoding="utf-8", newline="") as file:
            for cells in parts(csv.reader(file, strict=True), path, CLIP_COLUMNS):
                reader.add(cells)
    except (OSError, ValueError, OverflowError, csv.Error) as error:
        raise InputError(unusable(path, error)) from None
    table = reader.table()
    if not _rises(table.clip_id):
        table = table.take(np.argsort(np.array(table.clip_id, object), kind="stable"))
        if not _rises(table.clip_id):
            reader.problems.add("a clip stands in it twice")
    if reader.problems:
        raise InputError(unusable(path, ValueError(told)) for told in sorted(reader.problems))
    return table


def write_split_table(clips: Clips, splits: NDArray[np.str_], path: Path) -> None:
    """Write splits.csv in the order of the rows; `splits` is `(n_clips,)`."""
    columns = [splits if name == "split" else clips[name] for name in SPLIT_COLUMNS]
    rows = zip(*map(_cells, columns), strict=True)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SPLIT_COLUMNS)
        writer.writerows(rows)


def parts(
    rows: Iterator[list[str]], path: Path, columns: Iterable[str]
) -> Iterator[dict[str, Cells]]:
    """Yield the columns of some rows at a time. Raises InputError, ValueError for other columns."""
    expected = list(columns)
    header = next(rows, None)
    if header is None:
        raise ValueError("it is empty")
    if header != expected:
        raise InputError(f"{path}: columns {header}, expected {expected}")
    while part := list(islice(rows, ROWS)):
        if {*map(len, part)} != {len(expected)}:
            raise ValueError(f"not all rows have {len(expected)} cells")
        yield dict(zip(expected, zip(*part, strict=True), strict=True))


def _rises(texts: list[str]) -> bool:
    return all(map(lt, texts, islice(texts, 1, None)))


def _cells(column: Iterable[Any]) -> Iterator[Any]:
    """Return the cells as str or int, some at a time."""
    if not isinstance(column, np.ndarray):
        return iter(column)
    starts = range(0, len(column), ROWS)
    return chain.from_iterable(column[start : start + ROWS].tolist() for start in starts)
