"""A CSV file of any origin as rows of cells: encodings, separators, line ends, broken quotes."""

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from timbre.problems import InputError

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16's mark: must be asked for first
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
PART = 1 << 20  # bytes tried at a time
NOT_TABLES = {
    b"PK\x03\x04": "is an Excel or zip file, not CSV text: save it as CSV (UTF-8)",
    b"\xd0\xcf\x11\xe0": "is an old Excel file, not CSV text: save it as CSV (UTF-8)",
    b"version https://git-lfs": "is a Git LFS pointer, not the table: run `git lfs pull`",
}


def open_text(path: Path) -> tuple[TextIO, list[str]]:
    """Open the file at `path` as text, and warn where its encoding had to be guessed.

    UTF-8, UTF-16 and UTF-32 are told by their byte order mark, UTF-16 also by its zero bytes;
    else UTF-8 is tried, then Windows-1252, then Latin-1, which fits all bytes. To try them all of
    the file is read, a part at a time: as one str it may take eight times its size. Raises
    InputError.
    """
    try:
        encoding, warnings = _encoding(path)
        return path.open(encoding=encoding, newline=""), warnings
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _encoding(path: Path) -> tuple[str, list[str]]:
    with path.open("rb") as file:
        start = file.read(max(map(len, NOT_TABLES)))
    for sign, reason in NOT_TABLES.items():
        if start.startswith(sign):
            raise InputError(f"{path}: {reason}")
    encoding = _unicode(start)
    reason = _misfit(path, encoding)
    if not reason:
        return encoding, []
    if encoding != "utf-8":
        raise InputError(f"{path}: is damaged {encoding} text: {reason}")
    return ("latin-1" if _misfit(path, "cp1252") else "cp1252"), [
        f"{path}: is not UTF-8 and was read as Western European (Windows-1252): if names look "
        "wrong, save it as UTF-8"
    ]


def _misfit(path: Path, encoding: str) -> str:
    """Return why the file is not of this encoding, "" if it is."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        try:
            while part := file.read(PART):
                decoder.decode(part)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            return error.reason
    return ""


def records(text: TextIO, separator: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, each with the row number that a spreadsheet shows.

    `text` is read from its beginning, line ends as they are. Raises InputError at a quotation mark
    that is not closed.
    """
    # strict: else an unclosed quotation mark would swallow the rest of the table unnoticed.
    text.seek(0)
    reader = csv.reader(text, delimiter=separator, strict=True)
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
