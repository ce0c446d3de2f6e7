"""Windows out of shards by their places in the file, with their checksums, by threads in parallel.

HDF5 reads one block at a time and keeps Python's lock meanwhile, so that training would stand still
for each. Here it says only where a window lies. The rest needs no lock.
"""

import io
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from timbre.shard_layout import CHECKSUM_BYTES, log_mel_of
from timbre.shards import Half, told_as_damage

READ_OVER = 1 << 18  # bytes between two windows that are read sooner than skipped

Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Sums = npt.NDArray[np.uint64]


class StoredWindows:
    """Windows of any shards; where they lie in a shard is looked up once."""

    def __init__(self) -> None:
        """Read nothing yet."""
        self._shards: dict[Path, tuple[Integers, tuple[int, int]]] = {}
        self._own = _Scratch()

    def read(self, path: Path, rows: Integers) -> Half:
        """Read windows `(n_rows, n_mels, n_frames)`; `rows` ascend, for then the file is read on.

        What is returned holds until the same thread reads again. Raises InputError if a checksum
        does not fit: better no training than training on noise.
        """
        with told_as_damage(path):
            if path not in self._shards:
                self._shards[path] = _look_up(path)
            places, shape = self._shards[path]
            size = 2 * shape[0] * shape[1] + CHECKSUM_BYTES
            chunks = self._own.chunks(len(rows) * size).reshape(len(rows), size)
            for start, end in _together(places[rows], size):
                self._read_run(path, places[rows[start:end]], chunks[start:end])
            stored = chunks[:, -CHECKSUM_BYTES:].copy().view("<u4")[:, 0]
            windows = chunks[:, :-CHECKSUM_BYTES].reshape(len(rows), *shape, 2)
            damaged = rows[~_same(fletcher32(windows.view("<u2")[..., 0]), stored)]
            if len(damaged):
                raise ValueError(f"the checksum of window {damaged[0]} does not fit")
            found: Half = windows.view("<f2")[..., 0]
            return found

    def _read_run(self, path: Path, places: Integers, chunks: Bytes) -> None:
        """Fill `chunks` `(n, size)` with what lies at `places`, read at one go."""
        first, size = int(places[0]), chunks.shape[1]
        piece = self._own.piece(int(places[-1]) + size - first)
        with path.open("rb", buffering=0) as file:
            file.seek(first)
            _fill(file, piece)
        for chunk, offset in zip(chunks, (places - first).tolist(), strict=True):
            chunk[:] = piece[offset : offset + size]


class _Scratch(threading.local):
    """Memory of one thread, used again and again: new pages take longer than what is done there."""

    def __init__(self) -> None:
        self._chunks = self._piece = np.empty(0, np.uint8)

    def chunks(self, n_bytes: int) -> Bytes:
        if len(self._chunks) < n_bytes:
            self._chunks = np.empty(n_bytes, np.uint8)
        return self._chunks[:n_bytes]

    def piece(self, n_bytes: int) -> Bytes:
        if len(self._piece) < n_bytes:
            self._piece = np.empty(n_bytes, np.uint8)
        return self._piece[:n_bytes]


def fletcher32(words: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint32]:
    """Return the checksum of each window of little-endian `words` `(n, n_rows, n_columns)`.

    Fletcher-32 as HDF5 has it: of n big-endian words w, sum(w) and sum((n - i) * w[i]), i from 0,
    both modulo 65535. Source: J. G. Fletcher, "An arithmetic checksum for serial transmissions",
    1982; HDF5's H5checksum.c.
    """
    _, n_rows, n_columns = words.shape
    of_rows: Sums = words.sum(axis=2, dtype=np.uint64)
    of_columns: Sums = words.sum(axis=1, dtype=np.uint64)
    first = of_rows.sum(axis=1)
    row_places, column_places = (np.arange(n, dtype=np.uint64) for n in (n_rows, n_columns))
    second = first * np.uint64(n_rows * n_columns)
    second -= (of_rows @ row_places) * np.uint64(n_columns) + of_columns @ column_places
    # Bytes change places in a word by a factor of 256: 2**16 is 1, modulo 65535.
    low, high = (total % 65535 * 256 % 65535 for total in (first, second))
    return np.asarray(high << 16 | low, np.uint32)


def _same(found: npt.NDArray[np.uint32], stored: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Compare halves modulo 65535, as which HDF5 may store 0 or 65535."""
    pairs = ((sums & 0xFFFF, sums >> 16) for sums in (found, stored))
    (low, high), (stored_low, stored_high) = pairs
    return np.asarray((low == stored_low % 65535) & (high == stored_high % 65535))


def _look_up(path: Path) -> tuple[Integers, tuple[int, int]]:
    """Return where each window begins in the file, and the shape of all."""
    with h5py.File(path, "r") as file:
        log_mel = log_mel_of(file)
        places = np.full(len(log_mel), -1, np.int64)

        def note(chunk: h5py.h5d.StoreInfo) -> None:
            places[chunk.chunk_offset[0]] = chunk.byte_offset

        if len(log_mel):
            log_mel.id.chunk_iter(note)
        return places, log_mel.shape[1:]


def _together(places: Integers, size: int) -> Iterator[tuple[int, int]]:
    """Part windows into runs, as slices, each of which is read at one go."""
    gaps = np.diff(places) - size
    breaks = np.flatnonzero((gaps < 0) | (gaps > READ_OVER)) + 1
    return itertools.pairwise([0, *breaks.tolist(), len(places)])


def _fill(file: io.FileIO, piece: Bytes) -> None:
    left = piece.data
    while left:
        n_read = file.readinto(left)
        if not n_read:
            raise ValueError("the file ends within a window")
        left = left[n_read:]
