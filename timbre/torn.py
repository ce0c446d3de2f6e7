"""Files that end before their own header says: cut off by a full disk or a broken download."""

import struct
from pathlib import Path

UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # written by programs that stream and cannot go back
PADDING = 8  # bytes by which honest writers differ
LARGEST_PAGE = 65_307  # bytes of an Ogg page
PAGE_HEAD = 27  # bytes
FLAGS_AT = 5
LAST_PAGE = 4  # the flag of a stream's last one
TOLERANCE = 0.02  # of the length: MP3 headers do not count what encoder and decoder add and drop
FEW_SECONDS = 0.2


def missing_end(path: Path, promised: float, seconds: float, ended: str) -> str:
    """Return how the file shows that its end is missing, "" if it does not.

    `promised` and `seconds` are what its header says and what was decoded, `ended` is why decoding
    ended early, "" if it did not.
    """
    if ended:
        return f"{ended} (after {seconds:.1f} s)"
    with path.open("rb") as file:
        head = file.read(12)
        size = file.seek(0, 2)
        file.seek(max(0, size - LARGEST_PAGE))
        tail = file.read() if head.startswith(b"OggS") else b""
    whole = _chunk_size(head)
    if whole is not None and whole + 8 > size + PADDING:
        return f"has {size} of the {whole + 8} bytes that its header says"
    if tail and not _ends_with_last_page(tail):
        return "has no whole last page (Ogg)"
    if promised - seconds > max(FEW_SECONDS, TOLERANCE * promised):
        return f"has {seconds:.1f} of the {promised:.1f} s that its header says"
    return ""


def _chunk_size(head: bytes) -> int | None:
    """Return the size that the first chunk of a WAV or AIFF file has, None where it has none."""
    order = {b"RIFF": "<I", b"FORM": ">I"}.get(head[:4])
    if order is None or len(head) < 8:
        return None
    size = int(struct.unpack(order, head[4:8])[0])
    return None if size in UNKNOWN_SIZES else size


def _ends_with_last_page(tail: bytes) -> bool:
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < PAGE_HEAD or not page[FLAGS_AT] & LAST_PAGE:
        return False
    sizes = page[PAGE_HEAD : PAGE_HEAD + page[PAGE_HEAD - 1]]  # of its pieces; their number before
    return len(page) >= PAGE_HEAD + len(sizes) + sum(sizes)
