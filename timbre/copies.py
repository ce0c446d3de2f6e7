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
        for number in np.flatnonzero(_is_heard(part.audible)).tolist():
            yield from self._copies_of(part, number, first + number)

    def is_heard(self) -> Flags:
        """Tell which windows are long and loud enough to be compared `(n_windows,)`."""
        return _is_heard(self.audible)

    def _copies_of(self, part: Fingerprints, number: int, window: int) -> Iterator[Copy]:
        found: dict[int, Copy] = {}
        for other, offset in self._candidates(*_asked(part, number), window):
            copy = self._compare(window, other, offset)
            if copy and (other not in found or copy.error_rate < found[other].error_rate):
                found[other] = copy
        yield from found.values()

    def _candidates(self, keys: Keys, frames: Integers, window: int) -> Iterator[tuple[int, int]]:
        shift = np.uint64(PLACE_BITS)
        starts = np.searchsorted(self.keys, keys << shift)
        # Most keys with bits turned over stand nowhere: only the others need an end.
        last = max(0, len(self.keys) - 1)
        there = self.keys[np.minimum(starts, last)] >> shift == keys
        keys, frames, starts = keys[there], frames[there], starts[there]
        stops = np.searchsorted(self.keys, (keys + np.uint64(1)) << shift)
        counts = np.minimum(stops - starts, MOST_HITS)
        ordinal = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        place = self.keys[np.repeat(starts, counts) + ordinal] & np.uint64((1 << PLACE_BITS) - 1)
        others = (place >> np.uint64(self.time_bits)).astype(np.int64)
        times = (place & np.uint64((1 << self.time_bits) - 1)).astype(np.int64)
        offsets = times - np.repeat(frames, counts)
        foreign = others != window
        if not foreign.any():
            return
        pairs, votes = np.unique(
            np.stack([others[foreign], offsets[foreign]], axis=1), axis=0, return_counts=True
        )
        best = np.argsort(-votes, kind="stable")[:MOST_TRIED]
        yield from ((int(other), int(offset)) for other, offset in pairs[best])

    def _compare(self, one: int, other: int, offset: int) -> Copy | None:
        one, other, offset = (one, other, offset) if one < other else (other, one, -offset)
        if self._differences(one, other, offset)[1] > HOPELESS:
            return None
        tried = [
            Copy(one, other, near, *self._differences(one, other, near))
            for near in range(offset - NEAR, offset + NEAR + 1)
        ]
        fitting = [c for c in tried if c.n_frames >= LEAST_FRAMES and c.error_rate <= LIMIT]
        return min(fitting, key=lambda copy: (copy.error_rate, copy.offset), default=None)

    def _differences(self, one: int, other: int, offset: int) -> tuple[int, float]:
        n_words = self.words.shape[1]
        here = slice(max(0, -offset), max(0, n_words - max(0, offset)))
        there = slice(max(0, offset), max(0, n_words + min(0, offset)))
        heard = self.audible[one, here] & self.audible[other, there]
        n_frames = int(heard.sum())
        differing = np.bitwise_count(self.words[one, here] ^ self.words[other, there])
        return n_frames, float(differing[heard].sum()) / max(1, N_BITS * n_frames)


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


def _asked(part: Fingerprints, number: int) -> tuple[Keys, Integers]:
    """Return the keys that a window asks for, and the frame of each."""
    heard = part.audible[number, :-GAP] & part.audible[number, GAP:]
    frames = np.arange(0, len(heard), ASK_EVERY)
    frames = frames[heard[frames]]
    keys = _keys(part.words[number])[frames, None]
    changes = np.abs(part.changes[number])
    sureness = np.concatenate([changes[frames], changes[frames + GAP]], axis=1)
    for bit in np.argsort(sureness, axis=1, kind="stable")[:, :N_UNSURE].astype(np.uint64).T:
        keys = np.concatenate([keys, keys ^ (np.uint64(1) << bit)[:, None]], axis=1)
    return keys.ravel(), np.repeat(frames, keys.shape[1])
