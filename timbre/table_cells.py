"""What may stand in the cells of the user's table, and the rows in which something else does."""

import re

import numpy as np
import numpy.typing as npt
import pandas as pd

from timbre.problems import Lines

Flags = npt.NDArray[np.bool_]

HEADERS = {"file_path": "FilePath", "label": "Class", "group": "Group", "split": "Split"}
FOLD = r"\d{1,4}"  # longer is no fold's number, and Python refuses to read the longest
REQUIRED = ("file_path", "label")
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def read_split(text: str) -> str:
    """Return train, val, test, or a fold's number without leading zeros; else the text itself."""
    return str(int(text)) if re.fullmatch(FOLD, text) else SPLIT_WORDS.get(text.casefold(), text)


def are_usable(rows: pd.DataFrame) -> Flags:
    """Tell which rows have all that is needed and nothing that no stage can pass on."""
    usable = np.ones(len(rows), bool)
    for column in HEADERS:
        usable &= ~_are_odd(rows[column])
        if column in REQUIRED:
            usable &= ~_are_empty(rows[column])
    return usable


def empty_cells(rows: pd.DataFrame) -> list[Lines]:
    """Name the rows in which a cell is empty, for each column."""
    problems = []
    for column, name in HEADERS.items():
        empty = _are_empty(rows[column])
        if column in REQUIRED or not empty.all():
            way_out = "" if column in REQUIRED else ": fill all cells of the column or none"
            problems.append(_of_rows(rows[empty], f"{name} is empty{way_out}"))
    return problems


def odd_cells(rows: pd.DataFrame) -> list[Lines]:
    """Name the rows with characters that no stage can pass on, for each column."""
    return [
        _of_rows(rows[_are_odd(rows[column])], f"{name} holds a carriage return or a NUL")
        for column, name in HEADERS.items()
    ]


def unknown_splits(rows: pd.DataFrame) -> Lines:
    """Name the rows whose split is neither a known word nor a fold's number."""
    words = {word for word in rows["split"].unique() if not _is_split(word)}
    unknown = rows[rows["split"].isin(words)]
    numbers, found = unknown["row"].to_numpy(), unknown["split"].to_numpy()
    way_out = "write train, val or test, or a fold's number"
    return Lines(
        len(unknown), lambda n: f"row {numbers[n]}: Split {found[n]!r} is unknown: {way_out}"
    )


def _of_rows(rows: pd.DataFrame, told: str) -> Lines:
    numbers = rows["row"].to_numpy()
    return Lines(len(numbers), lambda n: f"row {numbers[n]}: {told}")


def _is_split(word: str) -> bool:
    return word in {"", *SPLIT_WORDS} or re.fullmatch(FOLD, word) is not None


def _are_empty(cells: "pd.Series[str]") -> Flags:
    return np.fromiter((not cell.strip() for cell in cells), bool, len(cells))


def _are_odd(cells: "pd.Series[str]") -> Flags:
    # The CSV files between the stages cannot carry these.
    return np.fromiter(("\r" in cell or "\0" in cell for cell in cells), bool, len(cells))
