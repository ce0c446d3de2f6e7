"""Audio that lies behind a URL: fetched through fsspec, file by file, by whoever hears it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from timbre.audio import FileError
from timbre.worker_process import note

Place = Path | str  # on a disk, or a URL

URL_MARK = "://"


class UnreachableError(FileError):
    """The file could not be read at all: it is not there, or not for this process."""


def place_of(root: Place, file: str) -> Place:
    """Return where a file below `root` is."""
    return root / file if isinstance(root, Path) else f"{root.rstrip('/')}/{file}"


@contextmanager
def at_hand(place: Place) -> Iterator[Path]:
    """Yield a path on this machine's disk: the file itself, or a copy that is removed afterwards.

    The copy's name ends as the file's: some formats are known by that alone. Raises
    UnreachableError.
    """
    if isinstance(place, Path):
        yield place
        return
    content = _fetched(place)
    with tempfile.TemporaryDirectory(prefix="timbre-") as folder:
        copy = Path(folder, "clip").with_suffix(Path(place).suffix)
        copy.write_bytes(content)
        yield copy


def _fetched(url: str) -> bytes:
    import fsspec  # here: who reads a disk has no use for it

    note("")  # a network that hangs is not the fault of the clip before
    try:
        system, path = fsspec.core.url_to_fs(url)
        content: bytes = system.cat_file(path)
    except MemoryError:
        raise
    except Exception as error:
        # Each of fsspec's backends raises what its own library does.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreachableError(f"cannot be read ({reason})") from None
    return content
