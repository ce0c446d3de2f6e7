"""Pairs of windows that hold the same recording, found by their fingerprints without comparing all.

A key is two words of a fingerprint, 0.3 s apart: 34 bits. Copies share keys, other windows hardly
ever do. Keys of all windows stand in one sorted array of 8 bytes a frame; each window asks for its
own, and for those with its least sure bits turned over, as Haitsma and Kalker do. Whoever shares a
key is compared bit by bit. Memory: 13 bytes a frame, 3 kB for a
window of 5 s.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from timbre.copy_table import COPY_COLUMNS
from timbre.problems import InputError
from timbre.subfingerprints import N_BITS, Fingerprints, Flags, Words

GAP = 16  # frames between the two words of a key
ASK_EVERY = 2  # frames; the words of neighbours are nearly the same
N_UNSURE = 4  # bits of a key that are turned over, in all combinations
MOST_HITS = 32  # windows that one key may bring: what many share tells none apart
MOST_TRIED = 16  # windows that are compared with one, those with most keys in common
LEAST_FRAMES = 60  # of overlap, 1.2 s: less says too little
LIMIT = 0.28  # share of differing bits; other recordings lie about a half (docs/leaks.md)
HOPELESS = 0.4  # a share of differing bits that no offset near by mends
NEAR = 3  # frames about the offset of a key in which the best one is looked for
PLACE_BITS = 30  # of a place in the index: window and frame

Keys = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Copy:
    """Windows `one` < `other` hold the same: frame t of `one` is frame t + `offset` of `other`."""

    one: int
    other: int
    offset: int  # frames
    n_frames: int  # of overlap in which both are heard
    error_rate: float  # share of their bits that differ


class Index:
    """The words of all windows, and where each key stands."""

    def __init__(self, parts: Iterable[Fingerprints]) -> None:
        """Take the fingerprints in, a part at a time. Raises InputError if they are too many."""
        words, audible, keys = [], [], []
        n_windows = 0
        self.time_bits = 0  # of a place, for the frame
        for part in parts:
            self.time_bits = part.words.shape[1].bit_length()
            words.append(part.words)
            audible.append(part.audible)
            keys.append(_placed_keys(part, n_windows, self.time_bits))
            n_windows += len(part.words)
        self.words: Words = np.concatenate(words)
        self.audible: Flags = np.concatenate(audible)
        self.keys: Keys = np.concatenate(keys)
        self.keys.sort()
        if n_windows << self.time_bits > 1 << PLACE_BITS:
            raise InputError(
                f"{n_windows} windows are too many to look for copies among, at most "
                f"{(1 << PLACE_BITS) >> self.time_bits}: set extract.windows to first"
            )

    def copies(self, part: Fingerprints, first: int) -> Iterator[Copy]:
        """Find copies of the windows of `part`, which are number `first` and those after it."""
        best: dict[tuple[int, int], Copy] = {}
        for copy in self._compare(*self._candidates(part, first)):
            pair = copy.one, copy.other
            if pair not in best or copy.error_rate < best[pair].error_rate:
                best[pair] = copy
        yield from best.values()

    def is_heard(self) -> Flags:
        """Tell which windows are long and loud enough to be compared `(n_windows,)`."""
        return _is_heard(self.audible)

    def _candidates(self, part: Fingerprints, first: int) -> tuple[Integers, Integers, Integers]:
        """Return which window may hold what which other one holds, and at which offset."""
        keys, windows, frames = _asked(part)
        asked, others, times = self._places(keys)
        offsets = times - frames[asked]
        foreign = others != windows[asked] + first
        window_bits = PLACE_BITS + 1  # above those of the other window and the offset
        codes, votes = np.unique(
            (windows[asked] << window_bits | others << (self.time_bits + 1))[foreign]
            | (offsets[foreign] + (1 << self.time_bits)),
            return_counts=True,
        )
        windows = codes >> window_bits
        order = np.lexsort((codes, -votes, windows))
        rank = np.arange(len(order)) - np.searchsorted(windows, windows)
        codes = codes[order[rank < MOST_TRIED]]
        offsets = codes % (2 << self.time_bits) - (1 << self.time_bits)
        others = codes % (1 << window_bits) >> (self.time_bits + 1)
        return (codes >> window_bits) + first, others, offsets

    def _places(self, keys: Keys) -> tuple[Integers, Integers, Integers]:
        """Return where the keys stand: which key, in which window, and in which of its frames."""
        shift = np.uint64(PLACE_BITS)
        # In order, neighbours are looked up near each other; what is asked goes below its key.
        ordered = np.sort(keys << shift | np.arange(len(keys), dtype=np.uint64))
        order = (ordered & np.uint64((1 << PLACE_BITS) - 1)).astype(np.int64)
        keys = ordered >> shift
        starts = np.searchsorted(self.keys, keys << shift)
        # Most keys with bits turned over stand nowhere: only the others need an end.
        last = max(0, len(self.keys) - 1)
        there = self.keys[np.minimum(starts, last)] >> shift == keys
        order, keys, starts = order[there], keys[there], starts[there]
        stops = np.searchsorted(self.keys, (keys + np.uint64(1)) << shift)
        counts = np.minimum(stops - starts, MOST_HITS)
        ordinal = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        place = self.keys[np.repeat(starts, counts) + ordinal].astype(np.int64)
        place %= 1 << PLACE_BITS
        return np.repeat(order, counts), place >> self.time_bits, place % (1 << self.time_bits)

    def _compare(self, ones: Integers, others: Integers, offsets: Integers) -> list[Copy]:
        """Compare windows bit by bit; return those that are copies, each at its best offset."""
        low, high = np.minimum(ones, others), np.maximum(ones, others)
        offsets = np.where(ones < others, offsets, -offsets)
        hopeful = self._differences(low, high, offsets)[1] <= HOPELESS
        low, high, offsets = low[hopeful], high[hopeful], offsets[hopeful]
        near = range(-NEAR, NEAR + 1)
        # One offset after the other: all at once would take seven times the memory.
        tried = [self._differences(low, high, offsets + step) for step in near]
        n_frames, rates = (np.stack(each, axis=1) for each in zip(*tried, strict=True))
        rates[n_frames < LEAST_FRAMES] = np.inf
        best = rates.argmin(axis=1)[:, None]
        n_frames, rates = (np.take_along_axis(each, best, 1)[:, 0] for each in (n_frames, rates))
        offsets = offsets + best[:, 0] - NEAR
        found = rates <= LIMIT
        numbers = (each[found].tolist() for each in (low, high, offsets, n_frames, rates))
        return [Copy(*one) for one in zip(*numbers, strict=True)]

    def _differences(
        self, ones: Integers, others: Integers, offsets: Integers
    ) -> tuple[Integers, Floats]:
        """Return in how many frames both are heard, and the share of their bits that differ."""
        n_words = self.words.shape[1]
        there = np.arange(n_words) + offsets[:, None]
        inside = (there >= 0) & (there < n_words)
        there = others[:, None] * n_words + there.clip(0, n_words - 1)
        heard = inside & self.audible[ones] & self.audible.ravel()[there]
        differing = np.bitwise_count(self.words[ones] ^ self.words.ravel()[there])
        n_frames = heard.sum(axis=1)
        return n_frames, (differing * heard).sum(axis=1) / np.maximum(1, N_BITS * n_frames)


def clip_pairs(
    found: Iterable[Copy], clip_ids: Sequence[str], frame_seconds: float
) -> pd.DataFrame:
    """Return one row a pair of clips, that of the windows that agree best."""
    rows = []
    for copy in found:
        one, other, offset = clip_ids[copy.one], clip_ids[copy.other], copy.offset * frame_seconds
        if one > other:
            one, other, offset = other, one, -offset
        if one != other:
            overlap = copy.n_frames * frame_seconds
            rows.append((one, other, round(offset, 3), round(overlap, 3), copy.error_rate))
    table = pd.DataFrame(rows, columns=list(COPY_COLUMNS)).round({"error_rate": 4})
    best = table.sort_values(["one", "other", "error_rate", "offset"], kind="stable")
    return best.drop_duplicates(["one", "other"]).reset_index(drop=True)


def _is_heard(audible: Flags) -> Flags:
    return np.asarray(audible.sum(axis=1) >= LEAST_FRAMES)


def _placed_keys(part: Fingerprints, first: int, time_bits: int) -> Keys:
    """Return the keys of audible frames, each with window and frame in its lower bits.

    Of windows that can be compared: no other's keys are ever of use.
    """
    heard = part.audible[:, :-GAP] & part.audible[:, GAP:] & _is_heard(part.audible)[:, None]
    window, frame = heard.nonzero()
    place = ((window + first) << time_bits) | frame
    return np.asarray(
        _keys(part.words)[window, frame] << np.uint64(PLACE_BITS) | place.astype(np.uint64)
    )


def _keys(words: Words) -> Keys:
    wide = words.astype(np.uint64)
    return np.asarray(wide[..., :-GAP] | wide[..., GAP:] << np.uint64(N_BITS))


def _asked(part: Fingerprints) -> tuple[Keys, Integers, Integers]:
    """Return the keys that windows ask for, the window of each in its part, and the frame."""
    heard = part.audible[:, :-GAP] & part.audible[:, GAP:] & _is_heard(part.audible)[:, None]
    windows, steps = heard[:, ::ASK_EVERY].nonzero()
    frames = steps * ASK_EVERY
    keys = _keys(part.words)[windows, frames][:, None]
    changes = [part.changes[windows, frames], part.changes[windows, frames + GAP]]
    sureness = np.abs(np.concatenate(changes, axis=1))
    for bit in np.argpartition(sureness, N_UNSURE, axis=1)[:, :N_UNSURE].astype(np.uint64).T:
        keys = np.concatenate([keys, keys ^ (np.uint64(1) << bit)[:, None]], axis=1)
    n_keys = keys.shape[1]
    return keys.ravel(), np.repeat(windows, n_keys), np.repeat(frames, n_keys)
