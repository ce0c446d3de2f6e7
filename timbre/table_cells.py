"""What may stand in the cells of the user's table, and the rows in which something else does."""

import re

import pandas as pd

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
ODD_CELL = "[\r\0]"  # the CSV files between the stages cannot carry these


def read_split(text: str) -> str:
    """Return train, val, test, or a fold's number without leading zeros; else the text itself."""
    return str(int(text)) if re.fullmatch(FOLD, text) else SPLIT_WORDS.get(text.casefold(), text)


def are_usable(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Tell which rows have all that is needed and nothing that no stage can pass on."""
    usable = pd.Series(True, index=rows.index)
    for column in HEADERS:
        usable &= ~rows[column].str.contains(ODD_CELL, regex=True)
        usable &= (rows[column].str.strip() != "") | (column not in REQUIRED)
    return usable


def empty_cells(rows: pd.DataFrame) -> list[list[str]]:
    """Name the rows in which a cell is empty, a list for each column."""
    problems = []
    for column, name in HEADERS.items():
        empty = rows[column].str.strip() == ""
        if column in REQUIRED or not empty.all():
            way_out = "" if column in REQUIRED else ": fill all cells of the column or none"
            numbers = rows.loc[empty, "row"]
            problems.append([f"row {number}: {name} is empty{way_out}" for number in numbers])
    return problems


def odd_cells(rows: pd.DataFrame) -> list[list[str]]:
    """Name the rows with characters that no stage can pass on, a list for each column."""
    problems = []
    for column, name in HEADERS.items():
        numbers = rows.loc[rows[column].str.contains(ODD_CELL, regex=True), "row"]
        problems.append([f"row {n}: {name} holds a carriage return or a NUL" for n in numbers])
    return problems


def unknown_splits(rows: pd.DataFrame) -> list[str]:
    """Name the rows whose split is neither a known word nor a fold's number."""
    unknown = rows[~rows["split"].isin(["", *SPLIT_WORDS]) & ~rows["split"].str.fullmatch(FOLD)]
    return [
        f"row {number}: Split {word!r} is unknown: write train, val or test, or a fold's number"
        for number, word in zip(unknown["row"], unknown["split"], strict=True)
    ]
