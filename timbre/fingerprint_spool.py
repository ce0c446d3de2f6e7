"""Fingerprints of many clips on disk: what looks for copies reads them twice, clip by clip."""

import tempfile
from collections.abc import Iterator
from typing import Self

import numpy as np

from timbre.problems import InputError
from timbre.subfingerprints import N_BITS, Fingerprints

BATCH = 64  # windows


class Spool:
    """A temporary file of windows that are equally long; 39 bytes a word, and no memory."""

    def __init__(self) -> None:
        """Make the file."""
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by __exit__)
        self._kind = _row(0)
        self._places: dict[int, range] = {}  # of each clip's windows in the file
        self._end = 0

    def __enter__(self) -> Self:
        """Return the spool."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the file."""
        self._file.close()

    def add(self, clip: int, found: Fingerprints) -> None:
        """Keep the windows of a clip. Raises InputError if there is no room for them."""
        self._kind = _row(found.words.shape[1])
        rows = np.zeros(len(found.words), self._kind)
        rows["words"], rows["audible"], rows["changes"] = found.words, found.audible, found.changes
        self._file.seek(self._end * self._kind.itemsize)
        left = memoryview(rows.tobytes())
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            folder = tempfile.gettempdir()
            raise InputError(
                f"{folder}: cannot be written to ({error.strerror}): make room, or let TMPDIR name "
                "a folder on another disk"
            ) from None
        self._places[clip] = range(self._end, self._end + len(rows))
        self._end += len(rows)

    def clips(self) -> list[int]:
        """Return the clip of each window, ascending."""
        return [clip for clip in sorted(self._places) for _ in self._places[clip]]

    def parts(self) -> Iterator[Fingerprints]:
        """Yield the windows in that order, so that it does not matter when they were added."""
        places = [place for clip in sorted(self._places) for place in self._places[clip]]
        for start in range(0, len(places), BATCH):
            rows = np.concatenate([self._read(place) for place in places[start : start + BATCH]])
            changes = rows["changes"].astype(np.float32)
            yield Fingerprints(rows["words"].copy(), rows["audible"].copy(), changes)

    def _read(self, place: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        self._file.seek(place * self._kind.itemsize)
        return np.frombuffer(self._file.read(self._kind.itemsize), self._kind)


def _row(n_words: int) -> np.dtype[np.void]:
    # float16 is enough to tell which bits are the least sure ones.
    changes = ("changes", "<f2", (n_words, N_BITS))
    return np.dtype([("words", "<u4", (n_words,)), ("audible", "?", (n_words,)), changes])
