"""The user's table: filespaths.csv as rows of text, whatever program wrote it."""

import unicodedata
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
import pandas as pd

from timbre.problems import InputError, Lines, capped
from timbre.table_cells import (
    HEADERS,
    REQUIRED,
    are_usable,
    empty_cells,
    odd_cells,
    read_split,
    unknown_splits,
)
from timbre.table_text import open_text, records

TABLE_NAMES = ("filespaths.csv", "files_paths.csv")
CLEANED = ("label", "group", "split")
OTHER_HEADERS = {"fold": "split"}  # a fold is a split by another name
SEPARATORS = (",", ";", "\t")

Kind = Sequence[str] | Lines


class Table(NamedTuple):
    """Rows of clips, and what the user should know but need not mend."""

    rows: pd.DataFrame
    warnings: list[str]


class Examined(NamedTuple):
    """What was found in spite of problems, for who wants to see all that is wrong at once."""

    rows: pd.DataFrame  # those that can be gone on with
    warnings: list[str]
    problems: list[Kind]  # those of each kind


def without_problems(found: Examined) -> Table:
    """Return rows and warnings; raise InputError if there are problems, each kind capped."""
    problems = [line for kind in found.problems for line in capped(kind)]
    if problems:
        raise InputError(problems)
    return Table(found.rows, found.warnings)


def find_table(root: Path, name: str = "") -> Path:
    """Find the table `name` in `root`; without a name, filespaths.csv or files_paths.csv.

    Raises InputError unless there is just one.
    """
    if not root.is_dir():
        raise InputError(
            f"{root}: no such folder: data.root must be a folder that holds {TABLE_NAMES[0]} "
            "(for `dvc exp run --queue` or `--temp` a corpus inside the repository must be "
            "tracked: run `dvc add` on it)"
        )
    inner = Path(name)
    if inner.is_absolute() or ".." in inner.parts:
        raise InputError(
            f"data.table: {name!r} is outside {root}: it must name a file in it, whose changes DVC "
            "sees"
        )
    names = (name,) if name else TABLE_NAMES
    found = [root / name for name in names if (root / name).is_file()]
    if len(found) == 2:
        raise InputError(f"{root}: both {' and '.join(TABLE_NAMES)} are there: keep one of them")
    if not found:
        others = ", ".join(sorted(path.name for path in root.glob("*.csv"))) or "no other CSV file"
        raise InputError(
            f"{root}: {names[0]} is missing (there is {others}); from a folder per class, "
            f"`timbre index {root}` makes one"
        )
    return found[0]


def read_table(path: Path) -> Table:
    """Read the table at `path`, as `examine_text` does. Raises InputError with all its problems."""
    return without_problems(examine_table(path))


def examine_table(path: Path) -> Examined:
    """Read the table at `path`, in spite of what is wrong with its rows, as `examine_text` does."""
    text, warnings = open_text(path)
    with text:
        found = examine_text(text, path)
    return found._replace(warnings=warnings + found.warnings)


def examine_text(text: TextIO, path: Path) -> Examined:
    """Read a table's text; every cell is text, so labels like NA or 01 stay as they are.

    The rows have the str columns file_path (as written), label, group and split ("" without such a
    column; split is else train, val, test or the number of a fold), and the int column row, the
    line number that a spreadsheet shows (the header is 1). Labels, groups and splits lose
    surrounding blanks and are brought to Unicode's NFC. Rows without file or label or with odd
    cells are left out. Raises InputError where no rows can be read; `path` is for messages.
    """
    body = records(text, _separator(text, path), path)
    header = next(body, (0, []))[1]
    rows, clean, too_wide = _collect(body, len(header), _places(header, path))
    problems: list[Kind] = [too_wide, *empty_cells(rows), *odd_cells(rows), unknown_splits(rows)]
    if rows.empty:
        problems.append([f"{path}: there is a header but no row below it"])
    usable = are_usable(rows)
    return Examined(
        rows if usable.all() else rows[usable],
        _label_warnings(clean["label"]),
        [kind for kind in problems if len(kind)],
    )


