"""A CSV file of any origin as rows of cells: encodings, separators, line ends, broken quotes."""

import codecs
import csv
import io
from collections.abc import Iterator
from pathlib import Path

from timbre.problems import InputError

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16's mark: must be asked for first
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NOT_TABLES = {
    b"PK\x03\x04": "is an Excel or zip file, not CSV text: save it as CSV (UTF-8)",
    b"\xd0\xcf\x11\xe0": "is an old Excel file, not CSV text: save it as CSV (UTF-8)",
    b"version https://git-lfs": "is a Git LFS pointer, not the table: run `git lfs pull`",
}


def read_text(path: Path) -> tuple[str, list[str]]:
    """Return the text of the file at `path` and a warning where its encoding had to be guessed.

    UTF-8, UTF-16 and UTF-32 are told by their byte order mark, UTF-16 also by its zero bytes;
    else UTF-8 is tried, then Windows-1252, then Latin-1, which fits all bytes. Raises InputError.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    for start, reason in NOT_TABLES.items():
        if data.startswith(start):
            raise InputError(f"{path}: {reason}")
    encoding = _unicode(data)
    try:
        return data.decode(encoding), []
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise InputError(f"{path}: is damaged {encoding} text: {error.reason}") from None
    return _western(data), [
        f"{path}: is not UTF-8 and was read as Western European (Windows-1252): if names look "
        "wrong, save it as UTF-8"
    ]


def records(text: str, separator: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, each with the row number that a spreadsheet shows.

    Raises InputError at a quotation mark that is not closed.
    """
    # strict: else an unclosed quotation mark would swallow the rest of the table unnoticed.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            reason = f"{error}: is a quotation mark not closed, or not doubled inside quotes?"
            raise InputError(f"{path}: row {number}: {reason}") from None
        if cells is None:
            return
        if "".join(cells).strip():
            yield number, cells


def _unicode(data: bytes) -> str:
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding
    if b"\0" in data[:2]:
        # Half of the bytes of UTF-16 are zero where the text is a Latin header.
        return "utf-16-be" if data[0] == 0 else "utf-16-le"
    return "utf-8"


def _western(data: bytes) -> str:
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")
