"""Splits that pass through memory, instead of lying in it.

A reader walks through the blocks of the shards in the order in which an epoch first needs a window
of each. It reads a block once, some ahead of training, and keeps the windows until their turn. How
many it holds follows from the order alone, and is reckoned before it begins.
"""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch

from timbre.dataset import Integers, SpectrogramDataset, WindowTable, map_dataset
from timbre.epoch_order import BLOCK_ROWS, block_numbers, streamed_order
from timbre.shards import Half
from timbre.stored_windows import StoredWindows

AHEAD = 4  # blocks that are read or wait, before anything needs them
READERS = 2  # threads
# Windows in memory besides the shuffle buffer: a block more than it takes, those ahead, and three
# copies of one that is read and checked.
BESIDES = (1 + AHEAD + 3 * READERS) * BLOCK_ROWS
LEAST_BUFFER = 8 * BLOCK_ROWS  # windows: fewer are no shuffling
MAPPED_BYTES = 4e9  # more is not looked at in the order of the clips, up and down the files


@dataclass(frozen=True)
class StreamedDataset(SpectrogramDataset):
    """Windows that stay in their files; what an epoch holds of them at a time is bounded.

    `log_mel` is empty. Checksums are looked at in every reading, and in none before.
    """

    buffer: int = 1  # windows among which the next one is drawn
    stored: StoredWindows = field(default_factory=StoredWindows)

    def reading_order(self) -> torch.Tensor:
        """Return all windows in the order of the files."""
        return torch.from_numpy(np.lexsort((self.table.row, self.table.shard)))

    def epoch_order(self, generator: torch.Generator) -> torch.Tensor:
        """Return all windows, shuffled as far as `buffer` allows, by `generator` alone."""
        return torch.from_numpy(
            streamed_order(self.table.shard, self.table.row, self.buffer, generator)
        )

    def pieces(
        self, order: torch.Tensor, parts: Sequence[slice]
    ) -> Generator[torch.Tensor, None, None]:
        """Iterate over the windows in each of `parts` of an order, and in no others; read ahead.

        Raises InputError if a checksum does not fit.
        """
        own = [order.numpy()[part] for part in parts]
        taken = np.concatenate([np.empty(0, np.int64), *own])
        return _pieces(self.table, self.stored, taken, list(map(len, own)))

    def read(self, indices: torch.Tensor) -> torch.Tensor:
        """Return copies of n windows, `(n, 1, n_mels, n_frames)`, in the order of the indices."""
        return next(self.pieces(indices, [slice(None)]))


def stream_dataset(table: WindowTable, targets: Integers, buffer: int = 1) -> StreamedDataset:
    """Leave the windows in their files; `targets` as in `load_dataset`."""
    return StreamedDataset(table, torch.from_numpy(targets[table.clip]), [], buffer)


def map_or_stream(table: WindowTable, targets: Integers) -> SpectrogramDataset:
    """Open windows that are looked at once; `targets` as in `load_dataset`."""
    make = map_dataset if table.n_bytes() <= MAPPED_BYTES else stream_dataset
    return make(table, targets)


@dataclass(frozen=True)
class Plan:
    """How an order is read, in pieces of certain sizes; a place is one in the order."""

    places: Integers  # (n_windows,) of the windows, block after block
    ends: Integers  # (n_blocks + 1,) where each block begins in `places`, and the last one ends
    due: Integers  # (n_pieces,) number of blocks that hold all of a piece and of those before it
    most: int  # windows held at a time


def plan(table: WindowTable, order: Integers, sizes: Sequence[int]) -> Plan:
    """Plan to read each block when the first of its windows is needed."""
    shard, row = table.shard[order], table.row[order]
    _, first, number = np.unique(block_numbers(shard, row), return_index=True, return_inverse=True)
    turn = np.argsort(np.argsort(first))[number]
    ends = np.cumsum(np.bincount(turn, minlength=len(first)))
    ends = np.concatenate([[0], ends]).astype(np.int64)
    piece_ends = np.cumsum(sizes, dtype=np.int64)
    due = np.searchsorted(np.sort(first), piece_ends)
    held = ends[due] - (piece_ends - np.asarray(sizes, np.int64))
    return Plan(np.lexsort((row, turn)), ends, due, int(held.max(initial=0)))


def _pieces(
    table: WindowTable, stored: StoredWindows, order: Integers, sizes: Sequence[int]
) -> Generator[torch.Tensor, None, None]:
    how = plan(table, order, sizes)
    reader = _Reader(table, stored, order, how)
    try:
        start = 0
        for size, due in zip(sizes, how.due.tolist(), strict=True):
            reader.wait_for(due)
            piece = reader.take(slice(start, start + size))
            start += size
            yield piece
    finally:
        reader.close()


class _Reader:
    """Blocks on their way into a buffer, and out of it window by window."""

    def __init__(
        self, table: WindowTable, stored: StoredWindows, order: Integers, how: Plan
    ) -> None:
        self._table, self._stored, self._order, self._plan = table, stored, order, how
        n_slots = min(how.most + AHEAD * BLOCK_ROWS, len(order))
        self._memory = np.empty((n_slots, 1, *table.shape), np.float16)
        self._free = list(range(n_slots))
        self._slots = np.empty(len(order), np.int64)  # of each place that has one
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="timbre-reader")
        self._waiting: deque[Future[None]] = deque()
        self._asked = self._arrived = 0  # blocks
        self._ask()

    def wait_for(self, n_blocks: int) -> None:
        """Wait until the first `n_blocks` are there."""
        while self._arrived < n_blocks:
            self._waiting.popleft().result()
            self._arrived += 1
            self._ask()

    def take(self, places: slice) -> torch.Tensor:
        """Return windows, and forget them."""
        slots = self._slots[places]
        taken = torch.from_numpy(self._memory).index_select(0, torch.from_numpy(slots))
        self._free.extend(slots.tolist())
        self._ask()
        return taken

    def close(self) -> None:
        """Drop what is still to be read; wait for what is being read."""
        self._pool.shutdown(cancel_futures=True)

    def _ask(self) -> None:
        """Have blocks read, as far as there is room. For all that is due there always is."""
        ends = self._plan.ends
        while self._asked < len(ends) - 1 and len(self._waiting) < AHEAD:
            start, end = ends[self._asked : self._asked + 2].tolist()
            if end - start > len(self._free):
                return
            slots = np.array(self._free[len(self._free) - (end - start) :], np.int64)
            del self._free[len(self._free) - len(slots) :]
            places = self._plan.places[start:end]
            self._slots[places] = slots
            self._waiting.append(self._pool.submit(self._bring, self._order[places], slots))
            self._asked += 1

    def _bring(self, windows: Integers, slots: Integers) -> None:
        table = self._table
        found: Half = self._stored.read(table.paths[table.shard[windows[0]]], table.row[windows])
        self._memory[slots, 0] = found