def _separator(text: TextIO, path: Path) -> str:
    """Choose the separator under which the header shows most of our columns."""
    headers: dict[str, list[str]] = {}
    broken: list[InputError] = []
    for separator in SEPARATORS:
        try:
            headers[separator] = next(records(text, separator, path), (0, []))[1]
        except InputError as error:
            broken.append(error)
    if not headers:
        raise broken[0]
    return max(headers, key=lambda sign: (len(_known(headers[sign])), len(headers[sign])))


def _known(header: list[str]) -> dict[str, list[int]]:
    """Map our columns to the places where `header` names them, in any case or spacing."""
    ours = {name.casefold(): column for column, name in HEADERS.items()} | OTHER_HEADERS
    places: dict[str, list[int]] = {}
    for place, written in enumerate(header):
        column = ours.get("".join(written.replace("_", " ").split()).casefold())
        if column:
            places.setdefault(column, []).append(place)
    return places


def _places(header: list[str], path: Path) -> dict[str, int]:
    if not header:
        raise InputError(f"{path}: is empty: it needs the columns FilePath and Class")
    if not all(map(str.isprintable, header)):
        raise InputError(f"{path}: its first line is no text: save the table as CSV (UTF-8)")
    known = _known(header)
    there = ", ".join(map(repr, header))
    problems = [
        f"{path}: column {HEADERS[column]} is missing; the table has {there}"
        for column in REQUIRED
        if column not in known
    ]
    for column, places in known.items():
        if len(places) > 1:
            names = ", ".join(repr(header[place]) for place in places)
            told = f"column {HEADERS[column]} is there more than once: {names}: keep one"
            problems.append(f"{path}: {told}")
    if problems:
        raise InputError(problems)
    return {column: places[0] for column, places in known.items()}


def _collect(
    body: Iterable[tuple[int, list[str]]], width: int, places: dict[str, int]
) -> tuple[pd.DataFrame, dict[str, dict[str, str]], Lines]:
    """Return the rows, the clean form of each cell, and the problems of rows with too many cells.

    A million rows hold few labels: equal cells are one str.
    """
    clean: dict[str, dict[str, str]] = {column: {} for column in CLEANED}
    cells_of: dict[str, list[str]] = {column: [] for column in HEADERS}
    numbers, wide, widths = array("q"), array("q"), array("q")
    for number, cells in body:
        if len(cells) > width and "".join(cells[width:]).strip():
            wide.append(number)
            widths.append(len(cells))
        numbers.append(number)
        for column, place in places.items():
            cell = cells[place] if place < len(cells) else ""
            if column in clean:
                known = clean[column]
                cell = (
                    known[cell] if cell in known else known.setdefault(cell, _clean(column, cell))
                )
            cells_of[column].append(cell)
    told = (
        f"cells, the header has {width}: a name with a separator in it must stand in quotation "
        "marks"
    )
    problems = Lines(len(wide), lambda n: f"row {wide[n]}: has {widths[n]} {told}")
    return _frame(cells_of, numbers), clean, problems


def _clean(column: str, cell: str) -> str:
    text = unicodedata.normalize("NFC", cell.strip())
    return read_split(text) if column == "split" else text


def _frame(cells_of: dict[str, list[str]], numbers: "array[int]") -> pd.DataFrame:
    columns = {}
    for name in HEADERS:
        # Each list goes as soon as its column is made.
        columns[name] = pd.Series(cells_of.pop(name) or [""] * len(numbers), dtype="str")
    return pd.DataFrame({**columns, "row": np.asarray(numbers, np.int64)}, copy=False)


def _label_warnings(clean: dict[str, str]) -> list[str]:
    """Warn of labels, given as written and as read, that are nearly the same."""
    labels = sorted(set(clean.values()))
    warnings = []
    if len(clean) > len(labels):
        warnings.append("some labels differ only by blanks around them: they are read as one label")
    alike: dict[str, list[str]] = {}
    for label in labels:
        key = "".join(unicodedata.normalize("NFKC", label).casefold().split())
        alike.setdefault(key, []).append(label)
    told = [
        f"labels {', '.join(map(repr, names))} differ only by case or blanks and are "
        "different classes: if they are one, write them alike"
        for names in alike.values()
        if len(names) > 1
    ]
    return warnings + capped(told)
